//! Where the directory is read: a FHIR R4 server, the portal or another.
//!
//! It is not trusted to be careful. An answer has a longest length and a longest time, the next page lies under the
//! address that the settings name or is not read, and nothing is followed anywhere else.

use std::sync::Arc;
use std::time::Duration;

use beeldbox_protocol::portal::FHIR_JSON;
use beeldbox_protocol::portal::directory::Kind;
use beeldbox_protocol::portal::directory::page::{DirectoryPage, PageError};
use bytes::BytesMut;
use futures_util::StreamExt;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::header::{ACCEPT, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};

use crate::connection::{Connection, Proxy};
use crate::portal_error::{LineError, PortalError, transport};

/// Longest time for one page. A page of a thousand entries over a thin line is far below it.
const PAGE_TIMEOUT: Duration = Duration::from_secs(120);

/// Longest page. Twenty times what a page is in practice; read as a whole, it takes some times as much memory.
const LONGEST_PAGE: usize = 8 * 1024 * 1024;

/// Entries asked for at once.
const PAGE_ENTRIES: u32 = 200;

/// What went wrong at the source, sorted by who must act.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No answer.
    #[error("the directory does not answer")]
    Unreachable(#[source] LineError),
    /// It asks for patience.
    #[error("the directory asks to come back later")]
    Busy {
        /// After this long, if it said so.
        retry_after: Option<Duration>,
    },
    /// Its certificate is not believed here, or ours is not believed there.
    #[error("the TLS certificates of this box and the directory do not fit together: {0}")]
    Certificate(String),
    /// It does not let us read.
    #[error("the directory refuses this box (HTTP {0})")]
    Refused(u16),
    /// It cannot be asked this.
    #[error("the directory does not offer this (HTTP {0})")]
    NotOffered(u16),
    /// An answer without end.
    #[error("a page of the directory is longer than it may be")]
    TooLong,
    /// The answer makes no sense.
    #[error("a page of the directory cannot be understood: {0}")]
    NotUnderstood(#[from] PageError),
    /// A link leads away.
    #[error("the next page of the directory is not at the directory's own address")]
    LinkElsewhere,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask<'a> {
    /// Everything.
    Whole,
    /// What changed since a mark, with deletions (`_history`).
    History(&'a str),
    /// What changed since a mark, for servers without histories of a type.
    Changed(&'a str),
}

/// A page, and what time it was there.
#[derive(Debug)]
pub struct Answer {
    /// The page.
    pub page: DirectoryPage,
    /// The server's clock, from the header `Date`.
    pub date: Option<Timestamp>,
}

/// A client of the source. Cheap to clone; connections are shared.
#[derive(Clone)]
pub struct DirectorySource {
    connection: Arc<Connection>,
    base: Url,
}

/// Why an address is not one of a directory.
#[derive(Debug, thiserror::Error)]
pub enum AddressProblem {
    /// It is not an address, or not a safe one.
    #[error("the directory's address must be https://host[:port]/path, without a query or a password")]
    NotHttps,
    /// The TLS settings cannot be used.
    #[error("the directory's TLS settings cannot be used")]
    Tls(#[source] reqwest::Error),
}

impl DirectorySource {
    /// The source at this address: the FHIR base, with the TLS settings of the box.
    ///
    /// # Errors
    /// If the address is not an `https` one, or the TLS settings cannot be used.
    pub fn new(base: &str, tls: rustls::ClientConfig, user_agent: &str) -> Result<Self, AddressProblem> {
        Self::by(base, tls, user_agent, None)
    }

    /// The same, by way of a proxy if there is one.
    ///
    /// # Errors
    /// As [`DirectorySource::new`], or if the proxy cannot be used.
    pub fn by(
        base: &str,
        tls: rustls::ClientConfig,
        user_agent: &str,
        proxy: Option<Proxy>,
    ) -> Result<Self, AddressProblem> {
        let base: Url = base.trim_end_matches('/').parse().map_err(|_| AddressProblem::NotHttps)?;
        let is_plain = base.query().is_none() && base.fragment().is_none() && has_no_account(&base);
        if base.scheme() != "https" || !is_plain {
            return Err(AddressProblem::NotHttps);
        }
        let connection = Connection::new(tls, user_agent, proxy).map_err(AddressProblem::Tls)?;
        Ok(DirectorySource { connection: Arc::new(connection), base })
    }

    /// From now on connections are made with other TLS settings: the box has another certificate.
    ///
    /// # Errors
    /// If the TLS settings cannot be used; the old ones stay in use.
    pub fn change_tls(&self, tls: &rustls::ClientConfig) -> Result<(), AddressProblem> {
        self.connection.change_tls(tls).map_err(AddressProblem::Tls)
    }

    /// Its address, without a slash at the end.
    pub fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Where the first page of an answer is.
    pub fn first(&self, kind: Kind, ask: Ask<'_>) -> Url {
        let mut url = self.base.clone();
        let path = url.path().trim_end_matches('/').to_owned();
        let (rest, since) = match ask {
            Ask::Whole => ("", None),
            Ask::History(mark) => ("/_history", Some(("_since", mark.to_owned()))),
            Ask::Changed(mark) => ("", Some(("_lastUpdated", format!("ge{mark}")))),
        };
        url.set_path(&format!("{path}/{}{rest}", kind.as_str()));
        // Written by hand: `:` may stand in a query (RFC 3986 §3.4), and not every server decodes it.
        let since = since.map(|(name, value)| format!("{name}={value}&")).unwrap_or_default();
        url.set_query(Some(&format!("{since}_count={PAGE_ENTRIES}")));
        url
    }

    /// Where a page's next one is: at the same origin and under the same base.
    ///
    /// # Errors
    /// [`SourceError::LinkElsewhere`] otherwise.
    pub fn next(&self, page: &Url, link: &str) -> Result<Url, SourceError> {
        let next = page.join(link).map_err(|_| SourceError::LinkElsewhere)?;
        let base = self.base.path().trim_end_matches('/');
        let below = next.path().strip_prefix(base);
        let is_below = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if next.origin() == self.base.origin() && is_below && has_no_account(&next) {
            Ok(next)
        } else {
            Err(SourceError::LinkElsewhere)
        }
    }

    /// Reads a page.
    ///
    /// # Cancellation
    /// May be dropped at any moment.
    ///
    /// # Errors
    /// As the source answers.
    pub async fn page(&self, kind: Kind, url: Url) -> Result<Answer, SourceError> {
        let response =
            self.connection.questions().get(url).timeout(PAGE_TIMEOUT).header(ACCEPT, FHIR_JSON).send().await;
        let response = response.map_err(from_transport)?;
        let status = response.status();
        if !status.is_success() {
            return Err(refusal(status, response.headers()));
        }
        let date = response.headers().get(DATE).and_then(|date| http_date(date.to_str().ok()?));
        let bytes = read(response).await?;
        Ok(Answer { page: DirectoryPage::read(kind, &bytes)?, date })
    }
}

fn has_no_account(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none()
}

fn refusal(status: StatusCode, headers: &HeaderMap) -> SourceError {
    match status {
        StatusCode::BAD_REQUEST
        | StatusCode::NOT_FOUND
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::GONE
        | StatusCode::NOT_IMPLEMENTED => SourceError::NotOffered(status.as_u16()),
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            SourceError::Busy { retry_after: retry_after(headers) }
        }
        _ => SourceError::Refused(status.as_u16()),
    }
}

/// Seconds only: a date there would have to be compared with a clock that may be wrong.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// A date as HTTP writes it (RFC 9110 §5.6.7), which is RFC 2822 with a zone of letters.
fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::parse(text).ok().map(|date| date.timestamp())
}

fn from_transport(error: reqwest::Error) -> SourceError {
    match transport(error) {
        PortalError::Certificate(why) => SourceError::Certificate(why),
        PortalError::Unreachable(error) => SourceError::Unreachable(error),
        PortalError::Busy { .. }
        | PortalError::RefusedUs(_)
        | PortalError::NotFound
        | PortalError::AlreadyThere
        | PortalError::Conflict
        | PortalError::MissingParts(_)
        | PortalError::DigestMismatch
        | PortalError::NotUnderstood(_) => SourceError::Busy { retry_after: None },
    }
}

async fn read(response: Response) -> Result<BytesMut, SourceError> {
    let mut bytes = BytesMut::new();
    let mut body = response.bytes_stream();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(from_transport)?;
        if bytes.len() + piece.len() > LONGEST_PAGE {
            return Err(SourceError::TooLong);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn source(base: &str) -> Result<DirectorySource, AddressProblem> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        DirectorySource::new(base, tls, "test")
    }

    #[test]
    fn a_question_is_asked_below_the_base() {
        let source = source("https://lrza.example/adressering/R4/").unwrap();
        assert_eq!(source.base(), "https://lrza.example/adressering/R4");
        let first = |ask| source.first(Kind::HealthcareService, ask).to_string();
        let base = "https://lrza.example/adressering/R4/HealthcareService";
        assert_eq!(first(Ask::Whole), format!("{base}?_count=200"));
        let mark = "2026-11-23T09:14:07.312001Z";
        assert_eq!(first(Ask::History(mark)), format!("{base}/_history?_since={mark}&_count=200"));
        assert_eq!(first(Ask::Changed(mark)), format!("{base}?_lastUpdated=ge{mark}&_count=200"));
    }

    #[test]
    fn only_https_without_an_account_is_an_address() {
        for base in ["http://x/fhir", "https://", "x", "https://a:b@x/fhir", "https://x/fhir?a=b", "ftp://x/"]
        {
            assert!(source(base).is_err(), "{base}");
        }
    }

    #[test]
    fn the_next_page_is_at_the_same_origin_and_below_the_same_base() {
        let source = source("https://lrza.example/fhir").unwrap();
        let page = source.first(Kind::Organization, Ask::Whole);
        let follows = |link: &str| source.next(&page, link).map(|url| url.to_string()).ok();
        let expected = Some("https://lrza.example/fhir/Organization?page=2".to_owned());
        for link in [
            "?page=2",
            "/fhir/Organization?page=2",
            "Organization?page=2",
            "https://lrza.example:443/fhir/Organization?page=2",
            "//lrza.example/fhir/x/../Organization?page=2",
        ] {
            assert_eq!(follows(link), expected, "{link}");
        }
        assert!(follows("https://lrza.example/fhir?_getpages=1").is_some(), "as one well-known server does");
        for link in [
            "https://elsewhere.example/fhir/Organization?page=2",
            "http://lrza.example/fhir/Organization?page=2",
            "https://lrza.example:8443/fhir/Organization",
            "https://user@lrza.example/fhir/Organization",
            "https://lrza.example/fhirs/Organization",
            "/Organization",
            "../../Organization",
            "/fhir/%2e%2e/Organization",
            "file:///etc/passwd",
            "https://",
        ] {
            assert_eq!(follows(link), None, "{link}");
        }
    }

    #[test]
    fn dates_and_pauses_are_read_as_http_writes_them() {
        assert_eq!(http_date("Mon, 23 Nov 2026 09:14:07 GMT"), "2026-11-23T09:14:07Z".parse().ok());
        assert_eq!(http_date("yesterday"), None);
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        headers.insert(RETRY_AFTER, "315360000".parse().unwrap());
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(315_360_000)));
        headers.insert(RETRY_AFTER, "Mon, 23 Nov 2026 09:14:07 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers), None);
    }
}
