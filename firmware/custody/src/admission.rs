//! The rows behind intake: which collection an instance belongs to, whether it is already there, and taking it in.
//! Everything here runs inside one commit on the ledger thread.

use beeldbox_protocol::clinical::{InstanceAttributes, Patient};
use beeldbox_protocol::envelope::pack::{InstanceDescription, PACK_HEADER_LEN, PackId};
use beeldbox_protocol::ident::{AeTitle, Digest, StudyInstanceUid, TransferId};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::columns::micros;
use crate::error::CustodyError;
use crate::intake::IntakeSource;
use crate::moving::insert_outbound;
use crate::records::CollectionId;
use crate::state::OutboundState;
use crate::studies::{SealedStudy, open_study};
use crate::vault::{Place, Vault};

/// A pack that wants a row.
pub(crate) struct Opening {
    pub(crate) pack: PackId,
    pub(crate) wrapped_key: Vec<u8>,
    pub(crate) study: Option<StudyInstanceUid>,
    /// For instances without a study: the association's own collection, if it has one.
    pub(crate) nameless: Option<CollectionId>,
    pub(crate) source: IntakeSource,
    /// The name of the transfer, if a collection has to be made.
    pub(crate) transfer: TransferId,
    pub(crate) attributes: InstanceAttributes,
    pub(crate) now: Timestamp,
}

/// An instance whose frame is written and flushed.
pub(crate) struct Arrival {
    pub(crate) pack_row: i64,
    pub(crate) collection: CollectionId,
    /// The alias that the collection was sent to.
    pub(crate) called_alias: Option<AeTitle>,
    pub(crate) frame_index: u32,
    pub(crate) frame_offset: u64,
    pub(crate) frame_len: u64,
    pub(crate) description: InstanceDescription,
    /// What it says about patient and study, if that differs from what the collection was last told.
    pub(crate) news: Option<InstanceAttributes>,
    pub(crate) modality: String,
    pub(crate) size_bytes: u64,
    pub(crate) digest: Digest,
    /// The name of a further transfer, if the study was sent already and is now offered again.
    pub(crate) again: TransferId,
    pub(crate) now: Timestamp,
}

/// What became of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Its row is in this commit.
    Admitted,
    /// The same bytes are in custody already; this frame is not needed.
    Duplicate,
    /// The collection was closed while the instance was arriving; it belongs into another one.
    Closed,
}

/// Finds the collecting collection of the study for this alias, or makes one with its transfer, and makes the pack's
/// row.
pub(crate) fn open_pack(
    connection: &Connection,
    vault: &Vault,
    opening: &Opening,
) -> Result<(i64, CollectionId), CustodyError> {
    check_quota(connection, &opening.source)?;
    let collecting = "SELECT c.id
         FROM collection c JOIN transfer t ON t.collection = c.id
         WHERE t.direction = 'outbound' AND t.state = 'collecting' AND ";
    let found = match (&opening.study, opening.nameless) {
        (Some(study), _) => connection
            .prepare_cached(&format!(
                "{collecting} c.study_uid = ?1 AND c.called_ae IS ?2 ORDER BY c.id DESC LIMIT 1"
            ))?
            .query_row(
                params![study.as_str(), opening.source.called_alias.as_ref().map(AeTitle::as_str)],
                |row| row.get(0),
            )
            .optional()?,
        (None, Some(nameless)) => connection
            .prepare_cached(&format!("{collecting} c.id = ?1"))?
            .query_row([nameless.0], |row| row.get(0))
            .optional()?,
        (None, None) => None,
    };
    let collection = match found {
        Some(id) => CollectionId(id),
        None => make_collection(connection, vault, opening)?,
    };
    connection
        .prepare_cached(
            "INSERT INTO pack (id, collection, state, len_bytes, frames, wrapped_key)
             VALUES (?1, ?2, 'open', ?3, 0, ?4)",
        )?
        .execute(params![opening.pack.as_bytes(), collection.0, PACK_HEADER_LEN, opening.wrapped_key])?;
    Ok((connection.last_insert_rowid(), collection))
}

/// Refuses a pack to a peer that has as much here as it may. Notes a new peer.
fn check_quota(connection: &Connection, source: &IntakeSource) -> Result<(), CustodyError> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO source (ae, kept_bytes) VALUES (?1, 0)")?
        .execute([source.calling_ae.as_str()])?;
    let Some(quota) = source.quota_bytes else { return Ok(()) };
    let kept: u64 = connection
        .prepare_cached("SELECT kept_bytes FROM source WHERE ae = ?1")?
        .query_row([source.calling_ae.as_str()], |row| row.get(0))?;
    if kept < quota { Ok(()) } else { Err(CustodyError::OverQuota) }
}

/// Takes an instance in, unless it is there already or its collection was closed.
pub(crate) fn admit(
    connection: &Connection,
    vault: &Vault,
    arrival: &Arrival,
) -> Result<Admission, CustodyError> {
    let seen = earlier(connection, arrival)?;
    if let Some(same) = seen.iter().find(|earlier| earlier.digest == arrival.digest && !earlier.damaged) {
        offer_again(connection, CollectionId(same.collection), arrival.again, arrival.now)?;
        return Ok(Admission::Duplicate);
    }
    let end = arrival.frame_offset.saturating_add(arrival.frame_len);
    let appended = connection
        .prepare_cached(
            "UPDATE pack
             SET len_bytes = ?2, frames = frames + 1
             WHERE row = ?1 AND state = 'open' AND frames = ?3 AND len_bytes = ?4",
        )?
        .execute(params![arrival.pack_row, end, arrival.frame_index, arrival.frame_offset])?;
    if appended != 1 {
        return Ok(Admission::Closed);
    }
    let conflict = seen.iter().any(|earlier| earlier.digest != arrival.digest);
    for earlier in seen.iter().filter(|earlier| earlier.damaged && earlier.collection == arrival.collection.0)
    {
        if earlier.digest == arrival.digest {
            replace_damaged(connection, arrival.collection, earlier)?;
        }
    }
    insert_instance(connection, arrival)?;
    let changed_identity = match &arrival.news {
        Some(attributes) => describe(connection, vault, arrival.collection, attributes)?,
        None => false,
    };
    connection
        .prepare_cached(
            "UPDATE collection
             SET instances = instances + 1,
                 size_bytes = size_bytes + ?2,
                 last_instance_at = max(last_instance_at, ?3),
                 conflict = max(conflict, ?4),
                 two_patients = max(two_patients, ?5)
             WHERE id = ?1",
        )?
        .execute(params![
            arrival.collection.0,
            arrival.size_bytes,
            micros(arrival.now),
            conflict,
            changed_identity
        ])?;
    Ok(Admission::Admitted)
}

/// Puts a study back into the list of those to send when its PACS sends it again after it went to an addressee: whoever
/// does that means to send it to somebody else. Nothing is kept twice; the further transfer stands on the same images.
/// While a decision about it is still open or on its way to the portal, a resent image is only a repetition.
fn offer_again(
    connection: &Connection,
    collection: CollectionId,
    transfer: TransferId,
    now: Timestamp,
) -> Result<(), CustodyError> {
    let closed_at: Option<i64> = connection
        .prepare_cached(
            "SELECT c.closed_at
             FROM collection c
             WHERE c.id = ?1
               AND c.closed_at IS NOT NULL
               AND NOT EXISTS (SELECT 1
                               FROM transfer t
                               WHERE t.collection = c.id
                                 AND t.state IN ('collecting', 'queued', 'addressed', 'sending', 'held'))",
        )?
        .query_row([collection.0], |row| row.get(0))
        .optional()?;
    match closed_at {
        Some(closed_at) => {
            let closed_at = crate::columns::time(closed_at)?;
            insert_outbound(connection, transfer, collection, &OutboundState::Queued { closed_at }, now)
        }
        None => Ok(()),
    }
}

/// Closes a pack: its association is done with it. An empty one loses its row, and an empty collection goes with it.
/// Says whether the file is not needed any more.
pub(crate) fn close_pack(connection: &Connection, row: i64) -> Result<bool, CustodyError> {
    let emptied: Option<i64> = connection
        .prepare_cached("DELETE FROM pack WHERE row = ?1 AND frames = 0 RETURNING collection")?
        .query_row([row], |row| row.get(0))
        .optional()?;
    match emptied {
        Some(collection) => {
            remove_if_empty(connection, collection)?;
            Ok(true)
        }
        None => {
            connection
                .prepare_cached("UPDATE pack SET state = 'closed' WHERE row = ?1 AND state = 'open'")?
                .execute([row])?;
            Ok(false)
        }
    }
}

/// Removes a collection that never held anything, with its transfer: nobody was told of it.
pub(crate) fn remove_if_empty(connection: &Connection, collection: i64) -> Result<bool, CustodyError> {
    let used: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM pack WHERE collection = ?1)
                 OR EXISTS (SELECT 1 FROM instance WHERE collection = ?1)
                 OR EXISTS (SELECT 1 FROM transfer WHERE collection = ?1 AND state <> 'collecting')",
        )?
        .query_row([collection], |row| row.get(0))?;
    if used {
        return Ok(false);
    }
    for statement in [
        "DELETE FROM transfer WHERE collection = ?1",
        "DELETE FROM series WHERE collection = ?1",
        "DELETE FROM collection WHERE id = ?1",
    ] {
        connection.prepare_cached(statement)?.execute([collection])?;
    }
    Ok(true)
}

/// An instance of the same name that we have or had.
struct Earlier {
    id: i64,
    collection: i64,
    digest: Digest,
    size_bytes: u64,
    damaged: bool,
}

/// Instances of the same name: in the same collection, and in collections of the same study, sent to the same alias,
/// that were closed and are on their way or delivered. A transfer that ended otherwise does not count: whoever sends the study again then means
/// to send it again.
fn earlier(connection: &Connection, arrival: &Arrival) -> Result<Vec<Earlier>, CustodyError> {
    let mut statement = connection.prepare_cached(
        "SELECT i.id, i.collection, i.digest, i.size_bytes, i.damaged
         FROM instance i JOIN collection c ON c.id = i.collection
         WHERE i.sop_instance = ?1
           AND c.direction = 'outbound'
           AND (c.id = ?2
                OR (c.study_uid IS ?3
                    AND c.called_ae IS ?4
                    AND c.erasing_at IS NULL
                    AND EXISTS (SELECT 1
                                FROM transfer t
                                WHERE t.collection = c.id
                                  AND t.state NOT IN ('erased', 'recalled', 'declined', 'expired', 'failed'))))",
    )?;
    let study = arrival.description.study.as_ref().map(StudyInstanceUid::as_str);
    let rows = statement.query_map(
        params![
            arrival.description.sop_instance.as_str(),
            arrival.collection.0,
            study,
            arrival.called_alias.as_ref().map(AeTitle::as_str)
        ],
        |row| {
            Ok(Earlier {
                id: row.get(0)?,
                collection: row.get(1)?,
                digest: Digest::from(row.get::<_, [u8; 32]>(2)?),
                size_bytes: row.get(3)?,
                damaged: row.get(4)?,
            })
        },
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn insert_instance(connection: &Connection, arrival: &Arrival) -> Result<(), CustodyError> {
    let description = &arrival.description;
    let series = description.series.as_ref().map(|uid| uid.as_str());
    connection
        .prepare_cached(
            "INSERT INTO instance (collection, pack, frame_index, frame_offset, frame_len, sop_class, sop_instance,
                                   transfer_syntax, series_uid, size_bytes, digest, received_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            arrival.collection.0,
            arrival.pack_row,
            arrival.frame_index,
            arrival.frame_offset,
            arrival.frame_len,
            description.sop_class.as_str(),
            description.sop_instance.as_str(),
            description.transfer_syntax.as_str(),
            series,
            arrival.size_bytes,
            arrival.digest.as_bytes(),
            micros(arrival.now)
        ])?;
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO series (collection, series_uid, modality) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![arrival.collection.0, series.unwrap_or_default(), arrival.modality])?;
    Ok(())
}

/// The sender sent again what was damaged: the new copy takes the old one's place.
fn replace_damaged(
    connection: &Connection,
    collection: CollectionId,
    old: &Earlier,
) -> Result<(), CustodyError> {
    connection.prepare_cached("DELETE FROM instance WHERE id = ?1")?.execute([old.id])?;
    connection
        .prepare_cached(
            "UPDATE collection
             SET instances = instances - 1, damaged = damaged - 1, size_bytes = size_bytes - ?2
             WHERE id = ?1",
        )?
        .execute(params![collection.0, old.size_bytes])?;
    Ok(())
}

fn make_collection(
    connection: &Connection,
    vault: &Vault,
    opening: &Opening,
) -> Result<CollectionId, CustodyError> {
    connection
        .prepare_cached(
            "INSERT INTO collection (direction, study_uid, source_ae, called_ae, opened_at, last_instance_at)
             VALUES ('outbound', ?1, ?2, ?3, ?4, ?4)",
        )?
        .execute(params![
            opening.study.as_ref().map(StudyInstanceUid::as_str),
            opening.source.calling_ae.as_str(),
            opening.source.called_alias.as_ref().map(AeTitle::as_str),
            micros(opening.now)
        ])?;
    let collection = CollectionId(connection.last_insert_rowid());
    insert_outbound(connection, opening.transfer, collection, &OutboundState::Collecting, opening.now)?;
    describe(connection, vault, collection, &opening.attributes)?;
    Ok(collection)
}

/// Adds what an instance says about patient and study to what is known; what is known stays. Says whether it names
/// another patient.
fn describe(
    connection: &Connection,
    vault: &Vault,
    collection: CollectionId,
    attributes: &InstanceAttributes,
) -> Result<bool, CustodyError> {
    let sealed: Option<Vec<u8>> = connection
        .prepare_cached("SELECT sealed_study FROM collection WHERE id = ?1")?
        .query_row([collection.0], |row| row.get(0))?;
    let known = sealed.map(|sealed| open_study(vault, collection, &sealed)).transpose()?.unwrap_or_default();
    let other_patient = matches!((&known.patient.id, &attributes.patient.id), (Some(a), Some(b)) if a != b);
    let merged = merge(&known, attributes);
    if merged != known {
        let sealed = vault.seal_json(Place::Collection(collection.0), &merged)?;
        connection
            .prepare_cached("UPDATE collection SET sealed_study = ?2 WHERE id = ?1")?
            .execute(params![collection.0, sealed])?;
    }
    Ok(other_patient)
}

fn merge(known: &SealedStudy, new: &InstanceAttributes) -> SealedStudy {
    fn first<T: Clone>(known: &Option<T>, new: &Option<T>) -> Option<T> {
        known.clone().or_else(|| new.clone())
    }
    SealedStudy {
        patient: Patient {
            name: first(&known.patient.name, &new.patient.name),
            id: first(&known.patient.id, &new.patient.id),
            id_issuer: first(&known.patient.id_issuer, &new.patient.id_issuer),
            birth_date: first(&known.patient.birth_date, &new.patient.birth_date),
            sex: first(&known.patient.sex, &new.patient.sex),
            bsn: first(&known.patient.bsn, &new.patient.bsn),
        },
        description: first(&known.description, &new.study_description),
        date: first(&known.date, &new.study_date),
        time: first(&known.time, &new.study_time),
        accession_number: first(&known.accession_number, &new.accession_number),
        institution: first(&known.institution, &new.institution),
    }
}
