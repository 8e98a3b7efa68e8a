//! Text on its way to ISO_IR 192, and new values on their way into the character set that is declared.
//!
//! A value that is not of its declared character set is wrongly declared, and no reader could know what was meant. The rule,
//! which loses no byte: UTF-8 if it is that, else Windows-1252, which has a letter for every byte (the five that it leaves
//! open are the control characters of ISO 8859-1). Both are counted. ISO_IR 100 has a letter for everything, so there UTF-8
//! goes first: what is valid UTF-8 with bytes above 7F is next to never Latin-1. Without a declaration the same rule is used.

use crate::character_set::{CharacterSets, ValueKind};

/// The defined term for UTF-8 (PS3.3 Table C.12-5).
pub(super) const UTF_8: &str = "ISO_IR 192";
/// Windows-1252 from 80 to 9F.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// What a value was found to be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WrittenIn {
    /// In what was declared.
    AsDeclared,
    /// In UTF-8, although that was not declared.
    Utf8,
    /// In nothing that could be told; taken for Windows-1252.
    Windows1252,
}

/// A value in UTF-8, with an even number of bytes.
pub(super) fn converted(sets: &CharacterSets, bytes: &[u8], kind: ValueKind) -> (Vec<u8>, WrittenIn) {
    let (text, written_in) = read(sets, bytes, kind);
    let mut value = text.into_bytes();
    // Padding was for the old length: a space or NUL more is taken away, one that is missing is put there.
    if value.len() % 2 == 1 {
        match value.last() {
            Some(b' ' | b'\0') => drop(value.pop()),
            _ => value.push(b' '),
        }
    }
    (value, written_in)
}

/// A value as text.
pub(super) fn read(sets: &CharacterSets, bytes: &[u8], kind: ValueKind) -> (String, WrittenIn) {
    let is_declared = sets.declares_upper() || !has_upper(bytes);
    let may_be_utf8 = !is_declared || (sets.is_latin_1() && has_upper(bytes) && !bytes.contains(&0x1b));
    if may_be_utf8 && let Ok(utf8) = std::str::from_utf8(bytes) {
        return (utf8.to_owned(), WrittenIn::Utf8);
    }
    let (text, is_known) = sets.read(bytes, kind);
    if is_known {
        return (text, WrittenIn::AsDeclared);
    }
    match std::str::from_utf8(bytes) {
        Ok(utf8) => (utf8.to_owned(), WrittenIn::Utf8),
        Err(_) => (bytes.iter().map(|byte| windows_1252(*byte)).collect(), WrittenIn::Windows1252),
    }
}

fn has_upper(bytes: &[u8]) -> bool {
    !bytes.is_ascii()
}

fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        other => char::from(other),
    }
}

/// The value of a Specific Character Set.
pub(super) fn term(value: &[u8]) -> String {
    let text: String = value.iter().map(|byte| char::from(*byte)).collect();
    text.trim_matches(['\0', ' ']).to_owned()
}

/// How new values are written.
#[derive(Debug, Clone)]
pub(super) enum TextWriter {
    /// In the character set that is declared.
    Declared(CharacterSets),
    /// In UTF-8.
    Utf8,
}

impl TextWriter {
    /// The bytes, without padding; `None` if the character set does not have all the letters.
    pub(super) fn write(&self, text: &str) -> Option<Vec<u8>> {
        match self {
            TextWriter::Declared(sets) => sets.encode(text),
            TextWriter::Utf8 => Some(text.as_bytes().to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(sets: &str, bytes: &[u8]) -> (String, WrittenIn) {
        let (value, written_in) = converted(&CharacterSets::of(sets), bytes, ValueKind::Values);
        assert_eq!(value.len() % 2, 0);
        (String::from_utf8(value).unwrap(), written_in)
    }

    #[test]
    fn what_is_wrongly_declared_is_utf8_or_windows_1252() {
        for (sets, bytes, expected, written_in) in [
            ("ISO_IR 100", &b"J\xe9r\xf4me "[..], "Jérôme", WrittenIn::AsDeclared),
            ("ISO_IR 100", "Jérôme".as_bytes(), "Jérôme", WrittenIn::Utf8),
            ("ISO_IR 100", b"\x80 5,- \x92s", "€ 5,- ’s ", WrittenIn::Windows1252),
            ("", b"J\xe9r\xf4me", "Jérôme", WrittenIn::Windows1252),
            ("", "Jérôme".as_bytes(), "Jérôme", WrittenIn::Utf8),
            ("latin1", b"J\xe9r\xf4me", "Jérôme", WrittenIn::Windows1252),
            // This would be valid UTF-8, but so is many a Cyrillic word.
            ("ISO_IR 144", b"\xc2\xb0", "ТА", WrittenIn::AsDeclared),
            ("ISO_IR 144", "юг".as_bytes(), "юг", WrittenIn::Utf8),
            ("ISO_IR 126", b"\xd2\xff", "Òÿ", WrittenIn::Windows1252),
            ("\\ISO 2022 IR 149", b"\x1b$)C\xd1\xce\xd4\xd7", "吉洞", WrittenIn::AsDeclared),
            ("\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B", "山田", WrittenIn::AsDeclared),
            ("ISO_IR 13", b"\xd4\xcf\xc0\xde~", "ﾔﾏﾀﾞ‾ ", WrittenIn::AsDeclared),
            ("GB18030", b"\xcd\xf5\\\xd0\xa1", "王\\小 ", WrittenIn::AsDeclared),
            // The second byte of this pair is a backslash.
            ("GB18030", b"\x81\x5c", "乗 ", WrittenIn::AsDeclared),
            ("GB18030", b"J\xe9", "Jé ", WrittenIn::Windows1252),
            ("ISO_IR 192", b"J\xe9", "Jé ", WrittenIn::Windows1252),
        ] {
            let (found, found_in) = text(sets, bytes);
            assert_eq!((found.trim_end(), found_in), (expected.trim_end(), written_in), "{sets} {bytes:x?}");
        }
    }

    #[test]
    fn windows_1252_has_a_letter_of_its_own_for_every_byte() {
        let letters: std::collections::BTreeSet<char> = (0..=255).map(windows_1252).collect();
        assert_eq!(letters.len(), 256);
    }

    #[test]
    fn a_value_is_written_only_if_the_first_repertoire_has_every_letter() {
        for (sets, value, expected) in [
            ("", "Jansen^Piet", Some(&b"Jansen^Piet"[..])),
            ("", "Jérôme", None),
            ("ISO_IR 100", "Jérôme", Some(b"J\xe9r\xf4me")),
            ("ISO_IR 100", "Şeyma", None),
            ("ISO_IR 148", "Şeyma", Some(b"\xdeeyma")),
            ("ISO_IR 148", "Þ", None),
            ("ISO_IR 203", "€", Some(b"\xa4")),
            ("ISO_IR 144", "Люк", Some(b"\xbb\xee\xda")),
            ("ISO 2022 IR 100\\ISO 2022 IR 144", "é", Some(b"\xe9")),
            ("ISO 2022 IR 100\\ISO 2022 IR 144", "Л", None),
            ("\\ISO 2022 IR 149", "길", None),
            ("\\ISO 2022 IR 100", "é", None),
            ("ISO_IR 13", "ﾔ", Some(b"\xd4")),
            ("ISO_IR 13", "山", None),
            ("ISO_IR 13", "~", None),
            ("ISO_IR 192", "山Ş", Some("山Ş".as_bytes())),
            ("GB18030", "王é", Some(b"\xcd\xf5\xa8\xa6")),
            ("GBK", "\u{10ffff}", None),
            ("nonsense", "é", None),
        ] {
            let writer = TextWriter::Declared(CharacterSets::of(sets));
            assert_eq!(writer.write(value).as_deref(), expected, "{sets} {value}");
        }
    }
}
