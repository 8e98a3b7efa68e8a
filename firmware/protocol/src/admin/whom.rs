//! What a person must see of another hospital before it is asked for images.

use serde::{Deserialize, Serialize};

use super::{Addressee, CheckFlag, Refusal};

/// What the check page of a request shows of whom it goes to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WhomCheck {
    /// The addressee, as in the directory.
    pub addressee: Addressee,
    /// Name of the organisation, as its certificate says it. `None` if the certificate cannot be believed.
    pub certified_name: Option<String>,
    /// Short form of the recipient key, to compare by telephone.
    pub key_thumbprint: Option<String>,
    /// What the person must look at and tick.
    pub flags: Vec<CheckFlag>,
    /// Why it cannot be asked now, if so.
    pub obstacle: Option<Refusal>,
}
