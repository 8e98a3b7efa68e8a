//! Who may ask by DICOMweb: somebody who is signed in at the pages, or a system whose client certificate is registered.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{AddExtension, Next};
use axum::response::{IntoResponse, Response};
use axum_server::accept::Accept;
use axum_server::tls_rustls::RustlsAcceptor;
use data_encoding::HEXLOWER;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::Layer;

use super::{Caller, Failure};
use crate::roles::Role;
use crate::session::Stage;
use crate::site::Site;
use crate::visit::session_key;

/// Who works with patients.
const MAY_SEE_PATIENTS: [Role; 2] = [Role::Technician, Role::Importer];

/// Lets those pass who are signed in; others are told to sign in at the pages, without being sent there.
pub(crate) async fn signed_in(State(site): State<Arc<Site>>, mut request: Request, next: Next) -> Response {
    let who = session_key(&site, request.headers()).and_then(|key| site.sessions.touch(key, Instant::now()));
    let who = who.filter(|who| who.stage == Stage::Open);
    let Some(who) = who else {
        let why = "sign in at the pages of this box first";
        return Failure::new(StatusCode::UNAUTHORIZED, why).into_response();
    };
    let person = match site.accounts.person(&who.account) {
        Ok(person) => person.filter(|person| !person.is_locked && person.roles.has_one(&MAY_SEE_PATIENTS)),
        Err(error) => {
            tracing::error!(%error, "the accounts cannot be read");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    if person.is_none() {
        return Failure::new(StatusCode::FORBIDDEN, "this account may not see patients").into_response();
    }
    request.extensions_mut().insert(Caller(who.account));
    next.run(request).await
}

/// Takes connections with a client certificate that an authority of the hospital issued, and that is registered.
#[derive(Clone)]
pub(crate) struct Registered {
    tls: RustlsAcceptor,
    /// SHA-256 of each registered certificate, in lower-case hexadecimal.
    certificates: Arc<Vec<String>>,
}

impl Registered {
    /// For these certificates.
    pub(crate) fn new(tls: RustlsAcceptor, certificates: Vec<String>) -> Self {
        Registered { tls, certificates: Arc::new(certificates) }
    }
}

impl<I, S> Accept<I, S> for Registered
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Send + 'static,
{
    type Stream = <RustlsAcceptor as Accept<I, S>>::Stream;
    type Service = AddExtension<<RustlsAcceptor as Accept<I, S>>::Service, Caller>;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let (tls, certificates) = (self.tls.clone(), Arc::clone(&self.certificates));
        Box::pin(async move {
            let (stream, service) = tls.accept(stream, service).await?;
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let thumbprint = shown.map(|certificate| HEXLOWER.encode(digest(&SHA256, certificate).as_ref()));
            let known = thumbprint.filter(|thumbprint| certificates.contains(thumbprint));
            let Some(thumbprint) = known else {
                tracing::warn!("a system whose certificate is not registered asked by DICOMweb");
                return Err(std::io::ErrorKind::PermissionDenied.into());
            };
            let name = thumbprint.get(..16).unwrap_or_default();
            let caller = Caller(format!("dicom-web:{name}"));
            Ok((stream, Extension(caller).layer(service)))
        })
    }
}
