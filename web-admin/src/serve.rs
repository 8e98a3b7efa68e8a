//! Serves the pages until told to stop.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use jiff::Timestamp;

use crate::certificate::{self, CertificateError};
use crate::dicom_web::admit::Registered;
use crate::settings::{DicomWebSettings, Settings, Tls};
use crate::site::{self, Site, SiteSettings};
use crate::view::date;

/// Time for open answers after the order to stop. Streams end at once, so nothing needs longer.
const LONGEST_STOP: Duration = Duration::from_secs(5);
/// Time for a TLS handshake and the first request.
const LONGEST_HELLO: Duration = Duration::from_secs(10);

/// Why the pages cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The state directory cannot be used.
    #[error("state_dir {path}: cannot be used", path = path.display())]
    StateDir {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The address cannot be used.
    #[error("listen {address}: cannot be used")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The address cannot be told to whoever waits for it.
    #[error("port file {path}: cannot be written", path = path.display())]
    PortFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The connections cannot be encrypted.
    #[error("encryption")]
    Certificate(#[from] CertificateError),
    /// The service ended by itself.
    #[error("the service ended")]
    Ended(#[source] std::io::Error),
}

/// Serves until `stop` resolves, then lets open answers finish.
///
/// # Errors
/// If address, state directory or certificate cannot be used.
pub async fn serve(
    settings: Settings,
    port_file: Option<&Path>,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let state_dir = |source| ServeError::StateDir { path: settings.state_dir.clone(), source };
    std::fs::create_dir_all(&settings.state_dir).map_err(state_dir)?;
    let listen = |source| ServeError::Listen { address: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let encryption = match settings.tls {
        Tls::Off => None,
        Tls::On => {
            let year = i32::from(date::local_date(wall_clock()).year());
            let config = certificate::tls_config(&settings.state_dir, address.ip(), &settings.names, year)?;
            Some(RustlsConfig::from_config(config))
        }
    };
    let (site, follower) = Site::new(SiteSettings {
        socket: &settings.socket,
        state_dir: &settings.state_dir,
        tls: settings.tls,
        port: address.port(),
        hospital: settings.hospital,
        names: settings.names,
        clock: wall_clock,
    });
    let systems = settings.dicom_web.as_ref().map(|systems| for_systems(systems, &settings.state_dir));
    let systems = systems.transpose()?;
    let systems_handle = Handle::new();
    let serving_systems = serve_systems(systems, site.clone(), systems_handle.clone());
    let service = site::router(site).into_make_service_with_connect_info::<SocketAddr>();
    let handle = Handle::new();
    let serving = async {
        let handle = handle.clone();
        match encryption {
            Some(config) => {
                let server = axum_server::from_tcp_rustls(listener, config)?.handle(handle);
                server.first_request_timeout(LONGEST_HELLO).serve(service).await
            }
            None => axum_server::from_tcp(listener)?.handle(handle).serve(service).await,
        }
    };
    announce(&settings.tls, address, port_file)?;
    tracing::info!(%address, "the pages are served");
    let follow = async {
        tokio::select! {
            () = follower.run() => {}
            () = stop => {}
        }
        // The follower is gone, so every stream ends; what is left are answers on their way.
        tracing::info!("the pages are stopping");
        handle.graceful_shutdown(Some(LONGEST_STOP));
        systems_handle.graceful_shutdown(Some(LONGEST_STOP));
    };
    let (served, served_systems, ()) = tokio::join!(serving, serving_systems, follow);
    served.and(served_systems).map_err(ServeError::Ended)
}

/// A port for systems, and how they are let in.
type ForSystems = (TcpListener, Registered);

fn for_systems(settings: &DicomWebSettings, state_dir: &Path) -> Result<ForSystems, ServeError> {
    let listen = |source| ServeError::Listen { address: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let config = certificate::mutual_tls_config(state_dir, &settings.client_authorities)?;
    let tls = RustlsAcceptor::new(RustlsConfig::from_config(config));
    tracing::info!(address = %settings.listen, "DICOMweb is served for systems");
    Ok((listener, Registered::new(tls, settings.clients.clone())))
}

async fn serve_systems(
    systems: Option<ForSystems>,
    site: Arc<Site>,
    handle: Handle<SocketAddr>,
) -> std::io::Result<()> {
    let Some((listener, registered)) = systems else { return Ok(()) };
    let service = site::dicom_web_router(site).into_make_service();
    axum_server::from_tcp(listener)?.acceptor(registered).handle(handle).serve(service).await
}

/// Says where the pages are, to whoever started them.
fn announce(tls: &Tls, address: SocketAddr, port_file: Option<&Path>) -> Result<(), ServeError> {
    let scheme = match tls {
        Tls::On => "https",
        Tls::Off => "http",
    };
    if let Some(path) = port_file {
        std::fs::write(path, address.to_string())
            .map_err(|source| ServeError::PortFile { path: path.to_owned(), source })?;
    }
    println!("listening {scheme}://{address}");
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "the one place where the pages look at the clock")]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}
