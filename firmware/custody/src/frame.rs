//! The instance that is arriving: sealed in memory, written behind the end of its pack. It does not count before the
//! ledger says so.

use beeldbox_protocol::clinical::InstanceAttributes;
use beeldbox_protocol::envelope::data_set_digest::DataSetDigest;
use beeldbox_protocol::envelope::pack::{
    FrameSealer, FrameSummary, InstanceDescription, MAX_SEALED_CHUNK_LEN,
};

use crate::Custody;
use crate::error::IntakeError;
use crate::pack_file::OpenPack;

/// Sealed bytes gathered before they are written: two full chunks. More would save system calls, and leave more to be brought
/// to the disk behind the last of them.
const WRITE_LEN: usize = 2 * MAX_SEALED_CHUNK_LEN;

/// The instance that is arriving.
pub(crate) struct Frame {
    /// Gone once the frame is complete.
    sealer: Option<FrameSealer>,
    pub(crate) description: InstanceDescription,
    pub(crate) attributes: InstanceAttributes,
    /// Sealed bytes not yet written.
    buffer: Vec<u8>,
    /// Sealed bytes written behind the pack's committed length.
    pub(crate) written: u64,
}

impl Frame {
    /// Begins the frame behind the end of a pack, with a fresh salt. The buffer may come from an earlier frame.
    pub(crate) fn begin(
        custody: &Custody,
        pack: &OpenPack,
        description: &InstanceDescription,
        attributes: &InstanceAttributes,
        mut buffer: Vec<u8>,
    ) -> Result<Self, IntakeError> {
        let salt = custody.vault().random()?;
        buffer.clear();
        buffer.reserve(WRITE_LEN + 2 * MAX_SEALED_CHUNK_LEN);
        let sealer =
            FrameSealer::digested_elsewhere(&pack.key, &pack.id, pack.frames, salt, description, &mut buffer);
        Ok(Frame {
            sealer: Some(sealer),
            description: description.clone(),
            attributes: attributes.clone(),
            buffer,
            written: 0,
        })
    }

    /// Seals the next piece; writes when enough is gathered.
    pub(crate) fn write(&mut self, pack: &OpenPack, piece: &[u8]) -> Result<(), IntakeError> {
        // In steps, so that a large piece does not grow the buffer.
        for step in piece.chunks(WRITE_LEN) {
            let sealer = self.sealer.as_mut().ok_or(IntakeError::NotBegun)?;
            sealer.write(step, &mut self.buffer).map_err(IntakeError::Seal)?;
            if self.buffer.len() >= WRITE_LEN {
                self.put(pack)?;
            }
        }
        Ok(())
    }

    /// Seals and writes the end of the frame. Nothing is flushed yet.
    pub(crate) fn finish(
        &mut self,
        pack: &OpenPack,
        digest: DataSetDigest,
    ) -> Result<FrameSummary, IntakeError> {
        let sealer = self.sealer.take().ok_or(IntakeError::NotBegun)?;
        let summary = sealer.finish_digested(digest, &mut self.buffer).map_err(IntakeError::Seal)?;
        self.put(pack)?;
        Ok(summary)
    }

    /// Gives the buffer back for the next frame. It holds ciphertext only.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    fn put(&mut self, pack: &OpenPack) -> Result<(), IntakeError> {
        pack.write(&self.buffer, pack.committed_len.saturating_add(self.written))?;
        self.written = self.written.saturating_add(self.buffer.len() as u64);
        self.buffer.clear();
        Ok(())
    }
}
