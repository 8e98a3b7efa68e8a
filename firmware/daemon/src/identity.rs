//! Who this box is: the certificates with their keys, where they come from and where new ones go.
//!
//! They come in as credentials, which the daemon can only read. What is enrolled, renewed, requested or imported while it
//! runs lies in the folder `identity` of the state, sealed under the storage key, one file for each use:
//!
//! ```text
//!   identity/portal.sealed  signing.sealed               key and chain together, as PEM: a pair is never torn apart
//!   identity/portal-requested.sealed  signing-…          a key whose certificate is still to come
//!   identity/recipient.sealed                            recipient keys, newest first, with when each was replaced
//! ```
//!
//! Of two certificates for one use, the one that was issued later is used, if it is valid: a renewal comes after the file it
//! renews, and a file that a person put there later comes after an old renewal.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use beeldbox_protocol::admin::{CertificateLevel, CertificateUse};
use beeldbox_protocol::envelope::keys::{Purpose, StorageKey};
use beeldbox_protocol::envelope::trust::{CertificateFacts, certificate_facts};
use beeldbox_protocol::ident::Digest;
use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

/// Warnings begin so long before the end.
const ENDS_SOON: SignedDuration = SignedDuration::from_hours(60 * 24);

/// A new certificate from an authority that works by hand takes about this long.
const ENDS_VERY_SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// A certificate chain, end entity first, with its key.
pub struct Pair {
    /// The chain.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
    /// What the certificate says.
    pub facts: CertificateFacts,
}

impl Pair {
    /// Puts a chain and a key together.
    ///
    /// # Errors
    /// If there is no certificate, or it names no care provider.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Pair> {
        let leaf = chain.first().context("no certificate")?;
        let facts = certificate_facts(leaf)?;
        Ok(Pair { chain, key, facts })
    }

    /// Reads chain and key from PEM, in any order.
    ///
    /// # Errors
    /// If one of them is missing.
    pub fn from_pem(pem: &[u8]) -> Result<Pair> {
        let chain = certificates(pem)?;
        let key = PrivateKeyDer::from_pem_slice(pem).context("no private key")?;
        Pair::new(chain, key)
    }

    /// SHA-256 of the certificate.
    pub fn thumbprint(&self) -> Option<Digest> {
        self.chain.first().map(|leaf| Digest::of(leaf))
    }
}

/// The certificates in a PEM text.
///
/// # Errors
/// If there is none, or one of them is broken.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().context("certificates")?;
    if found.is_empty() {
        bail!("holds no certificate");
    }
    Ok(found)
}

/// Bytes as PEM (RFC 7468).
pub fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let body = Zeroizing::new(BASE64.encode(der));
    for line in body.as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// The word of a use, in file names and in the log.
pub fn word(what: CertificateUse) -> &'static str {
    match what {
        CertificateUse::Portal => "portal",
        CertificateUse::Signing => "signing",
    }
}

/// Whether somebody has to do something about a certificate that ends then.
pub fn level(valid_until: Option<Timestamp>, now: Timestamp) -> CertificateLevel {
    let Some(until) = valid_until else { return CertificateLevel::Missing };
    let left = until.duration_since(now);
    if left.is_negative() {
        CertificateLevel::Ended
    } else if left <= ENDS_VERY_SOON {
        CertificateLevel::EndsVerySoon
    } else if left <= ENDS_SOON {
        CertificateLevel::EndsSoon
    } else {
        CertificateLevel::Fine
    }
}

/// The sealed folder.
pub struct Sealed {
    folder: PathBuf,
    storage: StorageKey,
}

impl Sealed {
    /// The folder `identity` of the state.
    pub fn new(state_dir: &Path, storage: StorageKey) -> Self {
        Sealed { folder: state_dir.join("identity"), storage }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.sealed"))
    }

    /// Whether there is such a file.
    pub fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Reads a file; nothing if there is none.
    ///
    /// # Errors
    /// If it cannot be read, or was sealed under another storage key.
    pub fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let path = self.path(name);
        let sealed = match fs::read(&path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let opened = self.storage.open(Purpose::Confidential, place(name).as_bytes(), &sealed);
        Ok(Some(Zeroizing::new(opened.with_context(|| path.display().to_string())?)))
    }

    /// Writes a file, in the place of one that is there.
    ///
    /// # Durability
    /// When this returns, the new content survives a power cut; before, the old one does.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        let mut nonce = [0; 12];
        aws_lc_rs::rand::fill(&mut nonce).context("randomness")?;
        let sealed = self.storage.seal(Purpose::Confidential, place(name).as_bytes(), nonce, content);
        let path = self.path(name);
        self.write_durably(&path, &sealed).with_context(|| path.display().to_string())
    }

    fn write_durably(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        if !self.folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            if let Some(state) = self.folder.parent() {
                File::open(state)?.sync_all()?;
            }
        }
        let temporary = path.with_extension("new");
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<()> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).with_context(|| self.path(name).display().to_string()),
            Ok(()) => File::open(&self.folder)?.sync_all().context("the identity folder"),
        }
    }

    /// The sealed pair for a use.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn pair(&self, what: CertificateUse) -> Result<Option<Pair>> {
        let Some(pem) = self.read(word(what))? else { return Ok(None) };
        let pair = Pair::from_pem(&pem).with_context(|| self.path(word(what)).display().to_string())?;
        Ok(Some(pair))
    }
}

/// Part of what is authenticated: a sealed file cannot be put in the place of another.
fn place(name: &str) -> String {
    format!("identity/{name}")
}

/// What counts when two certificates could be used for the same: the greater one is.
pub fn rank(valid_from: Timestamp, valid_until: Timestamp, now: Timestamp) -> (bool, Timestamp, Timestamp) {
    (valid_from <= now && now <= valid_until, valid_from, valid_until)
}

/// The pair for a use: from the credentials or sealed, whichever has the higher [`rank`]; of equals the sealed one, so that
/// what could be imported is used. Nothing if there is neither.
///
/// # Errors
/// If one of them is there and cannot be read.
pub fn choose(
    sealed: &Sealed,
    what: CertificateUse,
    certificate: &Path,
    key: &Path,
    now: Timestamp,
) -> Result<Option<Pair>> {
    // A key without its certificate waits for one, as before enrolment.
    let given = match certificate.exists() {
        true => Some(read_pair(certificate, key)?),
        false => None,
    };
    let own = sealed.pair(what)?;
    let rank_of = |pair: &Pair| rank(pair.facts.not_before, pair.facts.not_after, now);
    Ok(match (given, own) {
        (Some(given), Some(own)) if rank_of(&own) >= rank_of(&given) => Some(own),
        (Some(given), _) => Some(given),
        (None, own) => own,
    })
}

fn read_pair(certificate: &Path, key: &Path) -> Result<Pair> {
    let pem = fs::read(certificate).with_context(|| format!("certificate {}", certificate.display()))?;
    let chain = certificates(&pem).with_context(|| format!("certificate {}", certificate.display()))?;
    let key_pem = Zeroizing::new(fs::read(key).with_context(|| format!("key {}", key.display()))?);
    let key_read =
        PrivateKeyDer::from_pem_slice(&key_pem).with_context(|| format!("key {}", key.display()))?;
    Pair::new(chain, key_read).with_context(|| format!("certificate {}", certificate.display()))
}

/// When a certificate is renewed: when a third of its life is left, or 60 days before its end if that is earlier, but not
/// before a third of its life has passed.
pub fn renewal_due(valid_from: Timestamp, valid_until: Timestamp) -> Timestamp {
    let life = valid_until.duration_since(valid_from);
    let ahead = (life / 3).max(ENDS_SOON.min(life / 3 * 2));
    valid_until.checked_sub(ahead).unwrap_or(valid_from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(dir: &Path, key: u8) -> Sealed {
        Sealed::new(dir, StorageKey::from_bytes([key; 32]))
    }

    #[test]
    fn what_is_sealed_reads_back_and_only_here() {
        let dir = tempfile::tempdir().unwrap();
        let own = sealed(dir.path(), 1);
        assert!(own.read("portal").unwrap().is_none());
        own.write("portal", b"first").unwrap();
        own.write("portal", b"second").unwrap();
        assert_eq!(*own.read("portal").unwrap().unwrap(), b"second");
        assert!(sealed(dir.path(), 2).read("portal").is_err(), "another storage key");
        fs::copy(own.path("portal"), own.path("signing")).unwrap();
        assert!(own.read("signing").is_err(), "moved to another place");
        let bytes = fs::read(own.path("portal")).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"second"), "not in the clear");
        own.remove("portal").unwrap();
        own.remove("portal").unwrap();
        assert!(own.read("portal").unwrap().is_none());
    }

    #[test]
    fn files_are_for_nobody_else() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let own = sealed(dir.path(), 1);
        own.write("portal", b"key").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&own.path("portal")), 0o600);
        assert_eq!(mode(&own.folder), 0o700);
    }

    #[test]
    fn renewal_comes_before_the_warning_and_not_every_day() {
        let from: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let days = |life: i64| {
            let until = from + SignedDuration::from_hours(life * 24);
            until.duration_since(renewal_due(from, until)).as_hours() / 24
        };
        assert_eq!(days(397), 132);
        assert_eq!(days(120), 60);
        assert_eq!(days(90), 60);
        assert_eq!(days(45), 30);
        assert_eq!(days(3), 2);
    }

    #[test]
    fn a_warning_begins_sixty_days_before_the_end() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let in_days = |days: i64| level(Some(now + SignedDuration::from_hours(days * 24)), now);
        assert_eq!(in_days(61), CertificateLevel::Fine);
        assert_eq!(in_days(60), CertificateLevel::EndsSoon);
        assert_eq!(in_days(14), CertificateLevel::EndsVerySoon);
        assert_eq!(in_days(-1), CertificateLevel::Ended);
        assert_eq!(level(None, now), CertificateLevel::Missing);
    }
}
