//! DICOM TLS from files: the acceptor's configuration, and nodes that we call.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use beeldbox_dicom::{ClientTls, PeerNode, TlsIdentity, TlsTrust, TransportPolicy, server_config};

use crate::settings::{Credentials, NodeAddress, Settings};

/// The acceptor's configuration, if we listen with TLS.
///
/// # Errors
/// By file, what cannot be used.
pub fn acceptor(settings: &Settings) -> Result<Option<Arc<rustls::ServerConfig>>> {
    let Some(tls) = &settings.dicom.tls else { return Ok(None) };
    let trust = match &tls.client_authorities {
        Some(file) => roots(file)?,
        None => TlsTrust::default(),
    };
    let pinned = settings.dicom.peers.iter().filter_map(|peer| match &peer.allowed.transport {
        TransportPolicy::MutualTls { thumbprints } => Some(thumbprints.clone()),
        TransportPolicy::Any | TransportPolicy::Tls => None,
    });
    let trust = trust.and_pinned(pinned.flatten());
    let config = server_config(identity(&settings.credentials)?, &trust).context("DICOM TLS")?;
    Ok(Some(config))
}

/// A node that we call. Where it is called by TLS, we show our own certificate if we have one.
///
/// # Errors
/// By file, what cannot be used.
pub fn node(address: &NodeAddress, credentials: &Credentials) -> Result<PeerNode> {
    let mut node = PeerNode::plain(address.ae_title.clone(), address.address.as_str());
    if let Some(tls) = &address.tls {
        let trust = match &tls.authority {
            Some(file) => roots(file)?,
            None => TlsTrust::default(),
        };
        let trust = trust.and_pinned(tls.certificates.iter().copied());
        let host = address.address.rsplit_once(':').map_or(address.address.as_str(), |(host, _)| host);
        let own = credentials.dicom_certificate.is_file().then(|| identity(credentials)).transpose()?;
        let client = ClientTls::new(&trust, host.trim_matches(['[', ']']), own)
            .with_context(|| format!("DICOM TLS towards {}", address.ae_title))?;
        node.tls = Some(client);
    }
    Ok(node)
}

fn identity(files: &Credentials) -> Result<TlsIdentity> {
    let read = |file: &Path| std::fs::read(file).with_context(|| format!("DICOM TLS: {}", file.display()));
    let (chain, key) = (read(&files.dicom_certificate)?, read(&files.dicom_key)?);
    TlsIdentity::from_pem(&chain, &key)
        .with_context(|| format!("DICOM TLS certificate {}", files.dicom_certificate.display()))
}

fn roots(file: &Path) -> Result<TlsTrust> {
    let pem = std::fs::read(file).with_context(|| format!("authorities {}", file.display()))?;
    TlsTrust::roots_from_pem(&pem).with_context(|| format!("authorities {}", file.display()))
}
