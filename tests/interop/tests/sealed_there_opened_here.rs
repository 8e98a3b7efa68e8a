//! A transfer that the second implementation has sealed, opened by our code.
//!
//! Goal: who writes ENVELOPE.md a second time is understood by a box. Method: fresh keys, the program in Python, then
//! the functions that a box opens with.

use beeldbox_interop::{ADDRESSEE, AT, SENDER, Trust, python, said};
use beeldbox_protocol::envelope::keys::SecretKey;
use beeldbox_protocol::envelope::letter::{self, ListedPack};
use beeldbox_protocol::envelope::pack::{
    CHUNK_HEAD_LEN, ChunkHead, FRAME_HEADER_LEN, FrameOpener, InstanceDescription, PACK_HEADER_LEN,
    check_pack_header,
};
use beeldbox_protocol::ident::Digest;
use serde_json::json;

/// Opens the frame that begins there; gives what follows it too.
fn open_frame<'a>(
    pack: &'a [u8],
    key: &SecretKey,
    listed: &ListedPack,
    index: u32,
) -> (InstanceDescription, Vec<u8>, &'a [u8]) {
    let (header, mut rest) = pack.split_first_chunk::<FRAME_HEADER_LEN>().expect("a frame header");
    let mut opener = FrameOpener::new(key, &listed.id, index, header).expect("a frame");
    let mut data_set = Vec::new();
    while !opener.is_complete() {
        let (head, after) = rest.split_first_chunk::<CHUNK_HEAD_LEN>().expect("a chunk");
        let head = ChunkHead::parse(*head).expect("a chunk");
        let (sealed, after) = after.split_at(head.sealed_len);
        data_set.extend_from_slice(opener.open_chunk(head, &mut sealed.to_vec()).expect("genuine"));
        rest = after;
    }
    let (description, _) = opener.finish().expect("complete");
    (description, data_set, rest)
}

#[test]
fn a_transfer_sealed_in_another_language_opens_here() {
    let trust = Trust::found();
    let sender = trust.certify("Een ander merk", SENDER, false);
    let addressee = trust.certify("Proefziekenhuis Zuid", ADDRESSEE, true);
    let folder = tempfile::tempdir().unwrap();
    let transfer = "0f0e0d0c-0b0a-4908-8706-050403020100";
    let data_sets: Vec<Vec<u8>> = [3_usize, 0, 65_400, 65_536, 8_400_000]
        .iter()
        .map(|length| (0..=249_u8).cycle().take(*length).collect())
        .collect();
    std::fs::create_dir(folder.path().join("instances")).unwrap();
    let mut writer = sender.described(&trust);
    writer["transfer"] = transfer.into();
    writer["addressee"] = ADDRESSEE.into();
    writer["statement"] = addressee.statement().into();
    let described = data_sets.iter().enumerate().map(|(number, data_set)| {
        std::fs::write(folder.path().join(format!("instances/{number}")), data_set).unwrap();
        json!({
            "sop_class": "1.2.840.10008.5.1.4.1.1.7", "sop_instance": format!("1.2.3.{number}"),
            "transfer_syntax": "1.2.840.10008.1.2", "study": "1.2.3", "series": "1.2.3.4", "source_ae": "ANDER",
        })
    });
    writer["instances"] = described.collect();
    std::fs::write(folder.path().join("writer.json"), writer.to_string()).unwrap();
    let output = python("seal_transfer.py", folder.path());
    assert!(output.status.success(), "{}", said(&output));

    let sealed = std::fs::read(folder.path().join("letter")).unwrap();
    let (letter, proof) = letter::open(
        &sealed,
        &transfer.parse().unwrap(),
        &addressee.identity(),
        addressee.ura(),
        &trust.anchors(),
        AT.parse().unwrap(),
    )
    .unwrap();
    assert_eq!(proof.organisation().ura(), sender.ura());
    assert_eq!(letter.patient.name.unwrap().reveal(), "Proef^Petra");
    let listed = &letter.packs[0];
    assert_eq!(listed.parts.len(), 2);
    let mut pack = Vec::new();
    for part in &listed.parts {
        let bytes = std::fs::read(folder.path().join("parts").join(part.sha256.to_string())).unwrap();
        assert_eq!(Digest::of(&bytes), part.sha256);
        pack.extend(bytes);
    }
    let header = pack.first_chunk::<PACK_HEADER_LEN>().unwrap();
    assert_eq!(check_pack_header(header, &listed.key), Ok(listed.id));
    let mut rest = &pack[PACK_HEADER_LEN..];
    for (instance, sent) in letter.instances.iter().zip(&data_sets) {
        assert_eq!(instance.at, (pack.len() - rest.len()) as u64);
        let (description, data_set, after) = open_frame(rest, &listed.key, listed, instance.frame);
        assert!(data_set == *sent, "frame {} differs", instance.frame);
        assert_eq!(Digest::of(&data_set), instance.sha256);
        assert_eq!(description.sop_instance, instance.instance);
        assert_eq!(description.source_ae.as_str(), "ANDER");
        rest = after;
    }
    assert!(rest.is_empty());
    assert_eq!(letter.instances.len(), data_sets.len());
}
