//! What was done before there was an audit trail.
//!
//! A box without a signing certificate has no ledger open, so that who asked for its first certificate and who imported it
//! is written into the sealed folder, and taken over into the audit trail at the first start as a whole. A power cut in
//! between takes it over again: told twice rather than never.

use anyhow::{Context, Result};
use beeldbox_custody::{AuditRecord, Custody};
use beeldbox_protocol::clinical::Confidential;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::identity::Sealed;

/// The sealed file.
const NAME: &str = "setup-record";

/// One thing that a person did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What, in the words of the audit trail.
    pub action: String,
}

/// Writes down what was done.
///
/// # Durability
/// When this returns, it survives a power cut.
///
/// # Errors
/// If the sealed folder cannot be read or written.
pub fn write_down(sealed: &Sealed, done: Done) -> Result<()> {
    let mut all = read(sealed)?;
    all.push(done);
    sealed.write(NAME, &serde_json::to_vec(&all).context("a record of the setup")?)
}

fn read(sealed: &Sealed) -> Result<Vec<Done>> {
    let Some(content) = sealed.read(NAME)? else { return Ok(Vec::new()) };
    serde_json::from_slice(&content).context("the record of the setup")
}

/// Takes everything over into the audit trail.
///
/// # Errors
/// If it cannot be read, or the ledger does not take it; it is tried again at the next start.
pub async fn take_over(sealed: &Sealed, custody: &Custody) -> Result<()> {
    let all = read(sealed)?;
    if all.is_empty() {
        return Ok(());
    }
    for Done { at, actor, action } in all {
        let detail = Confidential::new("before the first start as a whole");
        custody.append_audit(AuditRecord { at, actor, action, transfer: None, detail }).await?;
    }
    sealed.remove(NAME)
}

#[cfg(test)]
mod tests {
    use beeldbox_protocol::envelope::keys::StorageKey;

    use super::*;

    #[test]
    fn records_are_kept_in_order_and_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let sealed = Sealed::new(dir.path(), StorageKey::from_bytes([1; 32]));
        let done = |action: &str| Done {
            at: "2026-01-01T00:00:00Z".parse().unwrap(),
            actor: "jan".to_owned(),
            action: action.to_owned(),
        };
        assert_eq!(read(&sealed).unwrap(), vec![]);
        write_down(&sealed, done("request certificate")).unwrap();
        write_down(&sealed, done("import certificate")).unwrap();
        assert_eq!(read(&sealed).unwrap(), vec![done("request certificate"), done("import certificate")]);
        let bytes = std::fs::read(dir.path().join("identity/setup-record.sealed")).unwrap();
        assert!(!bytes.windows(3).any(|window| window == b"jan"), "a name in the clear");
    }
}
