//! What holds for every two patients, whatever the table of cases says.
//!
//! Goal: no combination of small differences that nobody thought of becomes *ready*. Method: some thousand pairs are made from
//! a seed, out of few names and dates so that they often agree, and every rule is asked of each.

use beeldbox_protocol::clinical::{Confidential, Patient, PatientIdentifier, PatientIdentifiers};
use beeldbox_transfer::reconcile::comparison::{Agreement, Field, Mark};
use beeldbox_transfer::reconcile::identity::{Candidate, CandidateSource, PatientIdentity};
use beeldbox_transfer::reconcile::verdict::{Verdict, judge, judge_all};

const PAIRS: usize = 6_000;
const BSNS: [&str; 5] = ["999990019", "999990020", "999990032", "999990044", "010000008"];
const FAMILIES: [&str; 14] = [
    "de Vries",
    "DE VRIES",
    "Vries",
    "van den Berg",
    "v.d. Berg",
    "van der Berg",
    "Jansen",
    "Janssen",
    "Jansen-de Vries",
    "de Vries-Jansen",
    "Dijkstra",
    "Dykstra",
    "Onbekend",
    "",
];
const GIVEN: [&str; 11] =
    ["Anna", "Anna Maria", "A.", "A.M.", "Anne", "Bram", "B.", "Baby", "Mohamed", "Mohammed", ""];
const BORN: [&str; 9] =
    ["19450304", "19450403", "19450305", "19450101", "1945", "19450300", "19521107", "19450230", ""];
const SEXES: [&str; 5] = ["M", "F", "V", "O", ""];
const NUMBERS: [(&str, &str); 5] =
    [("3004100", "ZUID"), ("3004101", "ZUID"), ("3004100", "NOORD"), ("3004100", ""), ("88123", "NOORD")];

/// Splitmix64: the same pairs on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let sides = u64::try_from(sides).expect("few sides");
        usize::try_from((mixed ^ (mixed >> 31)) % sides).expect("fewer than there were sides")
    }

    fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.roll(choices.len())]
    }
}

/// A patient before it is taken apart, so that a test can change one thing.
#[derive(Debug, Clone, PartialEq)]
struct Sketch {
    family: String,
    given: String,
    born: String,
    sex: &'static str,
    number: (&'static str, &'static str),
    /// Digits, and whether somebody says that they are a BSN.
    bsns: Vec<(String, bool)>,
}

impl Sketch {
    fn rolled(dice: &mut Dice) -> Self {
        let count = *dice.of(&[0, 1, 1, 1, 1, 1, 2]);
        let bsns = (0..count).map(|_| ((*dice.of(&BSNS)).to_owned(), dice.roll(4) > 0)).collect();
        Sketch {
            family: (*dice.of(&FAMILIES)).to_owned(),
            given: (*dice.of(&GIVEN)).to_owned(),
            born: (*dice.of(&BORN)).to_owned(),
            sex: dice.of::<&str>(&SEXES),
            number: *dice.of(&NUMBERS),
            bsns,
        }
    }

    /// Two patients who often agree: the second takes most of the first.
    fn pair(dice: &mut Dice) -> (Self, Self) {
        let (one, mut other) = (Self::rolled(dice), Self::rolled(dice));
        for part in 0..5 {
            if dice.roll(3) == 0 {
                continue;
            }
            match part {
                0 => other.family.clone_from(&one.family),
                1 => other.given.clone_from(&one.given),
                2 => other.born.clone_from(&one.born),
                3 => other.sex = one.sex,
                _ => other.bsns.clone_from(&one.bsns),
            }
        }
        (one, other)
    }

    fn identity(&self) -> PatientIdentity {
        let given = |text: &str| Some(Confidential::new(text)).filter(|text| !text.is_empty());
        let patient = Patient {
            name: given(&format!("{}^{}", self.family, self.given)),
            birth_date: given(&self.born),
            sex: given(self.sex),
            ..Patient::default()
        };
        let number = PatientIdentifier {
            id: Confidential::new(self.number.0),
            issuer: given(self.number.1),
            ..PatientIdentifier::default()
        };
        let bsn = |(digits, is_said): &(String, bool)| PatientIdentifier {
            id: Confidential::new(digits.as_str()),
            issuer: is_said.then(|| Confidential::new("NLMINBIZA")),
            ..PatientIdentifier::default()
        };
        let identifiers = PatientIdentifiers {
            patient_id: Some(number),
            other: self.bsns.iter().map(bsn).collect(),
            ..PatientIdentifiers::default()
        };
        PatientIdentity::of_data_set(&patient, &identifiers)
    }

    fn candidate(&self) -> Candidate {
        let sources = vec![CandidateSource::Pacs];
        Candidate { identity: self.identity(), sources, records_differ: false }
    }
}

fn verdict(sent: &Sketch, ours: &Sketch) -> Verdict {
    judge(&sent.identity(), &ours.candidate()).verdict
}

fn each_pair(mut look: impl FnMut(&mut Dice, &Sketch, &Sketch)) {
    let mut dice = Dice(20_261_128);
    for _ in 0..PAIRS {
        let (sent, ours) = Sketch::pair(&mut dice);
        look(&mut dice, &sent, &ours);
    }
}

#[test]
fn it_does_not_matter_who_is_whose() {
    each_pair(|_, sent, ours| {
        assert_eq!(verdict(sent, ours), verdict(ours, sent), "{sent:?}\n{ours:?}");
    });
}

#[test]
fn ready_is_nobody_whose_bsn_or_birth_date_is_another() {
    let mut ready = 0;
    each_pair(|_, sent, ours| {
        let judgement = judge(&sent.identity(), &ours.candidate());
        if judgement.verdict != Verdict::Ready {
            return;
        }
        ready += 1;
        let mark = |field| {
            let line = judgement.fields.iter().find(|line| line.field == field);
            line.map(|line| line.agreement.mark()).expect("every field is there")
        };
        assert_eq!(mark(Field::Bsn), Mark::Equal, "{sent:?}\n{ours:?}");
        assert_eq!(mark(Field::BirthDate), Mark::Equal, "{sent:?}\n{ours:?}");
        assert!(matches!(mark(Field::FamilyName), Mark::Equal | Mark::Similar), "{sent:?}\n{ours:?}");
        assert_ne!(mark(Field::Sex), Mark::Differs, "{sent:?}\n{ours:?}");
        assert!(!matches!(mark(Field::GivenNames), Mark::Differs | Mark::Missing), "{sent:?}\n{ours:?}");
        // Said without the code that compares: the same nine digits stand on both sides.
        let shared = sent.bsns.iter().any(|(digits, _)| ours.bsns.iter().any(|(other, _)| digits == other));
        assert!(shared && sent.born == ours.born, "{sent:?}\n{ours:?}");
    });
    assert!(ready > PAIRS / 100, "only {ready} of {PAIRS} pairs are ready: the dice say nothing");
}

/// Another digit, or another letter, in one field.
fn changed(dice: &mut Dice, text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let places: Vec<usize> = (0..letters.len()).filter(|at| letters[*at].is_alphanumeric()).collect();
    let at = *dice.of(&places);
    letters[at] = match letters[at] {
        digit @ '0'..='9' => {
            char::from_digit((digit.to_digit(10).expect("a digit") + 1) % 10, 10).expect("a digit")
        }
        'q' | 'Q' => 'w',
        _ => 'q',
    };
    letters.into_iter().collect()
}

#[test]
fn one_change_in_bsn_birth_date_or_family_name_ends_ready() {
    let mut tried = 0;
    each_pair(|dice, sent, ours| {
        if verdict(sent, ours) != Verdict::Ready {
            return;
        }
        let mut family = sent.clone();
        family.family = changed(dice, &sent.family);
        let mut born = sent.clone();
        born.born = changed(dice, &sent.born);
        let mut bsn = sent.clone();
        for (digits, _) in &mut bsn.bsns {
            *digits = changed(dice, digits);
        }
        let mut other_bsn = sent.clone();
        let another = BSNS.iter().find(|bsn| sent.bsns.iter().all(|(digits, _)| digits != *bsn));
        other_bsn.bsns = vec![((*another.expect("few are used")).to_owned(), true)];
        for mutation in [family, born, bsn, other_bsn] {
            tried += 1;
            assert_ne!(verdict(&mutation, ours), Verdict::Ready, "{mutation:?}\n{ours:?}");
            assert_ne!(verdict(ours, &mutation), Verdict::Ready, "{mutation:?}\n{ours:?}");
        }
    });
    assert!(tried > PAIRS / 50, "only {tried} changes were tried");
}

#[test]
fn another_bsn_of_which_both_are_sure_stops() {
    each_pair(|_, sent, ours| {
        let ([(one, true)], [(other, true)]) = (sent.bsns.as_slice(), ours.bsns.as_slice()) else { return };
        if one != other {
            assert!(matches!(verdict(sent, ours), Verdict::Stop(_)), "{sent:?}\n{ours:?}");
        }
    });
}

#[test]
fn without_a_bsn_nobody_is_ready() {
    each_pair(|_, sent, ours| {
        let bare = Sketch { bsns: Vec::new(), ..sent.clone() };
        assert_ne!(verdict(&bare, ours), Verdict::Ready, "{bare:?}\n{ours:?}");
    });
}

#[test]
fn of_several_at_most_one_is_ready() {
    let mut dice = Dice(7);
    for _ in 0..PAIRS / 4 {
        let (sent, ours) = Sketch::pair(&mut dice);
        let (_, third) = Sketch::pair(&mut dice);
        let candidates = [ours.candidate(), third.candidate(), sent.candidate()];
        let judgements = judge_all(&sent.identity(), &candidates);
        let ready = judgements.iter().filter(|judgement| judgement.verdict == Verdict::Ready).count();
        assert!(ready <= 1, "{sent:?}\n{ours:?}\n{third:?}");
    }
}

#[test]
fn what_is_marked_different_is_never_passed_over_in_silence() {
    each_pair(|_, sent, ours| {
        let judgement = judge(&sent.identity(), &ours.candidate());
        let differs = judgement.fields.iter().any(|line| line.agreement.mark() == Mark::Differs);
        if differs {
            assert_ne!(judgement.verdict, Verdict::Ready, "{sent:?}\n{ours:?}");
        }
        let is_bsn = |line: &&_| matches!(line, Agreement::Bsn(_));
        assert_eq!(judgement.fields.iter().map(|line| line.agreement).filter(|a| is_bsn(&a)).count(), 1);
    });
}

/// Names come from outside: no text may make the reading stumble, or take long.
#[test]
fn no_name_makes_the_reading_stumble() {
    let letters =
        ['^', '=', '&', '-', '/', '.', ',', ' ', 'é', 'Ĳ', 'a', 'v', '\u{301}', '١', '\u{0}', 'İ', '\''];
    let mut dice = Dice(11);
    for _ in 0..PAIRS / 8 {
        let length = dice.roll(40);
        let text: String = (0..length).map(|_| *dice.of(&letters)).collect();
        let sketch = Sketch { family: text.clone(), given: text.clone(), ..Sketch::rolled(&mut dice) };
        let other = Sketch { born: text, ..Sketch::rolled(&mut dice) };
        assert_eq!(verdict(&sketch, &other), verdict(&other, &sketch), "{sketch:?}\n{other:?}");
    }
    let long = Sketch { family: "van de ".repeat(20_000), ..Sketch::rolled(&mut dice) };
    assert_ne!(verdict(&long, &Sketch::rolled(&mut dice)), Verdict::Ready);
}
