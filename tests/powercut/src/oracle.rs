//! The oracle: looks at a custody as a power cut left it and says which promise is broken.
//!
//! What was told before the cut must hold after it: stored instances are there and read back as they were sent, moves
//! happened, parts are on disk, the audit trail is whole, and what was erased is gone with its keys already before
//! start-up tidies. Nothing else may be shown: no instance we never finished, none twice. A second start must find
//! nothing left to do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use beeldbox_custody::{Custody, RecoveryReport};
use beeldbox_protocol::envelope::keys::{Purpose, StorageKey};
use beeldbox_protocol::ident::TransferId;

use crate::image::{GIVEN_UP, Name};
use crate::script::{self, STORAGE_KEY};
use crate::told::{Told, rank};

/// Bytes of a wrapped pack key: nonce, key, tag.
const WRAP_LEN: usize = 12 + 32 + 16;

/// Bytes behind a pack's name within which its wrapped key stands in a row of the ledger.
const ROW_LEN: usize = 64;

/// What must hold, gathered from what was told.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    stored: BTreeSet<Name>,
    moved: BTreeMap<String, usize>,
    parts: BTreeSet<(String, String, u32)>,
    erasing: BTreeMap<u32, Vec<String>>,
    erased: BTreeMap<u32, Vec<String>>,
    audit_rows: u64,
}

impl Expected {
    /// Adds one thing that was told.
    pub fn add(&mut self, told: &Told) {
        match told {
            Told::Stored(name) => {
                self.stored.insert(*name);
            }
            Told::Moved { transfer, to } => {
                let reached = self.moved.entry(transfer.clone()).or_default();
                *reached = rank(to).unwrap_or(0).max(*reached);
            }
            Told::Part { transfer, pack, index } => {
                self.parts.insert((transfer.clone(), pack.clone(), *index));
            }
            Told::Erasing { study, packs } => {
                self.erasing.insert(*study, packs.clone());
            }
            Told::Started => self.erased.extend(self.erasing.clone()),
            Told::Erased { study, packs } => {
                self.erased.insert(*study, packs.clone());
            }
            Told::Audited { rows } => self.audit_rows = self.audit_rows.max(*rows),
        }
    }

    /// Gathers everything that was told.
    pub fn of<'a>(told: impl IntoIterator<Item = &'a Told>) -> Self {
        let mut expected = Expected::default();
        for told in told {
            expected.add(told);
        }
        expected
    }

    /// How many instances must be found.
    pub fn stored(&self) -> usize {
        self.stored.iter().filter(|name| !self.erasing.contains_key(&name.study)).count()
    }
}

/// A broken promise, in words.
#[derive(Debug, Clone)]
pub struct Broken(pub String);

/// Makes a broken promise of anything that can be said.
fn broken(what: impl std::fmt::Display) -> Broken {
    Broken(what.to_string())
}

/// Judges one state.
///
/// # Errors
/// The first promise found broken.
pub async fn judge(dir: &Path, expected: &Expected) -> Result<RecoveryReport, Broken> {
    what_is_erased_is_gone(dir, expected)?;
    let (custody, report) = script::open(dir).map_err(|error| broken(format!("{error:#}")))?;
    let shown = look(&custody, &report, expected).await;
    custody.close().await;
    drop(custody);
    let shown = shown?;
    let (custody, again) = script::open(dir).map_err(|error| broken(format!("second start: {error:#}")))?;
    let shown_again = instances(&custody).await;
    custody.close().await;
    if again != RecoveryReport::default() {
        return Err(broken(format!("the second start still found something to do: {again}")));
    }
    if shown_again? != shown {
        return Err(broken("the second start shows other instances than the first"));
    }
    Ok(report)
}

/// Before start-up: files and wrapped keys of what was erased are on the disk no more.
fn what_is_erased_is_gone(dir: &Path, expected: &Expected) -> Result<(), Broken> {
    let packs: Vec<&String> = expected.erased.values().flatten().collect();
    if packs.is_empty() {
        return Ok(());
    }
    for pack in &packs {
        if dir.join("packs").join(format!("{pack}.pack")).exists() {
            return Err(broken("the file of an erased pack is there"));
        }
    }
    let key = StorageKey::from_bytes(STORAGE_KEY);
    for file in ["ledger.sqlite", "ledger.sqlite-wal"] {
        let content = fs::read(dir.join(file)).unwrap_or_default();
        for pack in &packs {
            if holds_key(&content, pack, &key) {
                return Err(broken(format!("the key of an erased pack is in {file}")));
            }
        }
    }
    Ok(())
}

/// Whether a wrapped key of the pack stands behind its name somewhere in these bytes.
fn holds_key(content: &[u8], pack: &str, key: &StorageKey) -> bool {
    let Some(id) = unhex(pack) else { return false };
    let mut from = 0;
    while let Some(first) = content.get(from..).and_then(|rest| rest.iter().position(|byte| *byte == id[0])) {
        let start = from + first;
        from = start + 1;
        if !content[start..].starts_with(&id) {
            continue;
        }
        let end = start + id.len();
        let opens = |at: &usize| {
            let wrap = content.get(*at..*at + WRAP_LEN);
            wrap.is_some_and(|wrap| key.open(Purpose::PackKey, &id, wrap).is_ok())
        };
        if (end..end + ROW_LEN).any(|at| opens(&at)) {
            return true;
        }
    }
    false
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    let byte = |at: usize| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..16).map(byte).collect();
    bytes?.try_into().ok()
}

async fn look(
    custody: &Custody,
    report: &RecoveryReport,
    expected: &Expected,
) -> Result<BTreeSet<Name>, Broken> {
    if !report.damaged.is_empty() {
        return Err(broken(format!("recovery reports damage: {report}")));
    }
    let shown = instances(custody).await?;
    compare(&shown, expected)?;
    for (transfer, told) in &expected.moved {
        let id: TransferId = transfer.parse().map_err(broken)?;
        let row = custody.transfer(id).await.map_err(broken)?;
        let row = row.ok_or_else(|| broken("a transfer that was told of is gone"))?;
        let reached = rank(row.state.kind().as_str()).unwrap_or(0);
        if reached < *told {
            return Err(broken(format!("a transfer went back to {}", row.state.kind().as_str())));
        }
    }
    for (transfer, pack, index) in &expected.parts {
        let id: TransferId = transfer.parse().map_err(broken)?;
        let row = custody.transfer(id).await.map_err(broken)?;
        let collection = row.and_then(|row| row.collection).ok_or_else(|| broken("an adoption is gone"))?;
        let missing = custody.missing_parts(collection).await.map_err(broken)?;
        if missing.iter().any(|part| part.pack.to_string() == *pack && part.index == *index) {
            return Err(broken("a part that was on disk has to be fetched again"));
        }
    }
    let rows = custody.verify_audit().await.map_err(broken)?;
    if rows < expected.audit_rows {
        return Err(broken("rows of the audit trail are gone"));
    }
    Ok(shown)
}

/// Every instance custody shows as readable, each read and authenticated; the digest says which made one it is.
async fn instances(custody: &Custody) -> Result<BTreeSet<Name>, Broken> {
    let (mut shown, mut after) = (BTreeSet::new(), None);
    loop {
        let page = custody.all_instances(after, 500).await.map_err(broken)?;
        let Some(last) = page.last() else { return Ok(shown) };
        after = Some(last.id);
        for row in page {
            let digest = custody
                .verify_instance(&row)
                .await
                .map_err(|error| broken(format!("instance {}: {error}", row.sop_instance)))?;
            let name = Name::find(row.sop_instance.as_str(), digest)
                .ok_or_else(|| broken("an instance is shown that nobody ever sent"))?;
            if name.number >= GIVEN_UP {
                return Err(broken("an instance that was given up is shown"));
            }
            if !shown.insert(name) {
                return Err(broken(format!("{name:?} is shown twice")));
            }
        }
    }
}

fn compare(shown: &BTreeSet<Name>, expected: &Expected) -> Result<(), Broken> {
    for name in &expected.stored {
        if !shown.contains(name) && !expected.erasing.contains_key(&name.study) {
            return Err(broken(format!("{name:?} was acknowledged and is lost")));
        }
    }
    for study in expected.erasing.keys() {
        let told = expected.stored.iter().filter(|name| name.study == *study);
        let (left, gone): (Vec<&Name>, Vec<&Name>) = told.partition(|name| shown.contains(*name));
        if !left.is_empty() && (!gone.is_empty() || expected.erased.contains_key(study)) {
            return Err(broken(format!("study {study} was erased and {} of it are shown", left.len())));
        }
    }
    Ok(())
}
