//! Who asks: the URA in the client certificate, and nothing else.
//!
//! The certificate has been verified by TLS before anything here is reached. One middleware puts the [`Client`] into
//! the request; without one nothing but enrolment is reachable.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use beeldbox_protocol::envelope::trust::certificate_facts;
use beeldbox_protocol::ident::Ura;
use rustls_pki_types::CertificateDer;

use crate::refusal::Refusal;

/// An organisation that was recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its URA.
    pub ura: Ura,
    /// Its name, as its certificate says.
    pub name: String,
}

/// What is known of the other end of a connection.
#[derive(Debug, Clone)]
pub enum Peer {
    /// It showed no certificate: it can only enrol.
    Nobody,
    /// Its certificate is genuine and names no care provider.
    Nameless,
    /// An organisation.
    Named(Client),
}

impl Peer {
    /// From the certificates that TLS has verified, end entity first.
    pub fn of(certificates: Option<&[CertificateDer<'_>]>) -> Self {
        let Some(leaf) = certificates.and_then(|chain| chain.first()) else { return Peer::Nobody };
        match certificate_facts(leaf) {
            Ok(facts) => Peer::Named(Client { ura: facts.ura, name: facts.name }),
            Err(_) => Peer::Nameless,
        }
    }

    /// Its URA, if it has one.
    pub fn ura(&self) -> Option<&Ura> {
        match self {
            Peer::Named(client) => Some(&client.ura),
            Peer::Nobody | Peer::Nameless => None,
        }
    }
}

/// Lets only organisations pass.
pub async fn require_client(mut request: Request, next: Next) -> Response {
    let refusal = match request.extensions().get::<Peer>() {
        Some(Peer::Named(client)) => {
            let client = client.clone();
            request.extensions_mut().insert(client);
            return next.run(request).await;
        }
        Some(Peer::Nameless) => Refusal::Forbidden("Your certificate does not name exactly one URA."),
        Some(Peer::Nobody) | None => Refusal::Forbidden("A client certificate is needed here."),
    };
    refusal.into_response()
}
