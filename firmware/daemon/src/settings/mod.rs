//! Settings: what the file may say ([`fragment`]), and what the programs may rely on ([`Settings`]).
//!
//! Every refusal names the file, the key and the reason. Paths in the file are relative to the file. Nothing here opens
//! a key or a port.

mod bandwidth;
mod dicom;
mod fragment;
mod import;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use beeldbox_transfer::bandwidth::Schedule;
use fragment::Fragment;

pub use dicom::{Dicom, NodeAddress, Peer};
pub use import::Import;

/// Settings that have been checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name of the box, for people.
    pub name: String,
    /// Where packs and ledger lie.
    pub state_dir: PathBuf,
    /// The socket on which front ends ask.
    pub admin_socket: PathBuf,
    /// DICOM: our side.
    pub dicom: Dicom,
    /// The local PACS.
    pub pacs: NodeAddress,
    /// The portal's address.
    pub portal_url: String,
    /// The proxy on the way there, `http://host:port`.
    pub portal_proxy: Option<String>,
    /// How much of the hospital's line may be taken, and when.
    pub bandwidth: Schedule,
    /// The authority that issued the portal's certificate.
    pub portal_authority: PathBuf,
    /// Where the address book is read.
    pub directory: DirectoryAddress,
    /// Whom we believe about organisations.
    pub trust_anchors: PathBuf,
    /// What they revoked.
    pub revocation_lists: Vec<PathBuf>,
    /// Key material.
    pub credentials: Credentials,
    /// Times and sizes.
    pub keeping: Keeping,
    /// How it is found out whose arriving images are.
    pub import: Import,
}

/// Where the address book is read, and how old it may become.
#[derive(Debug, Clone)]
pub struct DirectoryAddress {
    /// FHIR base of the source.
    pub url: String,
    /// The authority that issued its certificate.
    pub authority: PathBuf,
    /// So long after it was last brought up to date nothing is sent to what stands in it.
    pub refuse_after: Duration,
}

/// Files with key material: systemd credentials on the appliance, plain files in the demo.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// TLS client certificate chain, PEM.
    pub tls_certificate: PathBuf,
    /// Its key, PKCS#8 PEM.
    pub tls_key: PathBuf,
    /// Signing certificate chain of the organisation, PEM.
    pub signing_certificate: PathBuf,
    /// Its key, P-256, PKCS#8 PEM.
    pub signing_key: PathBuf,
    /// Recipient key: 32 bytes.
    pub recipient_key: PathBuf,
    /// Storage key: 32 bytes.
    pub storage_key: PathBuf,
    /// `name:password` for the proxy; needed only where the proxy asks.
    pub proxy_account: PathBuf,
    /// Certificate chain for DICOM TLS, PEM; needed only where DICOM TLS is used.
    pub dicom_certificate: PathBuf,
    /// Its key, PEM.
    pub dicom_key: PathBuf,
}

/// Times and sizes.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// How long a finished transfer is kept.
    pub keep_for: Duration,
    /// How long an addressee may collect.
    pub valid_for: Duration,
    /// How long the choice of an addressee can be undone before anything leaves the box.
    pub undo_time: Duration,
    /// After how long people are reminded of what nobody collected or imported.
    pub remind_after: Duration,
    /// Pause between two looks at the directory.
    pub directory_interval: Duration,
    /// Intake stops when less than this is free.
    pub reserve_bytes: u64,
    /// Room kept for commits, audit and erasing when the disk is full.
    pub ballast_bytes: u64,
}

/// Why settings are refused.
#[derive(Debug)]
pub struct SettingsError {
    file: PathBuf,
    key: Option<String>,
    reason: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file.display())?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for SettingsError {}

/// Reads and checks a settings file.
///
/// # Errors
/// The first thing that is wrong, with file, key and reason.
pub fn read(file: &Path) -> Result<Settings, SettingsError> {
    let refuse = |reason: String| SettingsError { file: file.to_owned(), key: None, reason };
    let text = std::fs::read_to_string(file).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    let fragment: Fragment =
        toml::from_str(&text).map_err(|error| refuse(error.to_string().trim_end().to_owned()))?;
    Checker { file }.check(fragment)
}

/// `http://host:port`, and nothing that would be a secret in a file that everybody may read.
fn is_proxy(text: &str) -> bool {
    text.strip_prefix("http://").is_some_and(|rest| {
        let port = rest.trim_end_matches('/').rsplit_once(':').map(|(_, port)| port);
        !rest.contains('@') && port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
    })
}

struct Checker<'a> {
    file: &'a Path,
}

impl Checker<'_> {
    fn check(&self, fragment: Fragment) -> Result<Settings, SettingsError> {
        let Fragment {
            r#box,
            dicom,
            pacs,
            portal,
            directory,
            trust,
            credentials,
            bandwidth,
            keeping,
            import,
            sending,
        } = fragment;
        if r#box.name.trim().is_empty() || r#box.name.len() > 64 {
            return Err(self.refuse("box.name", "must have 1 to 64 characters"));
        }
        if !portal.url.starts_with("https://") {
            return Err(self.refuse("portal.url", "must begin with https://"));
        }
        if portal.proxy.as_deref().is_some_and(|proxy| !is_proxy(proxy)) {
            return Err(self.refuse(
                "portal.proxy",
                "must be http://host:port; a name and password go into a credential",
            ));
        }
        let portal_url = portal.url.trim_end_matches('/').to_owned();
        let interval = directory.interval_secs.unwrap_or(keeping.directory_interval_secs);
        let in_credentials = |name: &str| self.path(&credentials.directory.join(name));
        Ok(Settings {
            name: r#box.name,
            state_dir: self.path(&r#box.state_dir),
            admin_socket: self.path(&r#box.admin_socket),
            dicom: self.dicom(&dicom)?,
            pacs: self.called("pacs", &pacs)?,
            portal_proxy: portal.proxy,
            bandwidth: self.bandwidth(&bandwidth)?,
            portal_authority: self.existing("portal.authority", &portal.authority)?,
            directory: self.directory(&directory, &portal_url, &portal.authority)?,
            portal_url,
            trust_anchors: self.existing("trust.anchors", &trust.anchors)?,
            revocation_lists: trust
                .revocation_lists
                .iter()
                .map(|list| self.existing("trust.revocation_lists", list))
                .collect::<Result<_, _>>()?,
            credentials: Credentials {
                tls_certificate: in_credentials("tls-certificate.pem"),
                tls_key: in_credentials("tls-key.pem"),
                signing_certificate: in_credentials("signing-certificate.pem"),
                signing_key: in_credentials("signing-key.pem"),
                recipient_key: in_credentials("recipient.key"),
                storage_key: in_credentials("storage.key"),
                proxy_account: in_credentials("proxy-account"),
                dicom_certificate: in_credentials("dicom-certificate.pem"),
                dicom_key: in_credentials("dicom-key.pem"),
            },
            keeping: Keeping {
                keep_for: self.seconds("keeping.keep_days", keeping.keep_days * 86_400, 0, 3660 * 86_400)?,
                valid_for: self.seconds(
                    "keeping.valid_days",
                    keeping.valid_days * 86_400,
                    86_400,
                    365 * 86_400,
                )?,
                directory_interval: self.seconds("directory.interval_secs", interval, 1, 86_400)?,
                undo_time: self.seconds("sending.undo_seconds", sending.undo_seconds, 0, 3600)?,
                remind_after: self.seconds(
                    "sending.remind_days",
                    sending.remind_days * 86_400,
                    0,
                    3660 * 86_400,
                )?,
                reserve_bytes: keeping.reserve_mib.saturating_mul(1024 * 1024),
                ballast_bytes: keeping.ballast_mib.saturating_mul(1024 * 1024),
            },
            import: self.import(&import, &pacs)?,
        })
    }

    fn directory(
        &self,
        directory: &fragment::Directory,
        portal_url: &str,
        portal_authority: &Path,
    ) -> Result<DirectoryAddress, SettingsError> {
        let url = match &directory.url {
            Some(url) if !url.starts_with("https://") => {
                return Err(self.refuse("directory.url", "must begin with https://"));
            }
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("{portal_url}/fhir"),
        };
        let authority = directory.authority.as_deref().unwrap_or(portal_authority);
        let refuse_after = directory.refuse_after_days.saturating_mul(86_400);
        Ok(DirectoryAddress {
            url,
            authority: self.existing("directory.authority", authority)?,
            refuse_after: self.seconds("directory.refuse_after_days", refuse_after, 86_400, 365 * 86_400)?,
        })
    }

    fn refuse(&self, key: &str, reason: &str) -> SettingsError {
        SettingsError { file: self.file.to_owned(), key: Some(key.to_owned()), reason: reason.to_owned() }
    }

    fn parse<T: FromStr<Err: fmt::Display>>(&self, key: &str, text: &str) -> Result<T, SettingsError> {
        text.parse().map_err(|error| self.refuse(key, &format!("{error}")))
    }

    fn seconds(&self, key: &str, value: u64, least: u64, most: u64) -> Result<Duration, SettingsError> {
        if (least..=most).contains(&value) {
            Ok(Duration::from_secs(value))
        } else {
            Err(self.refuse(key, &format!("must be between {least} and {most} seconds; it is {value}")))
        }
    }

    fn host_and_port(&self, key: &str, text: &str) -> Result<String, SettingsError> {
        match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => {
                Ok(text.to_owned())
            }
            _ => Err(self.refuse(key, "must be host:port")),
        }
    }

    fn path(&self, path: &Path) -> PathBuf {
        self.file.parent().unwrap_or(Path::new(".")).join(path)
    }

    fn existing(&self, key: &str, path: &Path) -> Result<PathBuf, SettingsError> {
        let path = self.path(path);
        if path.is_file() {
            Ok(path)
        } else {
            Err(self.refuse(key, &format!("no file at {}", path.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [box]
        name = "Beeldbox Noord"
        [dicom]
        ae_title = "BEELDBOX"
        [[dicom.peers]]
        ae_title = "PACS_A"
        [pacs]
        ae_title = "PACS_A"
        address = "pacs.noord.example:104"
        [portal]
        url = "https://portal.example"
        authority = "portal-ca.pem"
        [trust]
        anchors = "anchors.pem"
    "#;

    fn refused(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        for name in ["portal-ca.pem", "anchors.pem"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let file = dir.path().join("beeldbox.toml");
        std::fs::write(&file, text).unwrap();
        match read(&file) {
            Ok(settings) => format!("{settings:?}"),
            Err(error) => error.to_string().replace(&dir.path().display().to_string(), ""),
        }
    }

    #[test]
    fn a_short_file_is_enough() {
        assert!(refused(GOOD).starts_with("Settings"), "{}", refused(GOOD));
    }

    #[test]
    fn the_installed_settings_are_in_order() {
        let said = refused(
            include_str!("../../../dist/beeldbox.toml")
                .replace("portal-authority", "portal-ca")
                .replace("trust-anchors", "anchors")
                .as_str(),
        );
        assert!(said.starts_with("Settings"), "{said}");
    }

    #[test]
    fn every_refusal_names_file_key_and_reason() {
        let cases = [
            (
                "\"BEELDBOX\"",
                "\"THIS_TITLE_IS_TOO_LONG\"",
                "/beeldbox.toml: dicom.ae_title: has 22 characters",
            ),
            ("https:", "http:", "/beeldbox.toml: portal.url: must begin with https://"),
            (":104", "", "/beeldbox.toml: pacs.address: must be host:port"),
            ("portal-ca", "elsewhere", "/beeldbox.toml: portal.authority: no file at"),
            (
                "[trust]",
                "[directory]\nurl = \"http://x/fhir\"\n[trust]",
                "/beeldbox.toml: directory.url: must begin with https://",
            ),
            (
                "[trust]",
                "[directory]\nrefuse_after_days = 0\n[trust]",
                "/beeldbox.toml: directory.refuse_after_days: must be between 86400 and",
            ),
            (
                "[pacs]",
                "address = \"x\"\n[pacs]",
                "/beeldbox.toml: dicom.peers[0].address: must be an address like 10.1.2.3, or a network",
            ),
            (
                "[pacs]",
                "transport = \"tls\"\n[pacs]",
                "/beeldbox.toml: dicom.peers[0].transport: asks for TLS, but there is no [dicom.tls]",
            ),
            (
                "[pacs]",
                "answers_queries = true\n[pacs]",
                "/beeldbox.toml: dicom.peers[0].answers_queries: needs node.address",
            ),
            (
                "[pacs]",
                "[[dicom.aliases]]\nae_title = \"BEELDBOX\"\naddressee = \"zuid\"\n[pacs]",
                "/beeldbox.toml: dicom.aliases[0].ae_title: is in use already",
            ),
            (
                "[pacs]",
                "[pacs]\ntls = true",
                "/beeldbox.toml: pacs.tls: goes together with authority or certificates",
            ),
            (
                "[trust]",
                "proxy = \"http://me:secret@proxy.example:3128\"\n[trust]",
                "/beeldbox.toml: portal.proxy: must be http://host:port",
            ),
            (
                "[trust]",
                "[[import.rules]]\nname = \"noord\"\nsender = \"90000381\"\naccountable = \"k.bakker\"\n\
                 must_agree = [\"bsn\", \"birth-date\"]\nvalid_from = \"2026-01-01\"\nvalid_until = \"2026-12-31\"\n[trust]",
                "/beeldbox.toml: import.rules[0]: the rule does not demand FamilyName",
            ),
            (
                "[trust]",
                "[import]\nask_pacs = false\n[[import.rules]]\nname = \"noord\"\nsender = \"90000381\"\n\
                 accountable = \"k.bakker\"\nmust_agree = [\"bsn\", \"birth-date\", \"family-name\"]\n\
                 valid_from = \"2026-01-01\"\nvalid_until = \"2026-12-31\"\n[trust]",
                "/beeldbox.toml: import.rules: need somebody who can be asked",
            ),
            ("[trust]", "[import]\nunattended = true\n[trust]", "/beeldbox.toml: TOML parse error"),
            (
                "[trust]",
                "[bandwidth]\nupload_mbit = 0\n[trust]",
                "/beeldbox.toml: bandwidth.upload_mbit: must be between 1 and",
            ),
            (
                "[trust]",
                "[bandwidth]\nrules = [{ days = [\"maandag\"], from = \"07:00\", until = \"19:00\" }]\n[trust]",
                "/beeldbox.toml: bandwidth.rules[0].days: must be some of mon, tue",
            ),
            (
                "[trust]",
                "[bandwidth]\nrules = [{ days = [\"mon\"], from = \"7\", until = \"19:00\" }]\n[trust]",
                "/beeldbox.toml: bandwidth.rules[0].from: must be a time like 07:00",
            ),
            (
                "[trust]",
                "[bandwidth]\ntime_zone = \"Europe/Nowhere\"\n[trust]",
                "/beeldbox.toml: bandwidth.time_zone: is not a time zone",
            ),
            (
                "[dicom]",
                "[dicom]\nquiet_time_secs = 0",
                "/beeldbox.toml: dicom.quiet_time_secs: must be between 1 and",
            ),
        ];
        for (from, to, expected) in cases {
            let said = refused(&GOOD.replacen(from, to, 1));
            assert!(said.starts_with(expected), "{said}");
        }
        let said = refused(&GOOD.replace("[pacs]", "[pasc]"));
        assert!(said.contains("pasc"), "{said}");
    }
}
