//! How far a report is: OBR-25 (table 0123) for an order, OBX-11 (table 0085) for each observation of it.

/// How far the report of one order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReportStatus {
    /// Ordered, scheduled or begun: no report yet (`O`, `I`, `S`, `Y`, `Z`).
    NoResult,
    /// Written, not verified; parts may be missing (`A`, `P`, `R`).
    Preliminary,
    /// Verified (`F`).
    Final,
    /// Verified, and other than it was (`C`).
    Amended,
    /// There will be none (`X`).
    Cancelled,
    /// Nothing is said.
    Unstated,
}

impl ReportStatus {
    /// Reads OBR-25; `None` if it is not in table 0123.
    pub fn read(code: &str) -> Option<Self> {
        match code {
            "" => Some(ReportStatus::Unstated),
            "O" | "I" | "S" | "Y" | "Z" => Some(ReportStatus::NoResult),
            "A" | "P" | "R" => Some(ReportStatus::Preliminary),
            "F" => Some(ReportStatus::Final),
            "C" => Some(ReportStatus::Amended),
            "X" => Some(ReportStatus::Cancelled),
            _ => None,
        }
    }

    /// The code we write; empty for what is unstated.
    pub fn code(self) -> &'static str {
        match self {
            ReportStatus::NoResult => "I",
            ReportStatus::Preliminary => "P",
            ReportStatus::Final => "F",
            ReportStatus::Amended => "C",
            ReportStatus::Cancelled => "X",
            ReportStatus::Unstated => "",
        }
    }
}

/// How far one observation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ObservationStatus {
    /// Not verified, partial or to come (`I`, `P`, `R`, `S`, `B`, `V`).
    Preliminary,
    /// Verified (`F`, `U`, `A`).
    Final,
    /// Replaces what was sent before (`C`).
    Corrected,
    /// What was sent before is to be deleted (`D`), or belongs to another patient (`W`).
    Withdrawn,
    /// There will be none (`X`, `N`, `O`).
    Unavailable,
    /// Nothing is said.
    #[default]
    Unstated,
}

impl ObservationStatus {
    /// Reads OBX-11; `None` if it is not in table 0085.
    pub fn read(code: &str) -> Option<Self> {
        match code {
            "" => Some(ObservationStatus::Unstated),
            "I" | "P" | "R" | "S" | "B" | "V" => Some(ObservationStatus::Preliminary),
            "F" | "U" | "A" => Some(ObservationStatus::Final),
            "C" => Some(ObservationStatus::Corrected),
            "D" | "W" => Some(ObservationStatus::Withdrawn),
            "X" | "N" | "O" => Some(ObservationStatus::Unavailable),
            _ => None,
        }
    }

    /// The code we write; empty for what is unstated.
    pub fn code(self) -> &'static str {
        match self {
            ObservationStatus::Preliminary => "P",
            ObservationStatus::Final => "F",
            ObservationStatus::Corrected => "C",
            ObservationStatus::Withdrawn => "D",
            ObservationStatus::Unavailable => "X",
            ObservationStatus::Unstated => "",
        }
    }
}

/// The status of a whole report, from what the order says and what its observations say. Where they differ, the one that
/// promises less holds: a final order with an unverified text is preliminary.
pub(crate) fn of_whole(
    order: ReportStatus,
    observations: impl Iterator<Item = ObservationStatus>,
) -> ReportStatus {
    let (mut preliminary, mut verified, mut corrected) = (false, false, false);
    for status in observations {
        match status {
            ObservationStatus::Preliminary => preliminary = true,
            ObservationStatus::Final => verified = true,
            ObservationStatus::Corrected | ObservationStatus::Withdrawn => corrected = true,
            ObservationStatus::Unavailable | ObservationStatus::Unstated => {}
        }
    }
    match order {
        ReportStatus::Final | ReportStatus::Amended | ReportStatus::Unstated if preliminary => {
            ReportStatus::Preliminary
        }
        ReportStatus::Final | ReportStatus::Unstated if corrected => ReportStatus::Amended,
        ReportStatus::Unstated if verified => ReportStatus::Final,
        ReportStatus::NoResult
        | ReportStatus::Preliminary
        | ReportStatus::Final
        | ReportStatus::Amended
        | ReportStatus::Cancelled
        | ReportStatus::Unstated => order,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_back() {
        for status in [
            ReportStatus::NoResult,
            ReportStatus::Preliminary,
            ReportStatus::Final,
            ReportStatus::Amended,
            ReportStatus::Cancelled,
            ReportStatus::Unstated,
        ] {
            assert_eq!(ReportStatus::read(status.code()), Some(status));
        }
        for status in [
            ObservationStatus::Preliminary,
            ObservationStatus::Final,
            ObservationStatus::Corrected,
            ObservationStatus::Withdrawn,
            ObservationStatus::Unavailable,
            ObservationStatus::Unstated,
        ] {
            assert_eq!(ObservationStatus::read(status.code()), Some(status));
        }
        assert_eq!(ReportStatus::read("Q"), None);
        assert_eq!(ObservationStatus::read("f"), None);
    }

    #[test]
    fn the_lower_promise_holds() {
        use ObservationStatus as One;
        use ReportStatus as Whole;
        for (order, parts, whole) in [
            (Whole::Final, vec![One::Final, One::Preliminary], Whole::Preliminary),
            (Whole::Final, vec![One::Final, One::Corrected], Whole::Amended),
            (Whole::Unstated, vec![One::Final], Whole::Final),
            (Whole::Unstated, vec![One::Unstated], Whole::Unstated),
            (Whole::Unstated, vec![], Whole::Unstated),
            (Whole::Preliminary, vec![One::Final], Whole::Preliminary),
            (Whole::Amended, vec![One::Final], Whole::Amended),
            (Whole::Cancelled, vec![One::Preliminary], Whole::Cancelled),
        ] {
            assert_eq!(of_whole(order, parts.iter().copied()), whole, "{order:?} {parts:?}");
        }
    }
}
