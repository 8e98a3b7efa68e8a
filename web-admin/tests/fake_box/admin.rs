//! Looking after the box, as the fake daemon answers it.

use beeldbox_protocol::admin::{
    AliasLine, Answer, AuditLine, CertificateLevel, CertificateLine, CertificateUse, NodeTest, NodeTestStage,
    NodeTestStep, Nodes, PeerLine, Question, RefusalCode, Reply,
};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::Digest;
use jiff::{SignedDuration, Timestamp};

use super::data::transfer_id;
use super::{World, refuse};

/// A trail of some days, newest first.
pub fn audit(now: Timestamp) -> Vec<AuditLine> {
    let acts = [
        ("j.smit", "send", "to Zuiderpoort UMC (90000381)"),
        ("j.smit", "seen", ""),
        ("beeldboxd", "receipt-in-pacs", "37 of 38"),
        ("p.bakker", "import", ""),
        ("a.beheer", "roles-changed", "p.bakker"),
        ("=cmd|calc", "odd-action", "=1+1"),
    ];
    let line = |at: i64| {
        let (actor, action, detail) = acts[usize::try_from(at).unwrap() % acts.len()];
        AuditLine {
            number: 900 - at,
            at: now - SignedDuration::from_mins(17 * at),
            actor: actor.to_owned(),
            action: action.to_owned(),
            transfer: (at % 6 < 4).then(|| transfer_id(40 - at % 6)),
            detail: Some(Confidential::new(detail)).filter(|detail| !detail.is_empty()),
        }
    };
    (0..300).map(line).collect()
}

pub fn certificates(now: Timestamp) -> Vec<CertificateLine> {
    let line = |what, level, days: i64| CertificateLine {
        what,
        organisation: "Ziekenhuis Broekerland".to_owned(),
        thumbprint: Some(Digest::of(&days.to_be_bytes())),
        valid_until: Some(now + SignedDuration::from_hours(24 * days)),
        days_left: Some(days),
        level,
        is_requested: days < 60,
    };
    vec![
        line(CertificateUse::Portal, CertificateLevel::Fine, 213),
        line(CertificateUse::Signing, CertificateLevel::EndsSoon, 41),
    ]
}

impl World {
    pub(super) fn about_the_box(&mut self, question: Question, actor: &str) -> Answer {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the fake box hands only these questions on")]
        match question {
            Question::Audit { before, limit } => {
                let older = self.audit.iter().filter(|line| before.is_none_or(|before| line.number < before));
                Ok(Reply::Audit(older.take(usize::try_from(limit).unwrap()).cloned().collect()))
            }
            Question::WriteDown { act, transfer, about } => {
                let number = self.audit.first().map_or(1, |line| line.number + 1);
                let (actor, action) = (actor.to_owned(), act.code().to_owned());
                self.audit
                    .insert(0, AuditLine { number, at: self.now, actor, action, transfer, detail: about });
                Ok(Reply::Done)
            }
            Question::Nodes => Ok(Reply::Nodes(self.nodes())),
            Question::TestNode { ae_title } => Ok(Reply::NodeTest(NodeTest {
                ae_title: ae_title.unwrap(),
                address: "10.1.2.9:104".to_owned(),
                steps: vec![
                    step(NodeTestStage::Resolve, 210, None),
                    step(NodeTestStage::Connect, 900, None),
                    step(NodeTestStage::Associate, 4200, Some("the called AE title is not known there")),
                ],
                advice: "add the AE title BEELDBOX at the PACS".to_owned(),
            })),
            Question::Certificates | Question::RenewCertificate => {
                Ok(Reply::Certificates(self.status.certificates.clone()))
            }
            Question::Enrol { .. } | Question::ImportCertificate { .. } => {
                Ok(Reply::Certificates(self.status.certificates.clone()))
            }
            Question::RequestCertificate { .. } => Ok(Reply::CertificateRequest(
                "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n".to_owned(),
            )),
            Question::RotateRecipientKey => Ok(Reply::Done),
            _ => refuse(RefusalCode::NotSupported, "the fake box cannot do that"),
        }
    }

    fn nodes(&self) -> Nodes {
        let alias = |ae: &str, entry: &str, confirm: bool| AliasLine {
            ae_title: ae.parse().unwrap(),
            entry: entry.to_owned(),
            addressee: self.directory.iter().find(|addressee| addressee.id.as_str() == entry).cloned(),
            urgent: !confirm,
            confirm,
        };
        Nodes {
            peers: vec![
                PeerLine {
                    ae_title: "CT_KELDER".parse().unwrap(),
                    address: None,
                    is_encrypted: false,
                    answers_queries: false,
                    quiet_secs: 120,
                    quota_bytes: Some(40_000_000_000),
                },
                PeerLine {
                    ae_title: "VNA_ARCHIEF".parse().unwrap(),
                    address: Some("archief.broekerland.example:2762".to_owned()),
                    is_encrypted: true,
                    answers_queries: true,
                    quiet_secs: 30,
                    quota_bytes: None,
                },
            ],
            aliases: vec![alias("NAAR_ZUID_CARD", "zuid-card", true), alias("NAAR_OUD", "oud-rad", false)],
        }
    }
}

fn step(step: NodeTestStage, took_micros: u64, failure: Option<&str>) -> NodeTestStep {
    NodeTestStep { step, took_micros, failure: failure.map(str::to_owned) }
}
