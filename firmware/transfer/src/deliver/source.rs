//! The bytes of an instance on their way out of custody.

use beeldbox_custody::{FrameReader, ReadError};
use beeldbox_dicom::{OutgoingSource, SourceError};
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
