//! The desk's part about the DICOM nodes in the settings, and about what front ends have written down.

use beeldbox_custody::AuditRecord;
use beeldbox_protocol::admin::{AliasLine, Answer, Nodes, PeerLine, Refusal, RefusalCode, Reply, WrittenAct};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::TransferId;

use super::answer::{Desk, refusal, storage};

/// Longest name of what an act was about.
const LONGEST_ABOUT: usize = 100;

impl Desk {
    /// Peers and aliases, as the settings have them.
    pub(super) fn nodes(&self) -> Reply {
        let settings = &self.road.settings;
        let peers = settings.peers.iter().map(|peer| PeerLine {
            ae_title: peer.ae_title.clone(),
            address: peer.node.as_ref().map(|node| node.address.clone()),
            is_encrypted: peer.node.as_ref().is_some_and(|node| node.tls.is_some()),
            answers_queries: peer.answers_queries,
            quiet_secs: settings.quiet_time_of(Some(peer)).as_secs(),
            quota_bytes: peer.quota_bytes,
        });
        let aliases = settings.aliases.iter().map(|alias| AliasLine {
            ae_title: alias.ae_title.clone(),
            entry: alias.addressee.to_string(),
            addressee: self.road.directory.find(&alias.addressee).map(|entry| entry.addressee),
            urgent: alias.urgent,
            confirm: alias.confirm,
        });
        Reply::Nodes(Nodes { peers: peers.collect(), aliases: aliases.collect() })
    }

    /// Writes into the audit trail what happened at a front end.
    pub(super) async fn write_down_act(
        &self,
        act: WrittenAct,
        transfer: Option<TransferId>,
        about: Option<Confidential>,
        actor: String,
    ) -> Answer {
        let about = about.unwrap_or_default();
        if about.reveal().chars().count() > LONGEST_ABOUT {
            return Err(too_long());
        }
        let record = AuditRecord {
            at: self.road.now(),
            actor,
            action: act.code().to_owned(),
            transfer,
            detail: about,
        };
        self.road.custody.append_audit(record).await.map_err(storage)?;
        Ok(Reply::Done)
    }
}

fn too_long() -> Refusal {
    refusal(RefusalCode::BadValue, "what an act was about is named in at most 100 characters")
}
