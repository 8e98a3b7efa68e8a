//! Vectors of values sealed under the storage key.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::{case, hand};

const STORAGE_KEY: [u8; 32] = [0x53; 32];
const NONCE: [u8; 12] = [0x4e; 12];

pub fn all() -> Value {
    let label = b"beeldbox/1 storage pack-key";
    let key = hand::derive(&STORAGE_KEY, &[], label);
    let place = [0xa0; 16];
    let value = [0x11; 32];
    let sealed = [NONCE.as_slice(), &hand::gcm(&key, NONCE, &place, &value)].concat();
    let fields = |purpose: &str, place: &[u8], storage_key: [u8; 32], sealed: &[u8]| {
        json!({
            "storage_key": HEXLOWER.encode(&storage_key),
            "purpose": purpose,
            "place": HEXLOWER.encode(place),
            "sealed": HEXLOWER.encode(sealed),
        })
    };
    let refused = "refused: does-not-authenticate";
    let words = b"collection/7";
    let confidential_key = hand::derive(&STORAGE_KEY, &[], b"beeldbox/1 storage confidential");
    let confidential =
        [NONCE.as_slice(), &hand::gcm(&confidential_key, NONCE, words, b"Jansen^Piet")].concat();
    let mut good = fields("pack-key", &place, STORAGE_KEY, &sealed);
    good["derived_key"] = json!(HEXLOWER.encode(&key));
    good["value"] = json!(HEXLOWER.encode(&value));
    let mut text = fields("confidential", words, STORAGE_KEY, &confidential);
    text["derived_key"] = json!(HEXLOWER.encode(&confidential_key));
    text["value"] = json!(HEXLOWER.encode(b"Jansen^Piet"));
    let mut changed = sealed.clone();
    changed[20] ^= 1;
    json!({
        "about": "Values sealed under the storage key: nonce | AES-256-GCM ciphertext | tag.",
        "cases": [
            case("pack-key-opens", "a wrapped pack key; its place is the pack's id", "opens", good),
            case("confidential-text-opens", "a sealed column; its place names the row", "opens", text),
            case("moved-to-another-place", "the wrap of one pack shown for another", refused,
                fields("pack-key", &[0xa1; 16], STORAGE_KEY, &sealed)),
            case("other-purpose", "a wrapped key shown as a sealed text", refused,
                fields("confidential", &place, STORAGE_KEY, &sealed)),
            case("other-storage-key", "sealed by another box", refused,
                fields("pack-key", &place, [0x54; 32], &sealed)),
            case("byte-changed", "one bit of the ciphertext", refused,
                fields("pack-key", &place, STORAGE_KEY, &changed)),
            case("tag-cut", "the last byte is missing", refused,
                fields("pack-key", &place, STORAGE_KEY, &sealed[..sealed.len() - 1])),
            case("shorter-than-a-nonce", "eleven bytes", refused,
                fields("pack-key", &place, STORAGE_KEY, &sealed[..11])),
        ],
    })
}
