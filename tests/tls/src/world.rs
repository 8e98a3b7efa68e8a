//! The authorities of the table: one that is trusted, what it has issued, and some who only look like it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};

use crate::mint::{
    Draft, Key, Signature, dns, is_authority, is_no_authority, key_usage, other_names, purposes, uzi,
};

/// What server certificates are for.
pub const SERVER: &str = "1.3.6.1.5.5.7.3.1";
/// What client certificates are for.
pub const CLIENT: &str = "1.3.6.1.5.5.7.3.2";

/// The URA in client certificates: that of the first hospital.
pub const URA: &str = "90000381";

/// Which end of a connection shows a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The one that is called.
    Server,
    /// The one that calls.
    Client,
}

/// Keys and authorities.
pub struct World {
    /// The moment at which all of it is made.
    pub now: Timestamp,
    /// Whom everybody trusts.
    pub root: Key,
    /// Everybody's first key.
    pub own: Key,
    /// Another's.
    pub other: Key,
    /// Of an authority between the root and the owner.
    pub between: Key,
    /// RSA, of 2048 bits.
    pub rsa: Key,
    /// RSA, of 1024 bits.
    pub short_rsa: Key,
    /// On the curve P-192.
    pub short_curve: Key,
    folder: PathBuf,
}

/// Name of the trusted authority.
pub const ROOT: &str = "Beeldbox test root";

impl World {
    /// Makes all keys; files go into the folder.
    pub fn new(folder: &Path, now: Timestamp) -> World {
        let usual = |name| Key::usual(folder, name);
        let rsa = |name, bits| Key::by_openssl(folder, name, "RSA", bits);
        let world = World {
            now,
            root: usual("root"),
            own: usual("own"),
            other: usual("other"),
            between: usual("between"),
            rsa: rsa("rsa", "rsa_keygen_bits:2048"),
            short_rsa: rsa("short-rsa", "rsa_keygen_bits:1024"),
            short_curve: Key::by_openssl(folder, "short-curve", "EC", "ec_paramgen_curve:P-192"),
            folder: folder.to_owned(),
        };
        std::fs::write(world.trusted(), pem(&world.root_certificate())).expect("a file");
        world
    }

    /// The file with the trusted authority, PEM.
    pub fn trusted(&self) -> PathBuf {
        self.folder.join("root.pem")
    }

    /// The folder with all files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The trusted authority's own certificate.
    pub fn root_certificate(&self) -> Vec<u8> {
        self.authority(ROOT, ROOT, &self.root).signed_by(&self.root)
    }

    /// A good certificate of an authority.
    pub fn authority(&self, subject: &str, issuer: &str, key: &Key) -> Draft {
        Draft {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            public: key.public.clone(),
            extensions: vec![is_authority(None), key_usage(0x06)],
            ..self.draft()
        }
    }

    /// A good certificate of the authority in between.
    pub fn between(&self) -> Draft {
        self.authority("Between", ROOT, &self.between)
    }

    /// A good certificate for an end, by the root.
    pub fn good(&self, end: End) -> Draft {
        let (name, purpose) = match end {
            End::Server => (dns("localhost"), SERVER),
            End::Client => (uzi(URA, "S"), CLIENT),
        };
        Draft {
            extensions: vec![other_names(&[name]), key_usage(0x80), purposes(&[purpose]), is_no_authority()],
            ..self.draft()
        }
    }

    /// The same, by the authority in between.
    pub fn good_by_between(&self, end: End) -> Draft {
        Draft { issuer: "Between".to_owned(), ..self.good(end) }
    }

    /// So many days from now.
    pub fn days(&self, days: i64) -> Timestamp {
        self.now + SignedDuration::from_hours(24 * days)
    }

    fn draft(&self) -> Draft {
        Draft {
            version: Some(2),
            serial: vec![0x2a, 0x17, 0x05],
            issuer: ROOT.to_owned(),
            subject: "somebody".to_owned(),
            from: self.days(-10),
            until: self.days(100),
            public: self.own.public.clone(),
            extensions: Vec::new(),
            signature: Signature::EcdsaSha256,
            claimed_signature: None,
        }
    }
}

/// A certificate as text.
pub fn pem(certificate: &[u8]) -> String {
    let text = BASE64.encode(certificate);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("letters")).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Longest wait for the other end of a connection.
pub const PATIENCE: Duration = Duration::from_secs(60);
