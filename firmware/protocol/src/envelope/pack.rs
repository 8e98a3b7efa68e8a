//! Packs, frames and chunks: how bulk data is sealed, walked and opened.
//!
//! ```text
//!   pack   = header (64 bytes) | frame | frame | …
//!   frame  = "FRM1" | codec | 000000 | salt (16)   then   chunk | chunk | … | last chunk
//!   chunk  = length and last-flag (4) | AES-256-GCM ciphertext | tag (16)
//!   inside = description | data set | length (8) | SHA-256 (32)
//! ```
//!
//! One pack, one random key; one frame, one instance, one derived key. The chunks of a frame are the STREAM
//! construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015): counter and last-chunk flag stand in the nonce, so a
//! chunk cannot be dropped, repeated, reordered or cut off unseen. The frame's key is derived from the pack's key,
//! the pack's id and the frame's index, so a frame cannot be moved within its pack or into another.
//!
//! The lengths stand outside the encryption, so that a pack can be walked without its key; what is authenticated is
//! that they are right. Invariants: nothing is released before its chunk authenticates; [`FrameOpener::finish`]
//! succeeds only after the last chunk, with length and digest of the data set equal to those inside.

use std::fmt;

use aws_lc_rs::aead::{Aad, LessSafeKey, Nonce};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::data_set_digest::DataSetDigest;
use super::keys::{AUTH_TAG_LEN, SecretKey};
use crate::ident::{
    AeTitle, Digest, IdentError, RunningDigest, SeriesInstanceUid, SopClassUid, SopInstanceUid,
    StudyInstanceUid, TransferSyntaxUid,
};

/// The one cipher suite of version 1: HKDF-SHA-256, AES-256-GCM in STREAM, SHA-256; letters with HPKE X-Wing.
pub const SUITE: u16 = 1;

/// Plaintext bytes in a full chunk.
pub const CHUNK_LEN: usize = 65_536;

/// Bytes of a pack header.
pub const PACK_HEADER_LEN: usize = 64;

/// Bytes of a frame header.
pub const FRAME_HEADER_LEN: usize = 24;

/// Bytes before each chunk: length and last-flag.
pub const CHUNK_HEAD_LEN: usize = 4;

/// Bytes of ciphertext and tag in a full chunk.
pub const MAX_SEALED_CHUNK_LEN: usize = CHUNK_LEN + AUTH_TAG_LEN;

/// Bytes at the end of a frame's plaintext: length and SHA-256 of the data set.
const TRAILER_LEN: usize = 40;

const PACK_MAGIC: &[u8; 8] = b"BEELDPK1";
const FRAME_MAGIC: &[u8; 4] = b"FRM1";
const LAST_CHUNK: u32 = 1 << 31;
const DESCRIPTION_VERSION: u8 = 1;

/// Why a pack or a frame is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// The first bytes are not those of a pack.
    #[error("not a pack: the magic number is missing")]
    NotAPack,
    /// Sealed with a suite that this version does not know.
    #[error("pack uses cipher suite {found}, this version knows suite {SUITE}")]
    UnknownSuite {
        /// The suite found.
        found: u16,
    },
    /// Reserved bytes are not zero: written by a later version, or damaged.
    #[error("reserved bytes are in use")]
    ReservedInUse,
    /// The pack belongs to another key.
    #[error("the key does not belong to this pack")]
    WrongKey,
    /// A frame does not begin where one must.
    #[error("no frame begins here")]
    NotAFrame,
    /// A codec that this version does not know.
    #[error("frame is coded with codec {found}, this version knows codec 0")]
    UnknownCodec {
        /// The codec found.
        found: u8,
    },
    /// A chunk's length cannot be right.
    #[error("chunk of {length} bytes is outside the bounds of the format")]
    ChunkLength {
        /// The length found.
        length: u32,
    },
    /// The bytes end inside a frame.
    #[error("truncated: the bytes end inside a frame")]
    Truncated,
    /// A chunk was changed, moved, repeated or taken from elsewhere.
    #[error("chunk {index} does not authenticate")]
    ChunkDoesNotAuthenticate {
        /// Index of the chunk within its frame, from zero.
        index: u32,
    },
    /// Bytes follow the last chunk.
    #[error("a chunk follows the last one")]
    AfterLast,
    /// The description at the start of the frame cannot be read.
    #[error("the description of the instance is not valid: {what}")]
    Description {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The data set is not as long as the frame says, or has another digest.
    #[error("length or digest of the data set differs from what the frame says")]
    DataSetDiffers,
    /// The instance is longer than one frame can hold.
    #[error("the instance is longer than a frame can hold")]
    TooLong,
    /// The end of a frame was asked for without the digest of its data set.
    #[error("the digest of the data set was taken elsewhere and is missing here")]
    DigestedElsewhere,
}

/// Name of a pack: 16 random bytes, written as 32 hexadecimal characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackId([u8; 16]);

impl PackId {
    /// Made from random bytes that the caller supplies.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        PackId(bytes)
    }

    /// The 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackId({self})")
    }
}

impl std::str::FromStr for PackId {
    type Err = IdentError;

    fn from_str(text: &str) -> Result<Self, IdentError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        bytes.map(PackId).ok_or(IdentError::Malformed { expected: "32 lower-case hexadecimal characters" })
    }
}

impl TryFrom<String> for PackId {
    type Error = IdentError;

    fn try_from(text: String) -> Result<Self, IdentError> {
        text.parse()
    }
}

impl From<PackId> for String {
    fn from(id: PackId) -> String {
        id.to_string()
    }
}

/// What a frame says about its instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceDescription {
    /// SOP Class UID, as the C-STORE command named it.
    pub sop_class: SopClassUid,
    /// SOP Instance UID, as the C-STORE command named it.
    pub sop_instance: SopInstanceUid,
    /// The negotiated transfer syntax: how the data set is encoded.
    pub transfer_syntax: TransferSyntaxUid,
    /// Study Instance UID, unless the sender left it out.
    pub study: Option<StudyInstanceUid>,
    /// Series Instance UID, unless the sender left it out.
    pub series: Option<SeriesInstanceUid>,
    /// Calling AE title of the association that brought the instance.
    pub source_ae: AeTitle,
}

impl InstanceDescription {
    /// `version (1)`, then six times `length (1) | ASCII text`; an absent UID has length 0.
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(DESCRIPTION_VERSION);
        let fields = [
            self.sop_class.as_str(),
            self.sop_instance.as_str(),
            self.transfer_syntax.as_str(),
            self.study.as_ref().map_or("", StudyInstanceUid::as_str),
            self.series.as_ref().map_or("", SeriesInstanceUid::as_str),
            self.source_ae.as_str(),
        ];
        for field in fields {
            out.push(u8::try_from(field.len()).expect("an identifier has at most 64 characters"));
            out.extend_from_slice(field.as_bytes());
        }
    }

    /// Reads a description from the start of a frame's plaintext; gives it and the bytes behind it.
    fn decode(plaintext: &[u8]) -> Result<(Self, &[u8]), PackError> {
        let bad = |what| PackError::Description { what };
        let (version, mut rest) = plaintext.split_first().ok_or(bad("it is missing"))?;
        if *version != DESCRIPTION_VERSION {
            return Err(bad("its version is unknown"));
        }
        let mut next = || -> Result<&str, PackError> {
            let (length, tail) = rest.split_first().ok_or(bad("it is cut short"))?;
            let (field, tail) = tail.split_at_checked(usize::from(*length)).ok_or(bad("it is cut short"))?;
            rest = tail;
            std::str::from_utf8(field).map_err(|_| bad("it is not text"))
        };
        let description = InstanceDescription {
            sop_class: next()?.parse().map_err(|_| bad("SOP class"))?,
            sop_instance: next()?.parse().map_err(|_| bad("SOP instance"))?,
            transfer_syntax: next()?.parse().map_err(|_| bad("transfer syntax"))?,
            study: optional(next()?).map_err(|_| bad("study"))?,
            series: optional(next()?).map_err(|_| bad("series"))?,
            source_ae: next()?.parse().map_err(|_| bad("source AE title"))?,
        };
        Ok((description, rest))
    }
}

fn optional<T: std::str::FromStr<Err = IdentError>>(text: &str) -> Result<Option<T>, IdentError> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
}

/// Makes the 64 bytes a pack begins with: magic, suite, reserved, id, and a commitment to the key, which tells a wrong
/// key from damage and binds the pack to one key (AES-GCM alone does not).
pub fn pack_header(id: &PackId, key: &SecretKey) -> [u8; PACK_HEADER_LEN] {
    let mut header = [0; PACK_HEADER_LEN];
    header[..8].copy_from_slice(PACK_MAGIC);
    header[8..10].copy_from_slice(&SUITE.to_be_bytes());
    header[16..32].copy_from_slice(&id.0);
    header[32..].copy_from_slice(key.derive(&id.0, &[b"beeldbox/1 pack commitment"]).expose());
    header
}

/// Reads a pack header without a key.
///
/// # Errors
/// If it is not the header of a pack of this version.
pub fn read_pack_header(header: &[u8; PACK_HEADER_LEN]) -> Result<PackId, PackError> {
    if &header[..8] != PACK_MAGIC {
        return Err(PackError::NotAPack);
    }
    let suite = u16::from_be_bytes([header[8], header[9]]);
    if suite != SUITE {
        return Err(PackError::UnknownSuite { found: suite });
    }
    if header[10..16] != [0; 6] {
        return Err(PackError::ReservedInUse);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&header[16..32]);
    Ok(PackId(id))
}

/// Reads a pack header and checks that the key belongs to the pack.
///
/// # Errors
/// As [`read_pack_header`], and [`PackError::WrongKey`].
pub fn check_pack_header(header: &[u8; PACK_HEADER_LEN], key: &SecretKey) -> Result<PackId, PackError> {
    let id = read_pack_header(header)?;
    let expected = pack_header(&id, key);
    aws_lc_rs::constant_time::verify_slices_are_equal(&expected, header).map_err(|_| PackError::WrongKey)?;
    Ok(id)
}

/// Where a chunk ends and whether it is the frame's last, read from the four bytes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkHead {
    /// Bytes of ciphertext and tag that follow.
    pub sealed_len: usize,
    /// Whether the frame ends after it.
    pub is_last: bool,
}

impl ChunkHead {
    /// Reads the four bytes.
    ///
    /// # Errors
    /// If the length is outside the bounds of the format.
    pub fn parse(bytes: [u8; CHUNK_HEAD_LEN]) -> Result<Self, PackError> {
        let value = u32::from_be_bytes(bytes);
        let length = value & !LAST_CHUNK;
        let sealed_len = usize::try_from(length).map_err(|_| PackError::ChunkLength { length })?;
        if !(AUTH_TAG_LEN + 1..=MAX_SEALED_CHUNK_LEN).contains(&sealed_len) {
            return Err(PackError::ChunkLength { length });
        }
        Ok(ChunkHead { sealed_len, is_last: value & LAST_CHUNK != 0 })
    }

    fn encode(self) -> [u8; CHUNK_HEAD_LEN] {
        let length = u32::try_from(self.sealed_len).expect("a chunk is at most 64 KiB and a tag");
        (if self.is_last { length | LAST_CHUNK } else { length }).to_be_bytes()
    }
}

/// What a finished frame contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameSummary {
    /// Length of the data set, in bytes.
    pub data_set_len: u64,
    /// SHA-256 of the data set.
    pub data_set_digest: Digest,
}

fn frame_key(pack_key: &SecretKey, pack: &PackId, index: u32, codec: u8, salt: &[u8; 16]) -> LessSafeKey {
    let index = index.to_be_bytes();
    pack_key.derive(salt, &[b"beeldbox/1 frame", &pack.0, &index, &[codec]]).aead()
}

fn chunk_nonce(counter: u32, is_last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[7..11].copy_from_slice(&counter.to_be_bytes());
    nonce[11] = u8::from(is_last);
    Nonce::assume_unique_for_key(nonce)
}

/// Seals one instance as it arrives. Sealed bytes are appended to the buffer handed in with each call, so the caller
/// decides when to write them; at most one chunk of plaintext is held.
pub struct FrameSealer {
    key: LessSafeKey,
    counter: u32,
    plaintext: Vec<u8>,
    data_set_len: u64,
    /// Nothing if somebody else takes the digest.
    digest: Option<RunningDigest>,
}

impl FrameSealer {
    /// Begins the frame with the given index in its pack. `salt` must be fresh random bytes.
    pub fn new(
        pack_key: &SecretKey,
        pack: &PackId,
        index: u32,
        salt: [u8; 16],
        description: &InstanceDescription,
        out: &mut Vec<u8>,
    ) -> Self {
        let sealer = FrameSealer::digested_elsewhere(pack_key, pack, index, salt, description, out);
        FrameSealer { digest: Some(RunningDigest::new()), ..sealer }
    }

    /// Begins a frame whose data set is digested by somebody else; it ends with [`FrameSealer::finish_digested`].
    pub fn digested_elsewhere(
        pack_key: &SecretKey,
        pack: &PackId,
        index: u32,
        salt: [u8; 16],
        description: &InstanceDescription,
        out: &mut Vec<u8>,
    ) -> Self {
        out.extend_from_slice(FRAME_MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&salt);
        let mut plaintext = Vec::with_capacity(CHUNK_LEN);
        description.encode(&mut plaintext);
        FrameSealer {
            key: frame_key(pack_key, pack, index, 0, &salt),
            counter: 0,
            plaintext,
            data_set_len: 0,
            digest: None,
        }
    }

    /// Takes the next piece of the data set.
    ///
    /// # Errors
    /// [`PackError::TooLong`] after 2³² chunks (256 TiB).
    pub fn write(&mut self, mut piece: &[u8], out: &mut Vec<u8>) -> Result<(), PackError> {
        if let Some(digest) = &mut self.digest {
            digest.update(piece);
        }
        self.data_set_len += piece.len() as u64;
        while let Some((now, later)) = piece.split_at_checked(CHUNK_LEN - self.plaintext.len()) {
            self.seal_chunk(now, false, out)?;
            piece = later;
        }
        self.plaintext.extend_from_slice(piece);
        Ok(())
    }

    /// Ends the frame with length and digest of the data set.
    ///
    /// # Errors
    /// [`PackError::TooLong`] after 2³² chunks, [`PackError::DigestedElsewhere`] if the digest was not taken here.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<FrameSummary, PackError> {
        let digest = self.digest.take().ok_or(PackError::DigestedElsewhere)?.finish();
        self.end(digest, out)
    }

    /// Ends the frame with the digest that somebody else took of the same pieces.
    ///
    /// # Errors
    /// [`PackError::DataSetDiffers`] if it is of more or fewer bytes than were sealed, [`PackError::TooLong`] after 2³²
    /// chunks.
    pub fn finish_digested(
        self,
        digest: DataSetDigest,
        out: &mut Vec<u8>,
    ) -> Result<FrameSummary, PackError> {
        if digest.len_bytes() != self.data_set_len {
            return Err(PackError::DataSetDiffers);
        }
        self.end(digest.digest(), out)
    }

    fn end(mut self, digest: Digest, out: &mut Vec<u8>) -> Result<FrameSummary, PackError> {
        // The trailer never straddles two chunks, so that the last chunk alone tells how the frame ends.
        if self.plaintext.len() + TRAILER_LEN > CHUNK_LEN {
            self.seal_chunk(&[], false, out)?;
        }
        self.plaintext.extend_from_slice(&self.data_set_len.to_be_bytes());
        self.seal_chunk(digest.as_bytes(), true, out)?;
        Ok(FrameSummary { data_set_len: self.data_set_len, data_set_digest: digest })
    }

    /// Seals what is held and `rest` behind it as one chunk, in place in `out`: every byte is copied once on its way.
    fn seal_chunk(&mut self, rest: &[u8], is_last: bool, out: &mut Vec<u8>) -> Result<(), PackError> {
        let head = ChunkHead { sealed_len: self.plaintext.len() + rest.len() + AUTH_TAG_LEN, is_last };
        out.extend_from_slice(&head.encode());
        let begin = out.len();
        out.extend_from_slice(&self.plaintext);
        out.extend_from_slice(rest);
        let nonce = chunk_nonce(self.counter, is_last);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::empty(), &mut out[begin..])
            .expect("AES-256-GCM seals a 64 KiB chunk");
        out.extend_from_slice(tag.as_ref());
        self.plaintext.clear();
        self.counter = self.counter.checked_add(1).ok_or(PackError::TooLong)?;
        Ok(())
    }
}

/// Opens one frame chunk by chunk. The caller reads the bytes and hands them in; this only decides whether they are
/// genuine.
pub struct FrameOpener {
    key: LessSafeKey,
    counter: u32,
    description: Option<InstanceDescription>,
    data_set_len: u64,
    digest: RunningDigest,
    trailer: Option<FrameSummary>,
}

impl FrameOpener {
    /// Begins with the frame header that stands at the given index of the pack.
    ///
    /// # Errors
    /// If it is not a frame header of this version.
    pub fn new(
        pack_key: &SecretKey,
        pack: &PackId,
        index: u32,
        header: &[u8; FRAME_HEADER_LEN],
    ) -> Result<Self, PackError> {
        let (codec, salt) = read_frame_header(header)?;
        Ok(FrameOpener {
            key: frame_key(pack_key, pack, index, codec, &salt),
            counter: 0,
            description: None,
            data_set_len: 0,
            digest: RunningDigest::new(),
            trailer: None,
        })
    }

    /// Authenticates the next chunk in place and gives the piece of the data set in it (possibly empty).
    ///
    /// # Errors
    /// If the chunk does not belong here, or the frame is not well formed inside.
    pub fn open_chunk<'a>(&mut self, head: ChunkHead, sealed: &'a mut [u8]) -> Result<&'a [u8], PackError> {
        if self.trailer.is_some() {
            return Err(PackError::AfterLast);
        }
        let index = self.counter;
        let plaintext: &'a [u8] = self
            .key
            .open_in_place(chunk_nonce(index, head.is_last), Aad::empty(), sealed)
            .map_err(|_| PackError::ChunkDoesNotAuthenticate { index })?;
        self.counter = self.counter.checked_add(1).ok_or(PackError::TooLong)?;
        let mut piece = plaintext;
        if self.description.is_none() {
            let (description, rest) = InstanceDescription::decode(piece)?;
            self.description = Some(description);
            piece = rest;
        }
        if head.is_last {
            let at = piece.len().checked_sub(TRAILER_LEN).ok_or(PackError::DataSetDiffers)?;
            let (data, trailer) = piece.split_at(at);
            self.trailer = Some(read_trailer(trailer));
            piece = data;
        }
        self.digest.update(piece);
        self.data_set_len += piece.len() as u64;
        Ok(piece)
    }

    /// What the frame says about its instance; known after the first chunk.
    pub fn description(&self) -> Option<&InstanceDescription> {
        self.description.as_ref()
    }

    /// Whether the last chunk has been opened.
    pub fn is_complete(&self) -> bool {
        self.trailer.is_some()
    }

    /// Ends the frame: every chunk was there, in order, and the data set is what it was.
    ///
    /// # Errors
    /// [`PackError::Truncated`] before the last chunk, [`PackError::DataSetDiffers`] if length or digest differ.
    pub fn finish(self) -> Result<(InstanceDescription, FrameSummary), PackError> {
        let (Some(description), Some(said)) = (self.description, self.trailer) else {
            return Err(PackError::Truncated);
        };
        let found = FrameSummary { data_set_len: self.data_set_len, data_set_digest: self.digest.finish() };
        if found == said { Ok((description, said)) } else { Err(PackError::DataSetDiffers) }
    }
}

/// Reads a frame header: codec and salt.
///
/// # Errors
/// If no frame of this version begins here.
pub fn read_frame_header(header: &[u8; FRAME_HEADER_LEN]) -> Result<(u8, [u8; 16]), PackError> {
    if &header[..4] != FRAME_MAGIC {
        return Err(PackError::NotAFrame);
    }
    if header[4] != 0 {
        return Err(PackError::UnknownCodec { found: header[4] });
    }
    if header[5..8] != [0; 3] {
        return Err(PackError::ReservedInUse);
    }
    let mut salt = [0; 16];
    salt.copy_from_slice(&header[8..]);
    Ok((header[4], salt))
}

fn read_trailer(trailer: &[u8]) -> FrameSummary {
    let (length, digest) = trailer.split_at(8);
    let mut length_bytes = [0; 8];
    length_bytes.copy_from_slice(length);
    let mut digest_bytes = [0; 32];
    digest_bytes.copy_from_slice(digest);
    FrameSummary {
        data_set_len: u64::from_be_bytes(length_bytes),
        data_set_digest: Digest::from(digest_bytes),
    }
}
