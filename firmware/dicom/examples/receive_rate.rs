//! How fast the node receives, and what it costs, when whoever takes the instances does nothing with them.
//!
//! ```text
//! cargo run --release -p beeldbox-dicom --example receive_rate -- [associations] [instance KiB] [PDU KiB] [GiB]
//! ```
//!
//! Sends from threads of this program over loopback and counts the CPU time of the receiving threads alone, as the
//! kernel has it per thread. Absolute figures mean little on a shared machine: compare runs beside each other.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use beeldbox_dicom::{
    AssociationInfo, CommitmentRequest, CommitmentResult, InstanceHeader, Intake, IntakeAssociation,
    NodePolicy, Refusal, listen,
};
use beeldbox_protocol::ident::TransactionUid;
use bytes::Bytes;

const CT: &[u8] = b"1.2.840.10008.5.1.4.1.1.2\0";

/// Takes everything and forgets it.
struct Nobody;

impl Intake for Nobody {
    type Association = Nobody;

    async fn open(&self, _info: &AssociationInfo) -> Result<Nobody, Refusal> {
        Ok(Nobody)
    }

    async fn commitment_result(
        &self,
        _info: &AssociationInfo,
        _result: CommitmentResult,
    ) -> Result<(), Refusal> {
        Ok(())
    }
}

impl IntakeAssociation for Nobody {
    type Proof = ();

    async fn begin(&mut self, _header: InstanceHeader) -> Result<(), Refusal> {
        Ok(())
    }

    async fn write(&mut self, _chunk: Bytes) -> Result<(), Refusal> {
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    async fn abandon(&mut self) {}

    async fn commit(&mut self, request: CommitmentRequest) -> Result<CommitmentResult, Refusal> {
        Ok(CommitmentResult {
            transaction: request.transaction,
            committed: request.items,
            failed: Vec::new(),
        })
    }

    async fn commitment_told(&mut self, _transaction: TransactionUid) {}

    async fn close(self) {}
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let mut next = |default| numbers.next().unwrap_or(Ok(default));
    let (associations, instance, pdu, total) =
        (next(1)?.max(1), next(512)? << 10, next(128)? << 10, next(4)? << 30);
    let instances = (total / instance / associations).max(1);
    let message = Arc::new(message(instance, pdu)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("receiver")
        .enable_all()
        .build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let policy = NodePolicy {
        accept_any_peer: true,
        max_associations: associations,
        ..NodePolicy::new("BEELDBOX".parse()?)
    };
    runtime.spawn(listen(listener, Arc::new(policy), Arc::new(Nobody), std::future::pending()));
    let began = Instant::now();
    let senders: Vec<_> = (0..associations)
        .map(|_| {
            let message = Arc::clone(&message);
            std::thread::spawn(move || send(address, &message, instances))
        })
        .collect();
    for sender in senders {
        sender.join().map_err(|_| "a sender panicked")??;
    }
    let seconds = began.elapsed().as_secs_f64();
    let bytes = (instances * associations * instance) as f64;
    let cpu = receiver_seconds()?;
    println!(
        "{associations} associations, {} KiB instances, {} KiB PDUs: {:.0} MB/s, {:.3} CPU-s/GB received",
        instance >> 10,
        pdu >> 10,
        bytes / 1e6 / seconds,
        cpu / (bytes / 1e9),
    );
    Ok(())
}

/// A C-STORE-RQ and its data set, as PDUs.
fn message(instance: usize, pdu: usize) -> Result<Vec<u8>, std::num::TryFromIntError> {
    let element = |number: u16, value: &[u8]| {
        let length = u32::try_from(value.len()).unwrap_or(0).to_le_bytes();
        [&[0, 0][..], &number.to_le_bytes(), &length, value].concat()
    };
    let command = [
        element(0x0002, CT),
        element(0x0100, &[1, 0]),
        element(0x0110, &[1, 0]),
        element(0x0700, &[0, 0]),
        element(0x0800, &[1, 0]),
        element(0x1000, b"1.2.3.4\0"),
    ]
    .concat();
    let mut data = b"\x08\0\x16\0UI\x1a\0".to_vec();
    data.extend_from_slice(CT);
    data.extend_from_slice(b"\x20\0\x0d\0UI\x06\x001.2.3\0\xe0\x7f\x10\0OW\0\0");
    data.extend_from_slice(&u32::try_from(instance - data.len() - 4)?.to_le_bytes());
    data.resize(instance, 7);
    let mut out = fragment(&command, 3)?;
    let count = data.len().div_ceil(pdu - 6);
    for (at, part) in data.chunks(pdu - 6).enumerate() {
        out.extend(fragment(part, if at + 1 == count { 2 } else { 0 })?);
    }
    Ok(out)
}

fn fragment(part: &[u8], control: u8) -> Result<Vec<u8>, std::num::TryFromIntError> {
    let length = u32::try_from(part.len())?;
    Ok([&[4, 0][..], &(length + 6).to_be_bytes(), &(length + 2).to_be_bytes(), &[1, control], part].concat())
}

fn send(address: SocketAddr, message: &[u8], instances: usize) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut request = vec![1, 0, 0, 0, 0, 165, 0, 1, 0, 0];
    request.extend_from_slice(b"BEELDBOX        SENDER          ");
    request.resize(74, 0);
    request.extend_from_slice(b"\x10\0\0\x151.2.840.10008.3.1.1.1\x20\0\0\x38\x01\0\0\0");
    request.extend_from_slice(b"\x30\0\0\x191.2.840.10008.5.1.4.1.1.2\x40\0\0\x131.2.840.10008.1.2.1");
    request.extend_from_slice(b"\x50\0\0\x08\x51\0\0\x04\0\0\x40\0");
    stream.write_all(&request)?;
    let mut answer = [0; 6];
    stream.read_exact(&mut answer)?;
    assert_eq!(answer[0], 2, "not accepted");
    let mut rest = vec![0; usize::from(answer[5])];
    stream.read_exact(&mut rest)?;
    let mut header = [0; 12];
    for _ in 0..instances {
        stream.write_all(message)?;
        stream.read_exact(&mut header)?;
        let mut response = vec![0; usize::from(header[9]) - 2];
        stream.read_exact(&mut response)?;
    }
    Ok(())
}

/// CPU seconds of the receiving threads, from the kernel's account of each.
fn receiver_seconds() -> std::io::Result<f64> {
    let mut nanoseconds = 0.0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() == "receiver" {
            let account = std::fs::read_to_string(task.join("schedstat"))?;
            let on_cpu = account.split_whitespace().next().and_then(|text| text.parse::<f64>().ok());
            nanoseconds += on_cpu.unwrap_or(0.0);
        }
    }
    Ok(nanoseconds / 1e9)
}
