//! From bytes to text: what MSH-18 declares, what is really there, and what to do when they differ.
//!
//! Half of the installed systems declare nothing, and some declare what they do not write. So every line is looked at: text
//! that is valid UTF-8 with letters beyond ASCII is UTF-8 whatever was declared, because text of an 8-bit set hardly ever
//! looks like that; text that is not valid UTF-8 although UTF-8 (or nothing) was declared is read as Windows-1252, which
//! holds ISO 8859-1. Either is remarked. Nothing is replaced by a question mark without being counted.
//!
//! Multi-byte sets are believed as declared. Switches inside a field (`\C2D41\`, `\M2442\`) are followed, to the end of
//! the field at most. HL7 v2.5.1 §2.7.2 and §2.15.9.18, table 0211.

use std::borrow::Cow;

use encoding_rs::Encoding;

use crate::remark::Remark;

/// A character set that a message may be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CharacterSet {
    name: &'static str,
    encoding: &'static Encoding,
}

/// The names of table 0211 without signs and spaces, ours for writing them, and the codec. ISO 8859-1 is read as
/// Windows-1252: the two differ where ISO has control characters that nobody sends, and Windows has quotes and the euro.
const SETS: [(&str, &str, &Encoding); 13] = [
    ("UNICODEUTF8", "UNICODE UTF-8", encoding_rs::UTF_8),
    ("88591", "8859/1", encoding_rs::WINDOWS_1252),
    ("88592", "8859/2", encoding_rs::ISO_8859_2),
    ("88593", "8859/3", encoding_rs::ISO_8859_3),
    ("88594", "8859/4", encoding_rs::ISO_8859_4),
    ("88595", "8859/5", encoding_rs::ISO_8859_5),
    ("88596", "8859/6", encoding_rs::ISO_8859_6),
    ("88597", "8859/7", encoding_rs::ISO_8859_7),
    ("88598", "8859/8", encoding_rs::ISO_8859_8),
    ("88599", "8859/9", encoding_rs::WINDOWS_1254),
    ("885915", "8859/15", encoding_rs::ISO_8859_15),
    ("GB180302000", "GB 18030-2000", encoding_rs::GB18030),
    ("KSX1001", "KS X 1001", encoding_rs::EUC_KR),
];

/// Switches of ISO 2022 to a single-byte set, and the set (HL7 v2.5.1 §2.7.2, ISO 2375).
const SINGLE_SWITCHES: [(&[u8], &Encoding); 11] = [
    (b"2842", encoding_rs::UTF_8),
    (b"284A", encoding_rs::UTF_8),
    (b"2D41", encoding_rs::WINDOWS_1252),
    (b"2D42", encoding_rs::ISO_8859_2),
    (b"2D43", encoding_rs::ISO_8859_3),
    (b"2D44", encoding_rs::ISO_8859_4),
    (b"2D4C", encoding_rs::ISO_8859_5),
    (b"2D47", encoding_rs::ISO_8859_6),
    (b"2D46", encoding_rs::ISO_8859_7),
    (b"2D48", encoding_rs::ISO_8859_8),
    (b"2D4D", encoding_rs::WINDOWS_1254),
];

/// The switch to JIS X 0208, two bytes for a character.
const KANJI: &[u8] = b"2442";

impl CharacterSet {
    /// UTF-8.
    pub const UTF_8: CharacterSet = CharacterSet { name: "UNICODE UTF-8", encoding: encoding_rs::UTF_8 };
    /// ISO 8859-1, the set of old systems.
    pub const LATIN_1: CharacterSet = CharacterSet { name: "8859/1", encoding: encoding_rs::WINDOWS_1252 };

    /// The set that MSH-18 names, in any of the spellings that occur; `None` for names that are unknown, and for those of
    /// 16 and 32 bits, which a message that begins with the bytes of `MSH` is not written in.
    pub fn named(text: &str) -> Option<Self> {
        let name: String =
            text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
        let name = match name.as_str() {
            "UTF8" | "UNICODE" | "ISOIR192" => "UNICODEUTF8",
            "WINDOWS1252" | "CP1252" | "LATIN1" | "ISOIR100" => "88591",
            "LATIN9" => "885915",
            other => other.strip_prefix("ISO").unwrap_or(other),
        };
        SETS.iter()
            .find(|(key, _, _)| *key == name)
            .map(|(_, name, encoding)| CharacterSet { name, encoding })
    }

    /// How MSH-18 names it.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Text as bytes of this set; `None` if a character is not in it.
    pub(crate) fn encode(self, text: &str) -> Option<Vec<u8>> {
        let (bytes, _, has_unmappable) = self.encoding.encode(text);
        // Windows-1252 has characters where ISO 8859-1 has none; whoever reads by the name would not find them.
        let beyond = self == CharacterSet::LATIN_1 && text.chars().any(|letter| u32::from(letter) > 0xff);
        (!has_unmappable && !beyond).then(|| bytes.into_owned())
    }

    /// Bytes that an escape sequence gives in hexadecimal digits.
    pub(crate) fn decode_escaped(self, bytes: &[u8]) -> String {
        match self.encoding.decode_without_bom_handling_and_without_replacement(bytes) {
            Some(text) => text.into_owned(),
            None => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(),
        }
    }

    fn is_multi_byte(self) -> bool {
        [encoding_rs::GB18030, encoding_rs::EUC_KR].contains(&self.encoding)
    }
}

/// Text, the set it was in, and what was odd about it.
pub(crate) struct Decoded<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) set: CharacterSet,
    pub(crate) remarks: Vec<Remark>,
}

/// How many lines were read otherwise than declared, and what could not be read.
#[derive(Default)]
struct Oddities {
    as_utf8: usize,
    as_windows: usize,
    undecodable: usize,
}

/// Decodes a whole message. `declared` is MSH-18; `field` and `escape` are its delimiters.
pub(crate) fn decode<'a>(
    bytes: &'a [u8],
    declared: Option<&str>,
    field: u8,
    escape: Option<u8>,
) -> Decoded<'a> {
    let mut remarks = Vec::new();
    let named = declared.map(CharacterSet::named);
    // ASCII is what systems declare that think of nothing else.
    if named == Some(None) && declared.is_some_and(|name| !is_ascii_name(name)) {
        remarks.push(Remark::UnknownCharacterSet);
    }
    let set = named.flatten().unwrap_or(CharacterSet::UTF_8);
    let switch = escape.filter(|escape| has_switch(bytes, *escape));
    if bytes.is_ascii() && switch.is_none() {
        // Checked to be ASCII.
        return Decoded { text: String::from_utf8_lossy(bytes), set, remarks };
    }
    let mut odd = Oddities::default();
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 8);
    let mut used = set;
    for line in bytes.split_inclusive(|byte| matches!(byte, b'\r' | b'\n')) {
        match switch.filter(|escape| has_switch(line, *escape)) {
            Some(escape) => switched(line, set, field, escape, &mut text, &mut odd),
            None => used = plain(line, set, &mut text, &mut odd).unwrap_or(used),
        }
    }
    let declares = named.flatten().is_some();
    if odd.as_utf8 > 0 {
        remarks
            .push(Remark::MisdeclaredCharacterSet { read_as: CharacterSet::UTF_8.name, lines: odd.as_utf8 });
    }
    if odd.as_windows > 0 && declares {
        remarks.push(Remark::MisdeclaredCharacterSet {
            read_as: CharacterSet::LATIN_1.name,
            lines: odd.as_windows,
        });
    } else if odd.as_windows > 0 {
        remarks.push(Remark::UndeclaredCharacterSet { lines: odd.as_windows });
    }
    if odd.undecodable > 0 {
        remarks.push(Remark::Undecodable { characters: odd.undecodable });
    }
    Decoded { text: Cow::Owned(text), set: used, remarks }
}

fn is_ascii_name(name: &str) -> bool {
    name.is_empty()
        || ["ASCII", "ISO IR6", "ISO IR 6", "US-ASCII"].iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// One line without switches; gives the set if it is another than was declared.
fn plain(line: &[u8], set: CharacterSet, text: &mut String, odd: &mut Oddities) -> Option<CharacterSet> {
    if !set.is_multi_byte()
        && let Ok(valid) = std::str::from_utf8(line)
    {
        text.push_str(valid);
        let differs = !line.is_ascii() && set != CharacterSet::UTF_8;
        odd.as_utf8 += usize::from(differs);
        return differs.then_some(CharacterSet::UTF_8);
    }
    if set == CharacterSet::UTF_8 {
        odd.as_windows += 1;
        text.push_str(&encoding_rs::WINDOWS_1252.decode_without_bom_handling(line).0);
        return Some(CharacterSet::LATIN_1);
    }
    piece(line, set.encoding, text, odd);
    None
}

fn piece(bytes: &[u8], encoding: &'static Encoding, text: &mut String, odd: &mut Oddities) {
    let (decoded, has_errors) = encoding.decode_without_bom_handling(bytes);
    if has_errors {
        odd.undecodable += decoded.chars().filter(|one| *one == char::REPLACEMENT_CHARACTER).count();
    }
    text.push_str(&decoded);
}

/// Whether a switch of character sets may stand in the bytes.
fn has_switch(bytes: &[u8], escape: u8) -> bool {
    bytes.windows(7).any(|window| switch_at(window, escape).is_some())
}

/// What is switched to.
#[derive(Clone, Copy)]
enum Switch {
    Single(&'static Encoding),
    Kanji,
}

/// The switch with which the bytes begin, and its length.
fn switch_at(bytes: &[u8], escape: u8) -> Option<(Switch, usize)> {
    let inside = bytes.strip_prefix(&[escape])?;
    let (kind, rest) = inside.split_first()?;
    let digits = rest.get(..4)?;
    if rest.get(4) != Some(&escape) {
        return None;
    }
    let single = SINGLE_SWITCHES.iter().find(|(sequence, _)| digits.eq_ignore_ascii_case(sequence));
    match kind {
        b'C' => single.map(|(_, encoding)| (Switch::Single(encoding), 7)),
        b'M' if digits == KANJI => Some((Switch::Kanji, 7)),
        _ => None,
    }
}

/// One line with switches. Each lasts until the next one, or the end of the field.
fn switched(line: &[u8], set: CharacterSet, field: u8, escape: u8, text: &mut String, odd: &mut Oddities) {
    let (mut rest, mut from, mut at) = (line, Switch::Single(set.encoding), 0);
    while at < rest.len() {
        let next = switch_at(rest.get(at..).unwrap_or_default(), escape);
        let is_pair = matches!(from, Switch::Kanji);
        let ends_field = rest.get(at) == Some(&field) && !is_pair;
        if next.is_none() && !ends_field {
            at += if is_pair { 2 } else { 1 };
            continue;
        }
        let (done, after) = rest.split_at(at);
        in_set(done, from, text, odd);
        (from, rest) = match next {
            Some((switch, length)) => (switch, after.get(length..).unwrap_or_default()),
            None => {
                text.push(char::from(field));
                (Switch::Single(set.encoding), after.get(1..).unwrap_or_default())
            }
        };
        at = 0;
    }
    in_set(rest, from, text, odd);
}

fn in_set(bytes: &[u8], set: Switch, text: &mut String, odd: &mut Oddities) {
    match set {
        Switch::Single(encoding) if encoding == encoding_rs::UTF_8 => {
            plain(bytes, CharacterSet::UTF_8, text, odd);
        }
        Switch::Single(encoding) => piece(bytes, encoding, text, odd),
        Switch::Kanji => {
            // What ends the segment is no pair.
            let body = bytes.strip_suffix(b"\r").unwrap_or(bytes);
            piece(&[b"\x1b$B", body, b"\x1b(B"].concat(), encoding_rs::ISO_2022_JP, text, odd);
            if body.len() < bytes.len() {
                text.push('\r');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], declared: Option<&str>) -> (String, Vec<Remark>) {
        let decoded = decode(bytes, declared, b'|', Some(b'\\'));
        (decoded.text.into_owned(), decoded.remarks)
    }

    #[test]
    fn what_is_declared_and_written_is_read_without_remark() {
        assert_eq!(read("Renée".as_bytes(), Some("UNICODE UTF-8")), ("Renée".to_owned(), vec![]));
        assert_eq!(read(b"Ren\xe9e", Some("8859/1")), ("Renée".to_owned(), vec![]));
        assert_eq!(read(b"\xa4 12", Some("8859/15")), ("€ 12".to_owned(), vec![]));
        assert_eq!(read(b"\xbb\xea\xe0", Some("8859/5")).0, "Лър");
    }

    #[test]
    fn what_is_declared_wrongly_is_found_out() {
        let as_utf8 = vec![Remark::MisdeclaredCharacterSet { read_as: "UNICODE UTF-8", lines: 1 }];
        assert_eq!(read("Renée".as_bytes(), Some("8859/1")), ("Renée".to_owned(), as_utf8));
        let as_latin = vec![Remark::MisdeclaredCharacterSet { read_as: "8859/1", lines: 1 }];
        assert_eq!(read(b"Ren\xe9e", Some("UTF-8")), ("Renée".to_owned(), as_latin));
        assert_eq!(
            read(b"Ren\xe9e", None),
            ("Renée".to_owned(), vec![Remark::UndeclaredCharacterSet { lines: 1 }])
        );
        assert_eq!(read("Renée".as_bytes(), None), ("Renée".to_owned(), vec![]));
        assert_eq!(read(b"Jan", Some("KLINGON")), ("Jan".to_owned(), vec![Remark::UnknownCharacterSet]));
        // Half in one set and half in the other: line by line.
        assert_eq!(read(b"Ren\xc3\xa9e\rRen\xe9e", Some("UTF-8")).0, "Renée\rRenée");
    }

    #[test]
    fn switches_last_to_the_end_of_the_field() {
        let (text, remarks) = read(b"a\\C2D41\\Ren\xe9e\\C2842\\|b\\M2442\\;3ED\\C2842\\|c\r", Some("ASCII"));
        assert_eq!((text.as_str(), remarks), ("aRenée|b山田|c\r", vec![]));
        assert_eq!(read(b"x\\C2D47\\\xc7|Ren\xc3\xa9e", Some("UTF-8")).0, "xا|Renée");
        // An unknown switch is left for whoever shows the text.
        assert_eq!(read(b"x\\C9999\\y", None).0, "x\\C9999\\y");
    }

    #[test]
    fn every_name_that_occurs_is_known() {
        for (name, means) in [
            ("8859/1", "8859/1"),
            ("ISO-8859-1", "8859/1"),
            ("iso8859-15", "8859/15"),
            ("UTF-8", "UNICODE UTF-8"),
            ("UNICODE", "UNICODE UTF-8"),
            ("windows-1252", "8859/1"),
        ] {
            assert_eq!(CharacterSet::named(name).map(CharacterSet::name), Some(means), "{name}");
        }
        assert_eq!(CharacterSet::named("UNICODE UTF-16"), None);
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        assert_eq!(CharacterSet::LATIN_1.encode("é"), Some(vec![0xe9]));
        assert_eq!(CharacterSet::LATIN_1.encode("€"), None);
        assert_eq!(CharacterSet::LATIN_1.encode("Ş"), None);
        assert_eq!(CharacterSet::UTF_8.encode("Ş"), Some("Ş".into()));
    }
}
