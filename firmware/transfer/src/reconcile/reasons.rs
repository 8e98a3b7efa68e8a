//! Why a candidate must be looked at, or must not be taken: stable codes, and English for a person.

/// Why a person must look before the patient is confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CheckReason {
    /// No BSN on at least one side.
    BsnMissing,
    /// The same nine digits, which nobody calls a BSN.
    BsnUnlabelled,
    /// Something is called a BSN and does not pass its test.
    BsnMalformed,
    /// Beside the BSN there is another number that looks like one.
    AnotherNumberLooksLikeBsn,
    /// No birth date on at least one side.
    BirthDateMissing,
    /// The birth date is known in part.
    BirthDatePartlyKnown,
    /// The same year, and one is the first of January.
    BirthDateFirstOfJanuary,
    /// Day and month changed places.
    BirthDateSwapped,
    /// One digit of the birth date differs.
    BirthDateOneDigit,
    /// A birth date that is none.
    BirthDateUnreadable,
    /// No family name on at least one side.
    FamilyNameMissing,
    /// One of own and partner's name.
    FamilyNameOneOfTwo,
    /// The prefix is missing on one side.
    FamilyNamePrefixMissing,
    /// The prefixes differ.
    FamilyNamePrefixDiffers,
    /// One letter of the family name differs.
    FamilyNameOneLetter,
    /// Family and given name changed places.
    NamesSwapped,
    /// Another family name, while everything else agrees: perhaps married.
    FamilyNameDiffers,
    /// No given name on at least one side, or a child that has none yet.
    GivenNamesMissing,
    /// Some given names agree, others do not.
    GivenNamesSomeInCommon,
    /// One letter of a long given name differs.
    GivenNamesOneLetter,
    /// Other given names, with the same BSN: perhaps the name in daily use.
    GivenNamesDiffer,
    /// Male and female.
    SexDiffers,
    /// One side says that neither sex fits.
    SexOneOther,
    /// Two numbers of the same hospital.
    TwoNumbersOfOneIssuer,
    /// Our own patient has no number to file images under.
    NoLocalNumber,
    /// Our own systems do not agree about this patient.
    LocalRecordsDiffer,
    /// More than one of our patients fits.
    AnotherCandidateFits,
    /// Two of our own patients have this BSN.
    BsnOnTwoLocalPatients,
}

/// Why a candidate is not taken, unless two people say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StopReason {
    /// Two different BSNs.
    BsnDiffers,
    /// Two numbers, of which at least one only looks like a BSN.
    UnlabelledBsnDiffers,
    /// One side holds two BSNs.
    BsnContradictory,
    /// Different birth dates.
    BirthDateDiffers,
    /// The birth dates differ as typing errors do, and no BSN says that it is the same person.
    BirthDateDoubtfulWithoutBsn,
    /// Different family names.
    FamilyNameDiffers,
    /// Different given names and no BSN that says that it is the same person: brother, sister or twin.
    PerhapsTwin,
    /// No given name and no BSN: nothing tells twins apart.
    TwinNotExcluded,
    /// Male and female, and no BSN that says that it is the same person.
    SexDiffersWithoutBsn,
    /// The same patient number for what seems to be another person.
    SameNumberOtherPerson,
    /// Fewer than two of BSN, birth date and family name agree.
    TooLittleAgrees,
}

impl CheckReason {
    /// A name for it that does not change.
    pub fn code(self) -> &'static str {
        self.words().0
    }

    /// The same for a person.
    pub fn english(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            CheckReason::BsnMissing => ("bsn-missing", "There is no BSN on both sides."),
            CheckReason::BsnUnlabelled => {
                ("bsn-unlabelled", "The same nine digits on both sides, but nobody says that they are a BSN.")
            }
            CheckReason::BsnMalformed => {
                ("bsn-malformed", "Something is called a BSN and does not pass its test.")
            }
            CheckReason::AnotherNumberLooksLikeBsn => {
                ("another-bsn", "Beside the BSN there is another number that looks like one.")
            }
            CheckReason::BirthDateMissing => {
                ("birth-date-missing", "The birth date is not known on both sides.")
            }
            CheckReason::BirthDatePartlyKnown => {
                ("birth-date-partly-known", "The birth date is known in part only.")
            }
            CheckReason::BirthDateFirstOfJanuary => (
                "birth-date-first-of-january",
                "Same year of birth; the first of January may stand for unknown.",
            ),
            CheckReason::BirthDateSwapped => ("birth-date-swapped", "Day and month of birth changed places."),
            CheckReason::BirthDateOneDigit => {
                ("birth-date-one-digit", "One digit of the birth date differs.")
            }
            CheckReason::BirthDateUnreadable => ("birth-date-unreadable", "A birth date is no date."),
            CheckReason::FamilyNameMissing => {
                ("family-name-missing", "The family name is not known on both sides.")
            }
            CheckReason::FamilyNameOneOfTwo => {
                ("family-name-one-of-two", "One side has only one of own and partner's name.")
            }
            CheckReason::FamilyNamePrefixMissing => {
                ("prefix-missing", "The prefix of the family name is missing on one side.")
            }
            CheckReason::FamilyNamePrefixDiffers => {
                ("prefix-differs", "The prefixes of the family names differ.")
            }
            CheckReason::FamilyNameOneLetter => {
                ("family-name-one-letter", "One letter of the family name differs.")
            }
            CheckReason::NamesSwapped => ("names-swapped", "Family and given name changed places."),
            CheckReason::FamilyNameDiffers => {
                ("family-name-differs", "The family names differ; everything else agrees.")
            }
            CheckReason::GivenNamesMissing => {
                ("given-names-missing", "A given name is not known on both sides.")
            }
            CheckReason::GivenNamesSomeInCommon => {
                ("given-names-some-in-common", "Some given names agree, others do not.")
            }
            CheckReason::GivenNamesOneLetter => {
                ("given-names-one-letter", "One letter of the given names differs.")
            }
            CheckReason::GivenNamesDiffer => {
                ("given-names-differ", "The given names differ; the BSN agrees.")
            }
            CheckReason::SexDiffers => ("sex-differs", "The sex differs."),
            CheckReason::SexOneOther => ("sex-one-other", "One side says that neither sex fits."),
            CheckReason::TwoNumbersOfOneIssuer => {
                ("two-numbers", "Two different patient numbers of the same hospital.")
            }
            CheckReason::NoLocalNumber => ("no-local-number", "Your patient has no patient number."),
            CheckReason::LocalRecordsDiffer => {
                ("local-records-differ", "Your own systems do not agree about this patient.")
            }
            CheckReason::AnotherCandidateFits => {
                ("another-candidate-fits", "More than one of your patients fits.")
            }
            CheckReason::BsnOnTwoLocalPatients => {
                ("bsn-on-two-patients", "Two of your patients have this BSN.")
            }
        }
    }
}

impl StopReason {
    /// All of them.
    pub const ALL: [StopReason; 11] = [
        StopReason::BsnDiffers,
        StopReason::UnlabelledBsnDiffers,
        StopReason::BsnContradictory,
        StopReason::BirthDateDiffers,
        StopReason::BirthDateDoubtfulWithoutBsn,
        StopReason::FamilyNameDiffers,
        StopReason::PerhapsTwin,
        StopReason::TwinNotExcluded,
        StopReason::SexDiffersWithoutBsn,
        StopReason::SameNumberOtherPerson,
        StopReason::TooLittleAgrees,
    ];

    /// A name for it that does not change.
    pub fn code(self) -> &'static str {
        self.words().0
    }

    /// The same for a person.
    pub fn english(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            StopReason::BsnDiffers => ("stop-bsn-differs", "The BSN differs."),
            StopReason::UnlabelledBsnDiffers => (
                "stop-unlabelled-bsn-differs",
                "A number that looks like a BSN differs; it may be a number of the other hospital.",
            ),
            StopReason::BsnContradictory => {
                ("stop-bsn-contradictory", "One side holds two different numbers that may be the BSN.")
            }
            StopReason::BirthDateDiffers => ("stop-birth-date-differs", "The birth date differs."),
            StopReason::BirthDateDoubtfulWithoutBsn => (
                "stop-birth-date-doubtful",
                "The birth date is doubtful, and no BSN says that it is the same person.",
            ),
            StopReason::FamilyNameDiffers => ("stop-family-name-differs", "The family name differs."),
            StopReason::PerhapsTwin => (
                "stop-perhaps-twin",
                "The given names differ, and no BSN agrees: perhaps a brother or sister.",
            ),
            StopReason::TwinNotExcluded => {
                ("stop-twin-not-excluded", "Without given names and BSN nothing tells twins apart.")
            }
            StopReason::SexDiffersWithoutBsn => {
                ("stop-sex-differs", "The sex differs, and no BSN says that it is the same person.")
            }
            StopReason::SameNumberOtherPerson => {
                ("stop-same-number-other-person", "The same patient number, but another person.")
            }
            StopReason::TooLittleAgrees => {
                ("stop-too-little-agrees", "Fewer than two of BSN, birth date and family name agree.")
            }
        }
    }
}
