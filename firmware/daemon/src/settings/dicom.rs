//! DICOM in the settings: ports, who may send and how, aliases, and where peers listen themselves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use beeldbox_dicom::{
    AllowedPeer, CertificateThumbprint, IdentityMismatch, PeerRules, StoragePolicy, TransportPolicy,
};
use beeldbox_protocol::ident::AeTitle;
use beeldbox_transfer::alias::Alias;

use super::{Checker, SettingsError, fragment};

/// DICOM: our side.
#[derive(Debug, Clone)]
pub struct Dicom {
    /// Our AE title.
    pub ae_title: AeTitle,
    /// Where we listen without TLS.
    pub listen: SocketAddr,
    /// Where we listen with TLS, if we do.
    pub tls: Option<DicomTls>,
    /// Who may send to us.
    pub peers: Vec<Peer>,
    /// AE titles that stand for an addressee.
    pub aliases: Vec<Alias>,
    /// Associations at once.
    pub max_associations: usize,
    /// Associations of one peer at once, unless it has a number of its own.
    pub max_associations_per_peer: usize,
    /// A study is closed after so long without a new instance.
    pub quiet_time: Duration,
}

/// DICOM TLS (PS3.15 annex B.12).
#[derive(Debug, Clone)]
pub struct DicomTls {
    /// Where we listen.
    pub listen: SocketAddr,
    /// Who may vouch for the certificates of callers; beside it only pinned certificates are believed.
    pub client_authorities: Option<PathBuf>,
}

/// Who may send to us.
#[derive(Debug, Clone)]
pub struct Peer {
    /// What the DICOM node checks.
    pub allowed: AllowedPeer,
    /// Where it listens itself.
    pub node: Option<NodeAddress>,
    /// Whether it answers queries for its studies.
    pub answers_queries: bool,
    /// Its own quiet time.
    pub quiet_time: Option<Duration>,
    /// Most that it may have on the box, in bytes.
    pub quota_bytes: Option<u64>,
}

/// A node that we call.
#[derive(Debug, Clone)]
pub struct NodeAddress {
    /// Its AE title.
    pub ae_title: AeTitle,
    /// Where it listens: `host:port`.
    pub address: String,
    /// Whom to believe if we call it by TLS; without, we call it plain.
    pub tls: Option<NodeTls>,
}

/// Whom to believe when we call a node by TLS.
#[derive(Debug, Clone)]
pub struct NodeTls {
    /// Who may vouch for its certificate.
    pub authority: Option<PathBuf>,
    /// Its certificates, whoever issued them.
    pub certificates: Vec<CertificateThumbprint>,
}

impl Checker<'_> {
    pub(super) fn dicom(&self, dicom: &fragment::Dicom) -> Result<Dicom, SettingsError> {
        if !(1..=1024).contains(&dicom.max_associations) {
            return Err(self.refuse("dicom.max_associations", "must be between 1 and 1024"));
        }
        if !(1..=dicom.max_associations).contains(&dicom.max_associations_per_peer) {
            return Err(self.refuse(
                "dicom.max_associations_per_peer",
                "must be at least 1 and at most dicom.max_associations",
            ));
        }
        if dicom.peers.is_empty() {
            return Err(self.refuse("dicom.peers", "at least one PACS or modality must be allowed to send"));
        }
        let own: AeTitle = self.parse("dicom.ae_title", &dicom.ae_title)?;
        let peers = dicom.peers.iter().enumerate().map(|(index, peer)| self.peer(index, peer, dicom));
        let tls = dicom.tls.as_ref().map(|tls| self.dicom_tls(tls)).transpose()?;
        Ok(Dicom {
            listen: self.listen("dicom.listen", &dicom.listen)?,
            tls,
            peers: peers.collect::<Result<_, _>>()?,
            aliases: self.aliases(&own, &dicom.aliases)?,
            max_associations: dicom.max_associations,
            max_associations_per_peer: dicom.max_associations_per_peer,
            quiet_time: self.seconds("dicom.quiet_time_secs", dicom.quiet_time_secs, 1, 86_400)?,
            ae_title: own,
        })
    }

    fn dicom_tls(&self, tls: &fragment::DicomTls) -> Result<DicomTls, SettingsError> {
        let authorities = tls.client_authorities.as_ref();
        Ok(DicomTls {
            listen: self.listen("dicom.tls.listen", &tls.listen)?,
            client_authorities: authorities
                .map(|file| self.existing("dicom.tls.client_authorities", file))
                .transpose()?,
        })
    }

    fn peer(
        &self,
        index: usize,
        peer: &fragment::Peer,
        dicom: &fragment::Dicom,
    ) -> Result<Peer, SettingsError> {
        let key = |field: &str| format!("dicom.peers[{index}].{field}");
        let ae_title: AeTitle = self.parse(&key("ae_title"), &peer.ae_title)?;
        let address = peer.address.as_ref().map(|text| self.parse(&key("address"), text)).transpose()?;
        let transport = self.transport(&key("certificates"), peer)?;
        if transport != TransportPolicy::Any && dicom.tls.is_none() {
            return Err(self.refuse(&key("transport"), "asks for TLS, but there is no [dicom.tls]"));
        }
        if peer.max_associations.is_some_and(|most| !(1..=dicom.max_associations).contains(&most)) {
            return Err(self
                .refuse(&key("max_associations"), "must be at least 1 and at most dicom.max_associations"));
        }
        if peer.answers_queries && peer.node.is_none() {
            return Err(self.refuse(&key("answers_queries"), "needs node.address: where to ask"));
        }
        let node = peer.node.as_ref().map(|node| {
            let tls = (node.tls, &node.authority, node.certificates.as_slice());
            self.node(&key("node"), ae_title.clone(), &node.address, tls)
        });
        let quiet_time =
            peer.quiet_time_secs.map(|quiet| self.seconds(&key("quiet_time_secs"), quiet, 1, 86_400));
        let rules = PeerRules {
            storage: self.classes(&key("refused_classes"), peer)?,
            identity_mismatch: if peer.accept_other_names {
                IdentityMismatch::AcceptByCommand
            } else {
                IdentityMismatch::Refuse
            },
            max_associations: peer.max_associations,
        };
        Ok(Peer {
            allowed: AllowedPeer { ae_title, address, transport, rules },
            node: node.transpose()?,
            answers_queries: peer.answers_queries,
            quiet_time: quiet_time.transpose()?,
            quota_bytes: peer.quota_gib.map(|gib| gib.saturating_mul(1024 * 1024 * 1024)),
        })
    }

    fn transport(&self, key: &str, peer: &fragment::Peer) -> Result<TransportPolicy, SettingsError> {
        let thumbprints = self.thumbprints(key, &peer.certificates)?;
        match peer.transport {
            fragment::Transport::MutualTls => Ok(TransportPolicy::MutualTls { thumbprints }),
            fragment::Transport::Any | fragment::Transport::Tls if !thumbprints.is_empty() => {
                Err(self.refuse(key, "are compared only where transport is \"mutual-tls\""))
            }
            fragment::Transport::Any => Ok(TransportPolicy::Any),
            fragment::Transport::Tls => Ok(TransportPolicy::Tls),
        }
    }

    fn classes(&self, key: &str, peer: &fragment::Peer) -> Result<StoragePolicy, SettingsError> {
        let refused = peer.refused_classes.iter().map(|uid| self.parse(key, uid));
        let refused = refused.collect::<Result<std::collections::BTreeSet<_>, _>>()?;
        match peer.classes {
            fragment::Classes::Any if refused.is_empty() => Ok(StoragePolicy::Any),
            fragment::Classes::Any => Ok(StoragePolicy::AllBut(refused)),
            fragment::Classes::Standard if refused.is_empty() => Ok(StoragePolicy::StandardOnly),
            fragment::Classes::Standard => {
                Err(self.refuse(key, "cannot be combined with classes = \"standard\""))
            }
        }
    }

    fn aliases(&self, own: &AeTitle, aliases: &[fragment::Alias]) -> Result<Vec<Alias>, SettingsError> {
        let mut checked: Vec<Alias> = Vec::new();
        for (index, alias) in aliases.iter().enumerate() {
            let key = |field: &str| format!("dicom.aliases[{index}].{field}");
            let ae_title: AeTitle = self.parse(&key("ae_title"), &alias.ae_title)?;
            if ae_title == *own || checked.iter().any(|known| known.ae_title == ae_title) {
                return Err(self.refuse(&key("ae_title"), "is in use already"));
            }
            checked.push(Alias {
                ae_title,
                addressee: self.parse(&key("addressee"), &alias.addressee)?,
                urgent: alias.urgent,
                confirm: alias.confirm,
            });
        }
        Ok(checked)
    }

    /// A node that is called, under this key.
    pub(super) fn called(&self, key: &str, node: &fragment::Pacs) -> Result<NodeAddress, SettingsError> {
        let ae_title = self.parse(&format!("{key}.ae_title"), &node.ae_title)?;
        let tls = (node.tls, &node.authority, node.certificates.as_slice());
        self.node(key, ae_title, &node.address, tls)
    }

    fn node(
        &self,
        key: &str,
        ae_title: AeTitle,
        address: &str,
        (by_tls, authority, certificates): (bool, &Option<PathBuf>, &[String]),
    ) -> Result<NodeAddress, SettingsError> {
        let field = |name: &str| format!("{key}.{name}");
        let address = self.host_and_port(&field("address"), address)?;
        let authority =
            authority.as_ref().map(|file| self.existing(&field("authority"), file)).transpose()?;
        let certificates = self.thumbprints(&field("certificates"), certificates)?;
        let believed = authority.is_some() || !certificates.is_empty();
        if by_tls != believed {
            let reason = "goes together with authority or certificates: whom to believe";
            return Err(self.refuse(&field("tls"), reason));
        }
        Ok(NodeAddress { ae_title, address, tls: by_tls.then_some(NodeTls { authority, certificates }) })
    }

    fn thumbprints(&self, key: &str, texts: &[String]) -> Result<Vec<CertificateThumbprint>, SettingsError> {
        texts.iter().map(|text| self.parse(key, text)).collect()
    }

    fn listen(&self, key: &str, text: &str) -> Result<SocketAddr, SettingsError> {
        text.parse().map_err(|_| self.refuse(key, "must be an address and port, like 0.0.0.0:11112"))
    }
}
