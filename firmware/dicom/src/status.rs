//! DIMSE status codes, and what each family of them means for an instance.
//!
//! The numbers of the storage service come from PS3.4 annex B.2.3, the general ones from PS3.7 annex C.

use std::fmt;

/// Status (0000,0900) of a DIMSE response.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DimseStatus(pub u16);

/// The five families of PS3.7 annex C.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFamily {
    /// Done.
    Success,
    /// Done, with a remark: the instance is stored.
    Warning,
    /// Not done.
    Failure,
    /// Stopped because the requestor asked so.
    Cancel,
    /// More responses follow.
    Pending,
}

impl DimseStatus {
    /// Done.
    pub const SUCCESS: Self = Self(0x0000);
    /// Processing failure (PS3.7 annex C).
    pub const PROCESSING_FAILURE: Self = Self(0x0110);
    /// Duplicate SOP instance (PS3.7 annex C.5.7).
    pub const DUPLICATE: Self = Self(0x0111);
    /// No such SOP instance (PS3.7 annex C).
    pub const NO_SUCH_INSTANCE: Self = Self(0x0112);
    /// No such event type (PS3.7 annex C).
    pub const NO_SUCH_EVENT: Self = Self(0x0113);
    /// Invalid argument value (PS3.7 annex C).
    pub const INVALID_ARGUMENT: Self = Self(0x0115);
    /// Class and instance conflict (PS3.7 annex C).
    pub const CLASS_INSTANCE_CONFLICT: Self = Self(0x0119);
    /// SOP class not supported (PS3.7 annex C.5.8).
    pub const SOP_CLASS_NOT_SUPPORTED: Self = Self(0x0122);
    /// No such action (PS3.7 annex C).
    pub const NO_SUCH_ACTION: Self = Self(0x0123);
    /// Refused: not authorized (PS3.7 annex C.5.3).
    pub const NOT_AUTHORIZED: Self = Self(0x0124);
    /// Unrecognized operation (PS3.7 annex C.5.16).
    pub const UNRECOGNIZED_OPERATION: Self = Self(0x0211);
    /// Resource limitation (PS3.7 annex C): the sender may try again later, or with less.
    pub const RESOURCE_LIMITATION: Self = Self(0x0213);
    /// Refused: out of resources (PS3.4 annex B.2.3). The sender may try again later.
    pub const OUT_OF_RESOURCES: Self = Self(0xA700);
    /// Data set does not match SOP class (PS3.4 annex B.2.3).
    pub const DATA_SET_DOES_NOT_MATCH: Self = Self(0xA900);
    /// Cannot understand (PS3.4 annex B.2.3).
    pub const CANNOT_UNDERSTAND: Self = Self(0xC000);

    /// The family this code belongs to. A code that no table knows is a failure.
    pub fn family(self) -> StatusFamily {
        match self.0 {
            0x0000 => StatusFamily::Success,
            // Attribute list error, attribute value out of range, invalid SOP instance; and the storage warnings.
            0x0001 | 0x0107 | 0x0116 | 0xB000..=0xBFFF => StatusFamily::Warning,
            0xFE00 => StatusFamily::Cancel,
            0xFF00 | 0xFF01 => StatusFamily::Pending,
            _ => StatusFamily::Failure,
        }
    }

    /// Whether this is plain success.
    pub fn is_success(self) -> bool {
        self.family() == StatusFamily::Success
    }

    /// Whether the operation was done with a remark.
    pub fn is_warning(self) -> bool {
        self.family() == StatusFamily::Warning
    }

    /// Whether the receiver says that it has the instance.
    pub fn is_stored(self) -> bool {
        self.is_success() || self.is_warning()
    }

    /// Whether the same request may succeed later without anybody changing anything (A7xx: out of resources).
    pub fn is_worth_retrying(self) -> bool {
        (0xA700..=0xA7FF).contains(&self.0)
    }
}

impl fmt::Display for DimseStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}H", self.0)
    }
}

impl fmt::Debug for DimseStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DimseStatus({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_count_as_stored_and_failures_do_not() {
        for stored in [0x0000, 0x0001, 0x0107, 0x0116, 0xB000, 0xB007, 0xBFFF] {
            assert!(DimseStatus(stored).is_stored(), "{stored:04X}");
        }
        for failed in [0x0110, 0x0111, 0x0117, 0x0122, 0x0124, 0x0211, 0xA700, 0xA900, 0xC000, 0xFE00, 0xFF00]
        {
            assert!(!DimseStatus(failed).is_stored(), "{failed:04X}");
        }
        assert!(DimseStatus(0xA702).is_worth_retrying());
        assert!(!DimseStatus::DATA_SET_DOES_NOT_MATCH.is_worth_retrying());
    }
}
