//! From text to searchable words: how a person types a name is not how a register writes it.
//!
//! Accents and marks fall away (NFKD), `y` is written `ij` so that both are found from their first letter, and a word
//! that has well-known other spellings brings them along: `St. Anna` also holds `sint` and `saint`, `UMC` also
//! `medisch centrum`. All of this happens when the index is made; a query is only folded, so that what matches is
//! always a beginning of a word that stands here.
//!
//! Dutch names are typed with and without their particles (`van den Berg`, `Berg`). Particles are indexed like other
//! words, but a query does not insist on them ([`is_particle`]).

use crate::folding::folded;

/// Most words of one query: a person does not type more, and each costs a pass.
pub(super) const MOST_QUERY_WORDS: usize = 12;

/// Words of names that a query does not insist on.
const PARTICLES: [&str; 17] =
    ["van", "de", "der", "den", "het", "t", "ten", "ter", "te", "v", "d", "vd", "s", "in", "op", "la", "le"];

/// Spellings that mean the same. A text with one of the phrases (its words in a row) also holds all the other words.
struct Same {
    phrases: &'static [&'static [&'static str]],
    /// Words that come along and do not stand for the whole.
    also: &'static [&'static str],
}

const SAME: [Same; 10] = [
    Same { phrases: &[&["sint"], &["st"], &["saint"], &["sankt"], &["ste"], &["sainte"]], also: &[] },
    Same { phrases: &[&["ziekenhuis"], &["zkh"], &["zhs"], &["zh"]], also: &[] },
    Same {
        phrases: &[
            &["umc"],
            &["universitair", "medisch", "centrum"],
            &["universitaire", "medische", "centra"],
        ],
        also: &["mc"],
    },
    Same { phrases: &[&["mc"], &["medisch", "centrum"]], also: &[] },
    Same { phrases: &[&["zbc"], &["zelfstandig", "behandelcentrum"]], also: &[] },
    Same { phrases: &[&["polikliniek"], &["poli"]], also: &[] },
    Same { phrases: &[&["seh"], &["spoedeisende", "hulp"]], also: &[] },
    Same { phrases: &[&["kno"], &["keel", "neus", "oorheelkunde"]], also: &[] },
    Same { phrases: &[&["den", "haag"], &["s", "gravenhage"]], also: &[] },
    Same { phrases: &[&["den", "bosch"], &["s", "hertogenbosch"]], also: &[] },
];

/// A compound of it is one too: `streekziekenhuis` is found under `ziekenhuis`.
const COMPOUND: &str = "ziekenhuis";

/// The words of a text as they are compared, without their other spellings.
pub(super) fn folded_words(text: &str) -> Vec<String> {
    let folded = folded(text);
    let words = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// Every word under which a text is found.
pub(super) fn indexed_words(text: &str) -> Vec<String> {
    let own = folded_words(text);
    let mut all = own.clone();
    for Same { phrases, also } in &SAME {
        let holds = |phrase: &&[&str]| own.windows(phrase.len()).any(|row| row.iter().eq(phrase.iter()));
        if phrases.iter().any(holds) {
            all.extend(
                phrases.iter().flat_map(|phrase| phrase.iter()).chain(*also).map(|word| (*word).to_owned()),
            );
        }
    }
    if own.iter().any(|word| word.len() > COMPOUND.len() && word.ends_with(COMPOUND)) {
        all.extend(["ziekenhuis", "zkh", "zhs", "zh"].map(str::to_owned));
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether a query does not insist on this word.
pub(super) fn is_particle(word: &str) -> bool {
    PARTICLES.contains(&word)
}

/// The words of a query, each once. With nothing but particles, all of them count.
pub(super) fn wanted(query: &str) -> Vec<Wanted> {
    let mut words = folded_words(query);
    let mut seen = std::collections::BTreeSet::new();
    words.retain(|word| seen.insert(word.clone()));
    words.truncate(MOST_QUERY_WORDS);
    let has_others = words.iter().any(|word| !is_particle(word));
    words.into_iter().map(|word| Wanted { is_needed: !has_others || !is_particle(&word), word }).collect()
}

/// A word of a query.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) word: String,
    /// An entry without it is not found.
    pub(super) is_needed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_at_everything_else() {
        assert_eq!(folded_words("'s-Hertogenbosch (Jeroen)"), ["s", "hertogenbosch", "jeroen"]);
    }

    #[test]
    fn a_text_is_found_under_its_other_spellings() {
        let holds = |text: &str, word: &str| indexed_words(text).iter().any(|found| found == word);
        for text in ["St. Anna", "sint anna", "Saint Anna", "ST ANNA"] {
            for word in ["st", "sint", "saint", "anna"] {
                assert!(holds(text, word), "{text} under {word}");
            }
        }
        assert!(holds("Universitair Medisch Centrum Utrecht", "umc"));
        assert!(holds("Amsterdam UMC", "centrum") && holds("Amsterdam UMC", "mc"));
        assert!(!holds("Medisch Centrum Leeuwarden", "umc"), "not every centre is a university's");
        assert!(holds("Streekziekenhuis Koningin Beatrix", "zkh"));
        assert!(holds("'s-Gravenhage", "haag") && holds("Den Bosch", "hertogenbosch"));
        assert!(!holds("Haag", "gravenhage"));
    }

    #[test]
    fn a_query_insists_on_everything_but_particles() {
        let needed = |query: &str| -> Vec<String> {
            wanted(query).into_iter().filter(|word| word.is_needed).map(|word| word.word).collect()
        };
        assert_eq!(needed("van den Berg"), ["berg"]);
        assert_eq!(needed("v.d. Berg berg"), ["berg"]);
        assert_eq!(needed("van de"), ["van", "de"]);
        assert!(wanted(" .,- ").is_empty());
    }

    #[test]
    fn a_query_without_end_is_cut() {
        assert_eq!(wanted(&"a b c d e f g h i j k l m n o p q r".repeat(9)).len(), MOST_QUERY_WORDS);
    }
}
