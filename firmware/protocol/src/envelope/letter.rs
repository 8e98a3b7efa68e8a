//! The letter: the electronic message that says what the images are, and carries the keys that open them.
//!
//! ```text
//!   letter  = "BEELDLT1" | suite (2) | stanzas n (2) | transfer id (16) | n × stanza | body
//!   stanza  = key id (32) | HPKE encapsulated key (1120) | wrapped letter key (48)
//!   body    = AES-256-GCM( length (4) | JWS | zero padding to 4096 )
//! ```
//!
//! Signed first, with the addressee named inside what is signed; then sealed to each recipient. So a recipient cannot
//! pass a letter on as if its sender had written to a third party, and the portal cannot put its own name on one.
//! Opening checks, in this order: form, our stanza, body, signature and chain, kind and version, transfer, addressee,
//! sender, expiry, and that the lists inside fit together. Only then is there a [`SenderVerified`].

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt;

use aws_lc_rs::aead::{Aad, Nonce};
use aws_lc_rs::rand::SecureRandom;
use data_encoding::BASE64URL_NOPAD;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal_with_rng,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::jws::{self, Kind, OrganisationSigner};
use super::keys::{AUTH_TAG_LEN, KEY_LEN, SecretKey};
use super::pack::{PACK_HEADER_LEN, PackId, SUITE};
use super::recipient::{RecipientIdentity, RecipientVerified};
use super::trust::{TrustAnchors, TrustError, VerifiedOrganisation};
use crate::clinical::{Confidential, Patient, StudySummary};
use crate::ident::{
    AddresseeId, Digest, SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid, TransferId,
    TransferSyntaxUid, Ura,
};
use crate::imaging_request::{UnusableRequest, WantedImages, check_request};

/// Bytes of a full part; the last part of a pack may be shorter.
pub const PART_LEN: u64 = 8 * 1024 * 1024;

/// Largest sealed letter accepted, in bytes: room for some 100 000 instances.
pub const MAX_LETTER_LEN: usize = 64 * 1024 * 1024;

const MAGIC: &[u8; 8] = b"BEELDLT1";
/// Version of the content.
const VERSION: u8 = 1;
const HEAD_LEN: usize = 28;
const MAX_STANZAS: u16 = 16;
const ENCAPSULATED_LEN: usize = 1120;
const STANZA_LEN: usize = 32 + ENCAPSULATED_LEN + KEY_LEN + AUTH_TAG_LEN;
/// The body's length is rounded up to this, so that it says little about the length of names and notes.
const PADDING: usize = 4096;

/// Why a letter is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LetterError {
    /// The bytes do not have the form of a letter.
    #[error("not a letter: {0}")]
    Malformed(&'static str),
    /// Sealed with a suite that this version does not know.
    #[error("letter uses cipher suite {found}, this version knows suite {SUITE}")]
    UnknownSuite {
        /// The suite found.
        found: u16,
    },
    /// No stanza is for the key of this box.
    #[error("letter is not sealed to the key of this box")]
    NotForOurKey,
    /// Changed on the way, or sealed for another transfer or care provider.
    #[error("letter does not authenticate")]
    DoesNotAuthenticate,
    /// The signature or the certificate of the sender is not believed.
    #[error("the sender is not verified")]
    Sender(#[source] TrustError),
    /// Genuine, but written to another care provider.
    #[error("letter is addressed to URA {found}")]
    AddressedToSomeoneElse {
        /// Whom it names.
        found: Ura,
    },
    /// Genuine, but of another transfer: an old letter in a new envelope.
    #[error("letter belongs to another transfer")]
    OtherTransfer,
    /// Its time is over.
    #[error("letter has expired")]
    Expired,
    /// Genuine, but what it lists does not fit together.
    #[error("letter contradicts itself: {0}")]
    Inconsistent(&'static str),
}

/// One of the two ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// URA of the organisation.
    pub ura: Ura,
    /// Its name.
    pub organisation: String,
    /// Its department.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// Its id in the directory, where it is the addressee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addressee: Option<AddresseeId>,
}

/// The signed content of a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// Version of this content: 1.
    pub v: u8,
    /// The transfer it belongs to.
    pub transfer: TransferId,
    /// Who sends.
    pub sender: Party,
    /// Who may open it. Inside what is signed.
    pub addressee: Party,
    /// When it was written, by the sender's clock.
    pub written_at: Timestamp,
    /// Until when it may be opened.
    pub valid_until: Timestamp,
    /// Whether the addressee should hurry.
    #[serde(default)]
    pub urgent: bool,
    /// Whom the images are of.
    pub patient: Patient,
    /// The studies.
    pub studies: Vec<StudySummary>,
    /// The sender's words.
    #[serde(default)]
    pub note: Option<Confidential>,
    /// Whom to call back.
    #[serde(default)]
    pub reply_contact: Option<Confidential>,
    /// Every instance, in the order of packs and frames.
    pub instances: Vec<ListedInstance>,
    /// Every pack, with its key and its parts.
    pub packs: Vec<ListedPack>,
    /// What it is about besides its own images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
    /// The addressee's request for images that these answer. A box that does not know requests takes them all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_answer_to: Option<TransferId>,
}

/// What a letter is about besides its own images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum About {
    /// The images belong to those of an earlier transfer to the same addressee.
    Addendum {
        /// The first transfer of them all.
        group: TransferId,
        /// The one before this.
        to: TransferId,
    },
    /// No images: the sender asks for an earlier transfer back. The note says why.
    AskBack {
        /// Which.
        transfer: TransferId,
    },
    /// No images: the sender asks the addressee for images of this patient. The note says why.
    RequestImaging {
        /// Which images, and for whom of the sender's.
        wanted: WantedImages,
    },
}

impl About {
    /// Whether such a letter asks something and carries no images.
    pub fn is_question(&self) -> bool {
        match self {
            About::Addendum { .. } => false,
            About::AskBack { .. } | About::RequestImaging { .. } => true,
        }
    }
}

/// One instance in a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedInstance {
    /// SOP Class UID.
    pub class: SopClassUid,
    /// SOP Instance UID.
    pub instance: SopInstanceUid,
    /// Study Instance UID, unless the sender's PACS left it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub study: Option<StudyInstanceUid>,
    /// Series Instance UID, unless the sender's PACS left it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesInstanceUid>,
    /// Transfer syntax of the data set.
    pub syntax: TransferSyntaxUid,
    /// Length of the data set, in bytes.
    pub size: u64,
    /// SHA-256 of the data set.
    pub sha256: Digest,
    /// Index of its pack in this letter's list.
    pub pack: u32,
    /// Index of its frame in the pack.
    pub frame: u32,
    /// Where the frame begins in the pack, in bytes.
    pub at: u64,
    /// Length of the frame, in bytes.
    pub sealed: u64,
}

/// One pack in a letter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ListedPack {
    /// Its id.
    pub id: PackId,
    /// The key that opens it.
    #[serde(with = "key_text")]
    pub key: SecretKey,
    /// Its length, in bytes.
    pub len: u64,
    /// Its parts, in order.
    pub parts: Vec<ListedPart>,
}

impl PartialEq for ListedPack {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
            && self.key.expose() == other.key.expose()
            && self.len == other.len
            && self.parts == other.parts
    }
}

impl Eq for ListedPack {}

/// One part of a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedPart {
    /// SHA-256 of its ciphertext: its name at the portal.
    pub sha256: Digest,
    /// Its length, in bytes.
    pub len: u64,
}

/// Proof that a letter was signed by the organisation that it names as its sender, for the transfer it came with,
/// and addressed to us.
#[derive(Debug, Clone)]
pub struct SenderVerified {
    organisation: VerifiedOrganisation,
}

impl SenderVerified {
    /// The sender, as its certificate names it.
    pub fn organisation(&self) -> &VerifiedOrganisation {
        &self.organisation
    }
}

/// Signs a letter and seals it to its recipients.
///
/// # Errors
/// If the signer is not the sender, a recipient is not of the care provider that the letter addresses, there are none
/// or too many, or the letter contradicts itself: what the other side would refuse is not sent.
pub fn seal(
    letter: &Letter,
    signer: &OrganisationSigner,
    recipients: &[&RecipientVerified],
    random: &dyn SecureRandom,
) -> Result<Vec<u8>, LetterError> {
    if letter.v != VERSION {
        return Err(LetterError::Malformed("version of the content is unknown"));
    }
    if letter.sender.ura != *signer.ura() {
        return Err(LetterError::Inconsistent("the signer is not the sender"));
    }
    check_lists(letter)?;
    let stanzas = u16::try_from(recipients.len()).unwrap_or(u16::MAX);
    if stanzas == 0 || stanzas > MAX_STANZAS {
        return Err(LetterError::Malformed("a letter has 1 to 16 recipients"));
    }
    if recipients.iter().any(|recipient| recipient.organisation().ura() != &letter.addressee.ura) {
        return Err(LetterError::Inconsistent("a recipient key is not of the addressee"));
    }
    let payload = serde_json::to_vec(letter).map(Zeroizing::new);
    let payload = payload.map_err(|_| LetterError::Malformed("content is not JSON"))?;
    let jws = Zeroizing::new(signer.sign(Kind::Letter, &payload, random));

    let mut key_bytes = [0; KEY_LEN];
    random.fill(&mut key_bytes).expect("the random source of the box works");
    let letter_key = SecretKey::from_bytes(key_bytes);
    key_bytes.zeroize();

    let mut sealed = Vec::with_capacity(HEAD_LEN + recipients.len() * STANZA_LEN + jws.len() + PADDING * 2);
    sealed.extend_from_slice(MAGIC);
    sealed.extend_from_slice(&SUITE.to_be_bytes());
    sealed.extend_from_slice(&stanzas.to_be_bytes());
    sealed.extend_from_slice(letter.transfer.as_bytes());
    for recipient in recipients {
        let info = wrap_info(&letter.transfer, &letter.addressee.ura, &recipient.key_id());
        let (encapsulated, wrapped) = single_shot_seal_with_rng::<AesGcm256, HkdfSha256, XWing>(
            &OpModeS::Base,
            recipient.key(),
            &info,
            letter_key.expose(),
            &[],
            &mut HpkeRandom(random),
        )
        .expect("HPKE seals 32 bytes to a valid key");
        sealed.extend_from_slice(recipient.key_id().as_bytes());
        sealed.extend_from_slice(&encapsulated.to_bytes());
        sealed.extend_from_slice(&wrapped);
    }
    let mut body = padded(&jws)?;
    letter_key
        .aead()
        .seal_in_place_append_tag(body_nonce(), Aad::from(&sealed), &mut body)
        .expect("AES-256-GCM seals a body that fits in memory");
    sealed.extend_from_slice(&body);
    if sealed.len() > MAX_LETTER_LEN {
        return Err(LetterError::Malformed("too many instances for one letter"));
    }
    Ok(sealed)
}

/// Opens a letter that came with a transfer, for this care provider.
///
/// # Errors
/// The first thing that is wrong. Nothing of the content is given out then.
pub fn open(
    sealed: &[u8],
    transfer: &TransferId,
    identity: &RecipientIdentity,
    our_ura: &Ura,
    anchors: &TrustAnchors,
    at: Timestamp,
) -> Result<(Letter, SenderVerified), LetterError> {
    let (head, stanzas, body) = split(sealed)?;
    if head.transfer != *transfer.as_bytes() {
        return Err(LetterError::OtherTransfer);
    }
    let our_id = identity.key_id();
    let stanza = stanzas.chunks_exact(STANZA_LEN).find(|stanza| stanza[..32] == *our_id.as_bytes());
    let stanza = stanza.ok_or(LetterError::NotForOurKey)?;
    let encapsulated = <XWing as Kem>::EncappedKey::from_bytes(&stanza[32..32 + ENCAPSULATED_LEN])
        .map_err(|_| LetterError::DoesNotAuthenticate)?;
    let info = wrap_info(transfer, our_ura, &our_id);
    let mut key_bytes = single_shot_open::<AesGcm256, HkdfSha256, XWing>(
        &OpModeR::Base,
        identity.private(),
        &encapsulated,
        &info,
        &stanza[32 + ENCAPSULATED_LEN..],
        &[],
    )
    .map_err(|_| LetterError::DoesNotAuthenticate)?;
    let key = <[u8; KEY_LEN]>::try_from(key_bytes.as_slice()).map(SecretKey::from_bytes);
    key_bytes.zeroize();
    let mut body = Zeroizing::new(body.to_vec());
    let associated = &sealed[..HEAD_LEN + stanzas.len()];
    let plaintext = key
        .map_err(|_| LetterError::DoesNotAuthenticate)?
        .aead()
        .open_in_place(body_nonce(), Aad::from(associated), &mut body)
        .map_err(|_| LetterError::DoesNotAuthenticate)?;
    read_body(plaintext, transfer, our_ura, anchors, at)
}

/// Reads what was sealed: all that is checked once the body is decrypted. Whoever has our public key can seal anything
/// to us, so this reads hostile bytes as much as [`open`] does.
fn read_body(
    plaintext: &[u8],
    transfer: &TransferId,
    our_ura: &Ura,
    anchors: &TrustAnchors,
    at: Timestamp,
) -> Result<(Letter, SenderVerified), LetterError> {
    let jws = unpadded(plaintext)?;
    let (payload, organisation) = jws::verify(Kind::Letter, jws, anchors, at).map_err(LetterError::Sender)?;
    let payload = Zeroizing::new(payload);
    let letter: Letter =
        serde_json::from_slice(&payload).map_err(|_| LetterError::Malformed("content cannot be read"))?;
    check_ends(&letter, transfer, our_ura, &organisation, at)?;
    check_lists(&letter)?;
    Ok((letter, SenderVerified { organisation }))
}

/// The door for the fuzz target: a body as whoever sealed the letter made it.
///
/// # Errors
/// As [`open`], from the padding on.
#[cfg(fuzzing)]
pub fn open_body(
    plaintext: &[u8],
    transfer: &TransferId,
    our_ura: &Ura,
    anchors: &TrustAnchors,
    at: Timestamp,
) -> Result<(Letter, SenderVerified), LetterError> {
    read_body(plaintext, transfer, our_ura, anchors, at)
}

fn check_ends(
    letter: &Letter,
    transfer: &TransferId,
    our_ura: &Ura,
    organisation: &VerifiedOrganisation,
    at: Timestamp,
) -> Result<(), LetterError> {
    if letter.v != VERSION {
        return Err(LetterError::Malformed("version of the content is unknown"));
    }
    if letter.transfer != *transfer {
        return Err(LetterError::OtherTransfer);
    }
    if letter.addressee.ura != *our_ura {
        return Err(LetterError::AddressedToSomeoneElse { found: letter.addressee.ura.clone() });
    }
    if letter.sender.ura != *organisation.ura() {
        let (expected, found) = (letter.sender.ura.clone(), organisation.ura().clone());
        return Err(LetterError::Sender(TrustError::UraDiffers { expected, found }));
    }
    if at > letter.valid_until {
        return Err(LetterError::Expired);
    }
    Ok(())
}

/// The lists of a letter must fit together before anything is fetched or written on their word.
fn check_lists(letter: &Letter) -> Result<(), LetterError> {
    let mut ids = HashSet::new();
    for pack in &letter.packs {
        if !ids.insert(pack.id) {
            return Err(LetterError::Inconsistent("a pack is listed twice"));
        }
        let mut left = pack.len;
        for part in &pack.parts {
            if part.len != left.min(PART_LEN) || part.len == 0 {
                return Err(LetterError::Inconsistent("parts do not add up to their pack"));
            }
            left -= part.len;
        }
        if left != 0 {
            return Err(LetterError::Inconsistent("parts do not add up to their pack"));
        }
    }
    let mut frames = HashSet::new();
    for instance in &letter.instances {
        let pack = usize::try_from(instance.pack).ok().and_then(|index| letter.packs.get(index));
        let pack = pack.ok_or(LetterError::Inconsistent("an instance names a pack that is not listed"))?;
        let end = instance.at.checked_add(instance.sealed);
        if instance.at < PACK_HEADER_LEN as u64
            || end.is_none_or(|end| end > pack.len)
            || instance.sealed < instance.size
        {
            return Err(LetterError::Inconsistent("an instance lies outside its pack"));
        }
        if !frames.insert((instance.pack, instance.frame)) {
            return Err(LetterError::Inconsistent("two instances name one frame"));
        }
    }
    let is_question = letter.about.as_ref().is_some_and(About::is_question);
    if letter.instances.is_empty() != is_question || is_question != letter.packs.is_empty() {
        return Err(LetterError::Inconsistent("no instances are listed, or a question carries some"));
    }
    if is_question && letter.in_answer_to.is_some() {
        return Err(LetterError::Inconsistent("a question is no answer"));
    }
    if let Some(About::RequestImaging { wanted }) = &letter.about {
        let texts = [letter.note.as_ref(), letter.reply_contact.as_ref()];
        check_request(&letter.patient, wanted, &texts)
            .map_err(|UnusableRequest(why)| LetterError::Inconsistent(why))?;
    }
    Ok(())
}

struct Head {
    transfer: [u8; 16],
}

fn split(sealed: &[u8]) -> Result<(Head, &[u8], &[u8]), LetterError> {
    if sealed.len() > MAX_LETTER_LEN {
        return Err(LetterError::Malformed("longer than a letter may be"));
    }
    let (head, rest) = sealed.split_first_chunk::<HEAD_LEN>().ok_or(LetterError::Malformed("cut short"))?;
    if &head[..8] != MAGIC {
        return Err(LetterError::Malformed("the magic number is missing"));
    }
    let suite = u16::from_be_bytes([head[8], head[9]]);
    if suite != SUITE {
        return Err(LetterError::UnknownSuite { found: suite });
    }
    let stanzas = u16::from_be_bytes([head[10], head[11]]);
    if stanzas == 0 || stanzas > MAX_STANZAS {
        return Err(LetterError::Malformed("a letter has 1 to 16 recipients"));
    }
    let (stanzas, body) = rest
        .split_at_checked(usize::from(stanzas) * STANZA_LEN)
        .filter(|(_, body)| body.len() > AUTH_TAG_LEN)
        .ok_or(LetterError::Malformed("cut short"))?;
    let mut transfer = [0; 16];
    transfer.copy_from_slice(&head[12..]);
    Ok((Head { transfer }, stanzas, body))
}

fn wrap_info(transfer: &TransferId, addressee: &Ura, key: &Digest) -> Vec<u8> {
    [b"beeldbox/1 letter".as_slice(), transfer.as_bytes(), addressee.as_str().as_bytes(), key.as_bytes()]
        .concat()
}

/// The letter key is used for one body only, so its nonce can be constant.
fn body_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn padded(jws: &str) -> Result<Vec<u8>, LetterError> {
    let length =
        u32::try_from(jws.len()).map_err(|_| LetterError::Malformed("too many instances for one letter"))?;
    let mut body = Vec::with_capacity((jws.len() + 4).next_multiple_of(PADDING) + AUTH_TAG_LEN);
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(jws.as_bytes());
    body.resize(body.len().next_multiple_of(PADDING), 0);
    Ok(body)
}

fn unpadded(plaintext: &[u8]) -> Result<&str, LetterError> {
    let bad = LetterError::Malformed("padding");
    let (length, rest) = plaintext.split_first_chunk::<4>().ok_or(bad.clone())?;
    if !plaintext.len().is_multiple_of(PADDING) {
        return Err(bad);
    }
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| bad.clone())?;
    let (jws, padding) = rest.split_at_checked(length).ok_or(bad.clone())?;
    if padding.len() >= PADDING || padding.iter().any(|byte| *byte != 0) {
        return Err(bad);
    }
    std::str::from_utf8(jws).map_err(|_| bad)
}

/// The box's random source in the form that the HPKE crate asks for.
struct HpkeRandom<'a>(&'a dyn SecureRandom);

impl rand_core::TryRng for HpkeRandom<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(dst).expect("the random source of the box works");
        Ok(())
    }
}

impl rand_core::TryCryptoRng for HpkeRandom<'_> {}

impl fmt::Debug for HpkeRandom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HpkeRandom")
    }
}

/// Pack keys inside a letter: base64url without padding.
mod key_text {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::{BASE64URL_NOPAD, KEY_LEN, SecretKey, Zeroize};

    pub(super) fn serialize<S: Serializer>(key: &SecretKey, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = BASE64URL_NOPAD.encode(key.expose());
        let result = serializer.serialize_str(&text);
        text.zeroize();
        result
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretKey, D::Error> {
        let mut text = String::deserialize(deserializer)?;
        let mut bytes =
            BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| D::Error::custom("not base64url"))?;
        text.zeroize();
        let key =
            <[u8; KEY_LEN]>::try_from(bytes.as_slice()).map_err(|_| D::Error::custom("not 32 bytes"))?;
        bytes.zeroize();
        Ok(SecretKey::from_bytes(key))
    }
}
