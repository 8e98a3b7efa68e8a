//! Which characters part fields, components, repetitions and subcomponents: MSH-1 and MSH-2 say so in every message.
//!
//! `MSH|^~\&|` is what nearly everybody writes, and not what everybody writes. HL7 v2.5.1 §2.5.4, §2.15.9.1 and §2.15.9.2.

/// The delimiters of one message. All are printable ASCII, none is a letter or a digit, and no two are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delimiters {
    pub(crate) field: char,
    pub(crate) component: char,
    pub(crate) repetition: Option<char>,
    pub(crate) escape: Option<char>,
    pub(crate) subcomponent: Option<char>,
    pub(crate) truncation: Option<char>,
}

/// Why a header names no usable delimiters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DelimiterError {
    /// MSH-1 or MSH-2 is missing.
    #[error("the header names no delimiters")]
    Missing,
    /// One of them is a letter, a digit, a space, a control character or no ASCII.
    #[error("a delimiter is a letter, a digit or no printable ASCII character")]
    Forbidden,
    /// Two of them are the same.
    #[error("two delimiters are the same character")]
    Repeated,
    /// More than there are levels.
    #[error("there are {count} encoding characters, at most 5 are allowed")]
    TooMany {
        /// How many MSH-2 has.
        count: usize,
    },
}

impl Delimiters {
    /// `|^~\&`, the recommended ones: what we write.
    pub const RECOMMENDED: Delimiters = Delimiters {
        field: '|',
        component: '^',
        repetition: Some('~'),
        escape: Some('\\'),
        subcomponent: Some('&'),
        truncation: None,
    };

    /// Reads MSH-1 and MSH-2 from what follows `MSH`. A level that MSH-2 leaves out at its end does not exist in the
    /// message: there is then no way to write it.
    ///
    /// # Errors
    /// See [`DelimiterError`].
    pub fn read(after_name: &[u8]) -> Result<Self, DelimiterError> {
        let (&field, rest) = after_name.split_first().ok_or(DelimiterError::Missing)?;
        let end = rest.iter().position(|byte| *byte == field || matches!(byte, b'\r' | b'\n'));
        let encoding = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        if encoding.is_empty() {
            return Err(DelimiterError::Missing);
        }
        if encoding.len() > 5 {
            return Err(DelimiterError::TooMany { count: encoding.len() });
        }
        let all = [&[field], encoding].concat();
        if all.iter().any(|byte| !byte.is_ascii_punctuation()) {
            return Err(DelimiterError::Forbidden);
        }
        if all.iter().enumerate().any(|(at, byte)| all[..at].contains(byte)) {
            return Err(DelimiterError::Repeated);
        }
        let at = |place: usize| encoding.get(place).copied().map(char::from);
        Ok(Delimiters {
            field: char::from(field),
            component: at(0).ok_or(DelimiterError::Missing)?,
            repetition: at(1),
            escape: at(2),
            subcomponent: at(3),
            truncation: at(4),
        })
    }

    /// MSH-2.
    pub(crate) fn encoding_characters(&self) -> String {
        let rest = [self.repetition, self.escape, self.subcomponent, self.truncation];
        std::iter::once(self.component).chain(rest.into_iter().map_while(|one| one)).collect()
    }

    /// The character that parts fields.
    pub fn field(&self) -> char {
        self.field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_punctuation_can_part_fields() {
        assert_eq!(Delimiters::read(br"|^~\&|RIS"), Ok(Delimiters::RECOMMENDED));
        let other = Delimiters::read(b"#*@!%#RIS").unwrap();
        assert_eq!((other.field, other.component, other.escape), ('#', '*', Some('!')));
        let short = Delimiters::read(b"|^~|RIS").unwrap();
        assert_eq!((short.repetition, short.escape, short.subcomponent), (Some('~'), None, None));
        assert_eq!(Delimiters::read(br"|^~\&#|RIS").unwrap().truncation, Some('#'));
        assert_eq!(Delimiters::read(br"|^~\&#|").unwrap().encoding_characters(), r"^~\&#");
    }

    #[test]
    fn what_cannot_part_is_refused() {
        assert_eq!(Delimiters::read(b""), Err(DelimiterError::Missing));
        assert_eq!(Delimiters::read(b"||RIS"), Err(DelimiterError::Missing));
        assert_eq!(Delimiters::read(br"|^~\^|"), Err(DelimiterError::Repeated));
        assert_eq!(Delimiters::read(b"|^~A&|"), Err(DelimiterError::Forbidden));
        assert_eq!(Delimiters::read(b"|^~ &|"), Err(DelimiterError::Forbidden));
        assert_eq!(Delimiters::read(br"|^~\&#!|"), Err(DelimiterError::TooMany { count: 6 }));
        assert_eq!(Delimiters::read(br"|^~\\&|"), Err(DelimiterError::Repeated));
    }
}
