//! A study as a DICOM folder, for a practice without a PACS: DICOMDIR and files (PS3.10, IHE PDI), zipped while it streams.
//!
//! Nothing of it is written to a disk here, and nothing is held but one piece: the archive is made as fast as it is taken. The
//! directory comes last in it, because only then is it known what every file says.

use std::io::{self, Read, Write};

use beeldbox_custody::{InstanceRow, StoredStudy};
use beeldbox_dicom::{Coercions, FolderFile, RecordAttributes, directory};
use beeldbox_protocol::ident::SopInstanceUid;
use tokio::runtime::Handle;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::hand_out::{self, HandOutError};
use crate::road::Road;

/// Bytes of each file that are looked at for its record.
const BEGINNING: usize = 1024 * 1024;
/// Bytes copied at a time.
const PIECE: usize = 256 * 1024;
/// Above this a file needs 64-bit lengths in the archive.
const LONG_FILE: u64 = 3 * 1024 * 1024 * 1024;
/// Instances read from the ledger at a time.
const PAGE: u32 = 500;

/// What is handed out, for whoever finds it.
const README: &str = "This folder holds images and documents of one patient, written by a Beeldbox.\r\n\
    Open DICOMDIR with a DICOM viewer, or import the folder into a PACS.\r\n\
    It is confidential: delete it when it is not needed any more.\r\n";

/// Writes a study as a ZIP archive. Blocks: call it on a thread that may, inside the runtime `handle` belongs to.
///
/// # Errors
/// If an instance cannot be read or coerced, or nobody takes the archive: what was written is then no archive.
pub fn write(
    road: &Road,
    handle: &Handle,
    study: &StoredStudy,
    directory_name: &SopInstanceUid,
    out: impl Write,
) -> io::Result<()> {
    let coercions = hand_out::coercions(road, study);
    let mut archive = ZipWriter::new_stream(out);
    let mut files: Vec<FolderFile> = Vec::new();
    let mut after = None;
    loop {
        let page = handle.block_on(road.custody.instances(study.collection, after, PAGE));
        let page = page.map_err(io::Error::other)?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for row in page {
            let file = add(road, handle, &mut archive, row, coercions.as_ref(), files.len() + 1)?;
            files.push(file);
        }
    }
    begin(&mut archive, "DICOMDIR", 0)?;
    archive.write_all(&directory(&files, directory_name))?;
    begin(&mut archive, "README.TXT", 0)?;
    archive.write_all(README.as_bytes())?;
    archive.finish().map_err(io::Error::other)?.flush()
}

fn add<W: Write>(
    road: &Road,
    handle: &Handle,
    archive: &mut ZipWriter<zip::write::StreamWriter<W>>,
    row: InstanceRow,
    coercions: Option<&Coercions>,
    number: usize,
) -> io::Result<FolderFile> {
    let (sop_class, sop_instance) = (row.sop_class.clone(), row.sop_instance.clone());
    let (transfer_syntax, size) = (row.transfer_syntax.clone(), row.size_bytes);
    let opened: Result<_, HandOutError> = handle.block_on(hand_out::open(road, row, coercions));
    let mut opened = opened.map_err(io::Error::other)?;
    let file_id = place_of(number);
    begin(archive, &file_id.join("/"), size)?;
    let head = opened.head_length();
    let mut beginning = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let length = opened.read(&mut piece)?;
        let some = piece.get(..length).unwrap_or_default();
        if some.is_empty() {
            break;
        }
        archive.write_all(some)?;
        if beginning.len() < BEGINNING {
            beginning.extend_from_slice(some);
        }
    }
    let said = RecordAttributes::of(beginning.get(head..).unwrap_or_default(), &transfer_syntax);
    Ok(FolderFile { file_id, sop_class, sop_instance, transfer_syntax, said })
}

/// Stored as it is: images do not get much smaller, and a viewer can read them where they are.
fn begin<W: Write>(
    archive: &mut ZipWriter<zip::write::StreamWriter<W>>,
    name: &str,
    size: u64,
) -> io::Result<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .large_file(size > LONG_FILE);
    archive.start_file(name, options).map_err(io::Error::other)
}

/// `DICOM/D000/I0000001`: capitals and digits, at most eight in a component, a thousand files in a folder.
fn place_of(number: usize) -> Vec<String> {
    vec!["DICOM".to_owned(), format!("D{:03}", number / 1000), format!("I{number:07}")]
}
