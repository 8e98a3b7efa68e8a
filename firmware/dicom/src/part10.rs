//! The beginning of a DICOM file (PS3.10 §7.1): preamble, prefix and file meta information, ready for the data set behind it.

use beeldbox_protocol::ident::{SopClassUid, SopInstanceUid, TransferSyntaxUid};
use dicom_dictionary_std::tags;

use crate::data_set::DataSetWriter;
use crate::walk::Encoding;
use crate::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION};

/// Bytes before the prefix `DICM`.
const PREAMBLE: usize = 128;

/// Preamble, prefix and file meta information.
pub fn file_head(class: &SopClassUid, instance: &SopInstanceUid, syntax: &TransferSyntaxUid) -> Vec<u8> {
    let mut meta = DataSetWriter::new(Encoding::ExplicitLittle);
    // File Meta Information Version, VR OB: two reserved bytes and a long length.
    meta.elements(&[2, 0, 1, 0, b'O', b'B', 0, 0, 2, 0, 0, 0, 0, 1]);
    meta.uid(tags::MEDIA_STORAGE_SOP_CLASS_UID, class.as_str());
    meta.uid(tags::MEDIA_STORAGE_SOP_INSTANCE_UID, instance.as_str());
    meta.uid(tags::TRANSFER_SYNTAX_UID, syntax.as_str());
    meta.uid(tags::IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_CLASS_UID);
    meta.text(tags::IMPLEMENTATION_VERSION_NAME, *b"SH", IMPLEMENTATION_VERSION.as_bytes());
    let meta = meta.finish();
    let mut head = vec![0; PREAMBLE];
    head.extend_from_slice(b"DICM");
    head.extend_from_slice(&[2, 0, 0, 0, b'U', b'L', 4, 0]);
    // A few UIDs of at most 64 characters.
    head.extend_from_slice(&u32::try_from(meta.len()).unwrap_or(0).to_le_bytes());
    head.extend_from_slice(&meta);
    head
}
