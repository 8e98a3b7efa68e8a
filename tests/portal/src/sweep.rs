//! Letting go: transfers that nobody collected expire; letters, then parts, are erased when their time has come.
//!
//! The ledger says first that nobody may read a transfer's content (`closed`), then the bytes go, the letter before the
//! parts because it carries the keys, then the ledger says so (`erased`). Each step may be repeated, so a crash between
//! two of them costs nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::refusal::Refusal;
use crate::rows::cells;
use crate::site::Site;
use crate::store::{letters_of, parts_of};
use crate::tasks;

/// Time between two rounds. Expiry is counted in days; a minute late is nothing.
const INTERVAL: Duration = Duration::from_secs(60);

/// Transfers whose content is erased in one round at most, so that a round ends.
const ROUND: i64 = 1000;

/// Sweeps now and then, for ever.
///
/// # Cancellation
/// May be dropped at any moment: the next round goes on.
pub async fn sweep_for_ever(site: Arc<Site>) {
    loop {
        if let Err(why) = sweep(&site).await {
            tracing::warn!(?why, "sweeping failed, it is tried again");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// One round: expires, then erases what is due.
pub async fn sweep(site: &Site) -> Result<(), Refusal> {
    let grace = site.limits.grace;
    let expired = site.ledger.write(move |writing| tasks::expire(writing, grace)).await?;
    if !expired.is_empty() {
        tracing::info!(transfers = expired.len(), "transfers expired");
        site.tell_news();
    }
    let mut outcome = Ok(());
    for transfer in due(site).await? {
        // One that cannot be erased now does not keep the others.
        outcome = erase(site, &transfer).await.and(outcome);
    }
    outcome
}

/// Closes the content of every transfer whose time has come, and says which are to be erased.
async fn due(site: &Site) -> Result<Vec<String>, Refusal> {
    site.ledger
        .write(|writing| {
            let now = writing.now.as_microsecond();
            writing.execute(
                "UPDATE task SET content = 'closed' WHERE content = 'kept' AND erase_due <= ?1",
                cells![now],
            )?;
            let found = writing.query(
                "SELECT id FROM task WHERE content = 'closed' AND erase_due <= ?1 ORDER BY erase_due LIMIT ?2",
                cells![now, ROUND],
            )?;
            Ok(found.iter().map(|row| row.text(0)).collect::<Result<_, _>>()?)
        })
        .await
}

/// Erases the content of a transfer that is closed: the letter, then the parts.
pub async fn erase(site: &Site, transfer: &str) -> Result<(), Refusal> {
    site.store.remove_all(&letters_of(transfer)).await?;
    site.store.remove_all(&parts_of(transfer)).await?;
    let id = transfer.to_owned();
    site.ledger
        .write(move |writing| {
            let of_this = cells![id];
            writing.execute("DELETE FROM letter WHERE transfer = ?1", of_this)?;
            writing.execute("DELETE FROM part WHERE transfer = ?1", of_this)?;
            writing.execute(
                "UPDATE task SET content = 'erased' WHERE id = ?1 AND content = 'closed'",
                of_this,
            )?;
            Ok::<_, Refusal>(())
        })
        .await?;
    tracing::info!(transfer, "content erased");
    Ok(())
}

/// At the start: removes bytes that belong to no transfer, or to one that is erased. A power cut can bring removed
/// names back, and a part can have been stored while its transfer was recalled.
pub async fn remove_orphans(site: &Site) -> Result<(), Refusal> {
    for transfer in site.store.transfers().await? {
        let id = transfer.clone();
        let is_known = site
            .ledger
            .read(move |rows| {
                let sql = "SELECT id FROM task WHERE id = ?1 AND content <> 'erased'";
                Ok::<_, Refusal>(rows.query_first(sql, cells![id])?.is_some())
            })
            .await?;
        if !is_known {
            site.store.remove_all(&letters_of(&transfer)).await?;
            site.store.remove_all(&parts_of(&transfer)).await?;
            tracing::info!(transfer, "bytes without a transfer removed");
        }
    }
    Ok(())
}
