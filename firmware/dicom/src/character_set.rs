//! Text of a data set, by its Specific Character Set (0008,0005), code extensions of ISO 2022 included.
//!
//! ```text
//! \ISO 2022 IR 87     Yamada^Tarou=ESC $B 山田 ESC (B ^ESC $B 太郎 ESC (B
//!                     └─ G0: ASCII    └─ G0: JIS X 0208, until the next escape, delimiter or end of line
//! ```
//!
//! Bytes that a repertoire does not know become a backslash and three octal digits where text is shown; whoever converts a
//! data set is told of them instead ([`CharacterSets::read`]). Nothing is lost silently. PS3.3 C.12.1.1.2, PS3.5 §6.1.2.5.

use dicom_encoding::text::{SpecificCharacterSet, TextCodec};

/// ESC, with which every switch begins.
const ESCAPE: u8 = 0x1b;

/// What the upper half of the code table shows (or the lower, for the two Japanese sets).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    /// ISO IR 6: the lower half as everybody knows it.
    Ascii,
    /// ISO IR 14: ASCII with an overline.
    Romaji,
    /// ISO IR 87: pairs in the lower half.
    Kanji,
    /// ISO IR 159: more pairs in the lower half.
    MoreKanji,
    /// One of the single-byte sets, or a two-byte set of the upper half, by the name that the codec knows.
    Upper(&'static str),
    /// ISO IR 148 and 203: Latin-1 with other letters in a few places.
    LatinBut(&'static [(u8, char)]),
    /// Nothing was declared.
    Undeclared,
}

/// Turkish (ISO 8859-9).
const TURKISH: &[(u8, char)] =
    &[(0xd0, 'Ğ'), (0xdd, 'İ'), (0xde, 'Ş'), (0xf0, 'ğ'), (0xfd, 'ı'), (0xfe, 'ş')];
/// Latin-9 (ISO 8859-15).
const LATIN_9: &[(u8, char)] =
    &[(0xa4, '€'), (0xa6, 'Š'), (0xa8, 'š'), (0xb4, 'Ž'), (0xb8, 'ž'), (0xbc, 'Œ'), (0xbd, 'œ'), (0xbe, 'Ÿ')];

/// Defined terms of ISO 2022 without their beginning, the set, and the escape sequences that call it (PS3.3 Tables
/// C.12-3 and C.12-4).
const SETS: [(&str, Set, &[u8]); 18] = [
    ("IR 6", Set::Ascii, b"(B"),
    ("IR 14", Set::Romaji, b"(J"),
    ("IR 13", Set::Upper("ISO_IR 13"), b")I"),
    ("IR 87", Set::Kanji, b"$B"),
    ("IR 159", Set::MoreKanji, b"$(D"),
    ("IR 149", Set::Upper("ISO_IR 149"), b"$)C"),
    ("IR 58", Set::Upper("GBK"), b"$)A"),
    ("IR 100", Set::Upper("ISO_IR 100"), b"-A"),
    ("IR 101", Set::Upper("ISO_IR 101"), b"-B"),
    ("IR 109", Set::Upper("ISO_IR 109"), b"-C"),
    ("IR 110", Set::Upper("ISO_IR 110"), b"-D"),
    ("IR 126", Set::Upper("ISO_IR 126"), b"-F"),
    ("IR 127", Set::Upper("ISO_IR 127"), b"-G"),
    ("IR 138", Set::Upper("ISO_IR 138"), b"-H"),
    ("IR 144", Set::Upper("ISO_IR 144"), b"-L"),
    ("IR 148", Set::LatinBut(TURKISH), b"-M"),
    ("IR 203", Set::LatinBut(LATIN_9), b"-b"),
    ("IR 166", Set::Upper("ISO_IR 166"), b"-T"),
];

/// The character sets of a data set.
#[derive(Debug, Clone)]
pub(crate) struct CharacterSets {
    /// A set without code extensions: UTF-8, GB18030, GBK.
    whole: Option<SpecificCharacterSet>,
    lower: Set,
    upper: Set,
    /// What the first value alone says of the upper half: what may be written without an escape sequence.
    initial_upper: Set,
}

/// What ends the reach of an escape sequence beside the end of a line (PS3.5 §6.1.2.5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueKind {
    /// PN: backslash, `^` and `=`.
    Name,
    /// SH, LO, UC: backslash.
    Values,
    /// ST, LT, UT: a backslash is a letter there.
    Text,
}

impl Default for CharacterSets {
    fn default() -> Self {
        CharacterSets {
            whole: None,
            lower: Set::Ascii,
            upper: Set::Undeclared,
            initial_upper: Set::Undeclared,
        }
    }
}

impl CharacterSets {
    /// From the value of (0008,0005).
    pub(crate) fn of(value: &str) -> Self {
        let terms: Vec<&str> = value.split('\\').map(str::trim).collect();
        let first = terms.first().copied().unwrap_or_default();
        if matches!(first, "ISO_IR 192" | "GB18030" | "GBK") {
            return CharacterSets { whole: SpecificCharacterSet::from_code(first), ..Self::default() };
        }
        let known: Vec<Set> = terms.iter().filter_map(|term| set_of(term)).collect();
        let is_upper = |set: &&Set| matches!(set, Set::Upper(_) | Set::LatinBut(_));
        // The first value is in force at the beginning. If it says nothing of the upper half, the only other set that
        // does is meant: some senders leave its escape sequence out.
        let upper = set_of(first).as_ref().filter(is_upper).copied().or_else(|| {
            let mut others = known.iter().filter(is_upper);
            others.next().copied().filter(|_| others.next().is_none())
        });
        // The Japanese half-width set comes with its own lower half.
        let lower = if set_of(first) == Some(Set::Upper("ISO_IR 13")) { Set::Romaji } else { Set::Ascii };
        CharacterSets {
            whole: None,
            lower,
            upper: upper.unwrap_or(Set::Undeclared),
            initial_upper: set_of(first).as_ref().filter(is_upper).copied().unwrap_or(Set::Undeclared),
        }
    }

    /// Decodes a value for showing. `is_name`: of a person, where `^` and `=` end an extension too.
    pub(crate) fn decode(&self, bytes: &[u8], is_name: bool) -> String {
        self.read(bytes, if is_name { ValueKind::Name } else { ValueKind::Values }).0
    }

    /// Whether bytes above 7F have a meaning without an escape sequence.
    pub(crate) fn declares_upper(&self) -> bool {
        self.whole.is_some() || self.upper != Set::Undeclared
    }

    /// Whether bytes above 7F are ISO_IR 100 where no escape sequence says otherwise.
    pub(crate) fn is_latin_1(&self) -> bool {
        self.whole.is_none() && self.upper == Set::Upper("ISO_IR 100")
    }

    /// Whether these bytes mean the same in UTF-8.
    pub(crate) fn is_plain(&self, bytes: &[u8]) -> bool {
        let overline = self.lower == Set::Romaji && bytes.contains(&b'~');
        bytes.is_ascii() && !bytes.contains(&ESCAPE) && !overline
    }

    /// Writes a text without escape sequences; `None` if the initial repertoire does not have all of it.
    pub(crate) fn encode(&self, text: &str) -> Option<Vec<u8>> {
        if let Some(whole) = &self.whole {
            let bytes = whole.encode(text).ok()?;
            return (decoded(whole, &bytes) == text).then_some(bytes);
        }
        let lower = |byte: u8| byte != ESCAPE && (self.lower != Set::Romaji || byte != b'~');
        text.chars()
            .map(|letter| match u8::try_from(letter) {
                Ok(byte) if byte.is_ascii() => lower(byte).then_some(byte),
                _ => self.initial_upper.byte(letter),
            })
            .collect()
    }

    /// Decodes a value, and says whether every byte of it belongs to the repertoires.
    pub(crate) fn read(&self, bytes: &[u8], kind: ValueKind) -> (String, bool) {
        if let Some(whole) = &self.whole {
            let text = decoded(whole, bytes);
            let is_known = if whole.name() == "ISO_IR 192" {
                std::str::from_utf8(bytes).is_ok()
            } else {
                text.matches('\\').count() == backslashes(bytes)
            };
            return (text, is_known);
        }
        let mut text = String::with_capacity(bytes.len());
        let mut is_known = true;
        let (mut lower, mut upper) = (self.lower, self.upper);
        let mut rest = bytes;
        while let [byte, behind @ ..] = rest {
            if *byte == ESCAPE {
                match called_by(behind) {
                    Some((set, length)) => {
                        if matches!(set, Set::Ascii | Set::Romaji | Set::Kanji | Set::MoreKanji) {
                            lower = set;
                        } else {
                            upper = set;
                        }
                        rest = &behind[length..];
                    }
                    None => {
                        text.push_str("\\033");
                        is_known = false;
                        rest = behind;
                    }
                }
                continue;
            }
            let in_pairs = matches!(lower, Set::Kanji | Set::MoreKanji);
            if kind.ends_at(*byte, in_pairs) {
                (lower, upper) = (self.lower, self.upper);
                text.push(char::from(*byte));
                rest = behind;
                continue;
            }
            let run = run_length(rest, in_pairs, kind);
            let set = if *byte < 0x80 { lower } else { upper };
            is_known &= decode_run(set, &rest[..run], &mut text);
            rest = &rest[run..];
        }
        (text, is_known)
    }
}

impl ValueKind {
    /// Whether the initial repertoire is back behind this byte.
    fn ends_at(self, byte: u8, in_pairs: bool) -> bool {
        match byte {
            b'\t' | b'\n' | 0x0c | b'\r' => true,
            b'\\' => self != ValueKind::Text && !in_pairs,
            b'^' | b'=' => self == ValueKind::Name && !in_pairs,
            _ => false,
        }
    }
}

impl Set {
    /// The byte of a letter in the upper half of a single-byte set.
    fn byte(self, letter: char) -> Option<u8> {
        // The codecs know sets of pairs too; those want an escape sequence.
        let candidates = match self {
            Set::Upper("ISO_IR 149" | "GBK") | Set::Ascii | Set::Romaji | Set::Kanji | Set::MoreKanji => {
                return None;
            }
            Set::Undeclared => return None,
            Set::Upper(name) => {
                SpecificCharacterSet::from_code(name)?.encode(letter.encode_utf8(&mut [0; 4])).ok()?
            }
            Set::LatinBut(letters) => {
                let other = letters.iter().find(|(_, other)| *other == letter).map(|(place, _)| *place);
                vec![other.or_else(|| u8::try_from(letter).ok())?]
            }
        };
        let mut read = String::new();
        let [byte] = candidates[..] else { return None };
        (byte >= 0x80 && decode_run(self, &[byte], &mut read) && read.chars().eq([letter])).then_some(byte)
    }
}

/// How many bytes are of one half, up to the next escape or delimiter. At least one.
fn run_length(bytes: &[u8], in_pairs: bool, kind: ValueKind) -> usize {
    let upper = bytes[0] >= 0x80;
    let same = bytes[1..].iter().take_while(|byte| {
        let delimits = **byte == ESCAPE || kind.ends_at(**byte, in_pairs);
        !delimits && (**byte >= 0x80) == upper
    });
    1 + same.count()
}

/// Decodes bytes of one half; whether the set has all of them.
fn decode_run(set: Set, bytes: &[u8], text: &mut String) -> bool {
    // No set has control characters in the upper half, and the codecs show what they do not know with a backslash.
    let has_control = || bytes.iter().any(|byte| matches!(byte, 0x80..=0x9f));
    let mut by_codec = |name: &str, bytes: &[u8]| {
        let read = decoded(&SpecificCharacterSet::from_code(name).unwrap_or_default(), bytes);
        text.push_str(&read);
        !read.contains('\\')
    };
    match set {
        Set::Ascii => text.extend(bytes.iter().map(|byte| char::from(*byte))),
        Set::Romaji => text.extend(bytes.iter().map(|byte| match byte {
            b'~' => '‾',
            other => char::from(*other),
        })),
        // The codec speaks ISO-2022-JP and wants to see the switch.
        Set::Kanji => return by_codec("ISO_IR 87", &[b"\x1b$B", bytes].concat()),
        // Its table is the third code set of EUC-JP, which the codec of ISO-2022-JP reads too.
        Set::MoreKanji => return by_codec("ISO_IR 87", &[b"\x1b$(D", bytes].concat()),
        Set::Upper(name @ ("ISO_IR 13" | "ISO_IR 149" | "GBK")) => return by_codec(name, bytes),
        Set::Upper(name) => return by_codec(name, bytes) && !has_control(),
        Set::LatinBut(letters) => {
            text.extend(bytes.iter().map(|byte| {
                let other = letters.iter().find(|(place, _)| place == byte);
                other.map_or(char::from(*byte), |(_, letter)| *letter)
            }));
            return !has_control();
        }
        // Nothing was said: UTF-8 if it is, or else what most of the West means.
        Set::Undeclared => match std::str::from_utf8(bytes) {
            Ok(utf8) => text.push_str(utf8),
            Err(_) => {
                text.extend(bytes.iter().map(|byte| char::from(*byte)));
                return false;
            }
        },
    }
    true
}

/// Backslashes among the single bytes of GB18030 or GBK: the second byte of a pair may look like one.
fn backslashes(bytes: &[u8]) -> usize {
    let mut count = 0;
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' => count += 1,
            0x81..=0xfe => drop(rest.next()),
            _ => {}
        }
    }
    count
}

fn decoded(set: &SpecificCharacterSet, bytes: &[u8]) -> String {
    set.decode(bytes).unwrap_or_else(|_| bytes.escape_ascii().to_string())
}

/// The set of a defined term, with or without code extensions.
fn set_of(term: &str) -> Option<Set> {
    let number = term.strip_prefix("ISO 2022 ").map_or_else(
        || term.strip_prefix("ISO_IR ").map(|number| format!("IR {number}")),
        |number| Some(number.to_owned()),
    )?;
    SETS.iter().find(|(name, _, _)| *name == number).map(|(_, set, _)| *set)
}

/// The set that an escape sequence calls, and its length behind ESC.
fn called_by(behind: &[u8]) -> Option<(Set, usize)> {
    SETS.iter().find(|(_, _, call)| behind.starts_with(call)).map(|(_, set, call)| (*set, call.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(sets: &str, bytes: &[u8]) -> String {
        CharacterSets::of(sets).decode(bytes, true)
    }

    /// The examples of PS3.5 annexes H, I and K, and European ones.
    #[test]
    fn names_read_as_they_are_written() {
        for (sets, bytes, expected) in [
            (
                "\\ISO 2022 IR 87",
                &b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"[..],
                "Yamada^Tarou=山田^太郎=やまだ^たろう",
            ),
            (
                "ISO 2022 IR 13\\ISO 2022 IR 87",
                b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
                "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
            ),
            (
                "\\ISO 2022 IR 149",
                b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
                "Hong^Gildong=洪^吉洞=홍^길동",
            ),
            ("\\ISO 2022 IR 149", b"\x1b$)C\xc8\xab^\xb1\xe6\xb5\xbf", "홍^길동"),
            (
                "\\ISO 2022 IR 58",
                b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
                "Zhang^XiaoDong=张^小东=",
            ),
            ("ISO_IR 192", "Wang^XiaoDong=王^小東".as_bytes(), "Wang^XiaoDong=王^小東"),
            ("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东"),
            ("ISO_IR 100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
            ("ISO 2022 IR 100\\ISO 2022 IR 144", b"J\xe9r\xf4me\x1b-L\xbb\xee^J\xe9", "JérômeЛю^Jé"),
            ("ISO_IR 148", b"Ya\xfear^\xddpek", "Yaşar^İpek"),
            ("ISO_IR 126", b"\xc4\xe9\xef\xed", "Διον"),
            ("", b"J\xe9r\xf4me", "Jérôme"),
            ("", "Jérôme".as_bytes(), "Jérôme"),
            ("\\ISO 2022 IR 159", b"\x1b$(D0!\x1b(B", "丂"),
        ] {
            assert_eq!(name(sets, bytes), expected, "{sets}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_shown_and_not_replaced() {
        for (sets, bytes) in [
            ("ISO_IR 192", &b"A\xffB"[..]),
            ("\\ISO 2022 IR 149", b"A\x1b$)C\xffB"),
            ("\\ISO 2022 IR 87", b"A\x1b$B\x7f\x7f\x1b(BB"),
            ("ISO 2022 IR 100", b"A\x1b!zB"),
        ] {
            let text = name(sets, bytes);
            assert!(text.starts_with('A') && text.ends_with('B') && text.contains('\\'), "{sets}: {text:?}");
            assert!(!text.contains(['?', '\u{fffd}']), "{text:?}");
        }
    }

    #[test]
    fn arbitrary_bytes_decode_to_something() {
        for sets in ["", "\\ISO 2022 IR 87", "ISO 2022 IR 13\\ISO 2022 IR 159", "GBK", "nonsense"] {
            for first in 0..=255_u8 {
                for second in [0, 0x1b, b'$', b'(', b'^', 0x7f, 0x80, 0xff] {
                    name(sets, &[first, second, b'$', b'B', first, second]);
                }
            }
        }
    }
}
