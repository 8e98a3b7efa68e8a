//! Requests that other sites forged are refused: by host name against DNS rebinding, by origin against forged forms.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::site::Site;

/// Lets a request pass if it is for us and from us.
pub async fn check(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let Some(host) = host_of(request.uri(), request.headers()) else {
        return (StatusCode::BAD_REQUEST, "no host\n").into_response();
    };
    if !is_our_host(&host, &site.names) {
        return (StatusCode::MISDIRECTED_REQUEST, "not a name of this box\n").into_response();
    }
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !is_safe && !is_from_us(&host, request.headers()) {
        tracing::warn!("a form from another site was refused");
        return (StatusCode::FORBIDDEN, "forms of other sites are refused\n").into_response();
    }
    next.run(request).await
}

/// HTTP/2 has it in the address, HTTP/1.1 in a header (RFC 9110 §7.2).
fn host_of(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let header = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    uri.authority().map(|authority| authority.as_str()).or(header).map(str::to_ascii_lowercase)
}

/// Numbers cannot be rebound; names only if they are ours.
fn is_our_host(host: &str, names: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok() || names.iter().any(|known| known == name)
}

/// The browser says where a form comes from: in `Sec-Fetch-Site` (W3C Fetch Metadata), else in `Origin`. Whoever says
/// neither is not a browser of today and is refused as well.
fn is_from_us(host: &str, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let origin_matches = text("origin").is_some_and(|origin| {
        let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
    });
    match text("sec-fetch-site") {
        Some("same-origin") => true,
        Some("none") | None => origin_matches,
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_and_numbers_are_hosts() {
        let names = ["beeldbox.zbc.example".to_owned()];
        for host in ["localhost:8443", "127.0.0.1", "[::1]:8443", "10.1.2.3:443", "beeldbox.zbc.example"] {
            assert!(is_our_host(host, &names), "{host}");
        }
        for host in ["evil.example", "beeldbox.zbc.example.evil.example", "localhost.evil.example", ""] {
            assert!(!is_our_host(host, &names), "{host}");
        }
    }

    #[test]
    fn a_form_must_say_that_it_is_ours() {
        let from = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| {
                (name.parse::<header::HeaderName>().unwrap(), value.parse::<header::HeaderValue>().unwrap())
            });
            is_from_us("127.0.0.1:8443", &headers.collect())
        };
        assert!(from(&[("sec-fetch-site", "same-origin")]));
        assert!(from(&[("origin", "https://127.0.0.1:8443")]));
        assert!(from(&[("sec-fetch-site", "none"), ("origin", "https://127.0.0.1:8443")]));
        assert!(!from(&[("sec-fetch-site", "cross-site"), ("origin", "https://127.0.0.1:8443")]));
        assert!(!from(&[("sec-fetch-site", "same-site")]));
        assert!(!from(&[("sec-fetch-site", "none")]));
        assert!(!from(&[("origin", "null")]));
        assert!(!from(&[("origin", "https://127.0.0.1:9999")]));
        assert!(!from(&[]));
    }
}
