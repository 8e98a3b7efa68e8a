//! Settings of the web pages: read from one TOML file, checked as a whole before anything is opened.
//!
//! A mistake names the file, the key and the reason, and the program does not start.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What the web pages need to know before they start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the pages are served.
    pub listen: SocketAddr,
    /// The daemon's admin socket.
    pub socket: PathBuf,
    /// Where accounts and the certificate live.
    pub state_dir: PathBuf,
    /// Whether connections are encrypted.
    pub tls: Tls,
    /// Name of the hospital as shown in the header; the daemon's own answer if absent.
    pub hospital: Option<String>,
    /// Host names under which browsers may ask for the pages, in lower case.
    pub names: Vec<String>,
    /// DICOMweb for systems; absent: only for who is signed in.
    pub dicom_web: Option<DicomWebSettings>,
}

/// DICOMweb for systems that show a certificate.
#[derive(Debug, Clone)]
pub struct DicomWebSettings {
    /// Where.
    pub listen: SocketAddr,
    /// Who may issue their certificates, PEM.
    pub client_authorities: PathBuf,
    /// SHA-256 of each registered certificate, in lower-case hexadecimal.
    pub clients: Vec<String>,
}

/// Whether connections are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Always, everywhere but on a developer's machine.
    On,
    /// Only on a loopback address.
    Off,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is not there or not readable.
    #[error("{path}: cannot be read", path = path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML of the right shape; the cause names line and key.
    #[error("{path}: is not valid", path = path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// A key has a value that cannot be used.
    #[error("{path}: {key}: {reason}", path = path.display())]
    BadValue {
        /// Which file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
        /// Why.
        reason: String,
    },
}

impl Settings {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// If the file cannot be read, is not of the right shape, or holds a value that cannot be used.
    pub fn read(path: &Path) -> Result<Settings, SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
        Settings::parse(path, &text)
    }

    /// Checks the text of a file; `path` is only for naming it in errors.
    ///
    /// # Errors
    /// If the text is not of the right shape, or holds a value that cannot be used.
    pub fn parse(path: &Path, text: &str) -> Result<Settings, SettingsError> {
        let file: SettingsFile = toml::from_str(text)
            .map_err(|source| SettingsError::Malformed { path: path.to_owned(), source: Box::new(source) })?;
        let bad = |key, reason: &str| SettingsError::BadValue {
            path: path.to_owned(),
            key,
            reason: reason.to_owned(),
        };
        let listen: SocketAddr = file
            .listen
            .parse()
            .map_err(|_| bad("listen", "is not an address with a port, such as \"127.0.0.1:8443\""))?;
        let tls = match file.tls {
            None | Some(TlsValue::Switch(true)) => Tls::On,
            Some(TlsValue::Switch(false)) => Tls::Off,
            Some(TlsValue::Word(word)) => match word.as_str() {
                "on" => Tls::On,
                "off" => Tls::Off,
                _ => return Err(bad("tls", "is neither true nor \"off\"")),
            },
        };
        if tls == Tls::Off && !listen.ip().is_loopback() {
            return Err(bad("tls", "may be \"off\" only when listen is a loopback address"));
        }
        if !file.state_dir.is_absolute() {
            return Err(bad("state_dir", "is not an absolute path"));
        }
        if !file.socket.is_absolute() {
            return Err(bad("socket", "is not an absolute path"));
        }
        if file.hospital.as_ref().is_some_and(|name| name.trim().is_empty() || name.chars().count() > 80) {
            return Err(bad("hospital", "must have 1 to 80 characters"));
        }
        let names: Vec<String> = file.names.iter().map(|name| name.to_ascii_lowercase()).collect();
        if names.iter().any(|name| !is_host_name(name)) {
            return Err(bad("names", "has an entry that is not a host name"));
        }
        let dicom_web = file.dicom_web.map(|section| dicom_web(section, tls, bad)).transpose()?;
        Ok(Settings {
            dicom_web,
            listen,
            socket: file.socket,
            state_dir: file.state_dir,
            tls,
            hospital: file.hospital,
            names,
        })
    }
}

fn dicom_web(
    section: DicomWebSection,
    tls: Tls,
    bad: impl Fn(&'static str, &str) -> SettingsError,
) -> Result<DicomWebSettings, SettingsError> {
    let listen = section.listen.parse();
    let listen = listen.map_err(|_| bad("dicom_web.listen", "is not an address with a port"))?;
    if tls == Tls::Off {
        return Err(bad("dicom_web", "needs tls, whose certificate it shows"));
    }
    if !section.client_authorities.is_absolute() {
        return Err(bad("dicom_web.client_authorities", "is not an absolute path"));
    }
    let clients: Vec<String> = section
        .clients
        .iter()
        .map(|thumbprint| {
            thumbprint.chars().filter(|letter| *letter != ':').collect::<String>().to_ascii_lowercase()
        })
        .collect();
    let is_thumbprint = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if clients.is_empty() || !clients.iter().all(is_thumbprint) {
        return Err(bad(
            "dicom_web.clients",
            "must name the SHA-256 of at least one certificate, and nothing else",
        ));
    }
    Ok(DicomWebSettings { listen, client_authorities: section.client_authorities, clients })
}

/// RFC 1123 §2.1: letters, digits, hyphens and dots.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// The file as written by a person.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsFile {
    listen: String,
    socket: PathBuf,
    state_dir: PathBuf,
    tls: Option<TlsValue>,
    hospital: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    dicom_web: Option<DicomWebSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DicomWebSection {
    listen: String,
    client_authorities: PathBuf,
    clients: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TlsValue {
    Switch(bool),
    Word(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        let base = "socket = \"/run/beeldbox/admin.sock\"\nstate_dir = \"/var/lib/beeldbox-admin\"\n";
        Settings::parse(Path::new("admin.toml"), &format!("{base}{text}")).map_err(|error| error.to_string())
    }

    #[test]
    fn encryption_is_the_default() {
        assert_eq!(parse("listen = \"0.0.0.0:443\"").unwrap().tls, Tls::On);
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        assert_eq!(parse("listen = \"127.0.0.1:0\"\ntls = \"off\"").unwrap().tls, Tls::Off);
        let refused = parse("listen = \"0.0.0.0:80\"\ntls = \"off\"").unwrap_err();
        assert_eq!(refused, "admin.toml: tls: may be \"off\" only when listen is a loopback address");
    }

    #[test]
    fn a_mistake_names_file_and_key() {
        assert!(parse("listen = \"here\"").unwrap_err().starts_with("admin.toml: listen: "));
        assert!(
            parse("listen = \"127.0.0.1:0\"\nnames = [\"a b\"]")
                .unwrap_err()
                .starts_with("admin.toml: names")
        );
        assert_eq!(parse("listen = \"127.0.0.1:0\"\nlisen = 1").unwrap_err(), "admin.toml: is not valid");
    }
}
