//! The storage SCP: split commands, refusals in the middle, aborts, and no instance without its end.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use beeldbox_protocol::ident::TransactionUid;

use super::*;
use crate::commitment::{CommitmentRequest, CommitmentResult, STORAGE_COMMITMENT};
use crate::pdu::{RELEASE_REPLY, WireError};
use crate::services::Roles;
use crate::upper_layer::{Role, State};
use crate::wire::tests::TIMERS;

const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

/// What the taker was asked to do, as words.
#[derive(Clone, Default)]
pub(crate) struct Diary {
    entries: Arc<Mutex<Vec<String>>>,
    refuse_write: bool,
    refuse_finish: bool,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Diary {
    fn note(&self, entry: impl Into<String>) {
        self.entries.lock().unwrap().push(entry.into());
    }

    pub(crate) fn entries(&self) -> Vec<String> {
        self.entries.lock().unwrap().clone()
    }
}

const FULL: Refusal = Refusal { status: DimseStatus::OUT_OF_RESOURCES, comment: "disk is full" };

impl Intake for Diary {
    type Association = Diary;

    async fn open(&self, _info: &AssociationInfo) -> Result<Diary, Refusal> {
        Ok(self.clone())
    }

    async fn commitment_result(
        &self,
        info: &AssociationInfo,
        result: CommitmentResult,
    ) -> Result<(), Refusal> {
        let (kept, failed) = (result.committed.len(), result.failed.len());
        self.note(format!("{} reports {} {kept} {failed}", info.calling_ae, result.transaction));
        Ok(())
    }
}

impl IntakeAssociation for Diary {
    type Proof = ();

    async fn begin(&mut self, header: InstanceHeader) -> Result<(), Refusal> {
        let differ = if header.names_differ { ", names differ" } else { "" };
        self.note(format!("begin {}{differ}", header.sop_instance));
        Ok(())
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Refusal> {
        self.bytes.lock().unwrap().extend_from_slice(&chunk);
        if self.refuse_write { Err(FULL) } else { Ok(()) }
    }

    async fn finish(&mut self) -> Result<(), Refusal> {
        self.note("finish");
        if self.refuse_finish { Err(FULL) } else { Ok(()) }
    }

    async fn abandon(&mut self) {
        self.note("abandon");
    }

    async fn commit(&mut self, request: CommitmentRequest) -> Result<CommitmentResult, Refusal> {
        self.note(format!("commit {} {}", request.transaction, request.items.len()));
        // Names that end in 9 are not kept.
        let (failed, committed): (Vec<_>, Vec<_>) =
            request.items.into_iter().partition(|item| item.sop_instance.as_str().ends_with('9'));
        let failed = failed.into_iter().map(|item| (item, 0x0112)).collect();
        Ok(CommitmentResult { transaction: request.transaction, committed, failed })
    }

    async fn commitment_told(&mut self, transaction: TransactionUid) {
        self.note(format!("told {transaction}"));
    }

    async fn close(self) {}
}

fn context(
    service: Service,
    class: &str,
    syntax: &beeldbox_protocol::ident::TransferSyntaxUid,
) -> AgreedContext {
    AgreedContext {
        service,
        abstract_syntax: class.parse().unwrap(),
        transfer_syntax: syntax.clone(),
        requestor: Roles::DEFAULT,
    }
}

/// A peer with context 1 for verification, 3 for storage and 5 for commitment.
pub(crate) fn a_peer(diary: Diary) -> (DuplexStream, tokio::task::JoinHandle<Result<Ending, WireError>>) {
    a_peer_with(diary, PeerRules::default())
}

fn a_peer_with(
    diary: Diary,
    rules: PeerRules,
) -> (DuplexStream, tokio::task::JoinHandle<Result<Ending, WireError>>) {
    let (theirs, ours) = duplex(1 << 16);
    let serving = tokio::spawn(async move {
        let syntax: beeldbox_protocol::ident::TransferSyntaxUid = "1.2.840.10008.1.2.1".parse().unwrap();
        let contexts = HashMap::from([
            (1, context(Service::Verification, crate::services::VERIFICATION, &syntax)),
            (3, context(Service::Storage, CT, &syntax)),
            (5, context(Service::StorageCommitment, STORAGE_COMMITMENT, &syntax)),
        ]);
        let mut wire = Wire::at(ours, TIMERS, Role::Acceptor, State::Sta6);
        let info = AssociationInfo {
            id: 1,
            calling_ae: "PACS".parse().unwrap(),
            called_ae: "BEELDBOX".parse().unwrap(),
            peer_address: ([127, 0, 0, 1], 1).into(),
            transport: crate::policy::Transport::Plain,
            implementation: None,
        };
        let terms = Terms { contexts: &contexts, rules: &rules, info: &info, peer_limit: 1024 };
        serve(&mut wire, terms, &diary, &mut diary.clone(), &mut Tally::default()).await
    });
    (theirs, serving)
}

pub(crate) fn pdvs(context: u8, control: u8, bytes: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let count = bytes.chunks(size).len();
    for (index, part) in bytes.chunks(size).enumerate() {
        let length = u32::try_from(part.len()).unwrap();
        let last = if index + 1 == count { 2 } else { 0 };
        out.extend([&[4, 0][..], &(length + 6).to_be_bytes(), &(length + 2).to_be_bytes()].concat());
        out.extend([&[context, control | last], part].concat());
    }
    out
}

fn a_store(message_id: u16, instance: &str, data: &[u8], size: usize) -> Vec<u8> {
    let command = dimse::store_request(message_id, CT, instance);
    [pdvs(3, 1, &command, size), pdvs(3, 0, data, size)].concat()
}

pub(crate) async fn response(peer: &mut DuplexStream) -> Command {
    let mut header = [0; 12];
    peer.read_exact(&mut header).await.unwrap();
    let length = u32::from_be_bytes([header[6], header[7], header[8], header[9]]) - 2;
    let mut command = vec![0; usize::try_from(length).unwrap()];
    peer.read_exact(&mut command).await.unwrap();
    Command::parse(command.into()).unwrap()
}

pub(crate) async fn status(peer: &mut DuplexStream) -> DimseStatus {
    response(peer).await.status().unwrap()
}

pub(crate) async fn release(mut peer: DuplexStream) {
    peer.write_all(&crate::pdu::RELEASE_REQUEST).await.unwrap();
    let mut reply = [0; 10];
    peer.read_exact(&mut reply).await.unwrap();
    assert_eq!(reply, RELEASE_REPLY);
}

#[tokio::test]
async fn values_of_one_byte_make_the_same_instance() {
    let diary = Diary::default();
    let (mut peer, serving) = a_peer(diary.clone());
    peer.write_all(&a_store(1, "1.2.3", b"anything at all", 1)).await.unwrap();
    assert_eq!(status(&mut peer).await, DimseStatus::SUCCESS);
    release(peer).await;
    assert_eq!(serving.await.unwrap().unwrap(), Ending::Released);
    assert_eq!(diary.entries(), ["begin 1.2.3", "finish"]);
    assert_eq!(*diary.bytes.lock().unwrap(), b"anything at all");
}

#[tokio::test]
async fn a_refusal_midway_reads_the_rest_and_the_association_goes_on() {
    let diary = Diary { refuse_write: true, ..Diary::default() };
    let (mut peer, serving) = a_peer(diary.clone());
    let (mut reader, mut writer) = tokio::io::split(peer);
    let data = vec![9; 3 << 20];
    let sending = tokio::spawn(async move {
        writer.write_all(&a_store(1, "1.2.3", &data, 16384)).await.unwrap();
        writer.write_all(&crate::dimse::command_pdu(1, &dimse::echo_request(2))).await.unwrap();
        writer
    });
    let mut header = [0; 12];
    reader.read_exact(&mut header).await.unwrap();
    let mut rest = vec![0; usize::from(header[9]) - 2];
    reader.read_exact(&mut rest).await.unwrap();
    let refused = Command::parse(rest.into()).unwrap();
    assert_eq!(refused.status(), Some(DimseStatus::OUT_OF_RESOURCES));
    assert_eq!(refused.error_comment().as_deref(), Some("disk is full"));
    peer = reader.unsplit(sending.await.unwrap());
    assert_eq!(status(&mut peer).await, DimseStatus::SUCCESS);
    release(peer).await;
    serving.await.unwrap().unwrap();
    assert_eq!(diary.entries(), ["begin 1.2.3", "abandon"]);
}

#[tokio::test]
async fn success_is_answered_only_after_finish_agreed() {
    let diary = Diary { refuse_finish: true, ..Diary::default() };
    let (mut peer, serving) = a_peer(diary.clone());
    peer.write_all(&a_store(1, "1.2.3", b"x", 100)).await.unwrap();
    assert_eq!(status(&mut peer).await, DimseStatus::OUT_OF_RESOURCES);
    release(peer).await;
    serving.await.unwrap().unwrap();
    assert_eq!(diary.entries(), ["begin 1.2.3", "finish"]);
}

#[tokio::test]
async fn an_association_that_ends_inside_an_instance_gives_it_up() {
    let cut = a_store(1, "1.2.3", &vec![5; 2 << 20], 65536);
    let cut = &cut[..cut.len() - 9];
    for farewell in [&[][..], &[7, 0, 0, 0, 0, 4, 0, 0, 0, 0][..], &crate::pdu::RELEASE_REQUEST] {
        let diary = Diary::default();
        let (mut peer, serving) = a_peer(diary.clone());
        // Up to a whole PDU, so that what follows is read as a PDU.
        let whole = cut.len() - (65536 + 12 - 9);
        peer.write_all(&cut[..if farewell.is_empty() { cut.len() } else { whole }]).await.unwrap();
        peer.write_all(farewell).await.unwrap();
        peer.shutdown().await.unwrap();
        let ending = serving.await.unwrap();
        assert!(!matches!(ending, Ok(Ending::Released)));
        assert_eq!(diary.entries(), ["begin 1.2.3", "abandon"]);
    }
}

#[tokio::test]
async fn a_data_set_of_another_class_is_refused_and_a_broken_one_is_not() {
    let diary = Diary::default();
    let (mut peer, serving) = a_peer(diary.clone());
    let other = b"\x08\x00\x16\x00UI\x1a\x001.2.840.10008.5.1.4.1.1.4\0";
    peer.write_all(&a_store(1, "1.2.3", other, 4096)).await.unwrap();
    assert_eq!(status(&mut peer).await, DimseStatus::DATA_SET_DOES_NOT_MATCH);
    // The request is of another class than its context.
    let command = dimse::store_request(5, "1.2.840.10008.5.1.4.1.1.4", "1.2.3");
    peer.write_all(&[pdvs(3, 1, &command, 4096), pdvs(3, 0, b"data", 4096)].concat()).await.unwrap();
    assert_eq!(status(&mut peer).await, DimseStatus::DATA_SET_DOES_NOT_MATCH);
    // A wrong VR, and nothing at all: the request is the identity.
    for (id, data) in [(3, &b"\x08\x00\x16\x00??\x06\x001.2.3\0"[..]), (4, b"\xff\xff\xff")] {
        peer.write_all(&a_store(id, "1.2.3", data, 4096)).await.unwrap();
        assert_eq!(status(&mut peer).await, DimseStatus::SUCCESS);
    }
    release(peer).await;
    serving.await.unwrap().unwrap();
    assert_eq!(diary.entries(), ["begin 1.2.3", "finish"].repeat(2));
}

#[tokio::test]
async fn another_instance_inside_is_refused_unless_the_peer_may() {
    let data = b"\x08\x00\x18\x00UI\x06\x009.9.9\0";
    for (identity_mismatch, expected, entries) in [
        (IdentityMismatch::Refuse, DimseStatus::DATA_SET_DOES_NOT_MATCH, &[][..]),
        (IdentityMismatch::AcceptByCommand, DimseStatus::SUCCESS, &["begin 1.2.3, names differ", "finish"]),
    ] {
        let diary = Diary::default();
        let rules = PeerRules { identity_mismatch, ..PeerRules::default() };
        let (mut peer, serving) = a_peer_with(diary.clone(), rules);
        peer.write_all(&a_store(1, "1.2.3", data, 4096)).await.unwrap();
        assert_eq!(status(&mut peer).await, expected);
        release(peer).await;
        serving.await.unwrap().unwrap();
        assert_eq!(diary.entries(), entries);
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_answered_and_the_rest_goes_on() {
    let (mut peer, serving) = a_peer(Diary::default());
    let store = dimse::store_request(1, CT, "1.2.3");
    peer.write_all(&[pdvs(1, 1, &store, 4096), pdvs(1, 0, b"data", 1)].concat()).await.unwrap();
    assert_eq!(status(&mut peer).await, DimseStatus::SOP_CLASS_NOT_SUPPORTED);
    let mut find = dimse::echo_request(2);
    let at = find.windows(2).position(|pair| pair == [0x30, 0x00]).unwrap();
    find[at] = 0x20;
    peer.write_all(&pdvs(3, 1, &find, 4096)).await.unwrap();
    let refused = response(&mut peer).await;
    assert_eq!((refused.field, refused.status()), (0x8020, Some(DimseStatus::UNRECOGNIZED_OPERATION)));
    let nameless = dimse::store_request(3, CT, "not a uid");
    peer.write_all(&[pdvs(3, 1, &nameless, 4096), pdvs(3, 0, b"data", 4096)].concat()).await.unwrap();
    assert_eq!(status(&mut peer).await, DimseStatus::CANNOT_UNDERSTAND);
    release(peer).await;
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn disorder_ends_the_association() {
    for bytes in [
        pdvs(3, 0, b"data without a command", 4096),
        pdvs(9, 1, &dimse::echo_request(1), 4096),
        [pdvs(3, 1, &dimse::store_request(1, CT, "1.2"), 4096), pdvs(1, 0, b"x", 4096)].concat(),
        pdvs(3, 1, &vec![0; 70_000], 16384),
    ] {
        let (mut peer, serving) = a_peer(Diary::default());
        peer.write_all(&bytes).await.unwrap();
        assert!(serving.await.unwrap().is_err());
    }
}
