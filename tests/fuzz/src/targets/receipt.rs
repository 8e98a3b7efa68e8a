//! Receipts and key statements: a header and a payload that may be anything, signed by the partner or by nobody.
//!
//! What must be true: nothing unsigned is believed, and what is believed adds up and is about the transfer expected.

use aws_lc_rs::rand::SystemRandom;
use beeldbox_protocol::envelope::jws::Kind;
use beeldbox_protocol::envelope::receipt::{Expected, Receipt};
use beeldbox_protocol::envelope::recipient::RecipientVerified;
use beeldbox_protocol::ident::{Digest, TransferId};
use data_encoding::BASE64URL_NOPAD;

use super::Script;
use crate::authority::AUTHORITY;
use crate::budget::{Allowance, within};

const TRANSFER: [u8; 16] = [0x6f; 16];

/// Runs the reader. The first byte chooses what is signed, and by whom.
pub fn run(input: &[u8]) {
    let Some((which, rest)) = input.split_first() else { return };
    match which % 4 {
        0 => receipt(&AUTHORITY.addressee.sign(Kind::Receipt, rest, &SystemRandom::new()), true),
        1 => statement(&AUTHORITY.addressee.sign(Kind::RecipientKey, rest, &SystemRandom::new()), true),
        2 => {
            // Signed by nobody, but every layer of text is right, so that the header itself is read.
            let mut script = Script(rest);
            let (header, payload) = (script.number(), script.number());
            let layers = [script.take(header), script.take(payload), script.0];
            let text = layers.map(|layer| BASE64URL_NOPAD.encode(layer)).join(".");
            receipt(&text, false);
            statement(&text, false);
        }
        _ => {
            let Ok(text) = std::str::from_utf8(rest) else { return };
            receipt(text, false);
            statement(text, false);
        }
    }
}

fn receipt(text: &str, is_signed: bool) {
    let transfer = TransferId::from_random(TRANSFER);
    let (addressee, sender) = (AUTHORITY.addressee.ura(), AUTHORITY.sender.ura());
    let expected =
        Expected { transfer: &transfer, letter: Digest::of(b"letter"), addressee, sender, instances: 3 };
    let verified = within(Allowance::Fixed, text.len(), || {
        Receipt::verify(text, &expected, &AUTHORITY.anchors, AUTHORITY.at)
    });
    let Ok((receipt, organisation)) = verified else { return };
    assert!(is_signed, "nobody signed this receipt");
    assert_eq!((organisation.ura(), &receipt.by, &receipt.to), (addressee, addressee, sender));
    assert_eq!((receipt.transfer, receipt.letter, receipt.of), (transfer, expected.letter, 3));
    let refused = u32::try_from(receipt.refused.len()).expect("few");
    assert_eq!(receipt.stored + refused, receipt.of, "a receipt that does not add up");
    let again = Receipt::read_verified(text).expect("what was verified can be read again");
    assert_eq!((again.stored, again.stage), (receipt.stored, receipt.stage));
}

fn statement(text: &str, is_signed: bool) {
    let ura = AUTHORITY.addressee.ura();
    let verified = within(Allowance::Fixed, text.len(), || {
        RecipientVerified::verify(text, ura, &AUTHORITY.anchors, AUTHORITY.at)
    });
    let Ok(recipient) = verified else { return };
    assert!(is_signed, "nobody signed this statement");
    assert_eq!(recipient.organisation().ura(), ura);
    assert!(recipient.valid_until() >= AUTHORITY.at);
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let transfer = TransferId::from_random(TRANSFER);
    let letter = Digest::of(b"letter");
    let receipt = |stage: &str, stored: u32, refused: &str| {
        format!(
            "\0{{\"v\":1,\"transfer\":\"{transfer}\",\"letter\":\"{letter}\",\"stage\":\"{stage}\",\"by\":\"90000382\",\
             \"to\":\"90000381\",\"stored\":{stored},\"of\":3,\"refused\":{refused},\"at\":\"2026-11-23T09:30:00Z\"}}"
        )
        .into_bytes()
    };
    let (identity, id) =
        (BASE64URL_NOPAD.encode(AUTHORITY.identity.public_key()), AUTHORITY.identity.key_id());
    let statement = format!(
        "\x01{{\"v\":1,\"ura\":\"90000382\",\"kem\":\"X-Wing\",\"key\":\"{identity}\",\"id\":\"{id}\",\
         \"valid_from\":\"2026-01-01T00:00:00Z\",\"valid_until\":\"2126-01-01T00:00:00Z\"}}"
    );
    let header = b"{\"alg\":\"ES256\",\"typ\":\"beeldbox-receipt+jws\",\"x5c\":[\"MIIB\"]}";
    let length = u16::try_from(header.len()).expect("short").to_be_bytes();
    vec![
        ("in-custody", receipt("in-custody", 3, "[]")),
        ("in-pacs", receipt("in-pacs", 2, "[{\"position\":1,\"status\":43264}]")),
        ("statement", statement.into_bytes()),
        ("unsigned", [&[2], length.as_slice(), &[0, 2], header, b"{}", &[0; 64]].concat()),
        ("text", b"\x03e30.e30.AAAA".to_vec()),
    ]
}
