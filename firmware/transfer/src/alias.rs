//! Aliases: AE titles of the box that each stand for an addressee, so that a study can be addressed without leaving
//! the PACS.
//!
//! An alias is a standing decision of an administrator. It passes what such a decision can foresee (no BSN, delivery by
//! the portal); what only a person can judge it never passes: a partner whose key nobody has seen yet, and a study that
//! is in doubt, wait for a technician.

use beeldbox_custody::StudyRow;
use beeldbox_protocol::admin::CheckFlag;
use beeldbox_protocol::ident::{AddresseeId, AeTitle};
use tracing::{info, warn};

use crate::address::{self, AddressError, Decision};
use crate::road::Road;

/// An AE title that stands for an addressee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// What the PACS calls.
    pub ae_title: AeTitle,
    /// Whom it stands for.
    pub addressee: AddresseeId,
    /// Whether the addressee should hurry.
    pub urgent: bool,
    /// Whether a technician confirms each study before it goes.
    pub confirm: bool,
}

/// What a standing decision can foresee.
const FORESEEN: [CheckFlag; 4] =
    [CheckFlag::NoBsn, CheckFlag::NoPatientName, CheckFlag::PortalDelivery, CheckFlag::StillArriving];

/// The alias that a study was sent to, if it still exists.
pub fn of_study<'a>(road: &'a Road, study: &StudyRow) -> Option<&'a Alias> {
    let called = study.called_alias.as_ref()?;
    road.settings.aliases.iter().find(|alias| alias.ae_title == *called)
}

/// Addresses a closed study to whom its alias stands for, unless a person has to look first. What stands in the way is
/// not an error: the study then waits in the technician's list like any other.
pub async fn address_by_alias(road: &Road, study: &StudyRow) {
    let Some(alias) = of_study(road, study).filter(|alias| !alias.confirm) else { return };
    let decision = Decision {
        addressee: alias.addressee.clone(),
        note: None,
        reply_contact: None,
        urgent: alias.urgent,
        by: format!("alias {}", alias.ae_title),
        acknowledged: FORESEEN.to_vec(),
        in_answer_to: None,
    };
    match address::address(road, study.transfer, decision).await {
        Ok(()) => info!(transfer = %study.transfer, alias = %alias.ae_title, "addressed by alias"),
        Err(AddressError::NotAcknowledged(flags)) => {
            info!(transfer = %study.transfer, alias = %alias.ae_title, ?flags, "a technician must look first");
        }
        Err(error) => {
            warn!(transfer = %study.transfer, alias = %alias.ae_title, %error, "not addressed: a technician must");
        }
    }
}
