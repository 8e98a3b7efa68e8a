//! Reading instances back: nothing is handed out before its chunk authenticates, and the last piece only after length,
//! digest and description are those the ledger names.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};

use beeldbox_protocol::envelope::keys::SecretKey;
use beeldbox_protocol::envelope::pack::{
    CHUNK_HEAD_LEN, ChunkHead, FRAME_HEADER_LEN, FrameOpener, FrameSummary, InstanceDescription,
    MAX_SEALED_CHUNK_LEN, PACK_HEADER_LEN, PackError, PackId, check_pack_header,
};
use beeldbox_protocol::ident::{Digest, SeriesInstanceUid, SopClassUid, SopInstanceUid, TransferSyntaxUid};

use crate::Custody;
use crate::error::{CustodyError, ReadError};
use crate::pack_file::OpenPack;
use crate::records::InstanceRow;

/// Bytes read ahead: two full chunks.
const READ_LEN: usize = 2 * MAX_SEALED_CHUNK_LEN;

/// The data set of one instance, piece by piece. Blocks.
pub struct FrameReader {
    source: BufReader<Take<File>>,
    opener: Option<FrameOpener>,
    expected: Option<Expected>,
    sealed: Vec<u8>,
    /// Bytes of the frame read so far.
    frame_len: u64,
    /// What the frame turned out to hold, once it has authenticated to its end.
    found: Option<(InstanceDescription, FrameSummary)>,
}

/// What the ledger says about the instance.
struct Expected {
    sop_class: SopClassUid,
    sop_instance: SopInstanceUid,
    transfer_syntax: TransferSyntaxUid,
    series: Option<SeriesInstanceUid>,
    size_bytes: u64,
    digest: Digest,
}

impl Expected {
    fn is(&self, description: &InstanceDescription, summary: FrameSummary) -> bool {
        self.sop_class == description.sop_class
            && self.sop_instance == description.sop_instance
            && self.transfer_syntax == description.transfer_syntax
            && self.series == description.series
            && self.size_bytes == summary.data_set_len
            && self.digest == summary.data_set_digest
    }
}

/// Where a frame is.
pub(crate) struct FramePlace {
    pub(crate) pack: PackId,
    pub(crate) index: u32,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl Custody {
    /// Opens an instance for reading.
    ///
    /// # Errors
    /// If its pack is gone, its key was erased, or no frame begins there.
    pub async fn open_instance(&self, instance: &InstanceRow) -> Result<FrameReader, ReadError> {
        let key = self.pack_key(instance.pack).await?;
        let path = self.disk().pack(&instance.pack);
        let instance = instance.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let file = File::open(path).map_err(ReadError::Io)?;
            FrameReader::open(file, &key, &instance)
        });
        opened.await.map_err(|_| ReadError::Ledger(CustodyError::Closed))?
    }

    /// Reads an instance again from the disk, authenticates all of it, and gives the digest of its data set.
    ///
    /// # Errors
    /// If anything of it is missing or changed.
    pub async fn verify_instance(&self, instance: &InstanceRow) -> Result<Digest, ReadError> {
        let mut reader = self.open_instance(instance).await?;
        let digest = instance.digest;
        let read = tokio::task::spawn_blocking(move || {
            while reader.step()?.is_some() {}
            Ok(digest)
        });
        read.await.map_err(|_| ReadError::Ledger(CustodyError::Closed))?
    }
}

impl FrameReader {
    /// The next piece of the data set; nothing after the last.
    ///
    /// # Errors
    /// If the chunk does not authenticate, or the frame is not the instance that the ledger names. Whatever was read
    /// before must then be thrown away.
    pub fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.step()?.map(<[u8]>::to_vec))
    }

    pub(crate) fn open(file: File, key: &SecretKey, instance: &InstanceRow) -> Result<Self, ReadError> {
        let place = FramePlace {
            pack: instance.pack,
            index: instance.frame_index,
            offset: instance.frame_offset,
            len: instance.frame_len,
        };
        let expected = Expected {
            sop_class: instance.sop_class.clone(),
            sop_instance: instance.sop_instance.clone(),
            transfer_syntax: instance.transfer_syntax.clone(),
            series: instance.series.clone(),
            size_bytes: instance.size_bytes,
            digest: instance.digest,
        };
        let mut header = [0; PACK_HEADER_LEN];
        let mut file = file;
        file.read_exact(&mut header).map_err(cut_short)?;
        if check_pack_header(&header, key).map_err(ReadError::Pack)? != instance.pack {
            return Err(ReadError::Pack(PackError::WrongKey));
        }
        FrameReader::at(file, key, &place, Some(expected))
    }

    /// Reads back the frame behind the end of a pack that is still open.
    pub(crate) fn of_tail(pack: &OpenPack) -> Result<Self, ReadError> {
        let file = pack.file.try_clone().map_err(ReadError::Io)?;
        FrameReader::behind(file, &pack.key, pack.id, pack.frames, pack.committed_len)
    }

    /// Reads whatever frame stands at a place that the ledger does not know of.
    pub(crate) fn behind(
        file: File,
        key: &SecretKey,
        pack: PackId,
        index: u32,
        offset: u64,
    ) -> Result<Self, ReadError> {
        FrameReader::at(file, key, &FramePlace { pack, index, offset, len: u64::MAX }, None)
    }

    /// Length and contents of the frame, once its last piece was read.
    pub(crate) fn into_found(self) -> Option<(u64, InstanceDescription, FrameSummary)> {
        let (description, summary) = self.found?;
        Some((self.frame_len, description, summary))
    }

    fn at(
        mut file: File,
        key: &SecretKey,
        place: &FramePlace,
        expected: Option<Expected>,
    ) -> Result<Self, ReadError> {
        file.seek(SeekFrom::Start(place.offset)).map_err(ReadError::Io)?;
        let mut source = BufReader::with_capacity(READ_LEN, file.take(place.len));
        let mut header = [0; FRAME_HEADER_LEN];
        source.read_exact(&mut header).map_err(cut_short)?;
        let opener = FrameOpener::new(key, &place.pack, place.index, &header).map_err(ReadError::Pack)?;
        let frame_len = FRAME_HEADER_LEN as u64;
        Ok(FrameReader { source, opener: Some(opener), expected, sealed: Vec::new(), frame_len, found: None })
    }

    /// Authenticates the next chunk that holds data and lends its piece.
    pub(crate) fn step(&mut self) -> Result<Option<&[u8]>, ReadError> {
        let Some(opener) = self.opener.as_mut() else { return Ok(None) };
        loop {
            let mut head = [0; CHUNK_HEAD_LEN];
            self.source.read_exact(&mut head).map_err(cut_short)?;
            let head = ChunkHead::parse(head).map_err(ReadError::Pack)?;
            self.sealed.resize(head.sealed_len, 0);
            self.source.read_exact(&mut self.sealed).map_err(cut_short)?;
            self.frame_len = self.frame_len.saturating_add((CHUNK_HEAD_LEN + head.sealed_len) as u64);
            // The piece lies within `sealed`, which is lent out; remembered by place, not by reference.
            let start = self.sealed.as_ptr() as usize;
            let piece = opener.open_chunk(head, &mut self.sealed).map_err(ReadError::Pack)?;
            let (from, len) = (piece.as_ptr() as usize - start, piece.len());
            if opener.is_complete() {
                let opener = self.opener.take().ok_or(ReadError::Differs)?;
                let (description, summary) = opener.finish().map_err(ReadError::Pack)?;
                if self.expected.as_ref().is_some_and(|expected| !expected.is(&description, summary)) {
                    return Err(ReadError::Differs);
                }
                self.found = Some((description, summary));
                return Ok((len > 0).then(|| &self.sealed[from..from + len]));
            }
            if len > 0 {
                return Ok(Some(&self.sealed[from..from + len]));
            }
        }
    }
}

/// The end of the file inside a frame is damage, not an input/output error.
fn cut_short(error: io::Error) -> ReadError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        ReadError::Pack(PackError::Truncated)
    } else {
        ReadError::Io(error)
    }
}
