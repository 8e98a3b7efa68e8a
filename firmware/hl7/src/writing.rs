//! Writing segments: fields by number, escaped, in one character set.

use crate::character_set::CharacterSet;
use crate::delimiters::Delimiters;
use crate::escape::escape;

/// A text with a character that the chosen set does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message has characters that are not in its character set")]
pub(crate) struct DoesNotFit;

/// A message being written, with the recommended delimiters. Segments end with CR.
pub(crate) struct MessageWriter {
    text: String,
}

impl MessageWriter {
    pub(crate) fn new() -> Self {
        MessageWriter { text: String::new() }
    }

    /// Adds a segment. The fields are written already ([`one`], [`components`]), each with its number, in rising order.
    pub(crate) fn segment(&mut self, name: &str, fields: &[(usize, String)]) {
        self.text.push_str(name);
        // MSH-1 is the separator itself.
        let mut written = usize::from(name == "MSH");
        let given = fields.iter().filter(|(_, value)| !value.is_empty());
        for (number, value) in given {
            while written < *number {
                self.text.push('|');
                written += 1;
            }
            self.text.push_str(value);
        }
        // A name alone is no segment.
        if written == 0 {
            self.text.push('|');
        }
        self.text.push('\r');
    }

    pub(crate) fn finish(self, set: CharacterSet) -> Result<Vec<u8>, DoesNotFit> {
        set.encode(&self.text).ok_or(DoesNotFit)
    }
}

/// MSH-2.
pub(crate) fn encoding_characters() -> String {
    Delimiters::RECOMMENDED.encoding_characters()
}

/// One text.
pub(crate) fn one(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    escape(text, &Delimiters::RECOMMENDED, &mut out);
    out
}

/// Components, without empty ones at the end.
pub(crate) fn components<T: AsRef<str>>(parts: &[T]) -> String {
    let parts: Vec<String> = parts.iter().map(|part| one(part.as_ref())).collect();
    join(&parts, '^')
}

/// Parts that are written already, without empty ones at the end.
pub(crate) fn join<T: AsRef<str>>(parts: &[T], separator: char) -> String {
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    parts.join(&separator.to_string()).trim_end_matches(separator).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_at_their_numbers() {
        let mut writer = MessageWriter::new();
        writer.segment("MSH", &[(2, encoding_characters()), (4, one("a|b"))]);
        writer.segment("PID", &[(1, one("1")), (3, String::new()), (5, components(&["x^", "", "y", ""]))]);
        writer.segment("NTE", &[]);
        let bytes = writer.finish(CharacterSet::UTF_8).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), "MSH|^~\\&||a\\F\\b\rPID|1||||x\\S\\^^y\rNTE|\r");
    }
}
