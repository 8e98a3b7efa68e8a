//! Sending Part 10 files: the modality half.
//!
//! Files go out in the order given, on one association per 128 (SOP class, transfer syntax) pairs. An association that
//! breaks fails the instance it was sending; the next one gets a new association.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;

use anyhow::Result;
use beeldbox_dicom::{
    AssociationLimits, DimseStatus, OutgoingInstance, OutgoingSource, PeerNode, SourceError,
    StoreAssociation, associate,
};
use beeldbox_protocol::ident::{AeTitle, SopClassUid, SopInstanceUid, TransferSyntaxUid};
use bytes::Bytes;

use crate::part10::Part10File;

/// Contexts per association (PS3.8 §9.3.2.2).
const CONTEXTS: usize = 128;
/// Bytes per read.
const CHUNK: usize = 256 * 1024;

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its name.
    pub sop_instance: SopInstanceUid,
    /// What the peer answered; `None` if it did not.
    pub status: Option<DimseStatus>,
    /// Why there is no answer, or the peer's comment.
    pub remark: Option<String>,
    /// Length of the data set.
    pub size: u64,
}

impl Sent {
    /// Whether the peer has it.
    pub fn is_stored(&self) -> bool {
        self.status.is_some_and(DimseStatus::is_stored)
    }
}

/// Sends all files and tells of each as soon as it is known. The result has one entry per file, in groups of files
/// that share an association.
///
/// # Errors
/// None so far: what fails is said per file.
pub async fn send_files(
    to: &PeerNode,
    calling: &AeTitle,
    files: &[Part10File],
    mut tell: impl FnMut(&Sent),
) -> Result<Vec<Sent>> {
    let pairs: BTreeSet<_> =
        files.iter().map(|file| (file.sop_class.clone(), file.transfer_syntax.clone())).collect();
    let pairs: Vec<_> = pairs.into_iter().collect();
    let mut sent = Vec::with_capacity(files.len());
    for group in pairs.chunks(CONTEXTS) {
        let belongs = |file: &&Part10File| {
            group.iter().any(|(class, syntax)| *class == file.sop_class && *syntax == file.transfer_syntax)
        };
        let mut open = None;
        for file in files.iter().filter(belongs) {
            let outcome = send_one(to, calling, group, &mut open, file).await;
            tell(&outcome);
            sent.push(outcome);
        }
        if let Some(association) = open {
            association.release().await;
        }
    }
    Ok(sent)
}

async fn send_one(
    to: &PeerNode,
    calling: &AeTitle,
    contexts: &[(SopClassUid, TransferSyntaxUid)],
    open: &mut Option<StoreAssociation>,
    file: &Part10File,
) -> Sent {
    let stored = match open.take().filter(StoreAssociation::is_open) {
        Some(association) => Ok(association),
        None => {
            associate(to, calling, contexts, AssociationLimits::default()).await.map_err(anyhow::Error::from)
        }
    };
    let stored = match stored {
        Ok(association) => store(open.insert(association), file).await,
        Err(error) => Err(error),
    };
    let (status, remark) = match stored {
        Ok((status, comment)) => (Some(status), comment),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    Sent { sop_instance: file.sop_instance.clone(), status, remark, size: file.data_set_length }
}

async fn store(
    association: &mut StoreAssociation,
    file: &Part10File,
) -> Result<(DimseStatus, Option<String>)> {
    let instance = OutgoingInstance {
        sop_class: file.sop_class.clone(),
        sop_instance: file.sop_instance.clone(),
        transfer_syntax: file.transfer_syntax.clone(),
        size_hint: Some(file.data_set_length),
    };
    let outcome = association.store(&instance, &mut FileSource(file.data_set()?)).await?;
    Ok((outcome.status, outcome.comment))
}

/// The data set of a file. Reads block their thread shortly, which a test peer may do.
struct FileSource(File);

impl OutgoingSource for FileSource {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, SourceError> {
        let mut buffer = vec![0; CHUNK];
        let length = self.0.read(&mut buffer).map_err(|error| SourceError(error.into()))?;
        buffer.truncate(length);
        Ok((length > 0).then(|| Bytes::from(buffer)))
    }
}
