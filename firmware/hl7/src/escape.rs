//! Escape sequences: how text holds the characters that part it, line breaks, and bytes without a key.
//!
//! ```text
//!   \F\ | \S\ ^ \T\ & \R\ ~ \E\ \ \P\ #      \X0D0A\ bytes in hexadecimal      \.br\ \.sp2\ new lines      \H\ \N\ bold
//! ```
//!
//! A sequence that is none stays in the text as it stands and is counted: a path like `C:\temp` is text. HL7 v2.5.1 §2.7.

use data_encoding::HEXUPPER_PERMISSIVE;

use crate::character_set::CharacterSet;
use crate::delimiters::Delimiters;

/// Most lines or spaces that one formatting command may make.
const MOST_REPEATED: usize = 40;

/// Text without escape sequences, and how many of them were unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Unescaped {
    pub(crate) text: String,
    pub(crate) unknown: usize,
}

/// Resolves the escape sequences of a text. Line ends of every kind become `\n`.
pub(crate) fn unescape(text: &str, delimiters: &Delimiters, set: CharacterSet) -> Unescaped {
    let mut out = Unescaped { text: String::with_capacity(text.len()), unknown: 0 };
    let Some(escape) = delimiters.escape else {
        out.text.push_str(text);
        return out;
    };
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(escape) {
        out.text.push_str(before);
        let sequence = after.split_once(escape);
        let known = sequence.and_then(|(inside, _)| resolved(inside, delimiters, set));
        match (known, sequence) {
            (Some(meaning), Some((_, behind))) => {
                out.text.push_str(&meaning);
                rest = behind;
            }
            _ => {
                out.unknown += 1;
                out.text.push(escape);
                rest = after;
            }
        }
    }
    out.text.push_str(rest);
    out
}

/// What stands for a sequence; `None` if it is none.
fn resolved(inside: &str, delimiters: &Delimiters, set: CharacterSet) -> Option<String> {
    let letter = |one: Option<char>| one.map(String::from);
    match inside {
        "F" => Some(delimiters.field.into()),
        "S" => Some(delimiters.component.into()),
        "T" => letter(delimiters.subcomponent.or(Some('&'))),
        "R" => letter(delimiters.repetition.or(Some('~'))),
        "E" => letter(delimiters.escape),
        "P" => letter(delimiters.truncation.or(Some('#'))),
        // Where highlighting begins and ends.
        "H" | "N" => Some(String::new()),
        _ => match inside.strip_prefix('X') {
            Some(digits) => hexadecimal(digits, set),
            None => formatting(inside.strip_prefix('.')?),
        },
    }
}

fn hexadecimal(digits: &str, set: CharacterSet) -> Option<String> {
    let bytes = HEXUPPER_PERMISSIVE.decode(digits.as_bytes()).ok().filter(|bytes| !bytes.is_empty())?;
    let text = set.decode_escaped(&bytes).replace("\r\n", "\n").replace('\r', "\n");
    // Printer commands, mostly.
    let is_text = |letter: &char| !letter.is_control() || matches!(letter, '\n' | '\t');
    Some(text.chars().filter(is_text).collect())
}

/// Formatting commands of FT (§2.7.6).
fn formatting(command: &str) -> Option<String> {
    let (name, number) = command.split_at_checked(2)?;
    let number = number.trim();
    let repeated = |what: &str| {
        let times = if number.is_empty() { Some(1) } else { number.trim_start_matches('+').parse().ok() };
        times.map(|times: usize| what.repeat(times.min(MOST_REPEATED)))
    };
    match name {
        "br" | "ce" if number.is_empty() => Some("\n".to_owned()),
        "sp" => repeated("\n"),
        "sk" => repeated(" "),
        "in" | "ti" if number.parse::<i32>().is_ok() => Some(String::new()),
        "fi" | "nf" if number.is_empty() => Some(String::new()),
        _ => None,
    }
}

/// Writes text so that [`unescape`] gives it back: delimiters as letters, line ends as `\.br\`, control characters as
/// bytes. Line ends of any kind come back as `\n`.
pub(crate) fn escape(text: &str, delimiters: &Delimiters, out: &mut String) {
    let Some(escape) = delimiters.escape else {
        out.push_str(text);
        return;
    };
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let name = match letter {
            _ if letter == escape => Some("E"),
            _ if letter == delimiters.field => Some("F"),
            _ if letter == delimiters.component => Some("S"),
            _ if Some(letter) == delimiters.subcomponent => Some("T"),
            _ if Some(letter) == delimiters.repetition => Some("R"),
            _ if Some(letter) == delimiters.truncation => Some("P"),
            '\r' | '\n' => Some(".br"),
            _ => None,
        };
        if letter == '\r' && letters.peek() == Some(&'\n') {
            letters.next();
        }
        match name {
            Some(name) => {
                out.push(escape);
                out.push_str(name);
                out.push(escape);
            }
            // Nothing that a reader could show; a frame of MLLP would end at one of them.
            None if letter.is_control() && letter != '\t' => {}
            None => out.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, usize) {
        let unescaped = unescape(text, &Delimiters::RECOMMENDED, CharacterSet::LATIN_1);
        (unescaped.text, unescaped.unknown)
    }

    #[test]
    fn every_sequence_of_the_standard_is_resolved() {
        assert_eq!(read(r"\F\\S\\T\\R\\E\\P\"), (r"|^&~\#".to_owned(), 0));
        assert_eq!(read(r"een\.br\twee\X0D0A\drie\X0A\vier\X0d\"), ("een\ntwee\ndrie\nvier\n".to_owned(), 0));
        assert_eq!(read(r"\XE9E9\n"), ("één".to_owned(), 0));
        assert_eq!(read(r"\.sp2\\.in+5\\.ti-4\\.sk3\x\.fi\\.nf\\.ce\"), ("\n\n   x\n".to_owned(), 0));
        assert_eq!(read(r"\H\CONCLUSIE\N\"), ("CONCLUSIE".to_owned(), 0));
        assert_eq!(read(r"\.sp999999999\").0.len(), MOST_REPEATED);
    }

    #[test]
    fn what_is_no_sequence_stays() {
        assert_eq!(read(r"C:\temp\verslag"), (r"C:\temp\verslag".to_owned(), 2));
        assert_eq!(read(r"C:\temp \T\ x"), (r"C:\temp & x".to_owned(), 1));
        assert_eq!(read(r"\X\ \XZZ\ \Zabc\"), (r"\X\ \XZZ\ \Zabc\".to_owned(), 6));
        assert_eq!(read(r"einde \"), (r"einde \".to_owned(), 1));
        assert_eq!(read(r"\.é\"), (r"\.é\".to_owned(), 2));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = "a|b^c&d~e\\f#g\nh\té 山 \\.br\\ \\X41\\";
        let mut written = String::new();
        escape(text, &Delimiters::RECOMMENDED, &mut written);
        assert!(!written.contains(['|', '^', '&', '~', '\n', '\r']));
        assert_eq!(read(&written), (text.to_owned(), 0));
        let mut ends = String::new();
        escape("a\r\nb\rc\nd\u{1c}", &Delimiters::RECOMMENDED, &mut ends);
        assert_eq!(read(&ends).0, "a\nb\nc\nd");
    }
}
