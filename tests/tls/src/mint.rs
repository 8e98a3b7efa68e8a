//! Keys, and certificates signed with them. What aws-lc refuses to make (short keys, MD5, SHA-1), `openssl` makes.

use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use jiff::Timestamp;

use crate::der;

/// How a certificate is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// ECDSA with SHA-256.
    EcdsaSha256,
    /// ECDSA with SHA-1.
    EcdsaSha1,
    /// RSA (PKCS #1 1.5) with SHA-256.
    RsaSha256,
    /// RSA with SHA-1.
    RsaSha1,
    /// RSA with MD5.
    RsaMd5,
}

impl Signature {
    fn identifier(self) -> Vec<u8> {
        let (oid, is_rsa) = match self {
            Signature::EcdsaSha256 => ("1.2.840.10045.4.3.2", false),
            Signature::EcdsaSha1 => ("1.2.840.10045.4.1", false),
            Signature::RsaSha256 => ("1.2.840.113549.1.1.11", true),
            Signature::RsaSha1 => ("1.2.840.113549.1.1.5", true),
            Signature::RsaMd5 => ("1.2.840.113549.1.1.4", true),
        };
        let mut parts = vec![der::oid(oid)];
        if is_rsa {
            parts.push(vec![5, 0]);
        }
        der::sequence(&parts)
    }

    fn digest(self) -> &'static str {
        match self {
            Signature::EcdsaSha256 | Signature::RsaSha256 => "-sha256",
            Signature::EcdsaSha1 | Signature::RsaSha1 => "-sha1",
            Signature::RsaMd5 => "-md5",
        }
    }
}

/// A key of any kind.
#[derive(Debug, Clone)]
pub struct Key {
    /// PKCS #8, in a file for `openssl`.
    pub file: PathBuf,
    /// The same.
    pub pkcs8: Vec<u8>,
    /// SubjectPublicKeyInfo.
    pub public: Vec<u8>,
}

impl Key {
    /// On the curve P-256.
    pub fn usual(folder: &Path, name: &str) -> Key {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key");
        let pkcs8 = pair.to_pkcs8v1().expect("a key").as_ref().to_vec();
        let kind = der::sequence(&[der::oid("1.2.840.10045.2.1"), der::oid("1.2.840.10045.3.1.7")]);
        let public = der::sequence(&[kind, der::bits(pair.public_key().as_ref())]);
        let file = folder.join(format!("{name}-key.der"));
        std::fs::write(&file, &pkcs8).expect("a key");
        Key { file, pkcs8, public }
    }

    /// Of a kind that `openssl genpkey` makes.
    pub fn by_openssl(folder: &Path, name: &str, algorithm: &str, option: &str) -> Key {
        let file = folder.join(format!("{name}-key.der"));
        let words = ["genpkey", "-algorithm", algorithm, "-pkeyopt", option, "-outform", "DER", "-out"];
        run(Command::new("openssl").args(words).arg(&file));
        let pkcs8 = std::fs::read(&file).expect("a key");
        let words = ["pkey", "-inform", "DER", "-pubout", "-outform", "DER", "-in"];
        let public = run(Command::new("openssl").args(words).arg(&file));
        Key { file, pkcs8, public }
    }

    fn sign(&self, how: Signature, message: &[u8]) -> Vec<u8> {
        if how == Signature::EcdsaSha256
            && let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.pkcs8)
        {
            return pair.sign(&SystemRandom::new(), message).expect("a signature").as_ref().to_vec();
        }
        let input = self.file.with_extension("message");
        std::fs::write(&input, message).expect("a message");
        let words = ["dgst", how.digest(), "-keyform", "DER", "-sign"];
        run(Command::new("openssl").args(words).arg(&self.file).arg(&input))
    }
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("openssl is missing; on Debian: apt-get install openssl");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// An extension: identifier, whether it is critical, value.
pub type Extension = (&'static str, bool, Vec<u8>);

/// A certificate before it is signed.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The number in the version field; 2 is v3. Without it there is no such field: v1.
    pub version: Option<u8>,
    /// Octets of the serial number.
    pub serial: Vec<u8>,
    /// Common name of the issuer.
    pub issuer: String,
    /// Common name of its owner.
    pub subject: String,
    /// First moment.
    pub from: Timestamp,
    /// Last moment.
    pub until: Timestamp,
    /// The owner's key.
    pub public: Vec<u8>,
    /// Extensions, in order.
    pub extensions: Vec<Extension>,
    /// How it is signed.
    pub signature: Signature,
    /// What its inside says of that, if something else.
    pub claimed_signature: Option<Signature>,
}

impl Draft {
    /// The part that is signed.
    fn inside(&self) -> Vec<u8> {
        let mut parts = Vec::new();
        if let Some(version) = self.version {
            parts.push(der::explicit(0, &der::integer(&[version])));
        }
        parts.push(der::integer(&self.serial));
        parts.push(self.claimed_signature.unwrap_or(self.signature).identifier());
        parts.push(der::name(&self.issuer));
        parts.push(der::sequence(&[der::time(self.from), der::time(self.until)]));
        parts.push(der::name(&self.subject));
        parts.push(self.public.clone());
        if !self.extensions.is_empty() {
            let extensions: Vec<Vec<u8>> = self.extensions.iter().map(extension).collect();
            parts.push(der::explicit(3, &der::sequence(&extensions)));
        }
        der::sequence(&parts)
    }

    /// Signs it.
    pub fn signed_by(&self, issuer: &Key) -> Vec<u8> {
        let inside = self.inside();
        let signature = issuer.sign(self.signature, &inside);
        self.with_signature(&signature)
    }

    /// With a signature from elsewhere.
    pub fn with_signature(&self, signature: &[u8]) -> Vec<u8> {
        der::sequence(&[self.inside(), self.signature.identifier(), der::bits(signature)])
    }

    /// Without the extension of this identifier.
    #[must_use]
    pub fn without(mut self, oid: &str) -> Draft {
        self.extensions.retain(|(found, ..)| *found != oid);
        self
    }

    /// With one more extension.
    #[must_use]
    pub fn and(mut self, extension: Extension) -> Draft {
        self.extensions.push(extension);
        self
    }

    /// With this extension instead of the one of the same identifier.
    #[must_use]
    pub fn with(self, extension: Extension) -> Draft {
        self.without(extension.0).and(extension)
    }
}

fn extension((oid, is_critical, value): &Extension) -> Vec<u8> {
    let mut parts = vec![der::oid(oid)];
    if *is_critical {
        parts.push(der::yes());
    }
    parts.push(der::octets(value));
    der::sequence(&parts)
}

/// basicConstraints: an authority with at most so many others below it, or none.
pub fn is_authority(path_length: Option<u8>) -> Extension {
    let mut parts = vec![der::yes()];
    parts.extend(path_length.map(|length| der::integer(&[length])));
    ("2.5.29.19", true, der::sequence(&parts))
}

/// basicConstraints: no authority.
pub fn is_no_authority() -> Extension {
    ("2.5.29.19", true, der::sequence(&[]))
}

/// keyUsage, from the first byte of its bits: 0x80 digital signature, 0x20 key encipherment, 0x04 signs certificates.
pub fn key_usage(bits: u8) -> Extension {
    let unused = u8::try_from(bits.trailing_zeros().min(7)).expect("at most seven");
    ("2.5.29.15", true, der::tlv(0x03, &[unused, bits]))
}

/// extendedKeyUsage of these purposes.
pub fn purposes(oids: &[&str]) -> Extension {
    ("2.5.29.37", false, der::sequence(&oids.iter().map(|oid| der::oid(oid)).collect::<Vec<_>>()))
}

/// subjectAltName of these general names.
pub fn other_names(names: &[Vec<u8>]) -> Extension {
    ("2.5.29.17", false, der::sequence(names))
}

/// A host's name.
pub fn dns(name: &str) -> Vec<u8> {
    der::implicit(2, name.as_bytes())
}

/// An address.
pub fn address(octets: [u8; 4]) -> Vec<u8> {
    der::implicit(7, &octets)
}

/// The name of a care provider as in a UZI server certificate; `kind` is `S` for a server.
pub fn uzi(ura: &str, kind: &str) -> Vec<u8> {
    let text = format!("2.16.528.1.1007.99.2110-1-900000001-{kind}-{ura}-00.000-00000000");
    let value = der::explicit(0, &der::tlv(0x16, text.as_bytes()));
    der::tlv(0xa0, &[der::oid("2.5.5.5"), value].concat())
}
