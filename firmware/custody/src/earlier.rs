//! What was sent of a study before its late images came: to whom, and by which transfer.

use beeldbox_protocol::ident::TransferId;
use jiff::Timestamp;

use crate::Custody;
use crate::columns::{json_maybe, text_at, time_at};
use crate::error::CustodyError;
use crate::records::CollectionId;
use crate::transfer_records::AddresseeSnapshot;

/// An earlier transfer of the same study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierSend {
    /// The transfer.
    pub transfer: TransferId,
    /// To whom it went.
    pub addressee: AddresseeSnapshot,
    /// When it was made.
    pub at: Timestamp,
}

impl Custody {
    /// The transfers of the same study that were made of earlier collections and went, or go, to somebody; oldest first.
    /// Nothing if every image of this collection was in an earlier one already: then it is a repetition.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn earlier_sends(&self, collection: CollectionId) -> Result<Vec<EarlierSend>, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                // What ended without success left nothing at its addressee that could be added to.
                let mut statement = connection.prepare_cached(
                    "SELECT t.id, t.addressee, t.created_at
                     FROM collection c
                     JOIN collection e ON e.study_uid = c.study_uid AND e.id < c.id
                     JOIN transfer t ON t.collection = e.id
                     WHERE c.id = ?1 AND t.direction = 'outbound' AND t.addressee IS NOT NULL
                       AND t.state NOT IN ('recalled', 'declined', 'expired', 'failed')
                       AND (t.state <> 'erased' OR EXISTS (SELECT 1 FROM receipt r WHERE r.transfer = t.seq))
                       AND EXISTS (SELECT 1 FROM instance i
                                   WHERE i.collection = c.id
                                     AND NOT EXISTS (SELECT 1 FROM instance o JOIN collection oc ON oc.id = o.collection
                                                     WHERE o.sop_instance = i.sop_instance AND o.digest = i.digest
                                                       AND oc.study_uid = c.study_uid AND oc.id < c.id))
                     ORDER BY t.seq",
                )?;
                let mut rows = statement.query([collection.0])?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(EarlierSend {
                        transfer: text_at(row, "id")?,
                        addressee: json_maybe(row, "addressee")?
                            .ok_or(CustodyError::unreadable("addressee"))?,
                        at: time_at(row, "created_at")?,
                    });
                }
                Ok(found)
            })
            .await
    }
}
