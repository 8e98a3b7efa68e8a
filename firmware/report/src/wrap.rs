//! Lines of text: broken between words, inside of a word only if it is wider than the line.

/// Breaks a settable text into lines no wider than `most`; `advance` is the width of a letter. Spaces at the end of a line are
/// dropped, those at the beginning of the first one stay.
pub(crate) fn lines(text: &str, most: f32, advance: impl Fn(char) -> f32) -> Vec<String> {
    let (mut lines, mut line, mut width) = (Vec::new(), String::new(), 0.0);
    for word in words(text) {
        let visible: f32 = word.trim_end().chars().map(&advance).sum();
        if width + visible <= most {
            line.push_str(word);
            width += word.chars().map(&advance).sum::<f32>();
            continue;
        }
        if !line.trim().is_empty() {
            lines.push(line.trim_end().to_owned());
        }
        (line, width) = (String::new(), 0.0);
        for letter in word.chars() {
            if width + advance(letter) > most && !line.is_empty() && letter != ' ' {
                lines.push(std::mem::take(&mut line));
                width = 0.0;
            }
            line.push(letter);
            width += advance(letter);
        }
    }
    if lines.is_empty() || !line.trim().is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// Words, each with the spaces behind it. Behind a hyphen or a slash a line may be broken too.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut before) = (0, None);
    for (at, letter) in text.char_indices() {
        let breaks = matches!(before, Some(' ' | '-' | '/')) && letter != ' ' && !letter.is_ascii_digit();
        // Between a space and a digit too, but not inside of a date.
        if (breaks || (before == Some(' ') && letter != ' ')) && at > start {
            words.push(&text[start..at]);
            start = at;
        }
        before = Some(letter);
    }
    words.push(&text[start..]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(text: &str, most: u8) -> Vec<String> {
        lines(text, f32::from(most), |_| 1.0)
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("een twee drie", 8), ["een twee", "drie"]);
        assert_eq!(wrapped("  een twee", 8), ["  een", "twee"]);
        assert_eq!(wrapped("CT-thorax/abdomen", 10), ["CT-thorax/", "abdomen"]);
        assert_eq!(wrapped("op 02-01-1970 gezien", 12), ["op", "02-01-1970", "gezien"]);
        assert_eq!(wrapped("", 8), [""]);
    }

    #[test]
    fn a_word_that_is_too_wide_is_broken() {
        assert_eq!(wrapped("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(wrapped("éééé", 0), ["é", "é", "é", "é"]);
    }

    #[test]
    fn no_letter_is_lost() {
        let text = "Eerste-tweede/derde vierde     vijfde zesdezevendeachtste 1/2 a-b";
        for most in 0..40 {
            let joined: String = wrapped(text, most).concat().replace(' ', "");
            assert_eq!(joined, text.replace(' ', ""), "{most}");
        }
    }
}
