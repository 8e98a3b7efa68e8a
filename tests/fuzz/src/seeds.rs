//! Inputs to begin with. They are made from this source alone, so they hold nobody's data, and they are kept in
//! `corpus/‹target›`, so that a change in what is made shows in a change of files.

use std::path::Path;

use anyhow::{Context, Result};

use crate::targets;

/// Seeds of one target: a name for each, and its bytes.
pub type Seeds = Vec<(&'static str, Vec<u8>)>;

/// The seeds of this target.
pub fn of(target: &str) -> Seeds {
    match target {
        "admin" => targets::admin::seeds(),
        "association" => targets::dicom::association_seeds(),
        "certificate" => targets::certificate::seeds(),
        "coerce" => targets::dicom::coerce_seeds(),
        "command_set" => targets::dicom::command_set_seeds(),
        "control_pdu" => targets::dicom::control_pdu_seeds(),
        "data_set_header" | "query_response" | "commitment_request" => {
            targets::dicom::data_set_header_seeds()
        }
        "hl7" => targets::hl7::seeds(),
        "letter" => targets::letter::seeds(),
        "pack" => targets::pack::seeds(),
        "portal" => targets::portal::seeds(),
        "receipt" => targets::receipt::seeds(),
        _ => Vec::new(),
    }
}

/// Writes the seeds of every target below the folder and gives how many bytes they are. What is there under other
/// names stays.
///
/// # Errors
/// If the folder cannot be written.
pub fn write(corpus: &Path) -> Result<usize> {
    let mut written = 0;
    for (target, _) in targets::NAMES {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        for (name, bytes) in of(target) {
            std::fs::write(folder.join(name), &bytes).with_context(|| format!("{target}/{name}"))?;
            written += bytes.len();
        }
    }
    Ok(written)
}
