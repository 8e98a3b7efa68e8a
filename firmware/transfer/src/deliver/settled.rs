//! What an answer of the PACS means for an instance: stored, tried again, or parked (PS3.4 annex B.2.3). And the words for
//! what a PACS never answers itself: statuses of ours beside those of DIMSE, which stand in the ledger and in receipts.

use beeldbox_dicom::DimseStatus;

/// Found in the PACS before anything was sent, or the PACS says that it has an instance of this name: not sent, counted as
/// stored. In the family of warnings, of which no archive is known to use this number.
pub const ALREADY_THERE: u16 = 0xBFFF;
/// The PACS breaks off the association whenever this instance comes.
pub const BREAKS_OFF: u16 = 0xFFFB;
/// The PACS said that it stored the instance, and does not confirm it now that it is asked.
pub const NOT_CONFIRMED: u16 = 0xFFFC;
/// Its data set is not what its transfer syntax says, so it could not be converted to one that the PACS takes.
pub const NOT_CONVERTED: u16 = 0xFFFD;
/// The local patient could not be put into its data set.
pub const NOT_COERCED: u16 = 0xFFFE;
/// The PACS accepted no presentation context for it, in no transfer syntax that is possible without loss.
pub const NO_CONTEXT: u16 = 0xFFFF;

/// What follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sorted {
    /// It is settled with this status, stored or parked: the same bytes would get the same answer again.
    Settled(u16),
    /// The PACS cannot now: later, without anybody doing anything.
    Later,
}

/// Sorts the answer to one C-STORE.
pub fn sort(status: DimseStatus) -> Sorted {
    match status {
        // The general resource limitation (PS3.7 annex C) says the same as those of the storage service.
        busy if busy.is_worth_retrying() || busy == DimseStatus::RESOURCE_LIMITATION => Sorted::Later,
        DimseStatus::DUPLICATE => Sorted::Settled(ALREADY_THERE),
        DimseStatus(code) => Sorted::Settled(code),
    }
}

/// Why an instance is not in the PACS, in words for the log of the hospital.
pub fn why(status: u16) -> &'static str {
    match status {
        BREAKS_OFF => "the PACS breaks off at it",
        NOT_CONFIRMED => "the PACS does not confirm it",
        NOT_CONVERTED => "it cannot be converted to a transfer syntax that the PACS takes",
        NOT_COERCED => "the local patient cannot be put into it",
        NO_CONTEXT => "the PACS takes neither this class of object nor a transfer syntax of it",
        0x0110 => "the PACS failed",
        0x0112 => "the PACS does not have it any more",
        0x0117 => "the PACS calls it invalid",
        0x0119 => "the PACS has another object of this name",
        0x0122 => "the PACS does not support this class of object",
        0x0124 => "the PACS does not let this box store it",
        0xA900..=0xA9FF => "the PACS finds that it does not match its class",
        0xC000..=0xCFFF => "the PACS does not understand it",
        _ => "the PACS refuses it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_of_the_standard_is_sorted() {
        for stored in [0x0000, 0xB000, 0xB006, 0xB007, 0x0107, 0x0116] {
            assert_eq!(sort(DimseStatus(stored)), Sorted::Settled(stored));
            assert!(DimseStatus(stored).is_stored());
        }
        for later in [0xA700, 0xA701, 0xA7FF, 0x0213] {
            assert_eq!(sort(DimseStatus(later)), Sorted::Later, "{later:04X}");
        }
        for parked in [0x0110, 0x0117, 0x0122, 0x0124, 0x0210, 0x0211, 0x0212, 0xA900, 0xA9FF, 0xC000, 0xCFFF]
        {
            assert_eq!(sort(DimseStatus(parked)), Sorted::Settled(parked));
            assert!(!DimseStatus(parked).is_stored(), "{parked:04X}");
        }
        assert_eq!(sort(DimseStatus::DUPLICATE), Sorted::Settled(ALREADY_THERE));
    }

    #[test]
    fn words_of_ours_count_as_what_they_say() {
        assert!(DimseStatus(ALREADY_THERE).is_stored());
        for parked in [BREAKS_OFF, NOT_CONFIRMED, NOT_CONVERTED, NOT_COERCED, NO_CONTEXT] {
            assert!(!DimseStatus(parked).is_stored());
            assert_ne!(why(parked), why(0xFE00));
        }
    }
}
