//! Names of persons as Dutch systems write them, taken apart so that they can be compared.
//!
//! ```text
//!   DICOM   Vries-Jansen^Anna Maria^^de        family ^ given ^ middle ^ prefix ^ suffix        (PS3.5 §6.2.1)
//!   HL7     de Vries-Jansen&&Jansen&de&Vries^Anna^M    surname & own prefix & own & partner's prefix & partner's
//! ```
//!
//! One family has several spellings: `van den Berg`, `Berg^^^van den`, `Berg, van den`, `v.d. Berg`, `VANDENBERG`. A person
//! who is or was married has two: her own and her partner's, in either order, joined by a hyphen or by `e/v`. Which of
//! the two is whose is rarely said and never relied on.

use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::folding::{LONGEST_TEXT, folded};

/// Words that stand before a family name.
const PARTICLES: [&str; 34] = [
    "van", "de", "der", "den", "het", "t", "ten", "ter", "te", "v", "d", "vd", "vdn", "vande", "vander",
    "vanden", "vant", "op", "in", "aan", "bij", "uit", "uijt", "onder", "over", "voor", "tot", "s", "von",
    "zu", "du", "di", "el", "al",
];

/// Titles that stand where DICOM has a place for prefixes, or among given names.
const TITLES: [&str; 16] = [
    "dr", "drs", "prof", "ir", "ing", "mr", "mrs", "ms", "mw", "mevr", "mevrouw", "dhr", "heer", "ds", "jhr",
    "jkvr",
];

/// Between a person's own name and the partner's: married to, widow of, divorced from, born.
const MARRIAGE: [&str; 13] =
    ["e/v", "ev", "e.v.", "g/v", "h/v", "w/v", "wed.", "wed", "weduwe", "geb.", "geb", "geboren", "gesch."];

/// What is written when nobody knows the name, or the child has none yet; folded, as words are when they are compared.
const PLACEHOLDERS: [&str; 21] = [
    "onbekend",
    "onbekende",
    "unknown",
    "anoniem",
    "anonijmous",
    "nn",
    "babij",
    "zoon",
    "dochter",
    "jongen",
    "jongetje",
    "meisje",
    "kind",
    "pasgeborene",
    "newborn",
    "tweeling",
    "meerling",
    "infant",
    "boij",
    "girl",
    "zoontje",
];

/// The letter of IJsbrand and Yvonne, which are folded alike.
const IJ: char = 'ĳ';

/// One family's name.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Surname {
    /// Folded particles: `van`, `den`.
    pub(super) prefix: Vec<String>,
    /// The rest, folded and joined: `smitjansen` for `Smit Jansen`.
    pub(super) root: String,
}

impl Surname {
    /// Prefix and root in one.
    pub(super) fn joined(&self) -> String {
        self.prefix.concat() + &self.root
    }
}

/// A given name, or its first letter.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Given {
    Full(String),
    Initial(char),
}

impl Given {
    pub(super) fn initial(&self) -> Option<char> {
        match self {
            Given::Full(name) => as_letters(name).chars().next(),
            Given::Initial(letter) => Some(*letter),
        }
    }
}

/// A person's name as received, and taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonName {
    family_shown: Confidential,
    given_shown: Confidential,
    /// One family name, or a person's own and the partner's.
    pub(super) families: Vec<Surname>,
    pub(super) given: Vec<Given>,
}

impl std::fmt::Debug for PersonName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PersonName(withheld)")
    }
}

impl PersonName {
    /// Reads DICOM's PN; a text of more than [`LONGEST_TEXT`] characters names nobody. Of its groups (`=`) the first that is not empty counts.
    pub fn from_dicom(text: &Confidential) -> Self {
        if let Some(unread) = PersonName::too_long(text.reveal()) {
            return unread;
        }
        let group =
            text.reveal().split('=').map(str::trim).find(|group| !group.is_empty()).unwrap_or_default();
        let mut parts = group.split('^').map(str::trim);
        let mut next = || parts.next().unwrap_or_default();
        let (family, given, middle, prefix) = (next(), next(), next(), next());
        // The prefix is meant for titles; Dutch systems also put `van den` there.
        let prefix: Vec<&str> = prefix.split_whitespace().filter(|word| !is_title(word)).collect();
        let family = joined_words(&prefix.join(" "), family);
        PersonName::new(&family, families_of(&family), &joined_words(given, middle))
    }

    /// Reads one repetition of HL7's PID-5 (XPN), without escapes.
    pub fn from_hl7(text: &Confidential) -> Self {
        if let Some(unread) = PersonName::too_long(text.reveal()) {
            return unread;
        }
        let mut components = text.reveal().split('^').map(str::trim);
        let mut next = || components.next().unwrap_or_default();
        let (family, given, middle) = (next(), next(), next());
        let mut sub = family.split('&').map(str::trim);
        let mut next = || sub.next().unwrap_or_default();
        let (surname, own_prefix, own, partner_prefix, partner) = (next(), next(), next(), next(), next());
        let said: Vec<Surname> = [(own_prefix, own), (partner_prefix, partner)]
            .into_iter()
            .filter(|(_, root)| !root.is_empty())
            .filter_map(|(prefix, root)| families_of(&joined_words(prefix, root)).into_iter().next())
            .collect();
        let families = if said.is_empty() { families_of(surname) } else { said };
        let shown = if surname.is_empty() {
            joined_words(&joined_words(own_prefix, own), &joined_words(partner_prefix, partner))
        } else {
            surname.to_owned()
        };
        PersonName::new(&shown, families, &joined_words(given, middle))
    }

    /// A text that no name is as long as names nobody: it is not compared, and what is missing is never ready.
    fn too_long(text: &str) -> Option<Self> {
        let cut = text.char_indices().nth(LONGEST_TEXT).and_then(|(at, _)| text.get(..at))?;
        Some(PersonName::new(cut, Vec::new(), ""))
    }

    fn new(family_shown: &str, families: Vec<Surname>, given_shown: &str) -> Self {
        PersonName {
            family_shown: Confidential::new(family_shown),
            given_shown: Confidential::new(given_shown),
            families,
            given: given_of(given_shown),
        }
    }

    /// The family name, prefix first, to be shown.
    pub fn family_shown(&self) -> &Confidential {
        &self.family_shown
    }

    /// The given names or initials, to be shown.
    pub fn given_shown(&self) -> &Confidential {
        &self.given_shown
    }
}

/// Letters and digits only.
pub(super) fn squashed(text: &str) -> String {
    folded(text).chars().filter(|c| c.is_alphanumeric()).collect()
}

fn joined_words(one: &str, other: &str) -> String {
    one.split_whitespace().chain(other.split_whitespace()).collect::<Vec<_>>().join(" ")
}

fn is_title(word: &str) -> bool {
    TITLES.contains(&squashed(word).as_str())
}

/// Of a word that is folded already.
fn is_particle(word: &str) -> bool {
    PARTICLES.contains(&word)
}

fn is_placeholder(word: &str) -> bool {
    PLACEHOLDERS.contains(&word)
}

/// The families that a text names.
fn families_of(text: &str) -> Vec<Surname> {
    // `Berg, van den`: particles behind a comma stand before.
    let text = match text.split_once(',') {
        Some((root, prefix)) => joined_words(prefix, root),
        None => text.to_owned(),
    };
    let mut families: Vec<Vec<String>> = vec![Vec::new()];
    for word in text.split_whitespace() {
        if MARRIAGE.contains(&word.to_lowercase().as_str()) {
            families.push(Vec::new());
            continue;
        }
        for (at, piece) in word.split(['-', '–', '/']).enumerate() {
            let words = folded_words(piece);
            let begins_with_particle = words.first().is_some_and(|word| is_particle(word));
            let begins_another = at > 0 || (begins_with_particle && holds_a_root(families.last()));
            if begins_another {
                families.push(Vec::new());
            }
            if let Some(family) = families.last_mut() {
                family.extend(words);
            }
        }
    }
    // `Vries de`: particles that nothing follows belong to what stands before.
    if let [.., before, last] = families.as_mut_slice()
        && !last.is_empty()
        && last.iter().all(|word| is_particle(word))
    {
        let prefix = std::mem::take(last);
        before.splice(0..0, prefix);
    }
    families.iter().filter_map(|words| surname(words)).collect()
}

fn holds_a_root(family: Option<&Vec<String>>) -> bool {
    family.is_some_and(|words| words.iter().any(|word| !is_particle(word)))
}

/// `v.d.` is two words, `'t` and `O'Brien` are one.
fn folded_words(word: &str) -> Vec<String> {
    word.split('.').map(squashed).filter(|piece| !piece.is_empty()).collect()
}

fn surname(words: &[String]) -> Option<Surname> {
    // A name that is nothing but particles, like `Op`, is a name.
    let first_root =
        words.iter().position(|word| !is_particle(word)).unwrap_or(words.len().saturating_sub(1));
    let (prefix, root) = words.split_at_checked(first_root)?;
    let root = root.concat();
    let is_name = !root.is_empty() && !is_placeholder(&root);
    is_name.then(|| Surname { prefix: prefix.iter().flat_map(|word| spelled_out(word)).collect(), root })
}

/// Contracted prefixes in their words.
fn spelled_out(particle: &str) -> Vec<String> {
    let words: &[&str] = match particle {
        "vande" => &["van", "de"],
        "vander" => &["van", "der"],
        "vanden" => &["van", "den"],
        "vant" => &["van", "t"],
        "vd" => &["v", "d"],
        "vdn" => &["v", "den"],
        "het" => &["t"],
        other => &[other],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// `Baby 2` and `zoon van Anna` name nobody yet.
fn given_of(text: &str) -> Vec<Given> {
    let mut given = Vec::new();
    if text.split([' ', '-', '/']).any(|word| is_placeholder(&squashed(word))) {
        return given;
    }
    for word in text.split([' ', '-', '\t']).filter(|word| !word.is_empty() && !is_title(word)) {
        let has_points = word.contains('.');
        let name = squashed(word.trim_end_matches('.'));
        let letters = as_letters(&name);
        if letters.is_empty() {
            continue;
        }
        // `J.P.`, `JP` and `J`; a name of several letters has a vowel.
        let is_short = letters.chars().count() <= 4 && !letters.contains(['a', 'e', 'i', 'o', 'u', IJ]);
        let is_pointed = has_points && word.split('.').all(|piece| squashed(piece).chars().count() <= 2);
        if letters.chars().count() == 1 || is_short || is_pointed {
            given.extend(initials(word));
        } else {
            given.push(Given::Full(name));
        }
    }
    given
}

/// The letters of a folded word: `ij`, which stands for `y` too, is one.
fn as_letters(folded: &str) -> String {
    folded.replace("ij", &IJ.to_string())
}

fn initials(word: &str) -> Vec<Given> {
    if word.contains('.') {
        // `Th.` and `IJ.` stand for one name each.
        let pieces = word.split('.').map(squashed);
        pieces.filter_map(|piece| as_letters(&piece).chars().next()).map(Given::Initial).collect()
    } else {
        as_letters(&squashed(word)).chars().map(Given::Initial).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dicom(text: &str) -> PersonName {
        PersonName::from_dicom(&Confidential::new(text))
    }

    fn families(name: &PersonName) -> Vec<String> {
        let spelled = |family: &Surname| format!("{}|{}", family.prefix.join(" "), family.root);
        name.families.iter().map(spelled).collect()
    }

    #[test]
    fn one_family_in_many_spellings() {
        for text in [
            "van den Berg^Jan",
            "Berg^Jan^^van den",
            "Berg^Jan^^dr. van den",
            "Berg, van den^Jan",
            "Berg van den^Jan",
            "VAN DEN BERG^JAN",
            "vanden Berg^Jan",
            "=van den Berg^Jan",
        ] {
            assert_eq!(families(&dicom(text)), ["van den|berg"], "{text}");
        }
        assert_eq!(families(&dicom("v.d. Berg^J")), ["v d|berg"]);
        assert_eq!(families(&dicom("'t Hooft^G")), ["t|hooft"]);
        assert_eq!(families(&dicom("O'Brien^K")), ["|obrien"]);
        assert_eq!(families(&dicom("Smit Jansen^K")), ["|smitjansen"]);
        assert_eq!(families(&dicom("Op^K")), ["|op"]);
    }

    #[test]
    fn married_names_are_two() {
        for text in ["Jansen-de Vries^A", "Jansen e/v de Vries^A", "Jansen - de Vries^A", "Jansen de Vries^A"]
        {
            assert_eq!(families(&dicom(text)), ["|jansen", "de|vries"], "{text}");
        }
        assert_eq!(families(&dicom("Berg-Jansen, van den^A")), ["van den|berg", "|jansen"]);
        assert_eq!(families(&dicom("Vries-Jansen^A^^de")), ["de|vries", "|jansen"]);
        let hl7 = |text| PersonName::from_hl7(&Confidential::new(text));
        assert_eq!(families(&hl7("de Vries-Jansen&&Jansen&de&Vries^A^M")), ["|jansen", "de|vries"]);
        assert_eq!(families(&hl7("van den Berg^Jan")), ["van den|berg"]);
        assert_eq!(families(&hl7("&van den&Berg^Jan")), ["van den|berg"]);
    }

    #[test]
    fn nobody_is_a_placeholder() {
        assert!(families(&dicom("Onbekend^Baby")).is_empty());
        assert!(families(&dicom("Anonymous^Anonymous")).is_empty());
        for list in [&PLACEHOLDERS[..], &PARTICLES, &TITLES] {
            for word in list {
                assert_eq!(
                    squashed(word),
                    **word,
                    "it is compared with folded words and would never be found"
                );
            }
        }
        assert!(dicom("Jansen^Baby 2").given.is_empty() && dicom("Jansen^Zoon van Anna").given.is_empty());
        assert!(families(&dicom("^^^^")).is_empty() && families(&dicom("van den")) == ["van|den"]);
    }

    #[test]
    fn given_names_and_initials() {
        let spelled = |text: &str| -> Vec<String> {
            given_of(text)
                .iter()
                .map(|given| match given {
                    Given::Full(name) => name.clone(),
                    Given::Initial(letter) => format!("{letter}."),
                })
                .collect()
        };
        assert_eq!(spelled("Anna Maria"), ["anna", "maria"]);
        assert_eq!(spelled("Anna-Maria"), ["anna", "maria"]);
        for text in ["J.P.", "J P", "JP", "J. P."] {
            assert_eq!(spelled(text), ["j.", "p."], "{text}");
        }
        assert_eq!(spelled("Th.J."), ["t.", "j."]);
        for text in ["Y.", "Y", "IJ.", "y"] {
            assert_eq!(spelled(text), ["ĳ."], "{text}");
        }
        assert_eq!(spelled("Yvonne"), ["ijvonne"]);
        assert_eq!(spelled("dr. Jan"), ["jan"]);
    }

    #[test]
    fn a_text_longer_than_any_name_names_nobody() {
        let long = Confidential::new("van de ".repeat(20_000));
        for name in [PersonName::from_dicom(&long), PersonName::from_hl7(&long)] {
            assert!(name.families.is_empty() && name.given.is_empty());
            assert_eq!(name.family_shown().reveal().chars().count(), LONGEST_TEXT);
        }
    }

    #[test]
    fn a_name_does_not_print() {
        assert_eq!(format!("{:?}", dicom("Jansen^Piet")), "PersonName(withheld)");
    }
}
