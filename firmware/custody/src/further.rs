//! A further transfer of images that went to somebody already: made and addressed in one commit.

use beeldbox_protocol::ident::TransferId;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::AuditRecord;
use crate::columns::time;
use crate::error::CustodyError;
use crate::moving::{advance, insert_outbound};
use crate::records::CollectionId;
use crate::state::{OutboundState, State};
use crate::transfer_records::{AddresseeSnapshot, Changes};
use crate::{Custody, audit};

/// A further transfer.
#[derive(Debug, Clone)]
pub struct Further {
    /// Its images.
    pub collection: CollectionId,
    /// The transfer whose place it takes.
    pub instead_of: TransferId,
    /// Its name: a new one, or that of a transfer of the same images that waits for an addressee.
    pub transfer: TransferId,
    /// How it begins: *queued*.
    pub queued: OutboundState,
    /// How it stands when this is committed: *addressed*.
    pub addressed: OutboundState,
    /// What else is committed; has an addressee.
    pub changes: Changes,
}

impl Custody {
    /// Makes a further transfer of a closed study, which waits for an addressee: *queued*. If one of the same images waits
    /// already, nothing is changed. The record is committed with it.
    ///
    /// # Errors
    /// [`CustodyError::StillCollecting`] before the study is closed, [`CustodyError::Erased`] after its keys are gone,
    /// [`CustodyError::Unknown`] if there is no such outbound collection.
    ///
    /// # Durability
    /// When this returns, both survive a power cut; on error, nothing happened.
    pub async fn offer_again(
        &self,
        collection: CollectionId,
        transfer: TransferId,
        record: AuditRecord,
        now: Timestamp,
    ) -> Result<(), CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                let closed_at = closed_at(connection, collection)?;
                let one_waits: bool = connection
                    .prepare_cached(
                        "SELECT EXISTS (SELECT 1 FROM transfer WHERE collection = ?1 AND state = 'queued')",
                    )?
                    .query_row([collection.0], |row| row.get(0))?;
                if one_waits {
                    return Ok(());
                }
                let queued = OutboundState::Queued { closed_at };
                insert_outbound(connection, transfer, collection, &queued, now)?;
                audit::append(connection, &vault, &record)
            })
            .await
    }

    /// When a study of ours was closed.
    ///
    /// # Errors
    /// As [`Custody::offer_again`].
    pub async fn closed_at(&self, collection: CollectionId) -> Result<Timestamp, CustodyError> {
        self.ledger().ask(move |connection| closed_at(connection, collection)).await
    }

    /// Makes a further transfer and addresses it. If one that was made later than the first goes to the same addressee
    /// already and has not come to nothing, it is that one, and nothing is changed. Tells its name.
    ///
    /// # Errors
    /// As [`Custody::offer_again`], and [`CustodyError::Stale`] if the transfer that waited has moved.
    ///
    /// # Durability
    /// When this returns, all of it survives a power cut; on error, nothing happened.
    pub async fn make_further(&self, further: Further, now: Timestamp) -> Result<TransferId, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                closed_at(connection, further.collection)?;
                if let Some(made) = made_before(connection, &further)? {
                    return Ok(made);
                }
                let Further { collection, transfer, queued, addressed, changes, .. } = further;
                insert_outbound(connection, transfer, collection, &queued, now)?;
                let (from, to) = (State::Outbound(queued), State::Outbound(addressed));
                advance(connection, &vault, transfer, &from, &to, &changes, now)?;
                Ok(transfer)
            })
            .await
    }
}

/// When an outbound collection was closed; it has keys still.
pub(crate) fn closed_at(
    connection: &Connection,
    collection: CollectionId,
) -> Result<Timestamp, CustodyError> {
    let found = connection
        .prepare_cached(
            "SELECT closed_at, erasing_at
             FROM collection
             WHERE id = ?1 AND direction = 'outbound'",
        )?
        .query_row([collection.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (closed_at, erasing_at): (Option<i64>, Option<i64>) =
        found.ok_or(CustodyError::Unknown { what: "study" })?;
    if erasing_at.is_some() {
        return Err(CustodyError::Erased);
    }
    time(closed_at.ok_or(CustodyError::StillCollecting)?)
}

fn made_before(connection: &Connection, further: &Further) -> Result<Option<TransferId>, CustodyError> {
    let Some(wanted) = &further.changes.addressee else { return Ok(None) };
    let mut statement = connection.prepare_cached(
        "SELECT id, addressee
         FROM transfer
         WHERE collection = ?1 AND addressee IS NOT NULL
           AND seq > (SELECT seq FROM transfer WHERE id = ?2)
           AND state NOT IN ('declined', 'expired', 'recalled', 'failed', 'erased')
         ORDER BY seq",
    )?;
    let mut rows = statement.query(params![further.collection.0, further.instead_of.to_string()])?;
    while let Some(row) = rows.next()? {
        let addressee: AddresseeSnapshot = serde_json::from_str(&row.get::<_, String>(1)?)
            .map_err(|_| CustodyError::unreadable("addressee"))?;
        if addressee.id == wanted.id {
            let id: String = row.get(0)?;
            return Ok(Some(id.parse().map_err(|_| CustodyError::unreadable("id"))?));
        }
    }
    Ok(None)
}
