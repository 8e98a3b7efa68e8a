//! Instances that are known by three numbers, so that whoever finds one on a disk can say what its bytes must be.

use beeldbox_protocol::clinical::{Confidential, InstanceAttributes, Patient};
use beeldbox_protocol::envelope::pack::InstanceDescription;
use beeldbox_protocol::ident::Digest;
use serde::{Deserialize, Serialize};

use crate::chance::Chance;

/// Instances with this number or above are given up while they arrive; none may ever be found.
pub const GIVEN_UP: u32 = 9000;

/// Where the names of all made instances begin.
const UID_ROOT: &str = "1.2.3";

/// Names a made instance: its study, its number in it, and which of several contents under one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Name {
    /// Which study.
    pub study: u32,
    /// Which instance of it.
    pub number: u32,
    /// Which content.
    pub version: u32,
}

/// A made instance.
pub struct Image {
    /// What custody is told about its kind and names.
    pub description: InstanceDescription,
    /// What custody is told about patient and study.
    pub attributes: InstanceAttributes,
    /// Its data set.
    pub data: Vec<u8>,
}

/// Study Instance UID of a made study.
pub fn study_uid(study: u32) -> String {
    format!("{UID_ROOT}.{study}")
}

impl Name {
    /// The name with the first content.
    pub fn new(study: u32, number: u32) -> Self {
        Name { study, number, version: 0 }
    }

    /// Its SOP Instance UID.
    pub fn uid(self) -> String {
        format!("{UID_ROOT}.{}.1.{}", self.study, self.number)
    }

    /// The made instance that has this SOP Instance UID and this digest; nothing if we never made such a thing.
    pub fn find(uid: &str, digest: Digest) -> Option<Self> {
        let rest = uid.strip_prefix(UID_ROOT)?.strip_prefix('.')?;
        let (study, number) = rest.split_once(".1.")?;
        let (study, number) = (study.parse().ok()?, number.parse().ok()?);
        [0, 1]
            .into_iter()
            .map(|version| Name { study, number, version })
            .find(|name| Digest::of(&name.data()) == digest)
    }

    /// Its data set: some kilobytes, now and then a few hundred, so that frames of one and of many chunks occur.
    pub fn data(self) -> Vec<u8> {
        let seed = (u64::from(self.study) << 40) | (u64::from(self.number) << 8) | u64::from(self.version);
        let mut chance = Chance::from_seed(seed);
        let len = if chance.is(1, 16) { 200_000 } else { 500 + chance.below(12_000) };
        std::iter::repeat_with(|| chance.draw().to_le_bytes()).flatten().take(len).collect()
    }

    /// The instance itself.
    pub fn image(self) -> Image {
        let parsed = "made names are well formed";
        let uid = study_uid(self.study);
        Image {
            description: InstanceDescription {
                sop_class: "1.2.840.10008.5.1.4.1.1.2".parse().expect(parsed),
                sop_instance: self.uid().parse().expect(parsed),
                transfer_syntax: "1.2.840.10008.1.2.1".parse().expect(parsed),
                study: Some(uid.parse().expect(parsed)),
                series: Some(format!("{uid}.1").parse().expect(parsed)),
                source_ae: "CT1".parse().expect(parsed),
            },
            attributes: InstanceAttributes {
                patient: Patient {
                    name: Some(Confidential::new("Voorbeeld^Anna")),
                    id: Some(Confidential::new("PID-1")),
                    id_issuer: None,
                    birth_date: Some(Confidential::new("19700101")),
                    sex: None,
                    bsn: None,
                },
                study_description: Some(Confidential::new("CT thorax")),
                study_date: Some("20261101".to_owned()),
                study_time: None,
                modality: Some("CT".to_owned()),
                accession_number: None,
                institution: None,
            },
            data: self.data(),
        }
    }
}
