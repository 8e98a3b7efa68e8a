//! Letters: the envelope as it comes, the content as a partner gone bad would sign and seal it, and the body that is
//! read once it is decrypted.
//!
//! What must be true: nothing opens that was not sealed, and what opens is what was sealed.

use aws_lc_rs::rand::SystemRandom;
use beeldbox_protocol::envelope::letter::{Letter, open, seal};
use beeldbox_protocol::envelope::recipient::RecipientVerified;
use beeldbox_protocol::ident::TransferId;

use super::Script;
use crate::authority::AUTHORITY;
use crate::budget::{Allowance, within};

/// Runs the reader. The first byte chooses envelope, content or body.
pub fn run(input: &[u8]) {
    let Some((which, rest)) = input.split_first() else { return };
    match which % 3 {
        0 => envelope(rest),
        1 => content(rest),
        _ => body(rest),
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
        Ok((opened, _)) => {
            assert_eq!(opened, letter);
            if letter.transfer == transfer() {
                fits_together(&letter);
            }
        }
        Err(error) => assert!(letter.valid_until < AUTHORITY.at, "sealed by us and refused by us: {error}"),
    }
}

/// A body, signed by a partner who sends any content with any padding. The door to it is in the instrumented build only.
fn body(script: &[u8]) {
    use beeldbox_protocol::envelope::jws::Kind;
    let mut script = Script(script);
    let (longer, flipped) = (script.number(), script.number());
    let jws = AUTHORITY.sender.sign(Kind::Letter, script.0, &SystemRandom::new());
    let length =
        u32::try_from(jws.len()).expect("short").wrapping_add(u32::try_from(longer).expect("two bytes"));
    let mut body = [length.to_be_bytes().as_slice(), jws.as_bytes()].concat();
    body.resize(body.len().next_multiple_of(4096), 0);
    if let Some(byte) = body.get_mut(flipped).filter(|_| flipped != 0) {
        *byte ^= 1;
    }
    #[cfg(fuzzing)]
    {
        let (anchors, ura) = (&AUTHORITY.anchors, AUTHORITY.addressee.ura());
        let opened = within(Allowance::Fixed, body.len(), || {
            beeldbox_protocol::envelope::letter::open_body(&body, &transfer(), ura, anchors, AUTHORITY.at)
        });
        if let Ok((letter, sender)) = opened {
            assert_eq!(sender.organisation().ura(), AUTHORITY.sender.ura());
            assert!(longer == 0 && flipped == 0, "a changed body was believed");
            fits_together(&letter);
        }
    }
}

/// What a box that fetches and writes on the word of a letter relies on, said a second time.
fn fits_together(letter: &Letter) {
    assert_eq!(
        (letter.v, letter.transfer, &letter.addressee.ura),
        (1, transfer(), AUTHORITY.addressee.ura())
    );
    assert!(letter.valid_until >= AUTHORITY.at && !letter.instances.is_empty());
    for pack in &letter.packs {
        let parts: u128 = pack.parts.iter().map(|part| u128::from(part.len)).sum();
        assert_eq!(parts, u128::from(pack.len));
    }
    for instance in &letter.instances {
        let pack = &letter.packs[usize::try_from(instance.pack).expect("a small number")];
        assert!(u128::from(instance.at) + u128::from(instance.sealed) <= u128::from(pack.len));
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
    // Of the vectors, because another sealing would give other bytes each time.
    let sealed = crate::authority::good_letter();

    let half = &CONTENT.as_bytes()[..CONTENT.len() / 2];
    vec![
        ("sealed", [&[0], sealed.as_slice()].concat()),
        ("cut", [&[0], &sealed[..1300]].concat()),
        ("content", [&[1], CONTENT.as_bytes()].concat()),
        ("half-content", [&[1], half].concat()),
        ("body", [&[2, 0, 0, 0, 0], CONTENT.as_bytes()].concat()),
        ("body-too-long", [&[2, 0, 9, 0, 0], CONTENT.as_bytes()].concat()),
    ]
}

/// A good letter about nobody.
const CONTENT: &str = r#"{"v":1,"transfer":"6f1c2d3e-4f5a-4b6c-8d7e-8f90a1b2c3d4","sender":{"ura":"90000381","organisation":"Noord"},"addressee":{"ura":"90000382","organisation":"Zuid","addressee":"zuid-radiologie"},"written_at":"2026-11-23T09:00:00Z","valid_until":"2126-01-01T00:00:00Z","urgent":false,"patient":{"birth_date":"19700101","id":"P1","name":"Proef^Petra","sex":"F"},"studies":[{"instances":2,"modalities":["CT"],"series":1,"size_bytes":37,"study":"1.2.826.0.1.3680043.10.9"}],"note":"n","instances":[{"class":"1.2.840.10008.5.1.4.1.1.2","instance":"1.2.3","study":"1.2","series":"1.4","syntax":"1.2.840.10008.1.2.1","size":31,"sha256":"a29fd3f32495558f61b777528ea023c9f1a76f7e358de093fb8e3061fda4f8e2","pack":0,"frame":0,"at":64,"sealed":285}],"packs":[{"id":"61207061636b2773206f776e2069642e","key":"dGhpcnR5LXR3byBieXRlcyBvZiBubyByZWFsIHVzZSE","len":530,"parts":[{"sha256":"cbc222ee9b44febe84f2a4539eee43cea9ee1c29b1cb717dc7ff8dcb3c879c04","len":530}]}]}"#;
