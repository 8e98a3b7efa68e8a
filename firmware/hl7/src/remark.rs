//! What was odd about a message that was taken all the same. None of it holds anything about a patient: remarks may be
//! logged, counted and shown to whoever runs the sending system.

use std::fmt;

/// Where something stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Name of the segment, such as `OBX`.
    pub segment: String,
    /// Which of the segments of this name, from one.
    pub occurrence: usize,
    /// Number of the field, if one field is meant.
    pub field: Option<usize>,
}

impl Place {
    pub(crate) fn new(segment: &str, occurrence: usize, field: usize) -> Self {
        Place { segment: segment.to_owned(), occurrence, field: Some(field) }
    }

    pub(crate) fn segment(segment: &str, occurrence: usize) -> Self {
        Place { segment: segment.to_owned(), occurrence, field: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) => write!(f, "{}[{}]-{field}", self.segment, self.occurrence),
            None => write!(f, "{}[{}]", self.segment, self.occurrence),
        }
    }
}

/// One thing that was odd.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Remark {
    /// MSH-18 names a set that we do not know; the bytes were looked at instead.
    UnknownCharacterSet,
    /// MSH-18 declares what these lines are not written in.
    MisdeclaredCharacterSet {
        /// What they were read as.
        read_as: &'static str,
        /// How many.
        lines: usize,
    },
    /// Letters beyond ASCII, no declaration, and no UTF-8: read as Windows-1252.
    UndeclaredCharacterSet {
        /// Lines with such letters.
        lines: usize,
    },
    /// Bytes that the declared set does not have; each became U+FFFD.
    Undecodable {
        /// How many.
        characters: usize,
    },
    /// Lines that begin no segment: they were taken for the rest of the field before them.
    LineBreakInField {
        /// How many.
        lines: usize,
    },
    /// The last segment has no end: the message may have been cut off.
    NoFinalTerminator,
    /// An escape sequence that is not of the standard stays in the text as it is.
    UnknownEscape {
        /// Where.
        place: Place,
    },
    /// A date or time that is none was left out.
    UnreadableTime {
        /// Where.
        place: Place,
    },
    /// The patient has no number.
    NoPatientNumber,
    /// A document says that it is something else than its first bytes show.
    MisdeclaredDocument {
        /// Where.
        place: Place,
    },
    /// A document stood in a text field.
    DocumentAsText {
        /// Where.
        place: Place,
    },
    /// OBX-2 is missing or unknown; the value was taken for text.
    UnknownValueType {
        /// Where.
        place: Place,
    },
    /// A text has a unit: a field separator inside of it may not have been escaped, and the text may go on.
    UnitOfText {
        /// Where.
        place: Place,
    },
    /// A status that is not in table 0123 or 0085.
    UnknownStatus {
        /// Where.
        place: Place,
    },
    /// A Study Instance UID that is none was left out.
    UnreadableStudyUid {
        /// Where.
        place: Place,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::UnknownCharacterSet => write!(f, "MSH-18 names an unknown character set"),
            Remark::MisdeclaredCharacterSet { read_as, lines } => {
                write!(f, "{lines} lines are not in the declared character set; read as {read_as}")
            }
            Remark::UndeclaredCharacterSet { lines } => {
                write!(f, "{lines} lines have letters beyond ASCII and no character set is declared")
            }
            Remark::Undecodable { characters } => {
                write!(f, "{characters} characters are not in the declared character set")
            }
            Remark::LineBreakInField { lines } => write!(f, "{lines} lines begin no segment"),
            Remark::NoFinalTerminator => write!(f, "the last segment has no end"),
            Remark::UnknownEscape { place } => write!(f, "{place}: unknown escape sequence"),
            Remark::UnreadableTime { place } => write!(f, "{place}: no date or time"),
            Remark::NoPatientNumber => write!(f, "PID-3 has no patient number"),
            Remark::MisdeclaredDocument { place } => {
                write!(f, "{place}: not the document that it says it is")
            }
            Remark::DocumentAsText { place } => write!(f, "{place}: a document in a text field"),
            Remark::UnknownValueType { place } => write!(f, "{place}: unknown type of value"),
            Remark::UnitOfText { place } => write!(f, "{place}: a text with a unit may have been cut in two"),
            Remark::UnknownStatus { place } => write!(f, "{place}: unknown status"),
            Remark::UnreadableStudyUid { place } => write!(f, "{place}: no Study Instance UID"),
        }
    }
}
