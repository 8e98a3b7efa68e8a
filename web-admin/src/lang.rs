//! Languages: every text a person reads, in Dutch and English, side by side in `i18n/*.toml`.
//!
//! A key is `file.name`. An entry without one of the two languages does not parse, so parity is not a discipline but
//! a fact. Counted texts have a form for one and a form for every other number; Dutch and English need no more
//! (CLDR plural rules). A key that does not exist shows as `⟦key⟧`, which the tests look for on every page.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// The languages of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    /// Dutch, the default.
    Nl,
    /// English.
    En,
}

impl Lang {
    /// The two letters of BCP 47.
    pub fn code(self) -> &'static str {
        match self {
            Lang::Nl => "nl",
            Lang::En => "en",
        }
    }

    /// The other one: what the switch in the header offers.
    pub fn other(self) -> Lang {
        match self {
            Lang::Nl => Lang::En,
            Lang::En => Lang::Nl,
        }
    }

    /// Reads the two letters; anything else is no language.
    pub fn from_code(code: &str) -> Option<Lang> {
        match code {
            "nl" => Some(Lang::Nl),
            "en" => Some(Lang::En),
            _ => None,
        }
    }

    /// What a browser prefers (RFC 9110 §12.5.4): the first language of ours with the highest weight, else Dutch.
    pub fn from_accept(header: &str) -> Lang {
        let mut best = (Lang::Nl, -1.0_f32);
        for range in header.split(',') {
            let mut parts = range.split(';');
            let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
            let weight = parts.find_map(|p| p.trim().strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            let primary = tag.split('-').next().unwrap_or_default();
            if let Some(lang) = Lang::from_code(primary)
                && weight > best.1
            {
                best = (lang, weight);
            }
        }
        best.0
    }

    /// The words of this language.
    pub fn words(self) -> Words {
        Words { lang: self }
    }
}

/// The words of one language; what templates and views are given.
#[derive(Debug, Clone, Copy)]
pub struct Words {
    lang: Lang,
}

impl Words {
    /// Which language.
    pub fn lang(self) -> Lang {
        self.lang
    }

    /// A text as it stands.
    pub fn t(self, key: &str) -> String {
        match self.form(key) {
            Some(Form::Plain(text)) => text.clone(),
            Some(Form::Counted { other, .. }) => other.clone(),
            None => format!("⟦{key}⟧"),
        }
    }

    /// A text with its places filled in.
    pub fn fill(self, key: &str, values: &[(&str, &str)]) -> String {
        fill(&self.t(key), values)
    }

    /// A counted text: the right form for `count`, with `{n}` filled in.
    pub fn n(self, key: &str, count: u64) -> String {
        self.n_fill(key, count, &[])
    }

    /// A counted text with further places filled in.
    pub fn n_fill(self, key: &str, count: u64, values: &[(&str, &str)]) -> String {
        let text = match self.form(key) {
            Some(Form::Plain(text)) => text,
            Some(Form::Counted { one, other }) => {
                if count == 1 {
                    one
                } else {
                    other
                }
            }
            None => return format!("⟦{key}⟧"),
        };
        let mut all = vec![("n", self.number(count))];
        all.extend(values.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        fill(text, &all)
    }

    /// A whole number with the thousands mark of the language.
    pub fn number(self, number: u64) -> String {
        let mark = match self.lang {
            Lang::Nl => '.',
            Lang::En => ',',
        };
        let digits = number.to_string();
        let mut out = String::with_capacity(digits.len() + 6);
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                out.push(mark);
            }
            out.push(digit);
        }
        out
    }

    fn form(self, key: &str) -> Option<&'static Form> {
        let entry = TABLE.get(key)?;
        Some(match self.lang {
            Lang::Nl => &entry.nl,
            Lang::En => &entry.en,
        })
    }
}

/// Puts values in the places `{name}`. Values are not looked through again, so a `{` in a note stays a `{`.
fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}') else { break };
        out.push_str(&rest[..open]);
        let name = &rest[open + 1..open + close];
        match values.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => out.push_str(value),
            None => out.push_str(&rest[open..=open + close]),
        }
        rest = &rest[open + close + 1..];
    }
    out.push_str(rest);
    out
}

/// One key in both languages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    nl: Form,
    en: Form,
}

/// A text, or its two counted forms.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Form {
    Plain(String),
    Counted { one: String, other: String },
}

/// Every file of texts with the first part of its keys.
const FILES: [(&str, &str); 16] = [
    ("account", include_str!("../i18n/account.toml")),
    ("admin", include_str!("../i18n/admin.toml")),
    ("audit", include_str!("../i18n/audit.toml")),
    ("help", include_str!("../i18n/help.toml")),
    ("frame", include_str!("../i18n/frame.toml")),
    ("login", include_str!("../i18n/login.toml")),
    ("patient", include_str!("../i18n/patient.toml")),
    ("study", include_str!("../i18n/study.toml")),
    ("send", include_str!("../i18n/send.toml")),
    ("sent", include_str!("../i18n/sent.toml")),
    ("inbox", include_str!("../i18n/inbox.toml")),
    ("matching", include_str!("../i18n/matching.toml")),
    ("request", include_str!("../i18n/request.toml")),
    ("status", include_str!("../i18n/status.toml")),
    ("state", include_str!("../i18n/state.toml")),
    ("problem", include_str!("../i18n/problem.toml")),
];

static TABLE: LazyLock<HashMap<String, Entry>> = LazyLock::new(|| {
    let mut table = HashMap::new();
    for (file, text) in FILES {
        let entries: HashMap<String, Entry> =
            toml::from_str(text).expect("texts are compiled in and read by a test in this file");
        table.extend(entries.into_iter().map(|(name, entry)| (format!("{file}.{name}"), entry)));
    }
    table
});

/// Every key, for tests that compare texts with their use.
pub fn keys() -> Vec<&'static str> {
    TABLE.keys().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn places(form: &Form) -> BTreeSet<String> {
        let texts = match form {
            Form::Plain(text) => vec![text],
            Form::Counted { one, other } => vec![one, other],
        };
        let pieces = texts.iter().flat_map(|text| text.split('{').skip(1));
        pieces.filter_map(|piece| piece.split('}').next()).map(str::to_owned).collect()
    }

    #[test]
    fn both_languages_have_the_same_places_and_forms() {
        for (key, entry) in TABLE.iter() {
            assert_eq!(places(&entry.nl), places(&entry.en), "{key}");
            let counted = |form: &Form| matches!(form, Form::Counted { .. });
            assert_eq!(counted(&entry.nl), counted(&entry.en), "{key}");
        }
    }

    #[test]
    fn plurals_are_right() {
        assert_eq!(Lang::Nl.words().n("study.images", 1), "1 beeld");
        assert_eq!(Lang::Nl.words().n("study.images", 0), "0 beelden");
        assert_eq!(Lang::Nl.words().n("study.images", 1212), "1.212 beelden");
        assert_eq!(Lang::En.words().n("study.images", 1_234_567), "1,234,567 images");
    }

    #[test]
    fn a_value_is_never_read_as_a_place() {
        assert_eq!(fill("aan {name} en {n}", &[("name", "{n}"), ("n", "2")]), "aan {n} en 2");
        assert_eq!(fill("open { blijft", &[]), "open { blijft");
    }

    #[test]
    fn the_browser_chooses_the_language_of_the_first_page() {
        assert_eq!(Lang::from_accept("en-GB,en;q=0.9"), Lang::En);
        assert_eq!(Lang::from_accept("de-DE,de;q=0.9,en;q=0.5"), Lang::En);
        assert_eq!(Lang::from_accept("en;q=0.5,nl;q=0.8"), Lang::Nl);
        assert_eq!(Lang::from_accept(""), Lang::Nl);
    }
}
