//! What the PACS has already is not sent again: its instances of the study are asked for by name (C-FIND) beforehand.
//!
//! A PACS that cannot be asked is sent everything: the same instance under the same name does no harm there.

use std::collections::{BTreeSet, HashSet};

use beeldbox_custody::InstanceRow;
use beeldbox_dicom::{QueryError, instances_held};
use beeldbox_protocol::ident::{SopInstanceUid, StudyInstanceUid};
use tracing::{debug, info};

use super::Delivery;
use super::settled::ALREADY_THERE;
use crate::road::Road;

/// Open instances that the PACS has, settled as such.
pub(super) async fn already_there(road: &Road, delivery: &Delivery) -> Vec<(i64, u16)> {
    let open: Vec<&InstanceRow> = delivery.open().collect();
    let mut found = Vec::new();
    for study in studies(open.iter().copied()) {
        match held(road, &study).await {
            Ok(Some(held)) => {
                let is_there = |row: &&&InstanceRow| held.contains(&row.sop_instance);
                found.extend(open.iter().filter(is_there).map(|row| (row.id, ALREADY_THERE)));
            }
            Ok(None) => debug!("the PACS does not name its instances"),
            Err(error) => {
                debug!(%error, "the PACS cannot be asked what it has");
                break;
            }
        }
    }
    if !found.is_empty() {
        info!(instances = found.len(), of = open.len(), "instances are in the PACS already and are not sent");
    }
    found
}

/// The studies of these instances.
pub(super) fn studies<'a>(rows: impl Iterator<Item = &'a InstanceRow>) -> BTreeSet<StudyInstanceUid> {
    rows.filter_map(|row| row.study.clone()).collect()
}

/// What the PACS has of a study, by name; `None` if it does not name it.
pub(super) async fn held(
    road: &Road,
    study: &StudyInstanceUid,
) -> Result<Option<HashSet<SopInstanceUid>>, QueryError> {
    instances_held(&road.settings.pacs, &road.settings.ae_title, study).await
}
