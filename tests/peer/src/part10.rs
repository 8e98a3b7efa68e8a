//! Part 10 files: preamble, `DICM`, file meta information, data set (PS3.10 §7.1).
//!
//! Only the file meta information is read; the data set is a stretch of bytes behind it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
pub use beeldbox_dicom::file_head;
use beeldbox_protocol::ident::{Digest, RunningDigest, SopClassUid, SopInstanceUid, TransferSyntaxUid};

/// File meta information is a few hundred bytes; beyond this the file is something else.
const LONGEST_META: u32 = 1 << 20;

/// What the file meta information says, and where the data set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part10File {
    /// The file.
    pub path: PathBuf,
    /// Media Storage SOP Class UID (0002,0002).
    pub sop_class: SopClassUid,
    /// Media Storage SOP Instance UID (0002,0003).
    pub sop_instance: SopInstanceUid,
    /// Transfer Syntax UID (0002,0010).
    pub transfer_syntax: TransferSyntaxUid,
    /// Where the data set begins.
    pub data_set_at: u64,
    /// Length of the data set.
    pub data_set_length: u64,
}

impl Part10File {
    /// Reads the file meta information.
    ///
    /// # Errors
    /// The file cannot be read, is not a Part 10 file, or lacks one of the three UIDs.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        read_meta(path, &mut file).with_context(|| format!("read {} as a Part 10 file", path.display()))
    }

    /// Opens the file at the beginning of the data set.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn data_set(&self) -> Result<File> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.data_set_at))?;
        Ok(file)
    }

    /// SHA-256 of the data set.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn digest(&self) -> Result<Digest> {
        let mut file = self.data_set()?;
        let mut running = RunningDigest::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(running.finish()),
                length => running.update(&buffer[..length]),
            }
        }
    }
}

/// Every Part 10 file among these files and folders, folders searched through, in order of path. What is not a Part 10
/// file is passed over in a folder, and an error when named.
///
/// # Errors
/// A named file cannot be read, or a folder cannot be listed.
pub fn find(paths: &[PathBuf]) -> Result<Vec<Part10File>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            search(path, &mut found)?;
        } else {
            found.push(Part10File::open(path)?);
        }
    }
    Ok(found)
}

fn search(folder: &Path, found: &mut Vec<Part10File>) -> Result<()> {
    let listing = std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut entries = listing.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            search(&path, found)?;
        } else if let Ok(file) = Part10File::open(&path) {
            found.push(file);
        }
    }
    Ok(())
}

fn read_meta(path: &Path, file: &mut File) -> Result<Part10File> {
    let mut preamble = [0; 132];
    file.read_exact(&mut preamble)?;
    ensure!(&preamble[128..] == b"DICM", "no DICM behind the preamble");
    let mut class = None;
    let mut instance = None;
    let mut syntax = None;
    let mut at: u64 = 132;
    // Element by element until group 0002 ends: the group length is wrong in too many files.
    loop {
        let mut header = [0; 8];
        if file.read_exact(&mut header).is_err() || header[..2] != [2, 0] {
            break;
        }
        let element = u16::from_le_bytes([header[2], header[3]]);
        let (length, header_length) = match &header[4..6] {
            b"OB" | b"OW" | b"UN" | b"SQ" | b"UT" => {
                let mut long = [0; 4];
                file.read_exact(&mut long)?;
                (u32::from_le_bytes(long), 12)
            }
            _ => (u32::from(u16::from_le_bytes([header[6], header[7]])), 8),
        };
        ensure!(length <= LONGEST_META, "element (0002,{element:04X}) is too long");
        let mut value = vec![0; usize::try_from(length)?];
        file.read_exact(&mut value)?;
        at += header_length + u64::from(length);
        let text = || String::from_utf8_lossy(&value).trim_matches(['\0', ' ']).to_owned();
        match element {
            0x0002 => class = Some(text()),
            0x0003 => instance = Some(text()),
            0x0010 => syntax = Some(text()),
            _ => {}
        }
    }
    let (Some(class), Some(instance), Some(syntax)) = (class, instance, syntax) else {
        bail!("file meta information lacks SOP class, SOP instance or transfer syntax");
    };
    Ok(Part10File {
        path: path.to_owned(),
        sop_class: class.parse().context("SOP class UID")?,
        sop_instance: instance.parse().context("SOP instance UID")?,
        transfer_syntax: syntax.parse().context("transfer syntax UID")?,
        data_set_at: at,
        data_set_length: file.metadata()?.len().saturating_sub(at),
    })
}
