//! What this box asks of the portal, and what the answers mean for the queue.
//!
//! Mutual TLS 1.3 with the box's client certificate; the portal's own authority is pinned and no other root is known.
//! The box only ever connects outwards. Every write is conditional or named by its content, so that repeating one
//! after a lost answer is harmless. An answer that says "already there" is success.
//!
//! No bearer tokens yet: [`PortalClient::request`] is the one place where one would be added.

use std::sync::Arc;
use std::time::Duration;

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
use reqwest::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, IF_MATCH, IF_NONE_MATCH, RANGE, RETRY_AFTER,
};
use reqwest::{Body, Client, Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::bandwidth::Schedule;
use crate::connection::{Connection, Proxy};
use crate::line::{Line, Lines, Traveller};
use crate::partial::Partials;
pub use crate::portal_error::{Disposition, LineError, PortalError};
use crate::portal_error::{transport, unreachable};
use crate::{Clock, upload};

/// Largest answer in JSON that is read: a page of 200 Tasks, each with the parts of a large study.
const MAX_JSON_LEN: usize = 64 * 1024 * 1024;

/// Longest pause that the portal can ask for. A mistake there must not stop a hospital for years.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(6 * 3600);

/// How the portal is reached.
#[derive(Clone, Default)]
pub struct Way {
    /// The hospital's proxy, if it has one.
    pub proxy: Option<Proxy>,
    /// Bandwidth by hour of the week, with the clock that it goes by; without, as fast as it goes.
    pub schedule: Option<(Schedule, Clock)>,
}

/// A client of the portal. Cheap to clone; connections and bandwidth are shared.
#[derive(Clone)]
pub struct PortalClient {
    connection: Arc<Connection>,
    lines: Arc<Lines>,
    partials: Arc<Partials>,
    base: Arc<str>,
}

impl PortalClient {
    /// A client for the portal at this address (`https://host[:port]`), with the TLS settings of the box.
    ///
    /// # Errors
    /// If the address is not an `https` one, or the TLS settings cannot be used.
    pub fn new(base: &str, tls: rustls::ClientConfig, user_agent: &str) -> Result<Self, PortalError> {
        PortalClient::by(base, tls, user_agent, Way::default())
    }

    /// The same, by a way that the hospital prescribes.
    ///
    /// # Errors
    /// As [`PortalClient::new`], or if the proxy cannot be used.
    pub fn by(
        base: &str,
        tls: rustls::ClientConfig,
        user_agent: &str,
        way: Way,
    ) -> Result<Self, PortalError> {
        if !base.starts_with("https://") {
            return Err(PortalError::NotUnderstood("its address does not begin with https://"));
        }
        let connection = Connection::new(tls, user_agent, way.proxy).map_err(unreachable)?;
        let (schedule, clock) =
            way.schedule.unwrap_or_else(|| (Schedule::default(), Arc::new(|| Timestamp::UNIX_EPOCH)));
        Ok(PortalClient {
            connection: Arc::new(connection),
            lines: Arc::new(Lines::new(schedule, clock)),
            partials: Arc::default(),
            base: base.trim_end_matches('/').into(),
        })
    }

    /// From now on this certificate is shown to the portal. What is under way goes on with the old one.
    ///
    /// # Errors
    /// If the TLS settings cannot be used; the old ones stay then.
    pub fn change_tls(&self, tls: &rustls::ClientConfig) -> Result<(), PortalError> {
        self.connection.change_tls(tls).map_err(unreachable)
    }

    /// The portal's address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The line to the portal, shared by all that travels.
    pub(crate) fn line_up(&self) -> &Arc<Line> {
        &self.lines.up
    }

    /// The line from the portal.
    pub(crate) fn line_down(&self) -> &Arc<Line> {
        &self.lines.down
    }

    /// Bytes of a broken download that wait for the rest.
    pub(crate) fn begun(&self, transfer: TransferId, digest: Digest) -> usize {
        self.partials.begun(transfer, digest)
    }

    /// Gives up broken downloads that nobody took up again.
    pub(crate) fn forget_old_partials(&self) {
        self.partials.forget_old(Instant::now());
    }

    /// A client that goes the same way with other TLS settings, for enrolment.
    pub(crate) fn another(&self, tls: &rustls::ClientConfig) -> Result<Client, reqwest::Error> {
        self.connection.another(tls)
    }

    /// The client with our certificate, for enrolment.
    pub(crate) fn questions(&self) -> Client {
        self.connection.questions()
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

    /// Sends one part, as fast as the bandwidth allows. One that is there already is success.
    ///
    /// # Errors
    /// As the portal answers.
    pub async fn put_part(
        &self,
        transfer: &TransferId,
        digest: &Digest,
        bytes: Bytes,
        urgent: bool,
    ) -> Result<(), PortalError> {
        self.put_bytes(&part_path(transfer, digest), digest, bytes, urgent).await
    }

    /// Sends the letter. The same letter again is success.
    ///
    /// # Errors
    /// As the portal answers.
    pub async fn put_letter(
        &self,
        transfer: &TransferId,
        letter: Bytes,
        urgent: bool,
    ) -> Result<(), PortalError> {
        let digest = Digest::of(&letter);
        self.put_bytes(&letter_path(transfer), &digest, letter, urgent).await
    }

    async fn put_bytes(
        &self,
        path: &str,
        digest: &Digest,
        bytes: Bytes,
        urgent: bool,
    ) -> Result<(), PortalError> {
        let len = bytes.len();
        let (body, progress) = upload::body(bytes, Arc::clone(&self.lines.up), urgent);
        let request = self
            .connection
            .uploads()
            .put(format!("{}{path}", self.base))
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, len)
            .header("content-digest", content_digest(digest))
            .header(IF_NONE_MATCH, "*")
            .body(Body::wrap_stream(body));
        let answer = tokio::select! {
            answer = send(request) => answer,
            () = progress.stands_still() => Err(PortalError::Unreachable(LineError::StandsStill)),
        };
        match answer {
            Ok(_) | Err(PortalError::AlreadyThere) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Fetches one part. If the line breaks, what came is kept for a while, and the next call asks for the rest. The
    /// bytes have the digest asked for.
    ///
    /// # Errors
    /// [`PortalError::DigestMismatch`] if they have not; otherwise as the portal answers.
    pub async fn part(&self, traveller: Traveller, digest: &Digest, len: u64) -> Result<Bytes, PortalError> {
        let path = part_path(&traveller.transfer, digest);
        let begun = self.partials.take(traveller.transfer, *digest).filter(|begun| begun.len() as u64 <= len);
        let is_resumed = begun.is_some();
        // Room for what is expected, at once: growing step by step would hold up to three times as much.
        let room = || BytesMut::with_capacity(usize::try_from(len.min(PART_LEN)).unwrap_or_default());
        let mut bytes = begun.unwrap_or_else(room);
        let mut download = self.download(&path, &mut bytes, len, traveller.urgent).await;
        if download.is_ok() && is_resumed && Digest::of(&bytes) != *digest {
            // The beginning may have been of another answer: only a whole one says what the portal has.
            bytes.clear();
            download = self.download(&path, &mut bytes, len, traveller.urgent).await;
        }
        if let Err(error) = download {
            if matches!(error, PortalError::Unreachable(_)) && !bytes.is_empty() {
                self.partials.keep(traveller.transfer, *digest, bytes, Instant::now());
            }
            return Err(error);
        }
        if bytes.len() as u64 == len && Digest::of(&bytes) == *digest {
            Ok(bytes.freeze())
        } else {
            Err(PortalError::DigestMismatch)
        }
    }

    /// Fetches the letter, at most `limit` bytes of it.
    ///
    /// # Errors
    /// As the portal answers.
    pub async fn letter(&self, transfer: &TransferId, limit: u64) -> Result<Bytes, PortalError> {
        let mut bytes = BytesMut::new();
        self.download(&letter_path(transfer), &mut bytes, limit, true).await?;
        Ok(bytes.freeze())
    }

    /// Fetches what is not there yet. What came before an error stays in `bytes`.
    async fn download(
        &self,
        path: &str,
        bytes: &mut BytesMut,
        limit: u64,
        urgent: bool,
    ) -> Result<(), PortalError> {
        if bytes.len() as u64 == limit {
            return Ok(());
        }
        let mut request = self.request(Method::GET, path);
        if !bytes.is_empty() {
            request = request.header(RANGE, format!("bytes={}-", bytes.len()));
        }
        let response = send(request).await?;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            bytes.clear();
        }
        let line = &self.lines.down;
        let mut body = response.bytes_stream();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(transport)?;
            take_up(bytes, &piece, limit)?;
            line.pass(u32::try_from(piece.len()).unwrap_or(u32::MAX), urgent).await;
        }
        Ok(())
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
        self.connection.questions().request(method, format!("{}{path}", self.base))
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
    let asked = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)?;
    Some(asked.min(LONGEST_RETRY_AFTER))
}

fn take_up(bytes: &mut BytesMut, piece: &[u8], limit: u64) -> Result<(), PortalError> {
    if (bytes.len() + piece.len()) as u64 > limit {
        return Err(PortalError::NotUnderstood("it is longer than it may be"));
    }
    bytes.extend_from_slice(piece);
    Ok(())
}

async fn read_into(response: Response, bytes: &mut BytesMut, limit: u64) -> Result<(), PortalError> {
    let mut body = response.bytes_stream();
    while let Some(piece) = body.next().await {
        take_up(bytes, &piece.map_err(transport)?, limit)?;
    }
    Ok(())
}

async fn read_json<T: DeserializeOwned>(response: Response) -> Result<T, PortalError> {
    let mut bytes = BytesMut::new();
    read_into(response, &mut bytes, MAX_JSON_LEN as u64).await?;
    serde_json::from_slice(&bytes)
        .map_err(|_| PortalError::NotUnderstood("it is not the JSON that was asked for"))
}
