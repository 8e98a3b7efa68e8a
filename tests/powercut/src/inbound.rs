//! The other half of the script: letters of another hospital are adopted, their parts fetched, and what was delivered
//! is erased.

use std::path::Path;

use anyhow::{Context, Result};
use beeldbox_custody::{
    CollectionId, Custody, InboundCollection, InboundInstance, InboundPack, InboundState, NewInbound,
    OutboundState, PartRow,
};
use beeldbox_protocol::ident::TransferId;

use crate::image::Name;
use crate::script::{PART_LEN, association, at, erase, find, go, open, send};
use crate::told::{Listener, Told};

/// Which of the script's studies come from the other hospital.
pub const ARRIVING: [u32; 3] = [30, 31, 32];

/// Nobody: what happens at the other hospital is not under test.
struct Nobody;

impl Listener for Nobody {
    fn told(&self, _told: &Told) -> Result<()> {
        Ok(())
    }
}

/// A study of the other hospital.
struct Sender {
    custody: Custody,
    promised: InboundCollection,
    parts: Vec<PartRow>,
}

/// Receives three transfers: one is delivered and erased, one stays opened, one stays half fetched.
pub(crate) async fn play(
    custody: &Custody,
    elsewhere: &Path,
    base: u32,
    listener: &dyn Listener,
) -> Result<()> {
    let [first, second, third] = ARRIVING.map(|study| base + study);
    let (transfer, collection) = fetch(custody, elsewhere, first, usize::MAX, listener).await?;
    open_and_deliver(custody, first, transfer, listener).await?;
    erase(custody, first, collection, listener).await?;
    let (transfer, _) = fetch(custody, elsewhere, second, usize::MAX, listener).await?;
    opened(custody, second, transfer, listener).await?;
    fetch(custody, elsewhere, third, 2, listener).await?;
    Ok(())
}

/// Goes on with the half fetched transfer after a start, and opens it.
///
/// # Errors
/// If custody refuses.
pub async fn resume(custody: &Custody, elsewhere: &Path, base: u32, listener: &dyn Listener) -> Result<()> {
    let study = base + ARRIVING[2];
    let transfer = transfer_of(study);
    let Some(row) = custody.transfer(transfer).await? else { return Ok(()) };
    let fetching = InboundState::Fetching { parts_done: 0, parts_total: 1 };
    let Some(collection) = row.collection.filter(|_| row.state.kind().as_str() == "fetching") else {
        return Ok(());
    };
    let sender = sender(elsewhere, study).await?;
    fetch_missing(custody, &sender, transfer, collection, usize::MAX, listener).await?;
    for number in 1..=INSTANCES {
        listener.told(&Told::Stored(Name::new(study, number)))?;
    }
    go(custody, transfer, fetching, InboundState::Opened { at: at(11) }, listener).await?;
    sender.custody.close().await;
    Ok(())
}

/// Instances of each arriving study.
const INSTANCES: u32 = 3;

/// The name of the transfer that brings a study.
fn transfer_of(study: u32) -> TransferId {
    let mut bytes = [9; 16];
    bytes[..4].copy_from_slice(&study.to_le_bytes());
    TransferId::from_random(bytes)
}

/// The other hospital receives the study from its modality and cuts it into parts; again is once.
async fn sender(elsewhere: &Path, study: u32) -> Result<Sender> {
    let (custody, _) = open(&elsewhere.join(study.to_string()))?;
    let mut modality = association(&custody)?;
    for number in 1..=INSTANCES {
        send(&mut modality, Name::new(study, number), &Nobody)?;
    }
    modality.close();
    let row = find(&custody, study).await?;
    if row.state == OutboundState::Collecting {
        let queued = OutboundState::Queued { closed_at: at(5) };
        go(&custody, row.transfer, OutboundState::Collecting, queued, &Nobody).await?;
    }
    let parts = custody.make_parts(row.collection, PART_LEN).await?;
    let mut packs = Vec::new();
    for pack in custody.packs(row.collection).await? {
        let own = parts.iter().filter(|part| part.pack == pack.id);
        packs.push(InboundPack {
            id: pack.id,
            key: custody.pack_key(pack.id).await?,
            len_bytes: pack.len_bytes,
            parts: own.map(|part| (part.digest, part.len)).collect(),
        });
    }
    let instances =
        custody.instances(row.collection, None, 1000).await?.into_iter().map(|instance| InboundInstance {
            pack: instance.pack,
            frame_index: instance.frame_index,
            frame_offset: instance.frame_offset,
            frame_len: instance.frame_len,
            sop_class: instance.sop_class,
            sop_instance: instance.sop_instance,
            transfer_syntax: instance.transfer_syntax,
            study: instance.study,
            series: instance.series,
            size_bytes: instance.size_bytes,
            digest: instance.digest,
        });
    let promised = InboundCollection {
        patient: row.patient,
        summaries: vec![row.summary],
        instances: instances.collect(),
        packs,
    };
    Ok(Sender { custody, promised, parts })
}

/// Announces, adopts and fetches parts, at most so many.
async fn fetch(
    custody: &Custody,
    elsewhere: &Path,
    study: u32,
    parts_max: usize,
    listener: &dyn Listener,
) -> Result<(TransferId, CollectionId)> {
    let sender = sender(elsewhere, study).await?;
    let transfer = transfer_of(study);
    let new = NewInbound {
        id: transfer,
        task_id: study.to_string(),
        task_version: "1".to_owned(),
        letter_ref: format!("Binary/{study}"),
        sender_hint: None,
        urgent: false,
        now: at(10),
    };
    custody.announce(new).await?;
    listener.told(&Told::Moved { transfer: transfer.to_string(), to: "announced".to_owned() })?;
    let collection = custody.adopt_collection(transfer, sender.promised.clone(), at(10)).await?;
    let fetching = InboundState::Fetching { parts_done: 0, parts_total: 1 };
    go(custody, transfer, InboundState::Announced, fetching, listener).await?;
    fetch_missing(custody, &sender, transfer, collection, parts_max, listener).await?;
    if parts_max == usize::MAX {
        for number in 1..=INSTANCES {
            listener.told(&Told::Stored(Name::new(study, number)))?;
        }
    }
    sender.custody.close().await;
    Ok((transfer, collection))
}

async fn fetch_missing(
    custody: &Custody,
    sender: &Sender,
    transfer: TransferId,
    collection: CollectionId,
    parts_max: usize,
    listener: &dyn Listener,
) -> Result<()> {
    for missing in custody.missing_parts(collection).await?.into_iter().take(parts_max) {
        let same = |part: &&PartRow| part.digest == missing.digest;
        let part = sender.parts.iter().find(same).context("a part that the sender never made")?;
        let bytes = sender.custody.read_part(part).await?;
        custody.write_part(missing.pack, missing.index, bytes, at(11)).await?;
        listener.told(&Told::Part {
            transfer: transfer.to_string(),
            pack: missing.pack.to_string(),
            index: missing.index,
        })?;
    }
    Ok(())
}

async fn opened(
    custody: &Custody,
    study: u32,
    transfer: TransferId,
    listener: &dyn Listener,
) -> Result<InboundState> {
    let (fetching, opened) =
        (InboundState::Fetching { parts_done: 1, parts_total: 1 }, InboundState::Opened { at: at(12) });
    let row = custody.transfer(transfer).await?.context("an announced transfer is gone")?;
    let collection = row.collection.with_context(|| format!("study {study} was not adopted"))?;
    for instance in custody.instances(collection, None, 1000).await? {
        custody.verify_instance(&instance).await?;
    }
    go(custody, transfer, fetching, opened.clone(), listener).await?;
    Ok(opened)
}

async fn open_and_deliver(
    custody: &Custody,
    study: u32,
    transfer: TransferId,
    listener: &dyn Listener,
) -> Result<()> {
    let mut state = opened(custody, study, transfer, listener).await?;
    let of = INSTANCES;
    let road = [
        InboundState::Reconciled { at: at(13) },
        InboundState::Delivering { settled: 0, of },
        InboundState::Delivered { stored: of, of, at: at(14) },
        InboundState::Reported { at: at(15) },
    ];
    for next in road {
        go(custody, transfer, state, next.clone(), listener).await?;
        state = next;
    }
    Ok(())
}
