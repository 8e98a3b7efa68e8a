//! Letters: the envelope as it comes, the content as a partner gone bad would sign and seal it.
//!
//! What must be true: nothing opens that was not sealed, and what opens is what was sealed.

use aws_lc_rs::rand::SystemRandom;
use beeldbox_protocol::envelope::letter::{Letter, open, seal};
use beeldbox_protocol::envelope::recipient::RecipientVerified;
use beeldbox_protocol::ident::TransferId;

use super::Script;
use crate::authority::AUTHORITY;
use crate::budget::{Allowance, within};

/// Runs the reader. The first byte chooses envelope or content.
pub fn run(input: &[u8]) {
    let Some((which, rest)) = input.split_first() else { return };
    match which % 2 {
        0 => envelope(rest),
        _ => content(rest),
    }
}

fn transfer() -> TransferId {
    "6f1c2d3e-4f5a-4b6c-8d7e-8f90a1b2c3d4".parse().expect("an id")
}

/// Bytes as the portal hands them out. What opens is then the one letter that the seeds hold.
fn envelope(sealed: &[u8]) {
    let ura = AUTHORITY.addressee.ura();
    let opened = within(Allowance::FourTimes, sealed.len(), || {
        open(sealed, &transfer(), &AUTHORITY.identity, ura, &AUTHORITY.anchors, AUTHORITY.at)
    });
    let Ok((letter, sender)) = opened else { return };
    assert_eq!(sender.organisation().ura(), AUTHORITY.sender.ura());
    assert_eq!(&letter.addressee.ura, ura);
}

/// Content that may list anything: refused when it is sealed, or opened as it was.
fn content(text: &[u8]) {
    let Ok(letter) = within(Allowance::Fixed, text.len(), || serde_json::from_slice::<Letter>(text)) else {
        return;
    };
    let recipient = recipient();
    let Ok(sealed) = seal(&letter, &AUTHORITY.sender, &[&recipient], &SystemRandom::new()) else { return };
    let ura = AUTHORITY.addressee.ura();
    let opened = within(Allowance::Fixed, sealed.len(), || {
        open(&sealed, &letter.transfer, &AUTHORITY.identity, ura, &AUTHORITY.anchors, AUTHORITY.at)
    });
    match opened {
        Ok((opened, _)) => assert_eq!(opened, letter),
        Err(error) => assert!(letter.valid_until < AUTHORITY.at, "sealed by us and refused by us: {error}"),
    }
}

fn recipient() -> RecipientVerified {
    let statement = AUTHORITY.identity.statement(
        &AUTHORITY.addressee,
        AUTHORITY.at,
        "2126-01-01T00:00:00Z".parse().expect("a time"),
        &SystemRandom::new(),
    );
    RecipientVerified::verify(&statement, AUTHORITY.addressee.ura(), &AUTHORITY.anchors, AUTHORITY.at)
        .expect("our own statement")
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let letter: Letter = serde_json::from_str(CONTENT).expect("a letter");
    let sealed =
        seal(&letter, &AUTHORITY.sender, &[&recipient()], &SystemRandom::new()).expect("a good letter");
    let mut no_lists = Script(CONTENT.as_bytes());
    let half = no_lists.take(CONTENT.len() / 2);
    vec![
        ("sealed", [&[0], sealed.as_slice()].concat()),
        ("cut", [&[0], &sealed[..1300]].concat()),
        ("content", [&[1], CONTENT.as_bytes()].concat()),
        ("half-content", [&[1], half].concat()),
    ]
}

/// A good letter about nobody.
const CONTENT: &str = r#"{"v":1,"transfer":"6f1c2d3e-4f5a-4b6c-8d7e-8f90a1b2c3d4","sender":{"ura":"90000381","organisation":"Noord"},"addressee":{"ura":"90000382","organisation":"Zuid","addressee":"zuid-radiologie"},"written_at":"2026-11-23T09:00:00Z","valid_until":"2126-01-01T00:00:00Z","urgent":false,"patient":{"birth_date":"19700101","id":"P1","name":"Proef^Petra","sex":"F"},"studies":[{"instances":2,"modalities":["CT"],"series":1,"size_bytes":37,"study":"1.2.826.0.1.3680043.10.9"}],"note":"n","instances":[{"class":"1.2.840.10008.5.1.4.1.1.2","instance":"1.2.3","study":"1.2","series":"1.4","syntax":"1.2.840.10008.1.2.1","size":31,"sha256":"a29fd3f32495558f61b777528ea023c9f1a76f7e358de093fb8e3061fda4f8e2","pack":0,"frame":0,"at":64,"sealed":285}],"packs":[{"id":"61207061636b2773206f776e2069642e","key":"dGhpcnR5LXR3byBieXRlcyBvZiBubyByZWFsIHVzZSE","len":530,"parts":[{"sha256":"cbc222ee9b44febe84f2a4539eee43cea9ee1c29b1cb717dc7ff8dcb3c879c04","len":530}]}]}"#;
