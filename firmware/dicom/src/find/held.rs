//! Which instances of a study an archive has, by name: before a delivery, so that nothing is sent that is there already, and
//! after one, as proof.

use std::collections::HashSet;

use beeldbox_protocol::ident::{AeTitle, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid};

use super::{Asking, COUNTING, COUNTING_IN_ALL, Ended, MOST_ANSWERS, MOST_SERIES, STUDIES};
use crate::associate::PeerNode;
use crate::conversation::ConversationError;
use crate::pdu::WireError;
use crate::query::{Query, QueryError, QueryLevel};

/// The names of all instances of this study that the archive has: one question for its series, and one for each of them, on
/// one association. `None` if it does not name them. A study that it does not know has none. Waits at most 10 s for each
/// answer, 2 min in all.
///
/// # Errors
/// The step that failed. Names that came before are dropped: half a list proves nothing.
pub async fn instances_held(
    node: &PeerNode,
    calling: &AeTitle,
    study: &StudyInstanceUid,
) -> Result<Option<HashSet<SopInstanceUid>>, QueryError> {
    let asking = async {
        let mut asking = Asking::open(node, calling, STUDIES, COUNTING).await?;
        let named = asking.names(study).await;
        asking.end(named.as_ref().map(|_| Ended::InOrder)).await;
        named
    };
    tokio::time::timeout(COUNTING_IN_ALL, asking)
        .await
        .unwrap_or(Err(ConversationError::Wire(WireError::Silent).into()))
}

impl Asking {
    async fn names(
        &mut self,
        study: &StudyInstanceUid,
    ) -> Result<Option<HashSet<SopInstanceUid>>, QueryError> {
        let mut all_series: Vec<SeriesInstanceUid> = Vec::new();
        let mut usable = true;
        let query = Query { study: Some(study.clone()), ..Query::new(QueryLevel::Series, MOST_SERIES) };
        self.in_order(&query, |found| {
            // An archive that does not know the key answers with everything it has.
            if found.study.as_ref().is_none_or(|found| found == study) {
                usable &= found.series.is_some() && all_series.len() < MOST_SERIES;
                all_series.extend(found.series.filter(|_| usable));
            }
        })
        .await?;
        let mut names = HashSet::new();
        for series in all_series {
            let query = Query {
                study: Some(study.clone()),
                series: Some(series.clone()),
                ..Query::new(QueryLevel::Image, MOST_ANSWERS)
            };
            self.in_order(&query, |found| {
                let is_of_study = found.study.as_ref().is_none_or(|found| found == study);
                if is_of_study && found.series.as_ref().is_none_or(|found| *found == series) {
                    usable &= found.sop_instance.is_some();
                    names.extend(found.sop_instance);
                }
            })
            .await?;
        }
        Ok(usable.then_some(names))
    }
}
