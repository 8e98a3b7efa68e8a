//! Vectors of signed texts: recipient statements and receipts, and what may be wrong with any JWS.

use beeldbox_protocol::ident::Digest;
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::letters::TRANSFER_TEXT;
use super::pki::{ADDRESSEE, AT, Authority, SEED, SENDER, STRANGER, Signer};
use super::{case, hand};

/// Headers that must be refused before anybody looks at the signature.
pub fn headers(prefix: &str, typ: &str, with: &dyn Fn(&str, Value) -> Value) -> Vec<Value> {
    let refuse = |name: &str, about: &str, fields: Value| {
        case(&format!("header-{name}"), about, &format!("refused: {prefix}not-signed"), fields)
    };
    vec![
        refuse("alg-none", "RFC 8725 §2.1", with("alg", json!("none"))),
        refuse("alg-hs256", "the certificate's key as a shared secret", with("alg", json!("HS256"))),
        refuse("alg-es384", "not the one algorithm", with("alg", json!("ES384"))),
        refuse(
            "typ-of-another-kind",
            "a signed text of another kind (RFC 8725 §3.11)",
            with(
                "typ",
                json!(if typ.contains("receipt") { "beeldbox-letter+jws" } else { "beeldbox-receipt+jws" }),
            ),
        ),
        refuse("typ-in-other-case", "one spelling only", with("typ", json!(typ.to_uppercase()))),
        refuse("with-jwk", "a key in the header (RFC 8725 §3.10)", with("jwk", json!({ "kty": "EC" }))),
        refuse(
            "with-crit",
            "an extension that must be understood (RFC 7515 §4.1.11)",
            with("crit", json!(["b64"])),
        ),
        refuse("x5c-not-a-list", "a text", with("x5c", json!("MII="))),
    ]
}

/// Texts broken after signing.
pub fn broken(prefix: &str, jws: &str, fields: &dyn Fn(&str) -> Value) -> Vec<Value> {
    let parts: Vec<&str> = jws.split('.').collect();
    let [header, payload, signature] = [parts[0], parts[1], parts[2]];
    let flip = |text: &str| {
        let mut bytes = BASE64URL_NOPAD.decode(text.as_bytes()).expect("base64url");
        bytes[10] ^= 1;
        BASE64URL_NOPAD.encode(&bytes)
    };
    let case = |name: &str, about: &str, kind: &str, text: String| {
        case(name, about, &format!("refused: {prefix}{kind}"), fields(&text))
    };
    vec![
        case(
            "payload-changed",
            "one bit of the payload",
            "bad-signature",
            format!("{header}.{}.{signature}", flip(payload)),
        ),
        case(
            "signature-changed",
            "one bit of the signature",
            "bad-signature",
            format!("{header}.{payload}.{}", flip(signature)),
        ),
        case(
            "signature-empty",
            "nothing behind the second dot",
            "bad-signature",
            format!("{header}.{payload}."),
        ),
        case("signature-missing", "two parts", "not-signed", format!("{header}.{payload}")),
        case(
            "five-parts",
            "the form of an encrypted text",
            "bad-signature",
            format!("{header}.{payload}.{signature}.{payload}.{signature}"),
        ),
        case("signature-padded", "base64url with padding", "not-signed", format!("{jws}==")),
    ]
}

fn sign(typ: &str, content: &Value, signer: &Signer) -> String {
    let payload = serde_json::to_vec(content).expect("JSON");
    hand::jws(&hand::jws_header(typ, &signer.chain), &payload, &signer.pkcs8)
}

const KEY_TYP: &str = "beeldbox-key+jws";
const RECEIPT_TYP: &str = "beeldbox-receipt+jws";

/// Every vector of a recipient key's statement.
pub fn statements(authority: &Authority) -> Value {
    let public = hand::public_key(&SEED);
    let content = json!({
        "v": 1,
        "ura": ADDRESSEE,
        "kem": "X-Wing",
        "key": BASE64URL_NOPAD.encode(&public),
        "id": Digest::of(&public).to_string(),
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2126-01-01T00:00:00Z",
    });
    let signer = &authority.addressee;
    let fields = |jws: &str| json!({ "statement": jws, "ura": ADDRESSEE, "at": AT });
    let with = |member: &str, value: Value| {
        let mut content = content.clone();
        content[member] = value;
        fields(&sign(KEY_TYP, &content, signer))
    };
    let with_key = |key: &[u8]| {
        let mut content = content.clone();
        content["key"] = json!(BASE64URL_NOPAD.encode(key));
        content["id"] = json!(Digest::of(key).to_string());
        fields(&sign(KEY_TYP, &content, signer))
    };
    let good = sign(KEY_TYP, &content, signer);
    let mut for_another = fields(&good);
    for_another["ura"] = json!(STRANGER);
    let mut described = fields(&good);
    described["content"] = content.clone();
    // FIPS 203 §7.2: a coefficient of 4095 is not below q = 3329.
    let mut not_reduced = public.clone();
    not_reduced[..3].fill(0xff);
    let misfit = "refused: does-not-fit";
    let mut cases = vec![
        case("good", "the addressee's key", "verifies", described),
        case(
            "entry-of-another-ura",
            "the directory shows it for somebody else",
            "refused: ura-differs",
            for_another,
        ),
        case(
            "statement-of-another-ura",
            "it names somebody else than its certificate",
            "refused: ura-differs",
            with("ura", json!(STRANGER)),
        ),
        case(
            "signed-by-another-ura",
            "a genuine certificate of somebody else",
            "refused: ura-differs",
            fields(&sign(KEY_TYP, &content, &authority.stranger)),
        ),
        case(
            "expired",
            "its owner no longer wants it used",
            "refused: expired",
            with("valid_until", json!("2026-06-01T00:00:00Z")),
        ),
        case(
            "not-yet-valid",
            "its owner does not want it used yet",
            "refused: not-yet-valid",
            with("valid_from", json!("2100-01-01T00:00:00Z")),
        ),
        case(
            "id-differs",
            "the id of another key",
            misfit,
            with("id", json!(Digest::of(b"another").to_string())),
        ),
        case("version-unknown", "v is 2", misfit, with("v", json!(2))),
        case("kem-unknown", "X25519 alone", misfit, with("kem", json!("X25519"))),
        case("key-too-short", "1215 bytes", misfit, with_key(&public[..1215])),
        case("key-not-reduced", "fails the modulus check of FIPS 203 §7.2", misfit, with_key(&not_reduced)),
        case(
            "key-padded",
            "base64url with padding",
            misfit,
            with("key", json!(format!("{}==", BASE64URL_NOPAD.encode(&public)))),
        ),
        case("member-missing", "no id", misfit, with("id", Value::Null)),
        case(
            "certificate-expired",
            "in 2026",
            "refused: expired",
            fields(&sign(KEY_TYP, &content, &authority.expired)),
        ),
        case(
            "certificate-revoked",
            "its serial is on the list",
            "refused: revoked",
            fields(&sign(KEY_TYP, &content, &authority.revoked)),
        ),
        case(
            "certificate-of-unknown-issuer",
            "another root",
            "refused: unknown-issuer",
            fields(&sign(KEY_TYP, &content, &authority.unknown_issuer)),
        ),
    ];
    let payload = serde_json::to_vec(&content).expect("JSON");
    cases.extend(headers("", KEY_TYP, &|member, value| {
        let mut header = hand::jws_header(KEY_TYP, &signer.chain);
        header[member] = value;
        fields(&hand::jws(&header, &payload, &signer.pkcs8))
    }));
    cases.extend(broken("", &good, &fields));
    json!({
        "about": "Statements of recipient keys, verified against authority.json for the URA of a directory entry.",
        "cases": cases,
    })
}

/// Every vector of a receipt.
pub fn receipts(authority: &Authority) -> Value {
    let letter = Digest::of(b"a sealed letter").to_string();
    let content = json!({
        "v": 1,
        "transfer": TRANSFER_TEXT,
        "letter": letter,
        "stage": "in-custody",
        "by": ADDRESSEE,
        "to": SENDER,
        "stored": 3,
        "of": 3,
        "refused": [],
        "at": "2026-11-23T09:30:00Z",
    });
    let mut partly = content.clone();
    partly["stage"] = json!("in-pacs");
    partly["stored"] = json!(2);
    partly["refused"] = json!([{ "position": 1, "status": 0xa900 }]);
    let mut complete = content.clone();
    complete["stage"] = json!("in-pacs");
    let expected = json!({
        "transfer": TRANSFER_TEXT, "letter": letter, "addressee": ADDRESSEE, "sender": SENDER, "instances": 3,
    });
    let signer = &authority.addressee;
    let fields = |jws: &str| json!({ "receipt": jws, "expected": expected, "at": AT });
    let signed = |content: &Value| fields(&sign(RECEIPT_TYP, content, signer));
    let with = |from: &Value, member: &str, value: Value| {
        let mut content = from.clone();
        content[member] = value;
        signed(&content)
    };
    let good = sign(RECEIPT_TYP, &content, signer);
    let mut described = fields(&good);
    described["content"] = content.clone();
    let misfit = "refused: does-not-fit";
    let refused = |positions: &[u32]| {
        let refused = positions.iter().map(|at| json!({ "position": at, "status": 0xa700 }));
        json!(refused.collect::<Vec<Value>>())
    };
    let mut cases = vec![
        case("in-custody", "receipt 1", "verifies", described),
        case("in-pacs", "receipt 2, three of three", "verifies", signed(&complete)),
        case("in-pacs-partly", "receipt 2, two of three", "verifies", signed(&partly)),
        case(
            "of-another-transfer",
            "ours is another",
            misfit,
            with(&content, "transfer", json!("77777777-7777-7777-7777-777777777777")),
        ),
        case(
            "of-another-letter",
            "the transfer is ours, the letter is not",
            misfit,
            with(&content, "letter", json!(Digest::of(b"another").to_string())),
        ),
        case(
            "by-another-signer",
            "a genuine certificate of somebody else",
            "refused: ura-differs",
            fields(&sign(RECEIPT_TYP, &content, &authority.stranger)),
        ),
        case(
            "by-differs",
            "it names another signer than its certificate",
            "refused: ura-differs",
            with(&content, "by", json!(STRANGER)),
        ),
        case(
            "to-another-sender",
            "a receipt for somebody else",
            misfit,
            with(&content, "to", json!(STRANGER)),
        ),
        case("of-differs", "of four, where three were sent", misfit, with(&content, "of", json!(4))),
        case("more-stored-than-sent", "four of three", misfit, with(&content, "stored", json!(4))),
        case(
            "all-stored-and-one-refused",
            "three of three, and one refused",
            misfit,
            with(&complete, "refused", refused(&[1])),
        ),
        case(
            "one-unaccounted-for",
            "two of three, and none refused",
            misfit,
            with(&complete, "stored", json!(2)),
        ),
        case(
            "refused-outside-the-list",
            "position 3 of 0 to 2",
            misfit,
            with(&partly, "refused", refused(&[3])),
        ),
        case("refused-twice", "one of three stored, the same one refused twice", misfit, {
            let mut content = partly.clone();
            content["stored"] = json!(1);
            content["refused"] = refused(&[1, 1]);
            signed(&content)
        }),
        case("version-unknown", "v is 2", misfit, with(&content, "v", json!(2))),
        case(
            "stage-unknown",
            "a stage of a later version",
            misfit,
            with(&content, "stage", json!("in-archive")),
        ),
        case("number-negative", "stored is -1", misfit, with(&content, "stored", json!(-1))),
        case(
            "certificate-expired",
            "in 2026",
            "refused: expired",
            fields(&sign(RECEIPT_TYP, &content, &authority.expired)),
        ),
        case(
            "certificate-self-signed",
            "by nobody else",
            "refused: unknown-issuer",
            fields(&sign(RECEIPT_TYP, &content, &authority.self_signed)),
        ),
    ];
    let payload = serde_json::to_vec(&content).expect("JSON");
    cases.extend(headers("", RECEIPT_TYP, &|member, value| {
        let mut header = hand::jws_header(RECEIPT_TYP, &signer.chain);
        header[member] = value;
        fields(&hand::jws(&header, &payload, &signer.pkcs8))
    }));
    cases.extend(broken("", &good, &fields));
    json!({
        "about": "Receipts, verified against authority.json and what the sender expects.",
        "cases": cases,
    })
}
