//! Parts that need not be sent again: those which the portal holds from another transfer of the same sender.
//!
//! ```text
//!   asked what is missing ─► who else of this sender has it? ─► second name in the store ─► one commit: the rows
//! ```
//!
//! Each transfer has names of its own for its bytes, so there is nothing to count: erasing one removes its names, and the
//! bytes go with the last. A name that is made while the other is being removed is there or is not, which the store
//! decides; if it is not, the part is missing like any other. A name without a row is treated as one of an upload.
//!
//! Only the sender's own transfers are looked at. For a part of somebody else the answer is that for an unknown one.

use beeldbox_protocol::ident::{Digest, TransferId, Ura};
use beeldbox_protocol::portal::task::TaskStatus;
use futures_util::{StreamExt, stream};

use crate::parts::{check_sender, remove_unwanted, room};
use crate::refusal::Refusal;
use crate::rows::Rows;
use crate::site::Site;
use crate::store::part_at;
use crate::tasks;

/// Names made at once.
const AT_ONCE: usize = 16;

/// A part of the draft that another transfer has.
#[derive(Clone, Copy)]
struct Held {
    digest: Digest,
    holder: TransferId,
    len: u64,
}

/// What a transfer lacks of what was asked about.
#[derive(Default)]
struct Lack {
    nowhere: Vec<Digest>,
    held: Vec<Held>,
}

/// Which of these parts the transfer lacks, after taking over what it can.
///
/// # Errors
/// If the client may not know of the transfer, or the ledger refuses.
///
/// # Cancellation
/// May be dropped: what has a name and no row is found when it is asked for again, or goes with its transfer.
pub async fn missing(
    site: &Site,
    ura: &Ura,
    transfer: TransferId,
    asked: Vec<Digest>,
) -> Result<Vec<Digest>, Refusal> {
    let sender = ura.clone();
    let lack = site.ledger.read(move |rows| look(rows, &sender, &transfer, &asked)).await?;
    if lack.held.is_empty() {
        return Ok(lack.nowhere);
    }
    let named: Vec<(Held, bool)> = stream::iter(lack.held)
        .map(async |held| (held, give_name(site, &transfer, &held).await))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut missing = lack.nowhere;
    missing.extend(named.iter().filter(|(_, is_named)| !is_named).map(|(held, _)| held.digest));
    let named: Vec<Held> =
        named.into_iter().filter_map(|(held, is_named)| is_named.then_some(held)).collect();
    match record(site, ura, transfer, named.clone()).await {
        Ok(over_quota) => missing.extend(over_quota),
        Err(refusal) => {
            for held in &named {
                remove_unwanted(site, &transfer, &held.digest, &refusal).await;
            }
            return Err(refusal);
        }
    }
    Ok(missing)
}

fn look(rows: &Rows<'_>, ura: &Ura, transfer: &TransferId, asked: &[Digest]) -> Result<Lack, Refusal> {
    let task = tasks::find_for(rows, transfer, ura)?;
    let takes_over = task.is_sent_by(ura) && task.status == TaskStatus::Draft;
    let mut lack = Lack::default();
    for digest in asked {
        if tasks::part_len(rows, transfer, digest)?.is_some() {
            continue;
        }
        match takes_over.then(|| tasks::same_part(rows, ura, transfer, digest)).transpose()?.flatten() {
            Some((holder, len)) => lack.held.push(Held { digest: *digest, holder, len }),
            None => lack.nowhere.push(*digest),
        }
    }
    Ok(lack)
}

/// Whether the part has a name of this transfer now. If not, it is sent.
async fn give_name(site: &Site, transfer: &TransferId, held: &Held) -> bool {
    let (from, to) = (part_at(&held.holder, &held.digest), part_at(transfer, &held.digest));
    site.store.link(&from, &to).await.unwrap_or_else(|why| {
        tracing::warn!(%transfer, ?why, "a part could not be taken over");
        false
    })
}

/// Says of these parts that they are there, and of which it cannot be said because they are above the quota: sending
/// them will be refused by that name.
async fn record(
    site: &Site,
    ura: &Ura,
    transfer: TransferId,
    named: Vec<Held>,
) -> Result<Vec<Digest>, Refusal> {
    let (ura, quota) = (ura.clone(), site.limits.bytes_per_sender);
    site.ledger
        .write(move |writing| {
            check_sender(writing, &transfer, &ura)?;
            let mut room = room(writing, &ura, quota)?;
            let mut over_quota = Vec::new();
            for held in named {
                if held.len > room {
                    over_quota.push(held.digest);
                    continue;
                }
                room -= held.len;
                tasks::record_part(writing, &transfer, &held.digest, held.len)?;
            }
            Ok::<_, Refusal>(over_quota)
        })
        .await
}
