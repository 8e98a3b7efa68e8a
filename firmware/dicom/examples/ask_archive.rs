//! Asks an archive by hand: is it there, what has it, send it here, do you keep it.
//!
//! ```text
//! cargo run -p beeldbox-dicom --example ask_archive -- <host:port> <its AE> <our AE> <request>
//!   echo                                the way to it, step by step
//!   find <patient name>                 studies
//!   count <study uid>                   instances
//!   move <study uid> <destination AE>   have it send a study
//!   commit <class uid> <instance uid>…  ask for commitment
//!   report <transaction uid> <class uid> <instance uid>…  report one
//!   listen                              be a node on host:port that keeps nothing but says what it is told
//! ```
//!
//! For trying against other makers' programs. It prints what it is told, patient names too: not for real data.

use std::error::Error;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use beeldbox_dicom::{
    AssociationInfo, AssociationLimits, CommitmentRequest, CommitmentResult, InstanceHeader, Intake,
    IntakeAssociation, NodePolicy, PeerNode, Query, QueryLevel, ReferencedInstance, Refusal, count_instances,
    diagnose, find, listen, move_study, report_commitment, request_commitment,
};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::{AeTitle, TransactionUid};
use bytes::Bytes;

const LIMITS: AssociationLimits = AssociationLimits {
    connect: Duration::from_secs(5),
    artim: Duration::from_secs(5),
    progress: Duration::from_secs(10),
    response: Duration::from_secs(30),
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, called, calling, request, rest @ ..] = words.as_slice() else {
        return Err("see the head of this file".into());
    };
    let (node, calling): (_, AeTitle) = (PeerNode::plain(called.parse()?, address), calling.parse()?);
    let began = Instant::now();
    match (request.as_str(), rest) {
        ("echo", []) => {
            let diagnosis = diagnose(&node, &calling, LIMITS).await;
            for taken in &diagnosis.steps {
                println!("{:?}  {:?}  {:?}", taken.step, taken.took, taken.result);
            }
            println!("{}", diagnosis.advice());
        }
        ("find", [name]) => {
            let name = Some(Confidential::new(name.as_str()));
            let query = Query { patient_name: name, ..Query::new(QueryLevel::Study, 100) };
            for found in find(&node, &calling, &query, LIMITS).await? {
                let name = found.patient.name.as_ref().map_or("", Confidential::reveal);
                println!("{:?}  {name}  {:?}  {:?}", found.study, found.modalities, found.instance_count);
            }
        }
        ("count", [study]) => println!("{:?}", count_instances(&node, &calling, &study.parse()?).await?),
        ("move", [study, destination]) => {
            let told = |progress| println!("{progress:?}");
            let (study, destination) = (study.parse()?, destination.parse()?);
            println!("{:?}", move_study(&node, &calling, &destination, &study, None, told, LIMITS).await?);
        }
        ("commit", [class, instances @ ..]) => {
            let transaction = format!("2.25.{}", std::process::id()).parse()?;
            let request = CommitmentRequest { transaction, items: references(class, instances)? };
            let wait = Duration::from_secs(3);
            println!("{:?}", request_commitment(&node, &calling, &request, wait, LIMITS).await?);
        }
        ("report", [transaction, class, instances @ ..]) => {
            let committed = references(class, instances)?;
            let result =
                CommitmentResult { transaction: transaction.parse()?, committed, failed: Vec::new() };
            report_commitment(&node, &calling, &result, LIMITS).await?;
            println!("told");
        }
        ("listen", []) => {
            let listener = tokio::net::TcpListener::bind(address.as_str()).await?;
            let policy = NodePolicy { accept_any_peer: true, ..NodePolicy::new(calling) };
            listen(listener, Arc::new(policy), Arc::new(Talker), pending()).await?;
        }
        _ => return Err("see the head of this file".into()),
    }
    println!("{:?}", began.elapsed());
    Ok(())
}

fn references(class: &str, instances: &[String]) -> Result<Vec<ReferencedInstance>, Box<dyn Error>> {
    let mut references = Vec::new();
    for instance in instances {
        references.push(ReferencedInstance { sop_class: class.parse()?, sop_instance: instance.parse()? });
    }
    Ok(references)
}

/// Says what it is told, and keeps nothing.
struct Talker;

impl Intake for Talker {
    type Association = Talker;

    async fn open(&self, info: &AssociationInfo) -> Result<Talker, Refusal> {
        println!("association of {} ({:?})", info.calling_ae, info.implementation);
        Ok(Talker)
    }

    async fn commitment_result(
        &self,
        info: &AssociationInfo,
        result: CommitmentResult,
    ) -> Result<(), Refusal> {
        println!("{} reports {result:?}", info.calling_ae);
        Ok(())
    }
}

impl IntakeAssociation for Talker {
    type Proof = ();

    async fn begin(&mut self, header: InstanceHeader) -> Result<(), Refusal> {
        println!("instance {} moved by {:?}", header.sop_instance, header.move_originator);
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
        println!("asked for {request:?}");
        Ok(CommitmentResult {
            transaction: request.transaction,
            committed: request.items,
            failed: Vec::new(),
        })
    }

    async fn commitment_told(&mut self, transaction: TransactionUid) {
        println!("told {transaction}");
    }

    async fn close(self) {}
}
