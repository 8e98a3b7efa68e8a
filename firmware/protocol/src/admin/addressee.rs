//! Whom one can send to: a page of the directory.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ident::{AddresseeId, Ura};

/// A page of the directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddresseePage {
    /// Best match first.
    pub addressees: Vec<Addressee>,
    /// When the directory was last fetched in full or in part; `None` if never.
    pub directory_as_of: Option<Timestamp>,
}

/// Somebody who can be addressed: a department, or an organisation as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addressee {
    /// Its id in the directory.
    pub id: AddresseeId,
    /// URA of the organisation.
    pub ura: Ura,
    /// Name of the organisation.
    pub organisation: String,
    /// Name of the department, if it is one.
    pub department: Option<String>,
    /// Town.
    pub place: Option<String>,
    /// How it receives.
    pub reception: Reception,
}

/// How an addressee receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reception {
    /// It has a box: only it can read what is sent.
    Box,
    /// It has no box: a Beeldbox hosted for it by the portal receives, and can read.
    PortalDelivery,
    /// It is not connected.
    NotConnected,
}
