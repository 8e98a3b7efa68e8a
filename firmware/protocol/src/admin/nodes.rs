//! The DICOM nodes around the box and the names that it answers to, as its settings have them.

use serde::{Deserialize, Serialize};

use super::Addressee;
use crate::ident::AeTitle;

/// Nodes and names, for an administrator to look at. They are changed in the settings file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Nodes {
    /// Peers beside the PACS that incoming studies go to.
    pub peers: Vec<PeerLine>,
    /// AE titles of this box that stand for an addressee.
    pub aliases: Vec<AliasLine>,
}

/// A peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerLine {
    /// Its AE title.
    pub ae_title: AeTitle,
    /// Where it listens, `host:port`, if that is known.
    pub address: Option<String>,
    /// Whether it is called by TLS.
    pub is_encrypted: bool,
    /// Whether it counts its studies for us (C-FIND).
    pub answers_queries: bool,
    /// Seconds without a new instance after which its studies are closed.
    pub quiet_secs: u64,
    /// Most that it may have here, in bytes.
    pub quota_bytes: Option<u64>,
}

/// An AE title that stands for an addressee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasLine {
    /// What a PACS calls.
    pub ae_title: AeTitle,
    /// The entry of the directory in the settings.
    pub entry: String,
    /// Whom that is; `None` if the directory has no such entry.
    pub addressee: Option<Addressee>,
    /// Whether the addressee is told to hurry.
    pub urgent: bool,
    /// Whether a technician confirms each study before it goes.
    pub confirm: bool,
}
