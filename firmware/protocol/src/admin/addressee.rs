//! Whom one can send to: a page of the directory.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ident::{AddresseeId, Ura};

/// A page of the directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddresseePage {
    /// Best match first.
    pub addressees: Vec<Addressee>,
    /// Those of them that are favourites of whoever asks.
    #[serde(default)]
    pub favourites: Vec<AddresseeId>,
    /// When the copy of the directory was last brought up to date; `None` if never.
    pub directory_as_of: Option<Timestamp>,
    /// How long ago that was, in seconds.
    #[serde(default)]
    pub directory_age_secs: Option<u64>,
    /// Whether that is so long ago that nothing is sent to what stands in it.
    #[serde(default)]
    pub is_too_old: bool,
    /// What keeps the copy from being brought up to date now, in one English sentence.
    #[serde(default)]
    pub directory_trouble: Option<String>,
}

/// Somebody who can be addressed: an organisation as a whole, a department, or a person in it.
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
    /// Name of the site, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Name of the person, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Town.
    pub place: Option<String>,
    /// How it receives.
    pub reception: Reception,
}

impl Addressee {
    /// Where inside the organisation: the department and the person, if either is named.
    pub fn desk(&self) -> Option<String> {
        match (&self.department, &self.person) {
            (Some(department), Some(person)) => Some(format!("{department}, {person}")),
            (Some(one), None) | (None, Some(one)) => Some(one.clone()),
            (None, None) => None,
        }
    }
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
