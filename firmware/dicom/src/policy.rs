//! What this node accepts, and from whom: limits, timers, and the rules for each peer.
//!
//! A peer is bound by what it says (AE title), where it comes from (address or network) and what it can show (TLS, a
//! certificate). On a plain connection the AE title is only a claim, so limits and reserved places are counted per peer:
//! whoever borrows a name can fill that peer's places and no others.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use beeldbox_protocol::ident::{AeTitle, Digest, SopClassUid};

use crate::negotiate::Reject;

/// What this node accepts.
#[derive(Debug, Clone)]
pub struct NodePolicy {
    /// Our AE title.
    pub ae_title: AeTitle,
    /// Other AE titles that we answer to; [`crate::AssociationInfo::called_ae`] tells which one was called.
    pub aliases: Vec<AeTitle>,
    /// Who may associate with us.
    pub allowed_peers: Vec<AllowedPeer>,
    /// Whether anybody may associate, whatever `allowed_peers` says.
    pub accept_any_peer: bool,
    /// What holds for those who are not in `allowed_peers`.
    pub stranger_rules: PeerRules,
    /// Associations at the same time; one more is refused with a transient reason.
    pub max_associations: usize,
    /// Associations of one peer at the same time, unless its rules say otherwise; `None`: all that are not kept for others.
    pub max_associations_per_peer: Option<usize>,
    /// Places kept free for each listed peer that has fewer than so many. Fewer if there are not enough places.
    pub reserved_per_peer: usize,
    /// Connections at the same time that have not asked for an association yet, or are waiting to be closed. One more
    /// and the oldest is closed.
    pub max_waiting: usize,
    /// The same from one address (one /64 of IPv6).
    pub max_waiting_per_address: usize,
    /// Longest we wait for a TLS handshake; for a complete A-ASSOCIATE-RQ after that; for a control PDU once it has
    /// begun; and for the peer to close at the end (ARTIM, PS3.8 §9.1.5).
    pub artim: Duration,
    /// Longest silence between two messages of an association. Modalities keep associations open between exposures.
    pub idle: Duration,
    /// Longest silence inside a message, and longest wait for the peer to take our bytes.
    pub progress: Duration,
    /// Bytes per second that a message in progress must bring, averaged over `progress`. 0 switches it off.
    pub least_rate: u32,
    /// How long running associations may go on when the node stops.
    pub stop_deadline: Duration,
}

impl NodePolicy {
    /// A policy with the default limits that accepts nobody yet: 30 associations, 2 reserved for each listed
    /// peer, 256 waiting connections, 64 from one address, ARTIM 30 s, idle 5 min, progress 60 s at 1 KiB/s, stop
    /// deadline 20 s.
    pub fn new(ae_title: AeTitle) -> Self {
        NodePolicy {
            ae_title,
            aliases: Vec::new(),
            allowed_peers: Vec::new(),
            accept_any_peer: false,
            stranger_rules: PeerRules::default(),
            max_associations: 30,
            max_associations_per_peer: None,
            reserved_per_peer: 2,
            max_waiting: 256,
            max_waiting_per_address: 64,
            artim: Duration::from_secs(30),
            idle: Duration::from_secs(300),
            progress: Duration::from_secs(60),
            least_rate: 1024,
            stop_deadline: Duration::from_secs(20),
        }
    }

    /// Whether we answer to this title.
    pub(crate) fn is_called(&self, called: &AeTitle) -> bool {
        self.ae_title == *called || self.aliases.contains(called)
    }

    /// The listed peer that this caller is, by place in the list; `None` for an admitted stranger.
    pub(crate) fn identify(
        &self,
        calling: &AeTitle,
        from: IpAddr,
        transport: &Transport,
    ) -> Result<Option<usize>, Reject> {
        let mut nearest = Reject::CallingAe;
        for (place, peer) in self.allowed_peers.iter().enumerate() {
            if peer.ae_title != *calling {
                continue;
            }
            if peer.address.is_some_and(|network| !network.contains(from)) {
                // A later entry of the same name may have come nearer.
                if nearest == Reject::CallingAe {
                    nearest = Reject::Address;
                }
                continue;
            }
            match peer.transport.admits(transport) {
                Ok(()) => return Ok(Some(place)),
                Err(reason) => nearest = reason,
            }
        }
        if self.accept_any_peer { Ok(None) } else { Err(nearest) }
    }

    /// The rules for a peer.
    pub(crate) fn rules(&self, peer: Option<usize>) -> &PeerRules {
        peer.and_then(|place| self.allowed_peers.get(place)).map_or(&self.stranger_rules, |peer| &peer.rules)
    }
}

/// A peer that may associate. The same AE title may be listed more than once, from different places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedPeer {
    /// Its calling AE title.
    pub ae_title: AeTitle,
    /// Where it may come from; `None` accepts this title from anywhere.
    pub address: Option<Network>,
    /// How it must connect.
    pub transport: TransportPolicy,
    /// What it may do.
    pub rules: PeerRules,
}

impl AllowedPeer {
    /// This title, from anywhere, on either port, with the default rules.
    pub fn new(ae_title: AeTitle) -> Self {
        AllowedPeer {
            ae_title,
            address: None,
            transport: TransportPolicy::default(),
            rules: PeerRules::default(),
        }
    }
}

/// What a peer may do once it is admitted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerRules {
    /// Which storage classes it may send.
    pub storage: StoragePolicy,
    /// What happens when the data set names another instance than the C-STORE request.
    pub identity_mismatch: IdentityMismatch,
    /// Its associations at the same time; `None` is [`NodePolicy::max_associations_per_peer`].
    pub max_associations: Option<usize>,
}

/// Which storage classes a peer may send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StoragePolicy {
    /// All of them: standard, retired, private, and those nobody knows.
    #[default]
    Any,
    /// Those that our dictionary of the standard names.
    StandardOnly,
    /// All but these.
    AllBut(BTreeSet<SopClassUid>),
}

/// What happens when the SOP Instance UID of the data set is not that of the C-STORE request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IdentityMismatch {
    /// The instance is refused with A900H.
    #[default]
    Refuse,
    /// The instance is taken under the name of the request, and its header says that the names differ
    /// ([`crate::InstanceHeader::names_differ`]): the taker may hold it.
    AcceptByCommand,
}

/// How a peer must connect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TransportPolicy {
    /// Either port.
    #[default]
    Any,
    /// The TLS port, with or without a certificate of its own.
    Tls,
    /// The TLS port, with a certificate.
    MutualTls {
        /// The certificates it may show; none listed: any that our roots vouch for.
        thumbprints: Vec<CertificateThumbprint>,
    },
}

impl TransportPolicy {
    fn admits(&self, transport: &Transport) -> Result<(), Reject> {
        match (self, transport) {
            (TransportPolicy::Any, _) | (TransportPolicy::Tls, Transport::Tls { .. }) => Ok(()),
            (TransportPolicy::Tls | TransportPolicy::MutualTls { .. }, Transport::Plain) => {
                Err(Reject::NeedsTls)
            }
            (TransportPolicy::MutualTls { .. }, Transport::Tls { certificate: None }) => {
                Err(Reject::NeedsCertificate)
            }
            (TransportPolicy::MutualTls { thumbprints }, Transport::Tls { certificate: Some(shown) }) => {
                if thumbprints.is_empty() || thumbprints.contains(shown) {
                    Ok(())
                } else {
                    Err(Reject::OtherCertificate)
                }
            }
        }
    }
}

/// How a peer has connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Without TLS.
    Plain,
    /// DICOM TLS.
    Tls {
        /// The certificate it showed, which our roots or a pinned thumbprint vouch for.
        certificate: Option<CertificateThumbprint>,
    },
}

/// SHA-256 of a certificate in DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertificateThumbprint(Digest);

impl CertificateThumbprint {
    /// Of this certificate.
    pub fn of(der: &[u8]) -> Self {
        CertificateThumbprint(Digest::of(der))
    }
}

impl fmt::Display for CertificateThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text is no thumbprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a certificate thumbprint has 64 hexadecimal digits, with or without colons")]
pub struct ThumbprintError;

impl FromStr for CertificateThumbprint {
    type Err = ThumbprintError;

    fn from_str(text: &str) -> Result<Self, ThumbprintError> {
        let digits: String = text.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
        digits.parse().map(CertificateThumbprint).map_err(|_| ThumbprintError)
    }
}

/// An address, or all addresses that begin like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// Whether an address belongs to it. An IPv4 address mapped into IPv6 is an IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let differ = u32::from(ours) ^ u32::from(theirs);
                differ.leading_zeros() >= u32::from(self.prefix_bits)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let differ = u128::from(ours) ^ u128::from(theirs);
                differ.leading_zeros() >= u32::from(self.prefix_bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Network { address, prefix_bits: if address.is_ipv4() { 32 } else { 128 } }
    }
}

/// A text is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an address like 10.1.2.3, or a network like 10.1.0.0/16")]
pub struct NetworkError;

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let all = Network::from(address.parse::<IpAddr>().map_err(|_| NetworkError)?);
        let Some(bits) = bits else { return Ok(all) };
        let prefix_bits = bits.parse().map_err(|_| NetworkError)?;
        if prefix_bits > all.prefix_bits { Err(NetworkError) } else { Ok(Network { prefix_bits, ..all }) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
