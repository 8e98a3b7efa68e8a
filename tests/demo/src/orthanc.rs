//! A real Orthanc as PACS: its configuration, and where its files are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::place::Place;

/// Where Debian puts it, and a name that the search path may know.
const PLACES: [&str; 2] = ["/usr/sbin/Orthanc", "/usr/bin/Orthanc"];

/// The program and its arguments, with a configuration written for it.
pub fn program(
    place: &Place,
    word: &str,
    ae: &str,
    dicom: &str,
    store: &Path,
) -> Result<(PathBuf, Vec<String>)> {
    let Some(path) = PLACES.iter().map(PathBuf::from).find(|path| path.exists()) else {
        bail!("Orthanc is not installed; on Debian: apt-get install orthanc");
    };
    let port: u16 = dicom.rsplit_once(':').context("address")?.1.parse()?;
    let configuration = json!({
        "Name": format!("PACS {word}"),
        "StorageDirectory": store,
        "IndexDirectory": store,
        "StorageCompression": false,
        "DicomAet": ae,
        "DicomPort": port,
        "DicomCheckCalledAet": true,
        "DicomAlwaysAllowStore": true,
        "DicomAlwaysAllowEcho": true,
        "DicomAlwaysAllowFind": true,
        "UnknownSopClassAccepted": true,
        "HttpServerEnabled": true,
        "HttpPort": place.port(&format!("{word}-orthanc-http"))?,
        "RemoteAccessAllowed": false,
        "AuthenticationEnabled": false,
        "OverwriteInstances": true,
        "Plugins": [],
    });
    let file = place.folder(&format!("{word}-orthanc"))?.join("orthanc.json");
    std::fs::write(&file, serde_json::to_vec_pretty(&configuration)?)?;
    Ok((path, vec![file.display().to_string()]))
}
