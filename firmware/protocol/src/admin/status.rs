//! How the box, the portal and the DICOM nodes around it are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ident::{AeTitle, Ura};

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
    /// Instances whose sealed bytes are damaged.
    pub damaged: u32,
    /// Free bytes where the packs lie.
    pub free_bytes: u64,
    /// Whether intake is refused for want of space.
    pub is_full: bool,
    /// Last moment at which an own certificate is valid; the earliest of them.
    pub certificates_valid_until: Option<Timestamp>,
    /// What start-up found, in one line.
    pub recovery: String,
    /// When the daemon started.
    pub started_at: Timestamp,
    /// Change number, for [`Question::WaitForChange`].
    pub change: u64,
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
    /// When the directory was last fetched.
    pub directory_as_of: Option<Timestamp>,
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
