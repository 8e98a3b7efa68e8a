//! Who the images are of: the one component that may say so (CS-01 to CS-08).
//!
//! [`PatientView`] has private fields. A page gets it as a banner or as a row, whole, and cannot print one value of it
//! alone; so no page shows half an identity, and no title or address can hold a name.

use askama::Template;
use askama::filters::HtmlSafe;
use beeldbox_protocol::clinical::Patient;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::lang::Words;
use crate::view::text::clean;
use crate::view::{date, icon::Icon};

/// Dutch prefixes of family names, which some systems send as DICOM's name prefix.
const FAMILY_PREFIXES: [&str; 22] = [
    "de", "den", "der", "het", "'t", "ten", "ter", "te", "in 't", "in de", "op den", "op de", "uit den",
    "van", "van de", "van den", "van der", "van het", "van 't", "von", "el", "al",
];

/// An identity, ready to be shown.
#[derive(Debug, Clone)]
pub struct PatientView {
    words: Words,
    family: Option<String>,
    given: String,
    birth: Option<Date>,
    age: String,
    sex: String,
    id: Option<String>,
    bsn: Option<String>,
    is_namesake: bool,
}

impl PatientView {
    /// From what the sending PACS wrote.
    pub fn new(patient: &Patient, now: Timestamp, words: Words) -> PatientView {
        let name = patient.name.as_ref().map(|name| display_name(name.reveal()));
        let (family, given) = match name {
            Some((family, given)) if !(family.is_empty() && given.is_empty()) => (Some(family), given),
            Some(_) | None => (None, String::new()),
        };
        let birth = patient.birth_date.as_ref().and_then(|text| date::parse_day(text.reveal()));
        let sex = match patient.sex.as_ref().map(|sex| sex.reveal().trim()) {
            Some("M") => "patient.male",
            Some("F") => "patient.female",
            Some("O") => "patient.other-sex",
            Some(_) | None => "patient.unknown",
        };
        let id = patient.id.as_ref().map(|id| clean(id.reveal())).filter(|id| !id.is_empty());
        PatientView {
            words,
            family,
            given,
            age: birth.map(|birth| age(birth, date::local_date(now), words)).unwrap_or_default(),
            birth,
            sex: words.t(sex),
            id,
            bsn: patient.bsn.as_ref().map(|bsn| bsn.reveal().to_owned()),
            is_namesake: false,
        }
    }

    /// For pages about one patient: full width, always in view.
    pub fn banner(&self) -> PatientBanner<'_> {
        PatientBanner { p: self }
    }

    /// For lists.
    pub fn row(&self) -> PatientRow<'_> {
        PatientRow { p: self }
    }

    fn born(&self) -> String {
        match self.birth {
            Some(birth) => format!("{} ({})", date::day(birth, self.words), self.age),
            None => self.words.t("patient.unknown"),
        }
    }

    fn born_iso(&self) -> String {
        self.birth.map(|birth| birth.to_string()).unwrap_or_default()
    }

    /// Some hospitals use the BSN as their number. A list hides most of it, so it must not stand beside it in full.
    fn number(&self) -> String {
        match &self.id {
            Some(id) if self.bsn.as_deref().is_some_and(|bsn| is_same_number(id, bsn)) => {
                self.words.t("patient.number-is-bsn")
            }
            Some(id) => id.clone(),
            None => self.words.t("patient.not-sent"),
        }
    }

    /// `9999 90 019`.
    fn bsn_full(&self) -> String {
        match self.bsn.as_deref() {
            Some(bsn) if bsn.len() == 9 => format!("{} {} {}", &bsn[..4], &bsn[4..6], &bsn[6..]),
            Some(_) | None => self.words.t("patient.not-sent"),
        }
    }

    fn bsn_tail(&self) -> Option<&str> {
        self.bsn.as_deref().and_then(|bsn| bsn.get(6..))
    }

    fn bsn_tail_spoken(&self) -> String {
        self.words.fill("patient.ends-in", &[("digits", self.bsn_tail().unwrap_or_default())])
    }
}

/// The banner.
#[derive(Template)]
#[template(path = "part/patient_banner.html")]
pub struct PatientBanner<'a> {
    p: &'a PatientView,
}

/// The row form.
#[derive(Template)]
#[template(path = "part/patient_row.html")]
pub struct PatientRow<'a> {
    p: &'a PatientView,
}

/// A template of its own: what it prints was escaped there.
impl HtmlSafe for PatientBanner<'_> {}
/// A template of its own: what it prints was escaped there.
impl HtmlSafe for PatientRow<'_> {}

/// Marks those in one list who could be taken for each other (CS-08). `same` says whether two rows are one person.
pub fn mark_namesakes(patients: &mut [&mut PatientView]) {
    for one in 0..patients.len() {
        for other in one + 1..patients.len() {
            let (head, tail) = patients.split_at_mut(other);
            if let (Some(a), Some(b)) = (head.get_mut(one), tail.first_mut())
                && !a.is_same_person(b)
                && a.is_like(b)
            {
                a.is_namesake = true;
                b.is_namesake = true;
            }
        }
    }
}

impl PatientView {
    /// Whether everything that identifies is equal.
    pub fn is_same_person(&self, other: &PatientView) -> bool {
        self.family.is_some()
            && self.family == other.family
            && self.given == other.given
            && self.birth == other.birth
            && self.id == other.id
            && self.bsn == other.bsn
    }

    fn is_like(&self, other: &PatientView) -> bool {
        let same_birth = self.birth.is_some() && self.birth == other.birth;
        let like_name = match (&self.family, &other.family) {
            (Some(a), Some(b)) => a == b || (a.chars().count() > 4 && is_one_letter_apart(a, b)),
            (Some(_), None) | (None, Some(_)) | (None, None) => false,
        };
        same_birth || like_name
    }
}

/// Whether both have the same digits, however they are set apart; leading zeros may be left out.
fn is_same_number(id: &str, bsn: &str) -> bool {
    let digits: String = id.chars().filter(|c| !matches!(c, ' ' | '.' | '-')).collect();
    digits.len() >= 8 && digits.trim_start_matches('0') == bsn.trim_start_matches('0')
}

/// Whether one letter was changed, left out, or put in.
fn is_one_letter_apart(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let front = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[front..], &b[front..]);
    let back = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    a.len() - back <= 1 && b.len() - back <= 1
}

/// Family name in capitals and given names as they came (CS-02), from DICOM's
/// `family^given^middle^prefix^suffix` (PS3.5 §6.2.1); of several writings the first.
fn display_name(name: &str) -> (String, String) {
    let first = name.split('=').next().unwrap_or_default();
    let mut parts = first.split('^').map(clean);
    let mut next = || parts.next().unwrap_or_default();
    let (family, given, middle, prefix, suffix) = (next(), next(), next(), next(), next());
    let is_family_prefix = FAMILY_PREFIXES.contains(&prefix.to_lowercase().as_str());
    let (before, title) = if is_family_prefix { (prefix, String::new()) } else { (String::new(), prefix) };
    let join = |parts: [String; 3]| parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" ");
    // Unicode's capitals turn `ij` into `IJ` and the ligature into its capital, as Dutch wants.
    let family = join([before, family, String::new()]).to_uppercase();
    let given = join([given, middle, suffix]);
    (family, if title.is_empty() { given } else { format!("{given} ({title})").trim().to_owned() })
}

/// In years; in months below two years, where a year says too little.
fn age(birth: Date, today: Date, words: Words) -> String {
    let before_birthday = (today.month(), today.day()) < (birth.month(), birth.day());
    let years = i32::from(today.year()) - i32::from(birth.year()) - i32::from(before_birthday);
    let months = (i32::from(today.year()) - i32::from(birth.year())) * 12
        + i32::from(today.month() - birth.month())
        - i32::from(today.day() < birth.day());
    if (0..24).contains(&months) {
        words.fill("patient.age-months", &[("n", &months.to_string())])
    } else {
        words.fill("patient.age", &[("n", &years.max(0).to_string())])
    }
}

/// Nothing is known: what a list shows instead of a row.
#[derive(Template)]
#[template(path = "part/patient_none.html")]
pub struct NoPatient {
    /// Why, in words.
    pub text: String,
}

impl HtmlSafe for NoPatient {}

#[cfg(test)]
mod tests {
    use beeldbox_protocol::clinical::Confidential;

    use super::*;
    use crate::lang::Lang;

    fn patient(name: &str, birth: &str) -> Patient {
        Patient {
            name: Some(Confidential::new(name)),
            birth_date: Some(Confidential::new(birth)),
            sex: Some(Confidential::new("F")),
            id: Some(Confidential::new("3004100")),
            bsn: "999990019".parse().ok(),
            ..Patient::default()
        }
    }

    fn view(name: &str, birth: &str) -> PatientView {
        let now = "2026-11-23T10:00:00Z".parse().unwrap();
        PatientView::new(&patient(name, birth), now, Lang::Nl.words())
    }

    #[test]
    fn names_are_shown_as_the_rule_says() {
        let shown = |name| display_name(name);
        assert_eq!(shown("Vries-Jansen^Anna Maria^^de"), ("DE VRIES-JANSEN".into(), "Anna Maria".into()));
        assert_eq!(shown("ijsselstein^Piet"), ("IJSSELSTEIN".into(), "Piet".into()));
        assert_eq!(shown("Bakker^Jan^Willem^Dr."), ("BAKKER".into(), "Jan Willem (Dr.)".into()));
        assert_eq!(shown("Yamada^Tarou=山田^太郎"), ("YAMADA".into(), "Tarou".into()));
        assert_eq!(shown("JANSEN"), ("JANSEN".into(), String::new()));
    }

    #[test]
    fn banner_and_row_are_whole() {
        let banner = view("Vries^Anna^^de", "19450314").banner().render().unwrap();
        for value in ["DE VRIES", "Anna", "14-mrt-1945 (81 jr)", "vrouw", "3004100", "9999 90 019"] {
            assert!(banner.contains(value), "{value} in {banner}");
        }
        let row = view("Vries^Anna^^de", "19450314").row().render().unwrap();
        assert!(row.contains("019") && !row.contains("9999"));
    }

    #[test]
    fn a_number_that_is_the_bsn_is_not_shown_in_full_in_a_list() {
        let now = "2026-11-23T10:00:00Z".parse().unwrap();
        for id in ["999990019", "9999.90.019", "0999990019"] {
            let patient = Patient { id: Some(Confidential::new(id)), ..patient("Smit^Jan", "19600101") };
            let view = PatientView::new(&patient, now, Lang::Nl.words());
            let row = view.row().render().unwrap();
            assert!(row.contains("gelijk aan BSN") && !row.contains(id), "{row}");
        }
    }

    #[test]
    fn the_unknown_is_written() {
        let now = "2026-11-23T10:00:00Z".parse().unwrap();
        let nobody = PatientView::new(&Patient::default(), now, Lang::Nl.words());
        let banner = nobody.banner().render().unwrap();
        for words in ["naam niet meegestuurd", "onbekend", "niet meegestuurd"] {
            assert!(banner.contains(words), "{words} in {banner}");
        }
    }

    #[test]
    fn namesakes_are_marked_and_one_person_is_not() {
        let mut views = [
            view("Vries^Anna^^de", "19450314"),
            view("Vries^Anna^^de", "19450314"),
            view("Vries^Annet^^de", "19510502"),
            view("Smit^Jan", "19600101"),
        ];
        let [a, b, c, d] = &mut views;
        mark_namesakes(&mut [a, b]);
        assert!(!a.is_namesake);
        mark_namesakes(&mut [a, c, d]);
        assert_eq!([a.is_namesake, c.is_namesake, d.is_namesake], [true, true, false]);
        assert!(is_one_letter_apart("JANSEN", "JANSSEN") && !is_one_letter_apart("JANSEN", "JOHANSEN"));
    }

    #[test]
    fn age_turns_on_the_birthday() {
        let nl = Lang::Nl.words();
        let today = Date::constant(2026, 11, 23);
        assert_eq!(age(Date::constant(1945, 11, 23), today, nl), "81 jr");
        assert_eq!(age(Date::constant(1945, 11, 24), today, nl), "80 jr");
        assert_eq!(age(Date::constant(2025, 11, 24), today, nl), "11 mnd");
    }
}
