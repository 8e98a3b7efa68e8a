//! Handing out what lies on this box: an instance as a file, as it would go to this hospital's PACS.
//!
//! Opened chunk by authenticated chunk while it is read, with the local patient in it where the images are filed under one:
//! nobody gets the bytes of an instance that is damaged, and nobody gets two identities of one patient from one box.

use std::io::{self, Read};

use beeldbox_custody::{CollectionId, CustodyError, FrameReader, InstanceRow, ReadError, StoredStudy};
use beeldbox_dicom::{Coercer, CoercionError, Coercions, file_head};

use crate::coerced;
use crate::road::Road;

/// Why an instance is not handed out.
#[derive(Debug, thiserror::Error)]
pub enum HandOutError {
    /// There is no such instance, or its study cannot be read.
    #[error("there is no such instance")]
    Unknown,
    /// The local patient cannot be put into it.
    #[error("the local patient cannot be put into it")]
    Coercion(#[from] CoercionError),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<CustodyError> for HandOutError {
    fn from(error: CustodyError) -> Self {
        HandOutError::Read(ReadError::Ledger(error))
    }
}

/// An instance on its way out, as a DICOM file (PS3.10). Reads on a thread that may block. An error while reading means that
/// what came before is worth nothing.
pub struct OutgoingFile {
    /// What it is.
    pub instance: InstanceRow,
    reader: FrameReader,
    coercer: Option<Coercer>,
    head: usize,
    ready: Vec<u8>,
    given: usize,
    is_at_end: bool,
}

/// Opens an instance for handing out.
///
/// # Errors
/// If there is none, or it cannot be read or coerced.
pub async fn instance(road: &Road, number: i64) -> Result<OutgoingFile, HandOutError> {
    let found = road.custody.stored_instance(number).await?;
    let (collection, row) = found.ok_or(HandOutError::Unknown)?;
    let coercions = coercions_of(road, collection).await?;
    open(road, row, coercions.as_ref()).await
}

/// Opens an instance of a study whose coercions are known.
///
/// # Errors
/// As [`instance`].
pub async fn open(
    road: &Road,
    row: InstanceRow,
    coercions: Option<&Coercions>,
) -> Result<OutgoingFile, HandOutError> {
    let reader = road.custody.open_instance(&row).await?;
    let coercer = coercions.map(|coercions| Coercer::new(coercions, &row.transfer_syntax)).transpose()?;
    let ready = file_head(&row.sop_class, &row.sop_instance, &row.transfer_syntax);
    Ok(OutgoingFile { instance: row, reader, coercer, head: ready.len(), ready, given: 0, is_at_end: false })
}

/// What is changed in the images of a study that is filed under a patient of this hospital.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn coercions_of(road: &Road, collection: CollectionId) -> Result<Option<Coercions>, HandOutError> {
    let study = road.custody.stored_study(collection).await?.ok_or(HandOutError::Unknown)?;
    Ok(coercions(road, &study))
}

/// The same of a study that is known.
pub fn coercions(road: &Road, study: &StoredStudy) -> Option<Coercions> {
    // A decision that cannot be written was refused when it was made.
    study.transfers.iter().rev().find_map(|row| coerced::plan(row, &road.settings.name).ok().flatten())
}

impl Read for OutgoingFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready.len() {
            if self.is_at_end {
                return Ok(0);
            }
            self.ready.clear();
            self.given = 0;
            self.fill().map_err(io::Error::other)?;
        }
        let some = self.ready.get(self.given..).unwrap_or_default();
        let length = some.len().min(buffer.len());
        buffer[..length].copy_from_slice(&some[..length]);
        self.given += length;
        Ok(length)
    }
}

impl OutgoingFile {
    /// Bytes before the data set. Known before anything is read.
    pub fn head_length(&self) -> usize {
        self.head
    }

    fn fill(&mut self) -> Result<(), HandOutError> {
        match (self.reader.next_chunk()?, &mut self.coercer) {
            (Some(chunk), None) => self.ready = chunk,
            (Some(chunk), Some(coercer)) => coercer.push(&chunk, &mut self.ready)?,
            (None, _) => {
                self.is_at_end = true;
                if let Some(coercer) = self.coercer.take() {
                    coercer.finish(&mut self.ready)?;
                }
            }
        }
        Ok(())
    }
}
