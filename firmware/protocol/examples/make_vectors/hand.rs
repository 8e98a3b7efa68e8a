//! The sealed formats written by hand: every byte where `ENVELOPE.md` says it stands, and wherever a vector wants it
//! otherwise.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeS, Serializable, single_shot_seal_with_rng};
use serde_json::Value;

/// HKDF-SHA-256 to 32 bytes (RFC 5869).
pub fn derive(key: &[u8], salt: &[u8], info: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(key)
        .expand(&[info], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut out))
        .expect("HKDF-SHA-256 yields 32 bytes");
    out
}

/// AES-256-GCM: ciphertext and tag.
pub fn gcm(key: &[u8; 32], nonce: [u8; 12], associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("a key has 32 bytes"));
    let mut sealed = plaintext.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(associated), &mut sealed)
        .expect("AES-256-GCM seals a small text");
    sealed
}

/// A pack header.
pub fn pack_header(id: &[u8; 16], key: &[u8; 32]) -> Vec<u8> {
    let commitment = derive(key, id, b"beeldbox/1 pack commitment");
    [b"BEELDPK1".as_slice(), &[0, 1], &[0; 6], id, &commitment].concat()
}

/// A frame header.
pub fn frame_header(salt: &[u8; 16]) -> Vec<u8> {
    [b"FRM1".as_slice(), &[0; 4], salt].concat()
}

/// A frame's key.
pub fn frame_key(pack_key: &[u8; 32], pack: &[u8; 16], index: u32, codec: u8, salt: &[u8; 16]) -> [u8; 32] {
    let info = [b"beeldbox/1 frame".as_slice(), pack, &index.to_be_bytes(), &[codec]].concat();
    derive(pack_key, salt, &info)
}

/// A chunk's nonce.
pub fn chunk_nonce(counter: u32, is_last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[7..11].copy_from_slice(&counter.to_be_bytes());
    nonce[11] = u8::from(is_last);
    nonce
}

/// A chunk with its head.
pub fn chunk(key: &[u8; 32], counter: u32, is_last: bool, plaintext: &[u8]) -> Vec<u8> {
    let sealed = gcm(key, chunk_nonce(counter, is_last), &[], plaintext);
    let mut head = u32::try_from(sealed.len()).expect("a chunk is short");
    if is_last {
        head |= 1 << 31;
    }
    [head.to_be_bytes().as_slice(), &sealed].concat()
}

/// A description: version and six texts.
pub fn description(fields: [&str; 6]) -> Vec<u8> {
    let mut out = vec![1];
    for field in fields {
        out.push(u8::try_from(field.len()).expect("a field is short"));
        out.extend_from_slice(field.as_bytes());
    }
    out
}

/// The end of a frame's plaintext.
pub fn trailer(data_set: &[u8]) -> Vec<u8> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, data_set);
    [(data_set.len() as u64).to_be_bytes().as_slice(), digest.as_ref()].concat()
}

/// A letter, before it is put together.
pub struct HandLetter<'a> {
    /// Transfer id in the head and in the HPKE info.
    pub transfer: [u8; 16],
    /// URA in the HPKE info.
    pub ura: &'a str,
    /// Public keys of the recipients.
    pub recipients: Vec<&'a [u8]>,
    /// What the body seals.
    pub plaintext: Vec<u8>,
}

impl HandLetter<'_> {
    /// The sealed letter.
    pub fn seal(&self) -> Vec<u8> {
        let key = random::<32>();
        let stanzas = u16::try_from(self.recipients.len()).expect("few recipients");
        let mut sealed = [b"BEELDLT1".as_slice(), &[0, 1], &stanzas.to_be_bytes(), &self.transfer].concat();
        for recipient in &self.recipients {
            let key_id = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, recipient);
            let info =
                [b"beeldbox/1 letter".as_slice(), &self.transfer, self.ura.as_bytes(), key_id.as_ref()]
                    .concat();
            let public = <XWing as Kem>::PublicKey::from_bytes(recipient).expect("an X-Wing key");
            let (encapsulated, wrapped) = single_shot_seal_with_rng::<AesGcm256, HkdfSha256, XWing>(
                &OpModeS::Base,
                &public,
                &info,
                &key,
                &[],
                &mut Random,
            )
            .expect("HPKE seals 32 bytes");
            sealed.extend_from_slice(key_id.as_ref());
            sealed.extend_from_slice(&encapsulated.to_bytes());
            sealed.extend_from_slice(&wrapped);
        }
        let body = gcm(&key, [0; 12], &sealed, &self.plaintext);
        sealed.extend_from_slice(&body);
        sealed
    }
}

/// The body of a letter: length, text, zeros up to a multiple of 4096.
pub fn padded(jws: &str) -> Vec<u8> {
    let length = u32::try_from(jws.len()).expect("a short text");
    let mut body = [length.to_be_bytes().as_slice(), jws.as_bytes()].concat();
    body.resize(body.len().next_multiple_of(4096), 0);
    body
}

/// Public key of an X-Wing seed.
pub fn public_key(seed: &[u8; 32]) -> Vec<u8> {
    let private = <XWing as Kem>::PrivateKey::from_bytes(seed).expect("a seed has 32 bytes");
    XWing::sk_to_pk(&private).to_bytes().to_vec()
}

/// A JWS header as it should be.
pub fn jws_header(typ: &str, chain: &[Vec<u8>]) -> Value {
    let chain: Vec<String> = chain.iter().map(|certificate| BASE64.encode(certificate)).collect();
    serde_json::json!({ "alg": "ES256", "typ": typ, "x5c": chain })
}

/// A JWS in compact form, whatever its header says, signed with ES256.
pub fn jws(header: &Value, payload: &[u8], pkcs8: &[u8]) -> String {
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).expect("a P-256 key");
    let header = serde_json::to_vec(header).expect("a header is JSON");
    let signed = format!("{}.{}", BASE64URL_NOPAD.encode(&header), BASE64URL_NOPAD.encode(payload));
    let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).expect("a P-256 key signs");
    format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
}

/// Random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("randomness is at hand");
    bytes
}

struct Random;

impl rand_core::TryRng for Random {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(u32::from_le_bytes(random()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(u64::from_le_bytes(random()))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Self::Error> {
        SystemRandom::new().fill(dst).expect("randomness is at hand");
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Random {}
