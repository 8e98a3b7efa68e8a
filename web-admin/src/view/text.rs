//! Text from outside, made harmless to the eye. Escaping for HTML is the templates' work; this removes what would
//! change how the text around it reads: control characters and marks that turn the direction of writing.

/// The text without control characters and direction marks, trimmed.
pub fn clean(text: &str) -> String {
    let harmless = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().filter(harmless).collect::<String>().trim().to_owned()
}

/// The same, keeping line breaks: for notes.
pub fn clean_lines(text: &str) -> String {
    text.lines().map(clean).collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_the_reading_direction_is_removed() {
        assert_eq!(clean("a\u{202e}bc\u{0}\n"), "abc");
        assert_eq!(clean_lines("een\r\n\u{7}twee"), "een\ntwee");
    }
}
