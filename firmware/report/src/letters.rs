//! Letters that the font has: composed where they can be, replaced by what reads the same where it cannot hold them, and by
//! their number where nothing does.

use icu_normalizer::ComposingNormalizerBorrowed;

/// What reads the same, for signs that are common in reports.
const ALIKE: [(char, &str); 13] = [
    ('\t', "    "),
    ('\u{ad}', ""),
    ('\u{200b}', ""),
    ('\u{200d}', ""),
    ('\u{feff}', ""),
    ('\u{202f}', "\u{a0}"),
    ('\u{2010}', "-"),
    ('\u{2011}', "-"),
    ('\u{2192}', "->"),
    ('\u{2190}', "<-"),
    ('\u{2265}', "≥"),
    ('\u{25cf}', "•"),
    ('\u{2713}', "v"),
];

/// The text in letters of which `has` is true. Control characters other than tab are left out; lines are parted before.
pub(crate) fn settable(text: &str, has: impl Fn(char) -> bool) -> String {
    let composed = ComposingNormalizerBorrowed::new_nfc().normalize(text);
    let mut out = String::with_capacity(composed.len());
    for letter in composed.chars() {
        if letter != '\t' && letter.is_control() {
            continue;
        }
        match ALIKE.iter().find(|(sign, _)| *sign == letter) {
            Some((_, alike)) if alike.chars().all(&has) => out.push_str(alike),
            _ if has(letter) => out.push(letter),
            _ => out.push_str(&format!("[U+{:04X}]", u32::from(letter))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost() {
        let has = |letter: char| u32::from(letter) < 0x180;
        assert_eq!(settable("e\u{301}e\u{301}n", has), "één");
        assert_eq!(settable("a → b", has), "a -> b");
        assert_eq!(settable("山 ✗", has), "[U+5C71] [U+2717]");
        assert_eq!(settable("a\u{0}\u{7}b", has), "ab");
        assert_eq!(settable("a\tb", has), "a    b");
    }
}
