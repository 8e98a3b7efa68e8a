//! What an image says of itself: DICOM JSON without bulk data (PS3.18 annex F).

use std::io::Read;

use anyhow::{Result, bail};
use dicom_core::Tag;
use dicom_core::header::Header;
use dicom_object::{InMemDicomObject, OpenFileOptions};

/// Longest value that is part of the answer, in bytes.
const LONGEST_VALUE: usize = 64 * 1024;
/// Longest answer.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

/// The header of a DICOM file.
pub fn of(input: impl Read) -> Result<String> {
    let object = read_up_to_pixels(input)?;
    let mut said = InMemDicomObject::new_empty();
    for element in object {
        let is_bulk = element.value().to_bytes().is_ok_and(|bytes| bytes.len() > LONGEST_VALUE);
        // Group lengths are retired and never part of the model.
        if !is_bulk && element.tag().element() != 0 {
            said.put(element);
        }
    }
    let json = dicom_json::to_string(&said).map_err(|_| anyhow::anyhow!("it cannot be written as JSON"))?;
    if json.len() > LONGEST_ANSWER {
        bail!("it says too much of itself");
    }
    Ok(json)
}

/// Everything before the pixel data, as far as it can be read.
fn read_up_to_pixels(input: impl Read) -> Result<InMemDicomObject> {
    let read = OpenFileOptions::new().read_until(Tag(0x7FE0, 0x0001)).from_reader(input);
    // The words of the reader may quote the image.
    let Ok(file) = read else { bail!("it is no DICOM file, or its data set cannot be read") };
    Ok(file.into_inner())
}
