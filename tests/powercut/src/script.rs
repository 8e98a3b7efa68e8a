//! What custody is put through: everything the box does with a study, on one thread, one step after the other, each
//! answer told before the next question.
//!
//! The same script runs in the virtual machine, where power is cut, and under a trace, from which flushes are knocked
//! out. Study numbers begin at a base, so that scripts can run beside and after each other in one custody.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use beeldbox_custody::{
    AuditRecord, Changes, CollectionId, Custody, IntakeSession, IntakeSource, OpenOptions, OutboundState,
    RecoveryReport, State, StudyRow,
};
use beeldbox_protocol::clinical::{Confidential, InstanceAttributes};
use beeldbox_protocol::envelope::data_set_digest::DataSetDigest;
use beeldbox_protocol::envelope::keys::StorageKey;
use beeldbox_protocol::ident::{AeTitle, TransferId};
use jiff::Timestamp;

use crate::image::{GIVEN_UP, Name, study_uid};
use crate::inbound;
use crate::told::{Listener, Told, word};

/// The storage key of every custody here.
pub const STORAGE_KEY: [u8; 32] = [7; 32];

/// Bytes a modality sends at a time.
const PIECE_LEN: usize = 4000;

/// Bytes of a part, small so that packs have several.
pub const PART_LEN: u64 = 8_000;

/// How much of the script to play.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Where the study numbers of this run begin. Leave [`Plan::STUDIES`] of them to each run.
    pub base: u32,
    /// Small instances at the end, each a commit: a few hundred fill the log of the ledger until it is moved into the
    /// database on the way.
    pub flood: u32,
}

impl Plan {
    /// Study numbers that one run uses.
    pub const STUDIES: u32 = 100;
}

/// Seconds after the moment at which the scripts begin.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap_or_default()
}

/// How every custody here is opened.
pub fn options(dir: &Path) -> OpenOptions {
    OpenOptions {
        dir: dir.to_owned(),
        storage_key: StorageKey::from_bytes(STORAGE_KEY),
        ballast_bytes: 64 * 1024,
        reserve_bytes: 0,
        attributes_of: |_, _| InstanceAttributes::default(),
        now: at(0),
    }
}

/// Opens a custody.
///
/// # Errors
/// What custody says.
pub fn open(dir: &Path) -> Result<(Custody, RecoveryReport)> {
    let (custody, mut report) = Custody::open(options(dir)).context("open custody")?;
    report.add(custody.survey().context("survey custody")?);
    Ok((custody, report))
}

/// Plays the whole script. `elsewhere` is the folder of the other hospital's custody, which is not under test.
///
/// # Errors
/// If custody refuses anything: without a fault, nothing may be refused.
pub async fn play(custody: &Custody, elsewhere: &Path, plan: Plan, listener: &dyn Listener) -> Result<()> {
    let base = plan.base;
    receive_with_repeats(custody, base, listener)?;
    receive_many_studies(custody, base, listener)?;
    receive_later(custody, base, listener)?;
    deliver_and_erase(custody, base + 2, listener).await?;
    remove(custody, base + 3, listener).await?;
    offer_again(custody, base + 4, listener).await?;
    close_while_receiving(custody, base + 5, listener).await?;
    inbound::play(custody, elsewhere, base, listener).await?;
    flood(custody, base + 20, plan.flood, listener)?;
    deliver_and_erase(custody, base + 6, listener).await?;
    audit(custody, listener).await
}

/// Plays the whole script in an empty folder, starts once more, and receives one more instance.
///
/// # Errors
/// As [`play`].
pub async fn play_and_start_again(
    folder: &Path,
    elsewhere: &Path,
    plan: Plan,
    listener: &dyn Listener,
) -> Result<()> {
    let (custody, _) = open(folder)?;
    play(&custody, elsewhere, plan, listener).await?;
    custody.close().await;
    drop(custody);
    let (custody, _) = open(folder)?;
    let mut association = association(&custody)?;
    send(&mut association, Name::new(plan.base + 70, 1), listener)?;
    association.close();
    custody.close().await;
    Ok(())
}

/// Begins an association.
///
/// # Errors
/// Never; the name is well formed.
pub fn association(custody: &Custody) -> Result<IntakeSession> {
    let calling_ae: AeTitle = "CT1".parse().context("AE title")?;
    Ok(custody.intake(IntakeSource { calling_ae, called_alias: None, quota_bytes: None }))
}

/// Sends one instance and tells of it once custody has it.
///
/// # Errors
/// What custody says.
pub fn send(association: &mut IntakeSession, name: Name, listener: &dyn Listener) -> Result<()> {
    begin(association, name, usize::MAX)?;
    finish(association, name, listener)
}

fn begin(association: &mut IntakeSession, name: Name, pieces: usize) -> Result<()> {
    let image = name.image();
    association.begin(at(1), &image.description, &image.attributes)?;
    for piece in image.data.chunks(PIECE_LEN).take(pieces) {
        association.write(piece)?;
    }
    Ok(())
}

fn finish(association: &mut IntakeSession, name: Name, listener: &dyn Listener) -> Result<()> {
    let stored = association.finish(DataSetDigest::of(&name.image().data), at(2))?;
    ensure!(
        Name::find(&name.uid(), stored.digest()) == Some(name),
        "custody took other bytes than were sent"
    );
    listener.told(&Told::Stored(name))
}

/// One study with a repeated, an abandoned and a contradicting instance, and a second one between.
fn receive_with_repeats(custody: &Custody, base: u32, listener: &dyn Listener) -> Result<()> {
    let mut association = association(custody)?;
    for number in [1, 2, 3, 2] {
        send(&mut association, Name::new(base + 1, number), listener)?;
    }
    begin(&mut association, Name::new(base + 1, GIVEN_UP), usize::MAX)?;
    association.abandon();
    send(&mut association, Name { study: base + 1, number: 3, version: 1 }, listener)?;
    for number in 1..=3 {
        send(&mut association, Name::new(base + 2, number), listener)?;
        send(&mut association, Name::new(base + 1, 10 + number), listener)?;
    }
    association.close();
    Ok(())
}

/// More studies than one association keeps open.
fn receive_many_studies(custody: &Custody, base: u32, listener: &dyn Listener) -> Result<()> {
    let mut association = association(custody)?;
    for study in 3..=12 {
        send(&mut association, Name::new(base + study, 1), listener)?;
    }
    // A sender that breaks off in the middle of a study of its own.
    begin(&mut association, Name::new(base + 13, GIVEN_UP + 1), 1)?;
    drop(association);
    Ok(())
}

fn receive_later(custody: &Custody, base: u32, listener: &dyn Listener) -> Result<()> {
    let mut association = association(custody)?;
    for number in 20..=22 {
        send(&mut association, Name::new(base + 1, number), listener)?;
    }
    association.close();
    Ok(())
}

fn flood(custody: &Custody, study: u32, count: u32, listener: &dyn Listener) -> Result<()> {
    let mut association = association(custody)?;
    for number in 1..=count {
        send(&mut association, Name::new(study, number), listener)?;
    }
    association.close();
    Ok(())
}

/// The study, as a technician would find it.
pub(crate) async fn find(custody: &Custody, study: u32) -> Result<StudyRow> {
    let uid = study_uid(study).parse().context("study UID")?;
    custody.study_by_uid(&uid).await?.pop().context("a study that was received is not listed")
}

/// Moves a transfer and tells of it.
pub(crate) async fn go(
    custody: &Custody,
    transfer: TransferId,
    from: impl Into<State>,
    to: impl Into<State>,
    listener: &dyn Listener,
) -> Result<()> {
    let to: State = to.into();
    let name = word(to.kind());
    custody.advance(transfer, from, to, Changes::default(), at(5)).await?;
    listener.told(&Told::Moved { transfer: transfer.to_string(), to: name })
}

async fn close_study(custody: &Custody, study: &StudyRow, listener: &dyn Listener) -> Result<OutboundState> {
    let queued = OutboundState::Queued { closed_at: at(5) };
    go(custody, study.transfer, OutboundState::Collecting, queued.clone(), listener).await?;
    Ok(queued)
}

/// Takes a study from collecting to a state on the road.
async fn travel(custody: &Custody, study: &StudyRow, listener: &dyn Listener, steps: usize) -> Result<()> {
    let mut state = close_study(custody, study, listener).await?;
    let parts = custody.make_parts(study.collection, PART_LEN).await?;
    for part in &parts {
        custody.read_part(part).await?;
        custody.mark_part_sent(study.transfer, part.pack, part.index, at(6)).await?;
    }
    let road = [
        OutboundState::Addressed { at: at(6), leaves_at: at(6), undo_to: None },
        OutboundState::Sending { parts_done: 1, parts_total: 1 },
        OutboundState::Accepted { at: at(7) },
        OutboundState::Fetched { at: at(8) },
        OutboundState::Delivered { stored: 1, of: 1, at: at(9) },
    ];
    for next in road.into_iter().take(steps) {
        go(custody, study.transfer, state, next.clone(), listener).await?;
        state = next;
    }
    Ok(())
}

/// Erases a collection; tells before and after.
pub(crate) async fn erase(
    custody: &Custody,
    study: u32,
    collection: CollectionId,
    listener: &dyn Listener,
) -> Result<()> {
    let packs: Vec<String> =
        custody.packs(collection).await?.into_iter().map(|pack| pack.id.to_string()).collect();
    listener.told(&Told::Erasing { study, packs: packs.clone() })?;
    custody.erase(collection, at(20)).await?;
    listener.told(&Told::Erased { study, packs })
}

async fn deliver_and_erase(custody: &Custody, study: u32, listener: &dyn Listener) -> Result<()> {
    let row = find(custody, study).await?;
    travel(custody, &row, listener, usize::MAX).await?;
    erase(custody, study, row.collection, listener).await
}

/// A person removes a study that was sent to nobody.
async fn remove(custody: &Custody, study: u32, listener: &dyn Listener) -> Result<()> {
    let row = find(custody, study).await?;
    close_study(custody, &row, listener).await?;
    erase(custody, study, row.collection, listener).await
}

/// A study that the portal has is sent again by its PACS, the same image and another one.
async fn offer_again(custody: &Custody, study: u32, listener: &dyn Listener) -> Result<()> {
    let row = find(custody, study).await?;
    travel(custody, &row, listener, 3).await?;
    let mut association = association(custody)?;
    send(&mut association, Name::new(study, 1), listener)?;
    send(&mut association, Name::new(study, 2), listener)?;
    association.close();
    Ok(())
}

/// A study is closed while an instance of it arrives: the instance goes to an addendum.
async fn close_while_receiving(custody: &Custody, study: u32, listener: &dyn Listener) -> Result<()> {
    let mut association = association(custody)?;
    begin(&mut association, Name::new(study, 2), usize::MAX)?;
    let row = find(custody, study).await?;
    close_study(custody, &row, listener).await?;
    finish(&mut association, Name::new(study, 2), listener)?;
    association.close();
    Ok(())
}

async fn audit(custody: &Custody, listener: &dyn Listener) -> Result<()> {
    let record = AuditRecord {
        at: at(30),
        actor: "script".to_owned(),
        action: "ended".to_owned(),
        transfer: None,
        detail: Confidential::default(),
    };
    custody.append_audit(record).await?;
    listener.told(&Told::Audited { rows: custody.verify_audit().await? })
}
