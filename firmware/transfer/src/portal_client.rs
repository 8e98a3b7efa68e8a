//! The only HTTP client: what this box asks of the portal, and what the answers mean for the queue.
//!
//! Mutual TLS 1.3 with the box's client certificate; the portal's own authority is pinned and no other root is known.
//! The box only ever connects outwards. Every write is conditional or named by its content, so that repeating one
//! after a lost answer is harmless. An answer that says "already there" is success.
//!
//! No bearer tokens yet: [`PortalClient::request`] is the one place where one would be added.

use std::sync::Arc;
use std::time::Duration;

use beeldbox_custody::{HoldReason, WaitReason};
use beeldbox_protocol::envelope::letter::PART_LEN;
use beeldbox_protocol::ident::{Digest, TransferId};
use beeldbox_protocol::portal::fhir::{Bundle, CodeableConcept, Endpoint, Task};
use beeldbox_protocol::portal::{
    FHIR_JSON, POLL_WAIT_SECS, PartList, content_digest, letter_path, missing_parts_path, part_path,
    task_path,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use jiff::Timestamp;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, IF_MATCH, IF_NONE_MATCH, RANGE, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest silence inside an answer. Longer than the poll's own wait.
const READ_TIMEOUT: Duration = Duration::from_secs(POLL_WAIT_SECS + 15);

/// Largest answer in JSON that is read: a page of 200 Tasks, each with the parts of a large study.
const MAX_JSON_LEN: usize = 64 * 1024 * 1024;

/// How often a broken download is taken up again at the byte where it broke, before the queue takes over.
const DOWNLOAD_RESUMES: u32 = 4;

/// What went wrong at the portal, sorted by who must act.
#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    /// No answer: the network, the portal, or the line between.
    #[error("the portal does not answer")]
    Unreachable(#[source] reqwest::Error),
    /// The portal asks for patience.
    #[error("the portal asks to come back later")]
    Busy {
        /// After this long, if it said so.
        retry_after: Option<Duration>,
    },
    /// The portal's certificate is not believed here, or ours is not believed there.
    #[error("the TLS certificates of this box and the portal do not fit together: {0}")]
    Certificate(String),
    /// The portal does not let us do this.
    #[error("the portal refuses this box (HTTP {0})")]
    RefusedUs(u16),
    /// It is not there, or not for us.
    #[error("the portal does not know it")]
    NotFound,
    /// What we would make is there already (a precondition failed).
    #[error("it is at the portal already")]
    AlreadyThere,
    /// Somebody moved first, or it is too late for this.
    #[error("the transfer changed at the portal meanwhile")]
    Conflict,
    /// The commit came too early: these parts are missing, or (with none) the letter.
    #[error("the portal misses {} parts or the letter", .0.len())]
    MissingParts(Vec<Digest>),
    /// Bytes that came are not those that were named.
    #[error("the portal gave other bytes than were asked for")]
    DigestMismatch,
    /// The answer makes no sense to this version.
    #[error("the portal's answer cannot be understood: {0}")]
    NotUnderstood(&'static str),
}

/// What the queue should do about a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Wait: it may get better by itself.
    Retry(WaitReason, Option<Duration>),
    /// A person must look.
    Hold(HoldReason),
}

impl PortalError {
    /// What the queue should do about it.
    pub fn disposition(&self) -> Disposition {
        match self {
            PortalError::Unreachable(_) => Disposition::Retry(WaitReason::PortalUnreachable, None),
            PortalError::Busy { retry_after } => Disposition::Retry(WaitReason::PortalBusy, *retry_after),
            PortalError::Conflict | PortalError::AlreadyThere | PortalError::MissingParts(_) => {
                Disposition::Retry(WaitReason::PortalBusy, None)
            }
            PortalError::NotUnderstood(_) | PortalError::NotFound => {
                Disposition::Retry(WaitReason::PortalBusy, None)
            }
            PortalError::Certificate(_) => Disposition::Hold(HoldReason::CertificateExpired),
            PortalError::RefusedUs(_) => Disposition::Hold(HoldReason::PortalRefusedUs),
            PortalError::DigestMismatch => Disposition::Hold(HoldReason::DigestMismatch),
        }
    }
}

/// A client of the portal. Cheap to clone; connections are shared.
#[derive(Clone)]
pub struct PortalClient {
    http: reqwest::Client,
    base: Arc<str>,
}

impl PortalClient {
    /// A client for the portal at this address (`https://host[:port]`), with the TLS settings of the box.
    ///
    /// # Errors
    /// If the address is not an `https` one, or the TLS settings cannot be used.
    pub fn new(base: &str, tls: rustls::ClientConfig, user_agent: &str) -> Result<Self, PortalError> {
        if !base.starts_with("https://") {
            return Err(PortalError::NotUnderstood("its address does not begin with https://"));
        }
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(user_agent)
            .no_proxy()
            .https_only(true)
            .build()
            .map_err(PortalError::Unreachable)?;
        Ok(PortalClient { http, base: base.trim_end_matches('/').into() })
    }

    /// The portal's address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Makes the draft of a transfer. One that exists already is success.
    ///
    /// # Errors
    /// As the portal answers.
    pub async fn create_task(&self, transfer: &TransferId, draft: &Task) -> Result<(), PortalError> {
        let request = self.json(Method::PUT, &task_path(transfer), draft)?.header(IF_NONE_MATCH, "*");
        match send(request).await {
            Ok(_) | Err(PortalError::AlreadyThere) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The transfer's Task as it is now.
    ///
    /// # Errors
    /// As the portal answers; [`PortalError::NotFound`] also if it is not for us.
    pub async fn task(&self, transfer: &TransferId) -> Result<Task, PortalError> {
        read_json(send(self.request(Method::GET, &task_path(transfer)).header(ACCEPT, FHIR_JSON)).await?)
            .await
    }

    /// Moves the Task, if nobody moved it since it was read.
    ///
    /// # Errors
    /// [`PortalError::Conflict`] if somebody did; [`PortalError::MissingParts`] for a commit that comes too early.
    pub async fn update_task(&self, transfer: &TransferId, task: &Task) -> Result<(), PortalError> {
        let version =
            task.meta.version_id.as_deref().ok_or(PortalError::NotUnderstood("a Task without a version"))?;
        let request =
            self.json(Method::PUT, &task_path(transfer), task)?.header(IF_MATCH, format!("W/\"{version}\""));
        match send(request).await {
            Ok(_) => Ok(()),
            Err(PortalError::AlreadyThere) => Err(PortalError::Conflict),
            Err(error) => Err(error),
        }
    }

    /// Which of these parts the portal does not have.
    ///
    /// # Errors
    /// As the portal answers.
    pub async fn missing_parts(
        &self,
        transfer: &TransferId,
        parts: Vec<Digest>,
    ) -> Result<Vec<Digest>, PortalError> {
        let request = self.json(Method::POST, &missing_parts_path(transfer), &PartList { parts })?;
        read_json::<PartList>(send(request).await?).await.map(|list| list.parts)
    }

    /// Sends one part. One that is there already is success.
    ///
    /// # Errors
    /// As the portal answers.
    pub async fn put_part(
        &self,
        transfer: &TransferId,
        digest: &Digest,
        bytes: Bytes,
    ) -> Result<(), PortalError> {
        self.put_bytes(&part_path(transfer, digest), digest, bytes).await
    }

    /// Sends the letter. The same letter again is success.
    ///
    /// # Errors
    /// As the portal answers.
    pub async fn put_letter(&self, transfer: &TransferId, letter: Bytes) -> Result<(), PortalError> {
        let digest = Digest::of(&letter);
        self.put_bytes(&letter_path(transfer), &digest, letter).await
    }

    async fn put_bytes(&self, path: &str, digest: &Digest, bytes: Bytes) -> Result<(), PortalError> {
        let request = self
            .request(Method::PUT, path)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header("content-digest", content_digest(digest))
            .header(IF_NONE_MATCH, "*")
            .body(bytes);
        match send(request).await {
            Ok(_) | Err(PortalError::AlreadyThere) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Fetches one part, taking a broken download up where it broke. The bytes have the digest asked for.
    ///
    /// # Errors
    /// [`PortalError::DigestMismatch`] if they have not; otherwise as the portal answers.
    pub async fn part(&self, transfer: &TransferId, digest: &Digest, len: u64) -> Result<Bytes, PortalError> {
        let bytes = self.download(&part_path(transfer, digest), len, len).await?;
        if bytes.len() as u64 == len && Digest::of(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(PortalError::DigestMismatch)
        }
    }

    /// Fetches the letter, at most `limit` bytes of it.
    ///
    /// # Errors
    /// As the portal answers.
    pub async fn letter(&self, transfer: &TransferId, limit: u64) -> Result<Bytes, PortalError> {
        self.download(&letter_path(transfer), 0, limit).await
    }

    async fn download(&self, path: &str, expected: u64, limit: u64) -> Result<Bytes, PortalError> {
        // Room for what is expected, at once: growing step by step would hold up to three times as much.
        let mut bytes = BytesMut::with_capacity(usize::try_from(expected.min(PART_LEN)).unwrap_or_default());
        let mut resumes = 0;
        loop {
            let mut request = self.request(Method::GET, path);
            if !bytes.is_empty() {
                request = request.header(RANGE, format!("bytes={}-", bytes.len()));
            }
            let response = send(request).await?;
            if response.status() != StatusCode::PARTIAL_CONTENT {
                bytes.clear();
            }
            match read_into(response, &mut bytes, limit).await {
                Ok(()) => return Ok(bytes.freeze()),
                Err(PortalError::Unreachable(_)) if resumes < DOWNLOAD_RESUMES && !bytes.is_empty() => {
                    resumes += 1
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Transfers that changed since the mark, from either side of us; waits up to [`POLL_WAIT_SECS`] if there are none.
    /// The poll is the truth; the wait only shortens it.
    ///
    /// # Errors
    /// As the portal answers.
    ///
    /// # Cancellation
    /// May be dropped at any moment: nothing is lost, the next poll gives the same news.
    pub async fn news(&self, since: Option<Timestamp>) -> Result<Bundle<Task>, PortalError> {
        let mut path = "/fhir/Task?_count=200".to_owned();
        if let Some(mark) = since {
            path.push_str(&format!("&_lastUpdated=ge{mark}"));
        }
        let request = self
            .request(Method::GET, &path)
            .header(ACCEPT, FHIR_JSON)
            .header("prefer", format!("wait={POLL_WAIT_SECS}"));
        read_json(send(request).await?).await
    }

    /// Publishes how this box receives.
    ///
    /// # Errors
    /// As the portal answers.
    pub async fn put_endpoint(&self, endpoint: &Endpoint) -> Result<(), PortalError> {
        send(self.json(Method::PUT, &format!("/fhir/Endpoint/{}", endpoint.id), endpoint)?).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    fn json(&self, method: Method, path: &str, body: &impl Serialize) -> Result<RequestBuilder, PortalError> {
        let media_type = if path.starts_with("/fhir") { FHIR_JSON } else { "application/json" };
        let body = serde_json::to_vec(body).map_err(|_| PortalError::NotUnderstood("our own request"))?;
        Ok(self.request(method, path).header(CONTENT_TYPE, media_type).header(ACCEPT, media_type).body(body))
    }
}

async fn send(request: RequestBuilder) -> Result<Response, PortalError> {
    let response = request.send().await.map_err(transport)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(PortalError::NotFound),
        StatusCode::CONFLICT => Err(PortalError::Conflict),
        StatusCode::PRECONDITION_FAILED => Err(PortalError::AlreadyThere),
        StatusCode::UNPROCESSABLE_ENTITY => {
            let answer = read_json::<RefusedCommit>(response).await.unwrap_or_default();
            let is_too_early =
                !answer.missing.is_empty() || answer.issue.iter().any(RefusedIssue::is_missing_letter);
            match is_too_early {
                true => Err(PortalError::MissingParts(answer.missing)),
                false => Err(PortalError::RefusedUs(status.as_u16())),
            }
        }
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Err(PortalError::Busy { retry_after: retry_after(response.headers()) })
        }
        _ => Err(PortalError::RefusedUs(status.as_u16())),
    }
}

/// A refused commit: an OperationOutcome with the list of what is missing beside it.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct RefusedCommit {
    missing: Vec<Digest>,
    issue: Vec<RefusedIssue>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct RefusedIssue {
    details: CodeableConcept,
}

impl RefusedIssue {
    fn is_missing_letter(&self) -> bool {
        self.details.text.as_deref() == Some("missing-letter")
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// Tells a certificate that is not believed from a line that is down: the first needs a person.
pub(crate) fn transport(error: reqwest::Error) -> PortalError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            #[expect(clippy::wildcard_enum_match_arm, reason = "a foreign, non-exhaustive enum")]
            match tls {
                rustls::Error::InvalidCertificate(why) => {
                    return PortalError::Certificate(format!("portal: {why:?}"));
                }
                rustls::Error::AlertReceived(alert) => {
                    return PortalError::Certificate(format!("ours: {alert:?}"));
                }
                _ => {}
            }
        }
        cause = match inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => inner.source(),
        };
    }
    PortalError::Unreachable(error)
}

async fn read_into(response: Response, bytes: &mut BytesMut, limit: u64) -> Result<(), PortalError> {
    let mut body = response.bytes_stream();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(transport)?;
        if (bytes.len() + piece.len()) as u64 > limit {
            return Err(PortalError::NotUnderstood("it is longer than it may be"));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(())
}

async fn read_json<T: DeserializeOwned>(response: Response) -> Result<T, PortalError> {
    let mut bytes = BytesMut::new();
    read_into(response, &mut bytes, MAX_JSON_LEN as u64).await?;
    serde_json::from_slice(&bytes)
        .map_err(|_| PortalError::NotUnderstood("it is not the JSON that was asked for"))
}
