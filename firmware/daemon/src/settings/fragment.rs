//! What the settings file may say, word by word. Unknown keys are refused: a misspelt one must not be silently ignored.

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fragment {
    pub(super) r#box: TheBox,
    pub(super) dicom: Dicom,
    pub(super) pacs: Pacs,
    pub(super) portal: Portal,
    #[serde(default)]
    pub(super) directory: Directory,
    pub(super) trust: Trust,
    #[serde(default)]
    pub(super) credentials: Credentials,
    #[serde(default)]
    pub(super) bandwidth: Bandwidth,
    #[serde(default)]
    pub(super) keeping: Keeping,
    #[serde(default)]
    pub(super) import: Import,
    #[serde(default)]
    pub(super) sending: Sending,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TheBox {
    pub(super) name: String,
    #[serde(default = "default_state_dir")]
    pub(super) state_dir: PathBuf,
    #[serde(default = "default_admin_socket")]
    pub(super) admin_socket: PathBuf,
}

fn default_state_dir() -> PathBuf {
    "/var/lib/beeldbox".into()
}

fn default_admin_socket() -> PathBuf {
    "/run/beeldbox/admin.sock".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Dicom {
    pub(super) ae_title: String,
    #[serde(default = "default_listen")]
    pub(super) listen: String,
    pub(super) tls: Option<DicomTls>,
    #[serde(default)]
    pub(super) peers: Vec<Peer>,
    #[serde(default)]
    pub(super) aliases: Vec<Alias>,
    #[serde(default = "default_max_associations")]
    pub(super) max_associations: usize,
    #[serde(default = "default_max_associations_per_peer")]
    pub(super) max_associations_per_peer: usize,
    #[serde(default = "default_quiet_time_secs")]
    pub(super) quiet_time_secs: u64,
}

fn default_listen() -> String {
    "0.0.0.0:11112".to_owned()
}

fn default_max_associations() -> usize {
    64
}

fn default_max_associations_per_peer() -> usize {
    32
}

fn default_quiet_time_secs() -> u64 {
    60
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DicomTls {
    #[serde(default = "default_tls_listen")]
    pub(super) listen: String,
    pub(super) client_authorities: Option<PathBuf>,
}

fn default_tls_listen() -> String {
    "0.0.0.0:2762".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Peer {
    pub(super) ae_title: String,
    pub(super) address: Option<String>,
    #[serde(default)]
    pub(super) transport: Transport,
    #[serde(default)]
    pub(super) certificates: Vec<String>,
    #[serde(default)]
    pub(super) classes: Classes,
    #[serde(default)]
    pub(super) refused_classes: Vec<String>,
    #[serde(default)]
    pub(super) accept_other_names: bool,
    pub(super) max_associations: Option<usize>,
    pub(super) quiet_time_secs: Option<u64>,
    pub(super) quota_gib: Option<u64>,
    pub(super) node: Option<Node>,
    #[serde(default)]
    pub(super) answers_queries: bool,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Transport {
    #[default]
    Any,
    Tls,
    MutualTls,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Classes {
    #[default]
    Any,
    Standard,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    pub(super) address: String,
    #[serde(default)]
    pub(super) tls: bool,
    pub(super) authority: Option<PathBuf>,
    #[serde(default)]
    pub(super) certificates: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alias {
    pub(super) ae_title: String,
    pub(super) addressee: String,
    #[serde(default)]
    pub(super) urgent: bool,
    #[serde(default)]
    pub(super) confirm: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pacs {
    pub(super) ae_title: String,
    pub(super) address: String,
    #[serde(default)]
    pub(super) tls: bool,
    pub(super) authority: Option<PathBuf>,
    #[serde(default)]
    pub(super) certificates: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Portal {
    pub(super) url: String,
    pub(super) authority: PathBuf,
    pub(super) proxy: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Bandwidth {
    pub(super) time_zone: String,
    pub(super) upload_mbit: Option<u64>,
    pub(super) download_mbit: Option<u64>,
    pub(super) limits_urgent: bool,
    pub(super) rules: Vec<BandwidthRule>,
}

impl Default for Bandwidth {
    fn default() -> Self {
        Bandwidth {
            time_zone: "Europe/Amsterdam".to_owned(),
            upload_mbit: None,
            download_mbit: None,
            limits_urgent: false,
            rules: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BandwidthRule {
    pub(super) days: Vec<String>,
    pub(super) from: String,
    pub(super) until: String,
    pub(super) upload_mbit: Option<u64>,
    pub(super) download_mbit: Option<u64>,
    #[serde(default)]
    pub(super) limits_urgent: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Directory {
    pub(super) url: Option<String>,
    pub(super) authority: Option<PathBuf>,
    pub(super) interval_secs: Option<u64>,
    pub(super) refuse_after_days: u64,
}

impl Default for Directory {
    fn default() -> Self {
        Directory { url: None, authority: None, interval_secs: None, refuse_after_days: 7 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trust {
    pub(super) anchors: PathBuf,
    #[serde(default)]
    pub(super) revocation_lists: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Credentials {
    pub(super) directory: PathBuf,
}

impl Default for Credentials {
    fn default() -> Self {
        // systemd names the folder into which it decrypted the unit's credentials.
        let directory = std::env::var_os("CREDENTIALS_DIRECTORY").unwrap_or_else(|| "credentials".into());
        Credentials { directory: directory.into() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Keeping {
    pub(super) keep_days: u64,
    pub(super) valid_days: u64,
    pub(super) directory_interval_secs: u64,
    pub(super) reserve_mib: u64,
    pub(super) ballast_mib: u64,
}

impl Default for Keeping {
    fn default() -> Self {
        Keeping {
            keep_days: 7,
            valid_days: 30,
            directory_interval_secs: 900,
            reserve_mib: 2048,
            ballast_mib: 256,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Import {
    pub(super) ask_pacs: bool,
    pub(super) query: Option<Pacs>,
    pub(super) worklist: Option<Pacs>,
    pub(super) patient_id_issuer: Option<String>,
    pub(super) rules: Vec<Rule>,
}

impl Default for Import {
    fn default() -> Self {
        Import { ask_pacs: true, query: None, worklist: None, patient_id_issuer: None, rules: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) sender: String,
    pub(super) accountable: String,
    pub(super) must_agree: Vec<FieldName>,
    pub(super) valid_from: String,
    pub(super) valid_until: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FieldName {
    FamilyName,
    GivenNames,
    BirthDate,
    Sex,
    Bsn,
    PatientNumber,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sending {
    pub(super) undo_seconds: u64,
    pub(super) remind_days: u64,
}

impl Default for Sending {
    fn default() -> Self {
        Sending { undo_seconds: 10, remind_days: 3 }
    }
}
