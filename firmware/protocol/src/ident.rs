//! Identifiers: every name that two programs exchange, as a type of its own.
//!
//! Parsing is the only way in, and a refusal names the rule that was broken. A value of one of these types has been
//! checked, so nothing behind the edge checks it again. Patient identifiers ([`Bsn`]) have no `Display` and a `Debug`
//! that prints a placeholder: they cannot slip into a log by accident.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use zeroize::ZeroizeOnDrop;

/// Which rule an identifier broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentError {
    /// Nothing was there.
    #[error("is empty")]
    Empty,
    /// Longer than the standard allows.
    #[error("has {length} characters, at most {limit} are allowed")]
    TooLong {
        /// Characters found.
        length: usize,
        /// Characters allowed.
        limit: usize,
    },
    /// Not the number of characters that the form asks for.
    #[error("has {length} characters, exactly {wanted} are needed")]
    WrongLength {
        /// Characters found.
        length: usize,
        /// Characters needed.
        wanted: usize,
    },
    /// A character that may not stand there.
    #[error("has a forbidden character at position {at}")]
    ForbiddenCharacter {
        /// Position from zero.
        at: usize,
    },
    /// The check digit does not fit (the "11-test" of a BSN).
    #[error("fails its check digit")]
    CheckDigit,
    /// Not of the form at all.
    #[error("is not {expected}")]
    Malformed {
        /// What was expected.
        expected: &'static str,
    },
}

/// Writes the text form of a checked string type: `Display`, `Debug`, `FromStr`, serde, `as_str`.
macro_rules! text_identifier {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The checked text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdentError;

            fn from_str(text: &str) -> Result<Self, IdentError> {
                $check(text).map($name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdentError;

            fn try_from(text: String) -> Result<Self, IdentError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

text_identifier!(
    /// Application entity title: 1–16 characters of the default repertoire, no backslash, no control characters;
    /// leading and trailing spaces do not count (PS3.5 §6.2, VR AE).
    AeTitle,
    checked_ae_title
);
text_identifier!(
    /// Study Instance UID (0020,000D).
    StudyInstanceUid,
    checked_uid
);
text_identifier!(
    /// Series Instance UID (0020,000E).
    SeriesInstanceUid,
    checked_uid
);
text_identifier!(
    /// SOP Instance UID (0008,0018): names one stored object.
    SopInstanceUid,
    checked_uid
);
text_identifier!(
    /// SOP Class UID (0008,0016): names the kind of object or service.
    SopClassUid,
    checked_uid
);
text_identifier!(
    /// Transfer Syntax UID: names how a data set is encoded (PS3.5 §10).
    TransferSyntaxUid,
    checked_uid
);
text_identifier!(
    /// Transaction UID (0008,1195): names a request for storage commitment.
    TransactionUid,
    checked_uid
);
text_identifier!(
    /// URA: the eight-digit number of a care provider in the national register of subscribers.
    Ura,
    checked_ura
);
text_identifier!(
    /// Who can be addressed: the logical id of an entry in the national directory (FHIR id: 1–64 of `A–Z a–z 0–9 - .`).
    AddresseeId,
    checked_fhir_id
);

fn checked_ae_title(text: &str) -> Result<String, IdentError> {
    let title = text.trim_matches(' ');
    if title.is_empty() {
        return Err(IdentError::Empty);
    }
    if let Some(at) = title.bytes().position(|b| b == b'\\' || !(0x20..0x7f).contains(&b)) {
        return Err(IdentError::ForbiddenCharacter { at });
    }
    if title.len() > 16 {
        return Err(IdentError::TooLong { length: title.len(), limit: 16 });
    }
    Ok(title.to_owned())
}

/// PS3.5 §9.1: components of digits joined by dots, at most 64 characters. Leading zeros inside a component are
/// forbidden by the standard but occur in the field; they are kept, because changing a UID would be worse.
fn checked_uid(text: &str) -> Result<String, IdentError> {
    let uid = text.trim_end_matches(['\0', ' ']);
    if uid.is_empty() {
        return Err(IdentError::Empty);
    }
    if uid.len() > 64 {
        return Err(IdentError::TooLong { length: uid.len(), limit: 64 });
    }
    if let Some(at) = uid.bytes().position(|b| b != b'.' && !b.is_ascii_digit()) {
        return Err(IdentError::ForbiddenCharacter { at });
    }
    if uid.split('.').any(str::is_empty) {
        return Err(IdentError::Malformed { expected: "digits joined by single dots" });
    }
    Ok(uid.to_owned())
}

fn checked_ura(text: &str) -> Result<String, IdentError> {
    if text.len() != 8 {
        return Err(IdentError::WrongLength { length: text.len(), wanted: 8 });
    }
    match text.bytes().position(|b| !b.is_ascii_digit()) {
        Some(at) => Err(IdentError::ForbiddenCharacter { at }),
        None => Ok(text.to_owned()),
    }
}

fn checked_fhir_id(text: &str) -> Result<String, IdentError> {
    if text.is_empty() {
        return Err(IdentError::Empty);
    }
    if text.len() > 64 {
        return Err(IdentError::TooLong { length: text.len(), limit: 64 });
    }
    match text.bytes().position(|b| !(b.is_ascii_alphanumeric() || b == b'-' || b == b'.')) {
        Some(at) => Err(IdentError::ForbiddenCharacter { at }),
        None => Ok(text.to_owned()),
    }
}

/// Burgerservicenummer: the national number of a person. Nine digits that pass the 11-test.
///
/// Passing the test shows only that the number is well formed. There is no `Display`; whoever must show it to a
/// person calls [`Bsn::reveal`]. Wiped when dropped.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ZeroizeOnDrop)]
#[serde(try_from = "String", into = "String")]
pub struct Bsn(String);

impl Bsn {
    /// The nine digits, for the one place that shows or sends them.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl FromStr for Bsn {
    type Err = IdentError;

    /// Eight digits are padded on the left: leading zeros are often lost on the way.
    fn from_str(text: &str) -> Result<Self, IdentError> {
        let text = text.trim();
        if let Some(at) = text.bytes().position(|b| !b.is_ascii_digit()) {
            return Err(IdentError::ForbiddenCharacter { at });
        }
        if text.len() != 8 && text.len() != 9 {
            return Err(IdentError::WrongLength { length: text.len(), wanted: 9 });
        }
        let padded = format!("{text:0>9}");
        let digits = padded.bytes().map(|b| i32::from(b - b'0'));
        let sum: i32 = digits.zip([9, 8, 7, 6, 5, 4, 3, 2, -1]).map(|(digit, weight)| digit * weight).sum();
        if sum % 11 != 0 || padded.bytes().all(|b| b == b'0') {
            return Err(IdentError::CheckDigit);
        }
        Ok(Bsn(padded))
    }
}

impl TryFrom<String> for Bsn {
    type Error = IdentError;

    fn try_from(text: String) -> Result<Self, IdentError> {
        text.parse()
    }
}

impl From<Bsn> for String {
    fn from(mut value: Bsn) -> String {
        std::mem::take(&mut value.0)
    }
}

impl fmt::Debug for Bsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bsn(withheld)")
    }
}

/// Names one transfer: one decision to send one study to one addressee. A random UUID (RFC 9562), so that it says
/// nothing about patient, study or hospital.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TransferId(uuid::Uuid);

impl TransferId {
    /// Made from 16 random bytes that the caller supplies.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        TransferId(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// The 16 bytes, as they stand in associated data.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl FromStr for TransferId {
    type Err = IdentError;

    fn from_str(text: &str) -> Result<Self, IdentError> {
        let malformed = IdentError::Malformed { expected: "a UUID in lower case with hyphens" };
        let id = uuid::Uuid::try_parse(text).map_err(|_| malformed.clone())?;
        // One spelling only: the text is used as a key and in paths.
        if id.hyphenated().to_string() == text { Ok(TransferId(id)) } else { Err(malformed) }
    }
}

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransferId({self})")
    }
}

/// SHA-256 of some content (FIPS 180-4). Written as 64 lower-case hexadecimal characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Digest of bytes at hand.
    pub fn of(content: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content).as_ref());
        Digest(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Digest(bytes)
    }
}

impl FromStr for Digest {
    type Err = IdentError;

    fn from_str(text: &str) -> Result<Self, IdentError> {
        if text.len() != 64 {
            return Err(IdentError::WrongLength { length: text.len(), wanted: 64 });
        }
        let bytes = HEXLOWER.decode(text.as_bytes());
        match bytes.ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) {
            Some(bytes) => Ok(Digest(bytes)),
            None => Err(IdentError::Malformed { expected: "lower-case hexadecimal" }),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = IdentError;

    fn try_from(text: String) -> Result<Self, IdentError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(value: Digest) -> String {
        value.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// SHA-256 while the content passes by.
pub struct RunningDigest(aws_lc_rs::digest::Context);

impl RunningDigest {
    /// Nothing digested yet.
    pub fn new() -> Self {
        RunningDigest(aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256))
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of everything taken.
    pub fn finish(self) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref());
        Digest(bytes)
    }
}

impl Default for RunningDigest {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ae_title_is_trimmed_and_bounded() {
        assert_eq!("  CT1 ".parse::<AeTitle>().unwrap().as_str(), "CT1");
        assert_eq!("   ".parse::<AeTitle>(), Err(IdentError::Empty));
        assert_eq!("A\\B".parse::<AeTitle>(), Err(IdentError::ForbiddenCharacter { at: 1 }));
        assert_eq!(
            "SEVENTEENLETTERS!".parse::<AeTitle>(),
            Err(IdentError::TooLong { length: 17, limit: 16 })
        );
        assert!("CAFÉ".parse::<AeTitle>().is_err());
    }

    #[test]
    fn uid_padding_is_dropped_and_nonsense_refused() {
        assert_eq!("1.2.840\0".parse::<SopClassUid>().unwrap().as_str(), "1.2.840");
        assert!("1..2".parse::<SopClassUid>().is_err());
        assert!("1.2a".parse::<SopClassUid>().is_err());
        assert!(".1".parse::<SopClassUid>().is_err());
        assert!("1".repeat(65).parse::<SopClassUid>().is_err());
        assert!("../../etc/passwd".parse::<SopInstanceUid>().is_err());
    }

    #[test]
    fn bsn_needs_the_eleven_test() {
        assert_eq!("999990019".parse::<Bsn>().unwrap().reveal(), "999990019");
        assert_eq!("999990018".parse::<Bsn>(), Err(IdentError::CheckDigit));
        assert_eq!("000000000".parse::<Bsn>(), Err(IdentError::CheckDigit));
        assert!("12345678a".parse::<Bsn>().is_err());
        assert_eq!("10000008".parse::<Bsn>().map(String::from).ok(), Some("010000008".to_owned()));
    }

    #[test]
    fn bsn_does_not_print() {
        let bsn: Bsn = "999990019".parse().unwrap();
        assert!(!format!("{bsn:?}").contains("999990019"));
    }

    #[test]
    fn ura_is_eight_digits() {
        assert!("90000381".parse::<Ura>().is_ok());
        assert!("9000381".parse::<Ura>().is_err());
        assert!("9000038A".parse::<Ura>().is_err());
    }

    #[test]
    fn transfer_id_has_one_spelling() {
        let id = TransferId::from_random([0xab; 16]);
        assert_eq!(id.to_string().parse::<TransferId>(), Ok(id));
        assert!(id.to_string().to_uppercase().parse::<TransferId>().is_err());
        assert!(id.to_string().replace('-', "").parse::<TransferId>().is_err());
    }

    #[test]
    fn digest_reads_back() {
        let digest = Digest::of(b"beeldbox");
        assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
        assert!(digest.to_string().to_uppercase().parse::<Digest>().is_err());
        let mut running = RunningDigest::new();
        running.update(b"beeld");
        running.update(b"box");
        assert_eq!(running.finish(), digest);
    }
}
