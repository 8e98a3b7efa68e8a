//! The bytes of an instance on their way out of custody, under the local patient where somebody decided so.

use beeldbox_custody::{FrameReader, ReadError};
use beeldbox_dicom::{CoercedSource, CoercionError, Coercions, OutgoingSource, SourceError};
use beeldbox_protocol::ident::TransferSyntaxUid;
use bytes::Bytes;
use tokio::sync::mpsc;

/// Chunks between the opener and the association: 8 × 64 KiB.
const QUEUED_CHUNKS: usize = 8;

/// An instance on its way out of its frame: opened on a thread of its own, chunk by authenticated chunk.
pub(super) struct OpenedInstance {
    chunks: mpsc::Receiver<Result<Bytes, ReadError>>,
}

impl OpenedInstance {
    pub(super) fn start(mut reader: FrameReader) -> Self {
        let (sender, chunks) = mpsc::channel(QUEUED_CHUNKS);
        tokio::task::spawn_blocking(move || {
            loop {
                let next = match reader.next_chunk() {
                    Ok(Some(chunk)) => Ok(Bytes::from(chunk)),
                    Ok(None) => break,
                    Err(error) => Err(error),
                };
                let is_error = next.is_err();
                // The association ended: nobody wants the rest.
                if sender.blocking_send(next).is_err() || is_error {
                    break;
                }
            }
        });
        OpenedInstance { chunks }
    }
}

impl OutgoingSource for OpenedInstance {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, SourceError> {
        match self.chunks.recv().await {
            Some(Ok(chunk)) => Ok(Some(chunk)),
            Some(Err(error)) => Err(SourceError(Box::new(error))),
            None => Ok(None),
        }
    }
}

/// An instance as it goes to the PACS, in the transfer syntax in which it is stored.
pub(super) enum Source {
    /// As the sender made it.
    AsSent(OpenedInstance),
    /// Under the local patient.
    Coerced(CoercedSource<OpenedInstance>),
}

impl Source {
    /// # Errors
    /// If a data set in this transfer syntax cannot be coerced.
    pub(super) fn new(
        opened: OpenedInstance,
        coercions: Option<&Coercions>,
        stored: &TransferSyntaxUid,
    ) -> Result<Self, CoercionError> {
        match coercions {
            None => Ok(Source::AsSent(opened)),
            Some(coercions) => CoercedSource::new(opened, coercions, stored).map(Source::Coerced),
        }
    }
}

impl OutgoingSource for Source {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, SourceError> {
        match self {
            Source::AsSent(source) => source.next_chunk().await,
            Source::Coerced(source) => source.next_chunk().await,
        }
    }
}
