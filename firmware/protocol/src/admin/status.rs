//! How the box, the portal and the DICOM nodes around it are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ident::{AeTitle, Digest, Ura};

/// How calling a DICOM node went, as far as it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTest {
    /// The AE title that was called.
    pub ae_title: AeTitle,
    /// Where, `host:port`.
    pub address: String,
    /// The steps in order; only the last may have failed.
    pub steps: Vec<NodeTestStep>,
    /// What to do next: one English sentence.
    pub advice: String,
}

/// One step of calling a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTestStep {
    /// Which.
    pub step: NodeTestStage,
    /// How long it took, in microseconds.
    pub took_micros: u64,
    /// What failed; `None` if nothing did.
    pub failure: Option<String>,
}

/// The stages of calling a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeTestStage {
    /// The name becomes addresses.
    Resolve,
    /// A TCP connection.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The association.
    Associate,
    /// The presentation context for verification.
    Context,
    /// C-ECHO.
    Echo,
    /// The end of the association.
    Release,
}

/// How the box is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Name of the box.
    pub name: String,
    /// Name of the organisation.
    pub organisation: String,
    /// URA of the organisation.
    pub ura: Ura,
    /// Version of the firmware.
    pub version: String,
    /// AE title to which a PACS sends.
    pub ae_title: String,
    /// Where it listens for DICOM, `host:port`.
    pub dicom_address: String,
    /// The portal.
    pub portal: PortalStatus,
    /// The local PACS.
    pub pacs: PacsStatus,
    /// Studies that wait for an addressee.
    pub studies_waiting: u32,
    /// Outbound transfers not yet delivered, declined or recalled.
    pub outbound_open: u32,
    /// Inbound transfers that wait for an import.
    pub inbox_waiting: u32,
    /// Transfers that a person must look at.
    pub held: u32,
    /// Transfers that the addressee has not collected for longer than people want to wait.
    #[serde(default)]
    pub uncollected: u32,
    /// Received transfers that nobody has imported for longer than people want to wait.
    #[serde(default)]
    pub inbox_overdue: u32,
    /// Received transfers that their senders ask back.
    #[serde(default)]
    pub asked_back: u32,
    /// Requests of other hospitals for images that wait for a person here.
    #[serde(default)]
    pub requests_open: u32,
    /// What came as a request for images and is not believed.
    #[serde(default)]
    pub requests_not_believed: u32,
    /// Instances whose sealed bytes are damaged.
    pub damaged: u32,
    /// Free bytes where the packs lie.
    pub free_bytes: u64,
    /// Whether intake is refused for want of space.
    pub is_full: bool,
    /// Last moment at which an own certificate is valid; the earliest of them.
    pub certificates_valid_until: Option<Timestamp>,
    /// The certificates of this box, one for each use.
    #[serde(default)]
    pub certificates: Vec<CertificateLine>,
    /// What start-up found, in one line.
    pub recovery: String,
    /// When the daemon started.
    pub started_at: Timestamp,
    /// Change number, for [`super::Question::WaitForChange`].
    pub change: u64,
}

/// What a certificate of the box is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateUse {
    /// Shown to the portal (TLS client).
    Portal,
    /// Signs letters, receipts and the recipient key for the organisation.
    Signing,
}

/// Whether somebody has to do something about a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateLevel {
    /// Nothing to do.
    Fine,
    /// It ends within 60 days.
    EndsSoon,
    /// It ends within 14 days: a new one may take longer than that.
    EndsVerySoon,
    /// It has ended.
    Ended,
    /// There is none yet.
    Missing,
}

/// One certificate of the box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateLine {
    /// What it is for.
    pub what: CertificateUse,
    /// The organisation that it names.
    pub organisation: String,
    /// SHA-256 of it.
    pub thumbprint: Option<Digest>,
    /// Last moment at which it is valid.
    pub valid_until: Option<Timestamp>,
    /// Whole days left; below nothing since it ended.
    pub days_left: Option<i64>,
    /// Whether somebody has to do something.
    pub level: CertificateLevel,
    /// A key of which the certificate is still to come: a request was made and not answered yet.
    pub is_requested: bool,
}

/// How the portal is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PortalStatus {
    /// Its address.
    pub url: String,
    /// When it last answered.
    pub last_answer_at: Option<Timestamp>,
    /// What was wrong at the last attempt, in words.
    pub trouble: Option<String>,
    /// When the copy of the directory was last brought up to date.
    pub directory_as_of: Option<Timestamp>,
    /// What keeps it from being brought up to date, in words.
    #[serde(default)]
    pub directory_trouble: Option<String>,
    /// Whether it is so old that nothing is sent to what stands in it.
    #[serde(default)]
    pub directory_is_too_old: bool,
    /// Entries that can be addressed.
    pub addressees: u32,
}

/// How the local PACS is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PacsStatus {
    /// Its AE title.
    pub ae_title: String,
    /// Its address, `host:port`.
    pub address: String,
    /// What was wrong at the last attempt, in words.
    pub trouble: Option<String>,
}
