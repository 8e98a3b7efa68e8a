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

/// The good statement, and ways to change it.
struct Statements<'a> {
    public: Vec<u8>,
    content: Value,
    signer: &'a Signer,
}

impl Statements<'_> {
    fn fields(jws: &str) -> Value {
        json!({ "statement": jws, "ura": ADDRESSEE, "at": AT })
    }

    fn by(&self, signer: &Signer) -> Value {
        Self::fields(&sign(KEY_TYP, &self.content, signer))
    }

    fn with(&self, member: &str, value: Value) -> Value {
        let mut content = self.content.clone();
        content[member] = value;
        Self::fields(&sign(KEY_TYP, &content, self.signer))
    }

    fn with_key(&self, key: &[u8]) -> Value {
        let mut content = self.content.clone();
        content["key"] = json!(BASE64URL_NOPAD.encode(key));
        content["id"] = json!(Digest::of(key).to_string());
        Self::fields(&sign(KEY_TYP, &content, self.signer))
    }

    fn whose(&self, authority: &Authority) -> Vec<Value> {
        let good = sign(KEY_TYP, &self.content, self.signer);
        let mut for_another = Self::fields(&good);
        for_another["ura"] = json!(STRANGER);
        let mut described = Self::fields(&good);
        described["content"] = self.content.clone();
        let differs = "refused: ura-differs";
        let by = |signer: &Signer| self.by(signer);
        vec![
            case("good", "the addressee's key", "verifies", described),
            case("entry-of-another-ura", "the directory shows it for somebody else", differs, for_another),
            case(
                "statement-of-another-ura",
                "it names somebody else than its certificate",
                differs,
                self.with("ura", json!(STRANGER)),
            ),
            case(
                "signed-by-another-ura",
                "a genuine certificate of somebody else",
                differs,
                by(&authority.stranger),
            ),
            case("certificate-expired", "in 2026", "refused: expired", by(&authority.expired)),
            case(
                "certificate-revoked",
                "its serial is on the list",
                "refused: revoked",
                by(&authority.revoked),
            ),
            case(
                "certificate-of-unknown-issuer",
                "another root",
                "refused: unknown-issuer",
                by(&authority.unknown_issuer),
            ),
        ]
    }

    fn contents(&self) -> Vec<Value> {
        // FIPS 203 §7.2: a coefficient of 4095 is not below q = 3329.
        let mut not_reduced = self.public.clone();
        not_reduced[..3].fill(0xff);
        let misfit = "refused: does-not-fit";
        vec![
            case(
                "expired",
                "its owner no longer wants it used",
                "refused: expired",
                self.with("valid_until", json!("2026-06-01T00:00:00Z")),
            ),
            case(
                "not-yet-valid",
                "its owner does not want it used yet",
                "refused: not-yet-valid",
                self.with("valid_from", json!("2100-01-01T00:00:00Z")),
            ),
            case(
                "id-differs",
                "the id of another key",
                misfit,
                self.with("id", json!(Digest::of(b"another").to_string())),
            ),
            case("version-unknown", "v is 2", misfit, self.with("v", json!(2))),
            case("kem-unknown", "X25519 alone", misfit, self.with("kem", json!("X25519"))),
            case("key-too-short", "1215 bytes", misfit, self.with_key(&self.public[..1215])),
            case(
                "key-not-reduced",
                "fails the modulus check of FIPS 203 §7.2",
                misfit,
                self.with_key(&not_reduced),
            ),
            case(
                "key-padded",
                "base64url with padding",
                misfit,
                self.with("key", json!(format!("{}==", BASE64URL_NOPAD.encode(&self.public)))),
            ),
            case("member-missing", "no id", misfit, self.with("id", Value::Null)),
        ]
    }
}

/// What may be wrong with any signed text, for a good one.
fn any_text(typ: &str, content: &Value, signer: &Signer, fields: &dyn Fn(&str) -> Value) -> Vec<Value> {
    let payload = serde_json::to_vec(content).expect("JSON");
    let with = |member: &str, value: Value| {
        let mut header = hand::jws_header(typ, &signer.chain);
        header[member] = value;
        fields(&hand::jws(&header, &payload, &signer.pkcs8))
    };
    let mut cases = headers("", typ, &with);
    cases.extend(broken("", &sign(typ, content, signer), fields));
    cases
}

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
    let statements = Statements { public, content, signer: &authority.addressee };
    let mut cases = statements.whose(authority);
    cases.extend(statements.contents());
    cases.extend(any_text(KEY_TYP, &statements.content, statements.signer, &Statements::fields));
    json!({
        "about": "Statements of recipient keys, verified against authority.json for the URA of a directory entry.",
        "cases": cases,
    })
}

/// The good receipts, and ways to change them.
struct Receipts<'a> {
    custody: Value,
    partly: Value,
    complete: Value,
    expected: Value,
    signer: &'a Signer,
}

impl Receipts<'_> {
    fn fields(&self, jws: &str) -> Value {
        json!({ "receipt": jws, "expected": self.expected, "at": AT })
    }

    fn by(&self, signer: &Signer) -> Value {
        self.fields(&sign(RECEIPT_TYP, &self.custody, signer))
    }

    fn with(&self, from: &Value, members: &[(&str, Value)]) -> Value {
        let mut content = from.clone();
        for (member, value) in members {
            content[*member] = value.clone();
        }
        self.fields(&sign(RECEIPT_TYP, &content, self.signer))
    }

    fn believed(&self) -> Vec<Value> {
        let mut described = self.by(self.signer);
        described["content"] = self.custody.clone();
        vec![
            case("in-custody", "receipt 1", "verifies", described),
            case("in-pacs", "receipt 2, three of three", "verifies", self.with(&self.complete, &[])),
            case("in-pacs-partly", "receipt 2, two of three", "verifies", self.with(&self.partly, &[])),
        ]
    }

    fn about_something_else(&self, authority: &Authority) -> Vec<Value> {
        let misfit = "refused: does-not-fit";
        let with = |member: &str, value: Value| self.with(&self.custody, &[(member, value)]);
        let differs = "refused: ura-differs";
        vec![
            case(
                "of-another-transfer",
                "ours is another",
                misfit,
                with("transfer", json!("77777777-7777-7777-7777-777777777777")),
            ),
            case(
                "of-another-letter",
                "the transfer is ours, the letter is not",
                misfit,
                with("letter", json!(Digest::of(b"another").to_string())),
            ),
            case(
                "by-another-signer",
                "a genuine certificate of somebody else",
                differs,
                self.by(&authority.stranger),
            ),
            case(
                "by-differs",
                "it names another signer than its certificate",
                differs,
                with("by", json!(STRANGER)),
            ),
            case("to-another-sender", "a receipt for somebody else", misfit, with("to", json!(STRANGER))),
            case("version-unknown", "v is 2", misfit, with("v", json!(2))),
            case("stage-unknown", "a stage of a later version", misfit, with("stage", json!("in-archive"))),
            case("certificate-expired", "in 2026", "refused: expired", self.by(&authority.expired)),
            case(
                "certificate-self-signed",
                "by nobody else",
                "refused: unknown-issuer",
                self.by(&authority.self_signed),
            ),
        ]
    }

    fn numbers(&self) -> Vec<Value> {
        let misfit = "refused: does-not-fit";
        let refused = |positions: &[u32]| {
            let refused = positions.iter().map(|at| json!({ "position": at, "status": 0xa700 }));
            ("refused", json!(refused.collect::<Vec<Value>>()))
        };
        let case = |name: &str, about: &str, from: &Value, members: &[(&str, Value)]| {
            case(name, about, misfit, self.with(from, members))
        };
        vec![
            case("of-differs", "of four, where three were sent", &self.custody, &[("of", json!(4))]),
            case("more-stored-than-sent", "four of three", &self.custody, &[("stored", json!(4))]),
            case("number-negative", "stored is -1", &self.custody, &[("stored", json!(-1))]),
            case(
                "all-stored-and-one-refused",
                "three of three, and one refused",
                &self.complete,
                &[refused(&[1])],
            ),
            case(
                "one-unaccounted-for",
                "two of three, and none refused",
                &self.complete,
                &[("stored", json!(2))],
            ),
            case("refused-outside-the-list", "position 3 of 0 to 2", &self.partly, &[refused(&[3])]),
            case(
                "refused-twice",
                "one of three stored, the same one refused twice",
                &self.partly,
                &[("stored", json!(1)), refused(&[1, 1])],
            ),
        ]
    }
}

/// Every vector of a receipt.
pub fn receipts(authority: &Authority) -> Value {
    let letter = Digest::of(b"a sealed letter").to_string();
    let custody = json!({
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
    let mut complete = custody.clone();
    complete["stage"] = json!("in-pacs");
    let mut partly = complete.clone();
    partly["stored"] = json!(2);
    partly["refused"] = json!([{ "position": 1, "status": 0xa900 }]);
    let expected = json!({
        "transfer": TRANSFER_TEXT, "letter": letter, "addressee": ADDRESSEE, "sender": SENDER, "instances": 3,
    });
    let receipts = Receipts { custody, partly, complete, expected, signer: &authority.addressee };
    let mut cases = receipts.believed();
    cases.extend(receipts.about_something_else(authority));
    cases.extend(receipts.numbers());
    cases.extend(any_text(RECEIPT_TYP, &receipts.custody, receipts.signer, &|jws| receipts.fields(jws)));
    json!({
        "about": "Receipts, verified against authority.json and what the sender expects.",
        "cases": cases,
    })
}
