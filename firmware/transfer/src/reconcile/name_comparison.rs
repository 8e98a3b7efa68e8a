//! Two names compared: equal, or how they come to differ, with a reason that a person can read.

use super::name::{Given, PersonName, Surname};

/// How two family names relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FamilyAgreement {
    /// Letter by letter.
    Equal,
    /// Apart from case, accents, `ij` and `y`, spaces, hyphens, apostrophes and abbreviated prefixes.
    EqualButSpelling,
    /// Both hold the same two names, own and partner's, in another order.
    OtherOrder,
    /// One holds two names, the other one of them.
    OneOfTwo,
    /// One has no prefix.
    PrefixMissing,
    /// The prefixes differ, the names behind them do not.
    PrefixDiffers,
    /// One letter is missing, added or another, or two have changed places.
    OneLetter,
    /// Family name and given name have changed places.
    SwappedWithGiven,
    /// At least one of them is not there, or says that nobody knows.
    Missing,
    /// Different names.
    Differs,
}

/// How the given names of two persons relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GivenAgreement {
    /// The same names, apart from spelling.
    Equal,
    /// One names more of them; the first ones agree.
    MoreOnOneSide,
    /// At least one of them has initials only, and they agree.
    InitialsOnly,
    /// Some names are the same, others are not.
    SomeInCommon,
    /// Long names that differ in one letter.
    OneLetter,
    /// Given name and family name have changed places.
    SwappedWithFamily,
    /// At least one of them is not there, or is no name yet.
    Missing,
    /// Different names.
    Differs,
}

/// From this many letters on, two family names that differ in one are taken for a typing error.
const FAMILY_ONE_LETTER: usize = 4;
/// The same for given names: `Anna` and `Anne` may be sisters.
const GIVEN_ONE_LETTER: usize = 6;

/// Compares two names; it does not matter which is which.
pub fn compare(one: Option<&PersonName>, other: Option<&PersonName>) -> (FamilyAgreement, GivenAgreement) {
    let (Some(one), Some(other)) = (one, other) else {
        return (FamilyAgreement::Missing, GivenAgreement::Missing);
    };
    let family = compare_family(one, other);
    let given = compare_given(&one.given, &other.given);
    if family == FamilyAgreement::Differs && is_swapped(one, other) {
        return (FamilyAgreement::SwappedWithGiven, GivenAgreement::SwappedWithFamily);
    }
    (family, given)
}

fn compare_family(one: &PersonName, other: &PersonName) -> FamilyAgreement {
    let (a, b) = (&one.families, &other.families);
    if a.is_empty() || b.is_empty() {
        return FamilyAgreement::Missing;
    }
    if one.family_shown() == other.family_shown() {
        return FamilyAgreement::Equal;
    }
    let joined = |families: &[Surname]| families.iter().map(Surname::joined).collect::<String>();
    let (a_joined, b_joined) = (joined(a), joined(b));
    if a_joined == b_joined || (a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same_spelled(a, b))) {
        return FamilyAgreement::EqualButSpelling;
    }
    let is_held = |family: &Surname, by: &[Surname]| by.iter().any(|other| is_same_spelled(family, other));
    let a_held = a.iter().filter(|family| is_held(family, b)).count();
    let b_held = b.iter().filter(|family| is_held(family, a)).count();
    if a_held == a.len() && b_held == b.len() {
        return FamilyAgreement::OtherOrder;
    }
    if a_held == a.len() || b_held == b.len() {
        return FamilyAgreement::OneOfTwo;
    }
    if a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.root == b.root) {
        let is_without = |(a, b): (&Surname, &Surname)| {
            a.prefix.is_empty() || b.prefix.is_empty() || is_same_prefix(&a.prefix, &b.prefix)
        };
        let is_missing = a.iter().zip(b).all(is_without);
        return if is_missing { FamilyAgreement::PrefixMissing } else { FamilyAgreement::PrefixDiffers };
    }
    if is_one_letter_apart(&a_joined, &b_joined, FAMILY_ONE_LETTER) {
        return FamilyAgreement::OneLetter;
    }
    FamilyAgreement::Differs
}

fn is_same_spelled(a: &Surname, b: &Surname) -> bool {
    a.joined() == b.joined() || (a.root == b.root && is_same_prefix(&a.prefix, &b.prefix))
}

/// `v.d.` is written for `van de`, `van der` and `van den`. Other letters are not short for anything: `'t` is not `ter`.
fn is_same_prefix(a: &[String], b: &[String]) -> bool {
    let is_short_for = |short: &str, long: &str| matches!(short, "v" | "d") && long.starts_with(short);
    let fits = |(a, b): (&String, &String)| a == b || is_short_for(a, b) || is_short_for(b, a);
    a.len() == b.len() && a.iter().zip(b).all(fits)
}

fn compare_given(a: &[Given], b: &[Given]) -> GivenAgreement {
    if a.is_empty() || b.is_empty() {
        return GivenAgreement::Missing;
    }
    if joined_full(a).is_some() && joined_full(a) == joined_full(b) {
        return GivenAgreement::Equal;
    }
    let pairs = || a.iter().zip(b);
    let is_full = |(a, b): (&Given, &Given)| matches!((a, b), (Given::Full(_), Given::Full(_)));
    if pairs().all(|(a, b)| a == b && is_full((a, b))) {
        return GivenAgreement::MoreOnOneSide;
    }
    let fits = |pair: (&Given, &Given)| {
        if is_full(pair) { pair.0 == pair.1 } else { pair.0.initial() == pair.1.initial() }
    };
    if pairs().all(fits) {
        return GivenAgreement::InitialsOnly;
    }
    let is_full_name = |given: &Given| matches!(given, Given::Full(_));
    if a.iter().any(|name| is_full_name(name) && b.contains(name)) {
        return GivenAgreement::SomeInCommon;
    }
    match (joined_full(a), joined_full(b)) {
        (Some(a), Some(b)) if is_one_letter_apart(&a, &b, GIVEN_ONE_LETTER) => GivenAgreement::OneLetter,
        (_, _) => GivenAgreement::Differs,
    }
}

/// All names in one word, unless some are initials.
fn joined_full(given: &[Given]) -> Option<String> {
    let full = given.iter().map(|given| match given {
        Given::Full(name) => Some(name.as_str()),
        Given::Initial(_) => None,
    });
    full.collect()
}

fn is_swapped(one: &PersonName, other: &PersonName) -> bool {
    let family = |name: &PersonName| name.families.iter().map(Surname::joined).collect::<String>();
    let (one_given, other_given) = (joined_full(&one.given), joined_full(&other.given));
    one_given.is_some_and(|given| !given.is_empty() && given == family(other))
        && other_given.is_some_and(|given| !given.is_empty() && given == family(one))
}

/// One insertion, removal, replacement, or two neighbours in the other order; the shorter has at least `shortest` letters.
fn is_one_letter_apart(a: &str, b: &str, shortest: usize) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().min(b.len()) < shortest || a.len().abs_diff(b.len()) > 1 || a == b {
        return false;
    }
    let front = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let back = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a_middle, b_middle) = (middle(&a, front, back), middle(&b, front, back));
    match (a_middle, b_middle) {
        ([], _) | (_, []) | ([_], [_]) => true,
        ([a1, a2], [b1, b2]) => a1 == b2 && a2 == b1,
        (_, _) => false,
    }
}

/// What lies between an equal front and an equal back, which may overlap in repeated letters.
fn middle(letters: &[char], front: usize, back: usize) -> &[char] {
    letters.get(front..letters.len().saturating_sub(back).max(front)).unwrap_or_default()
}

impl FamilyAgreement {
    /// A name for it that does not change.
    pub fn code(self) -> &'static str {
        match self {
            FamilyAgreement::Equal => "equal",
            FamilyAgreement::EqualButSpelling => "equal-but-spelling",
            FamilyAgreement::OtherOrder => "other-order",
            FamilyAgreement::OneOfTwo => "one-of-two",
            FamilyAgreement::PrefixMissing => "prefix-missing",
            FamilyAgreement::PrefixDiffers => "prefix-differs",
            FamilyAgreement::OneLetter => "one-letter",
            FamilyAgreement::SwappedWithGiven => "swapped-with-given",
            FamilyAgreement::Missing => "missing",
            FamilyAgreement::Differs => "differs",
        }
    }

    /// The same for a person.
    pub fn english(self) -> &'static str {
        match self {
            FamilyAgreement::Equal => "equal",
            FamilyAgreement::EqualButSpelling => "equal apart from spelling",
            FamilyAgreement::OtherOrder => "own and partner's name in another order",
            FamilyAgreement::OneOfTwo => "only one of own and partner's name",
            FamilyAgreement::PrefixMissing => "the prefix is missing on one side",
            FamilyAgreement::PrefixDiffers => "the prefixes differ",
            FamilyAgreement::OneLetter => "one letter differs",
            FamilyAgreement::SwappedWithGiven => "family and given name changed places",
            FamilyAgreement::Missing => "not known on both sides",
            FamilyAgreement::Differs => "differs",
        }
    }
}

impl GivenAgreement {
    /// A name for it that does not change.
    pub fn code(self) -> &'static str {
        match self {
            GivenAgreement::Equal => "equal",
            GivenAgreement::MoreOnOneSide => "more-on-one-side",
            GivenAgreement::InitialsOnly => "initials-only",
            GivenAgreement::SomeInCommon => "some-in-common",
            GivenAgreement::OneLetter => "one-letter",
            GivenAgreement::SwappedWithFamily => "swapped-with-family",
            GivenAgreement::Missing => "missing",
            GivenAgreement::Differs => "differs",
        }
    }

    /// The same for a person.
    pub fn english(self) -> &'static str {
        match self {
            GivenAgreement::Equal => "equal",
            GivenAgreement::MoreOnOneSide => "one side names more; the first names agree",
            GivenAgreement::InitialsOnly => "only initials agree",
            GivenAgreement::SomeInCommon => "some names agree, others do not",
            GivenAgreement::OneLetter => "one letter differs",
            GivenAgreement::SwappedWithFamily => "given and family name changed places",
            GivenAgreement::Missing => "not known on both sides",
            GivenAgreement::Differs => "differs",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use beeldbox_protocol::clinical::Confidential;

    fn compared(one: &str, other: &str) -> (FamilyAgreement, GivenAgreement) {
        let read = |text| PersonName::from_dicom(&Confidential::new(text));
        let result = compare(Some(&read(one)), Some(&read(other)));
        assert_eq!(result, compare(Some(&read(other)), Some(&read(one))), "{one} and {other}");
        result
    }

    #[test]
    fn every_way_in_which_family_names_relate() {
        use FamilyAgreement as F;
        for (one, other, expected) in [
            ("de Vries", "de Vries", F::Equal),
            ("Vries^^^de", "de Vries", F::Equal),
            ("DE VRIES", "de Vries", F::EqualButSpelling),
            ("Dijkstra", "Dykstra", F::EqualButSpelling),
            ("Müller", "Muller", F::EqualButSpelling),
            ("van den Berg", "Vandenberg", F::EqualButSpelling),
            ("v.d. Berg", "van den Berg", F::EqualButSpelling),
            ("Smit Jansen", "Smit-Jansen", F::EqualButSpelling),
            ("'t Hart", "t Hart", F::EqualButSpelling),
            ("Jansen-de Vries", "de Vries-Jansen", F::OtherOrder),
            ("Jansen e/v de Vries", "de Vries-Jansen", F::OtherOrder),
            ("Jansen", "de Vries-Jansen", F::OneOfTwo),
            ("de Vries", "de Vries-Jansen", F::OneOfTwo),
            ("'t Hart", "ter Hart", F::PrefixDiffers),
            ("Berg", "van den Berg", F::PrefixMissing),
            ("van der Berg", "van den Berg", F::PrefixDiffers),
            ("Janssen", "Jansen", F::OneLetter),
            ("Bakker", "Bakekr", F::OneLetter),
            ("Bos", "Vos", F::Differs),
            ("Onbekend", "Vos", F::Missing),
            ("Jansen-Smit", "Jansen-Bakker", F::Differs),
            ("Jansen", "Willemse", F::Differs),
        ] {
            assert_eq!(compared(one, other).0, expected, "{one} and {other}");
        }
        let swapped = (F::SwappedWithGiven, GivenAgreement::SwappedWithFamily);
        assert_eq!(compared("Willem^Jansen", "Jansen^Willem"), swapped);
        assert_eq!(compare(None, None), (F::Missing, GivenAgreement::Missing));
    }

    #[test]
    fn every_way_in_which_given_names_relate() {
        use GivenAgreement as G;
        for (one, other, expected) in [
            ("Anna Maria", "Anna^Maria", G::Equal),
            ("Anna Maria", "ANNA-MARIA", G::Equal),
            ("Annamaria", "Anna Maria", G::Equal),
            ("J.P.", "JP", G::InitialsOnly),
            ("Y.", "Yvonne", G::InitialsOnly),
            ("Y", "IJsbrand", G::InitialsOnly),
            ("Y.", "Ingrid", G::Differs),
            ("Anna Maria", "Anna", G::MoreOnOneSide),
            ("J.", "J.P.", G::InitialsOnly),
            ("J.P.", "Johannes Petrus", G::InitialsOnly),
            ("J", "Johannes Petrus", G::InitialsOnly),
            ("J. Petrus", "Johannes Petrus", G::InitialsOnly),
            ("Anna Sophie", "Anna Maria", G::SomeInCommon),
            ("Maria Anna", "Anna Maria", G::SomeInCommon),
            ("Mohamed", "Mohammed", G::OneLetter),
            ("Anna", "Anne", G::Differs),
            ("Johannes", "Jan", G::Differs),
            ("K.", "Johannes", G::Differs),
            ("", "Johannes", G::Missing),
            ("Baby", "Johannes", G::Missing),
        ] {
            let (one, other) = (format!("Jansen^{one}"), format!("Jansen^{other}"));
            assert_eq!(compared(&one, &other).1, expected, "{one} and {other}");
        }
    }

    #[test]
    fn one_letter_is_one() {
        for (a, b) in [("jansen", "janssen"), ("jansen", "janse"), ("jansen", "jensen"), ("jansen", "janesn")]
        {
            assert!(is_one_letter_apart(a, b, 4) && is_one_letter_apart(b, a, 4), "{a} {b}");
        }
        for (a, b) in [("jansen", "jenson"), ("jansen", "jansenss"), ("bos", "vos"), ("jansen", "jansen")] {
            assert!(!is_one_letter_apart(a, b, 4) && !is_one_letter_apart(b, a, 4), "{a} {b}");
        }
    }
}
