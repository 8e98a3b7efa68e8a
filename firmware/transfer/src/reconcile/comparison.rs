//! Two patients side by side, field by field: what a person sees, and what the verdict is made from.

use beeldbox_protocol::clinical::Confidential;

use super::birth_date::{BirthDate, BirthDateAgreement};
use super::bsn::{BsnAnswer, BsnReading, BsnWeight};
use super::identity::{NumberAgreement, PatientIdentity, Sex};
use super::name_comparison::{self, FamilyAgreement, GivenAgreement};

/// A line of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// Family name with prefix.
    FamilyName,
    /// Given names or initials.
    GivenNames,
    /// Birth date.
    BirthDate,
    /// Sex.
    Sex,
    /// Citizen service number.
    Bsn,
    /// The hospital's number.
    PatientNumber,
}

/// How two citizen service numbers relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BsnAgreement {
    /// The same, and at least one issuer says that it is one.
    Equal,
    /// The same nine digits, and nobody says that they are one.
    EqualUnlabelled,
    /// At least one is not there.
    Missing,
    /// Two numbers, and both issuers say that it is one.
    Differs,
    /// Two numbers, and for at least one nobody says that it is one.
    UnlabelledDiffers,
    /// One side holds two different numbers.
    Contradictory,
}

/// How the sexes relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SexAgreement {
    /// The same.
    Equal,
    /// At least one is not said.
    Missing,
    /// One says that neither fits.
    OneOther,
    /// Male and female.
    Differs,
}

/// How one field agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Agreement {
    /// Of the family names.
    Family(FamilyAgreement),
    /// Of the given names.
    Given(GivenAgreement),
    /// Of the birth dates.
    BirthDate(BirthDateAgreement),
    /// Of the sexes.
    Sex(SexAgreement),
    /// Of the citizen service numbers.
    Bsn(BsnAgreement),
    /// Of the patient numbers.
    Number(NumberAgreement),
}

/// What a list shows beside a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Equal.
    Equal,
    /// Not equal, and there is a usual reason for it.
    Similar,
    /// At least one side does not say.
    Missing,
    /// Different.
    Differs,
    /// Says nothing about the person.
    NotComparable,
}

/// One field of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldComparison {
    /// Which.
    pub field: Field,
    /// As it came along.
    pub incoming: Option<Confidential>,
    /// As our own system has it.
    pub local: Option<Confidential>,
    /// How they agree.
    pub agreement: Agreement,
}

/// Every field of two patients, compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) family: FamilyAgreement,
    pub(super) given: GivenAgreement,
    pub(super) birth_date: BirthDateAgreement,
    pub(super) sex: SexAgreement,
    pub(super) bsn: BsnAgreement,
    pub(super) number: NumberAgreement,
}

impl Compared {
    pub(super) fn of(incoming: &PatientIdentity, local: &PatientIdentity) -> Self {
        let (family, given) = name_comparison::compare(incoming.name.as_ref(), local.name.as_ref());
        Compared {
            family,
            given,
            birth_date: BirthDate::compare(
                incoming.read_birth_date().as_ref(),
                local.read_birth_date().as_ref(),
            ),
            sex: compare_sex(incoming.sex, local.sex),
            bsn: compare_bsn(&incoming.bsn, &local.bsn),
            number: NumberAgreement::of(incoming.number.as_ref(), local.number.as_ref()),
        }
    }

    /// The fields in the order in which a banner names them.
    pub(super) fn side_by_side(
        &self,
        incoming: &PatientIdentity,
        local: &PatientIdentity,
    ) -> Vec<FieldComparison> {
        let fields = [
            (Field::FamilyName, Agreement::Family(self.family)),
            (Field::GivenNames, Agreement::Given(self.given)),
            (Field::BirthDate, Agreement::BirthDate(self.birth_date)),
            (Field::Sex, Agreement::Sex(self.sex)),
            (Field::Bsn, Agreement::Bsn(self.bsn)),
            (Field::PatientNumber, Agreement::Number(self.number)),
        ];
        let line = |(field, agreement)| {
            let (incoming, local) = (shown(incoming, field), shown(local, field));
            FieldComparison { field, incoming, local, agreement }
        };
        fields.into_iter().map(line).collect()
    }
}

/// A field as it is shown; nothing where the system says nothing.
fn shown(identity: &PatientIdentity, field: Field) -> Option<Confidential> {
    let text = match field {
        Field::FamilyName => identity.name.as_ref().map(|name| name.family_shown().clone()),
        Field::GivenNames => identity.name.as_ref().map(|name| name.given_shown().clone()),
        Field::BirthDate => identity.birth_date.clone(),
        Field::Sex => sex_letter(identity.sex).map(Confidential::new),
        Field::Bsn => shown_bsn(&identity.bsn),
        Field::PatientNumber => identity.number.as_ref().map(|number| number.id.clone()),
    };
    text.filter(|text| !text.is_empty())
}

/// The letter of DICOM; the front end has the words.
fn sex_letter(sex: Sex) -> Option<&'static str> {
    match sex {
        Sex::Male => Some("M"),
        Sex::Female => Some("F"),
        Sex::Other => Some("O"),
        Sex::Unknown => None,
    }
}

/// Every number of a reading, each once.
fn shown_bsn(reading: &BsnReading) -> Option<Confidential> {
    let mut numbers: Vec<&str> = Vec::new();
    for found in reading.found() {
        if !numbers.contains(&found.bsn.reveal()) {
            numbers.push(found.bsn.reveal());
        }
    }
    (!numbers.is_empty()).then(|| Confidential::new(numbers.join(" / ")))
}

fn compare_sex(one: Sex, other: Sex) -> SexAgreement {
    match (one, other) {
        (Sex::Unknown, _) | (_, Sex::Unknown) => SexAgreement::Missing,
        (one, other) if one == other => SexAgreement::Equal,
        (Sex::Other, Sex::Male | Sex::Female | Sex::Other) | (Sex::Male | Sex::Female, Sex::Other) => {
            SexAgreement::OneOther
        }
        (Sex::Male | Sex::Female, Sex::Male | Sex::Female) => SexAgreement::Differs,
    }
}

fn compare_bsn(one: &BsnReading, other: &BsnReading) -> BsnAgreement {
    match (one.answer(), other.answer()) {
        (BsnAnswer::Contradictory, _) | (_, BsnAnswer::Contradictory) => BsnAgreement::Contradictory,
        (BsnAnswer::None, BsnAnswer::None | BsnAnswer::One { .. })
        | (BsnAnswer::One { .. }, BsnAnswer::None) => BsnAgreement::Missing,
        (
            BsnAnswer::One { bsn: one, weight: one_weight },
            BsnAnswer::One { bsn: other, weight: other_weight },
        ) => match (one == other, one_weight.min(other_weight), one_weight.max(other_weight)) {
            (true, _, BsnWeight::Issued) => BsnAgreement::Equal,
            (true, _, BsnWeight::LooksLikeOne) => BsnAgreement::EqualUnlabelled,
            (false, BsnWeight::Issued, _) => BsnAgreement::Differs,
            (false, BsnWeight::LooksLikeOne, _) => BsnAgreement::UnlabelledDiffers,
        },
    }
}

impl Agreement {
    /// What a list shows.
    pub fn mark(self) -> Mark {
        use BirthDateAgreement as D;
        use FamilyAgreement as F;
        use GivenAgreement as G;
        match self {
            Agreement::Family(F::Equal | F::EqualButSpelling)
            | Agreement::Given(G::Equal)
            | Agreement::BirthDate(D::Equal)
            | Agreement::Sex(SexAgreement::Equal)
            | Agreement::Bsn(BsnAgreement::Equal)
            | Agreement::Number(NumberAgreement::Equal) => Mark::Equal,
            Agreement::Family(
                F::OtherOrder
                | F::OneOfTwo
                | F::PrefixMissing
                | F::PrefixDiffers
                | F::OneLetter
                | F::SwappedWithGiven,
            )
            | Agreement::Given(
                G::MoreOnOneSide | G::InitialsOnly | G::SomeInCommon | G::OneLetter | G::SwappedWithFamily,
            )
            | Agreement::BirthDate(D::PartlyKnown | D::FirstOfJanuary | D::DayMonthSwapped | D::OneDigit)
            | Agreement::Bsn(BsnAgreement::EqualUnlabelled)
            | Agreement::Number(NumberAgreement::EqualIssuerUnsaid) => Mark::Similar,
            Agreement::Family(F::Missing)
            | Agreement::Given(G::Missing)
            | Agreement::BirthDate(D::Missing)
            | Agreement::Sex(SexAgreement::Missing)
            | Agreement::Bsn(BsnAgreement::Missing) => Mark::Missing,
            Agreement::Family(F::Differs)
            | Agreement::Given(G::Differs)
            | Agreement::BirthDate(D::Differs | D::Unreadable)
            | Agreement::Sex(SexAgreement::OneOther | SexAgreement::Differs)
            | Agreement::Bsn(
                BsnAgreement::Differs | BsnAgreement::UnlabelledDiffers | BsnAgreement::Contradictory,
            )
            | Agreement::Number(NumberAgreement::DiffersAtSameIssuer) => Mark::Differs,
            Agreement::Number(NumberAgreement::NotComparable) => Mark::NotComparable,
        }
    }

    /// A name for it that does not change, unique within its field.
    pub fn code(self) -> &'static str {
        match self {
            Agreement::Family(agreement) => agreement.code(),
            Agreement::Given(agreement) => agreement.code(),
            Agreement::BirthDate(agreement) => agreement.code(),
            Agreement::Sex(agreement) => agreement.words().0,
            Agreement::Bsn(agreement) => agreement.words().0,
            Agreement::Number(agreement) => agreement.code(),
        }
    }

    /// The same for a person.
    pub fn english(self) -> &'static str {
        match self {
            Agreement::Family(agreement) => agreement.english(),
            Agreement::Given(agreement) => agreement.english(),
            Agreement::BirthDate(agreement) => agreement.english(),
            Agreement::Sex(agreement) => agreement.words().1,
            Agreement::Bsn(agreement) => agreement.words().1,
            Agreement::Number(agreement) => agreement.english(),
        }
    }
}

impl SexAgreement {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            SexAgreement::Equal => ("equal", "equal"),
            SexAgreement::Missing => ("missing", "not known on both sides"),
            SexAgreement::OneOther => ("one-other", "one side says that neither fits"),
            SexAgreement::Differs => ("differs", "differs"),
        }
    }
}

impl BsnAgreement {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            BsnAgreement::Equal => ("equal", "equal"),
            BsnAgreement::EqualUnlabelled => {
                ("equal-unlabelled", "the same nine digits; nobody says that they are a BSN")
            }
            BsnAgreement::Missing => ("missing", "not known on both sides"),
            BsnAgreement::Differs => ("differs", "differs"),
            BsnAgreement::UnlabelledDiffers => {
                ("unlabelled-differs", "differs; nobody says of at least one that it is a BSN")
            }
            BsnAgreement::Contradictory => ("contradictory", "one side holds two different numbers"),
        }
    }
}
