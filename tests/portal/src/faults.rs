//! Bad manners: what a portal could do wrong, by accident or on purpose. None of it happens unless a test asks for it
//! through [`crate::PortalHandle::faults`].

use std::collections::{HashMap, HashSet};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use beeldbox_protocol::ident::{Digest, TransferId, Ura};
use beeldbox_protocol::portal::fhir::Task;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::refusal::Refusal;
use crate::tasks::StoredTask;

/// Connections are not cut.
const NEVER: u64 = u64::MAX;

/// The bad manners that are asked for. All of them can be changed while the portal runs.
#[derive(Debug)]
pub struct Faults {
    bytes_left: AtomicU64,
    refuses_certificates: AtomicBool,
    withholds_receipts: AtomicBool,
    stalls: watch::Sender<bool>,
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    busy: Option<(u32, u64)>,
    wrong_parts: HashSet<Digest>,
    wrong_letters: HashMap<TransferId, TransferId>,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            bytes_left: AtomicU64::new(NEVER),
            refuses_certificates: AtomicBool::new(false),
            withholds_receipts: AtomicBool::new(false),
            stalls: watch::Sender::new(false),
            lists: Mutex::default(),
        }
    }
}

impl Faults {
    /// After so many more bytes, in either direction and over all connections, the connection on which the last of
    /// them passed is cut. Once.
    pub fn drop_connection_after_bytes(&self, bytes: u64) {
        self.bytes_left.store(bytes, Ordering::SeqCst);
    }

    /// The next requests are answered with 429.
    pub fn answer_busy(&self, times: u32, retry_after_secs: u64) {
        self.lists().busy = Some((times, retry_after_secs));
    }

    /// This part is given out with one bit changed, until [`Faults::behave`].
    pub fn wrong_bytes_in_part(&self, digest: Digest) {
        self.lists().wrong_parts.insert(digest);
    }

    /// Whoever asks for the letter of one transfer gets that of another.
    pub fn wrong_letter(&self, asked: TransferId, served: TransferId) {
        self.lists().wrong_letters.insert(asked, served);
    }

    /// Requests are taken and not answered, until [`Faults::behave`].
    pub fn stall(&self) {
        self.stalls.send_replace(true);
    }

    /// No client certificate is good enough any more, also on connections that stand.
    pub fn refuse_all_certificates(&self) {
        self.refuses_certificates.store(true, Ordering::SeqCst);
    }

    /// Senders are told of transfers without the receipts.
    pub fn withhold_receipts(&self) {
        self.withholds_receipts.store(true, Ordering::SeqCst);
    }

    /// Back to good manners.
    pub fn behave(&self) {
        self.bytes_left.store(NEVER, Ordering::SeqCst);
        self.refuses_certificates.store(false, Ordering::SeqCst);
        self.withholds_receipts.store(false, Ordering::SeqCst);
        *self.lists() = Lists::default();
        self.stalls.send_replace(false);
    }

    /// Whether no certificate is to be accepted.
    pub(crate) fn refuses_certificates(&self) -> bool {
        self.refuses_certificates.load(Ordering::SeqCst)
    }

    /// The transfer whose letter is given out for this one.
    pub(crate) fn letter_served_for(&self, transfer: TransferId) -> TransferId {
        self.lists().wrong_letters.get(&transfer).copied().unwrap_or(transfer)
    }

    /// The Task as this client is shown it.
    pub(crate) fn shown_to(&self, client: &Ura, stored: StoredTask) -> Task {
        let hides = self.withholds_receipts.load(Ordering::SeqCst) && stored.is_sent_by(client);
        let mut task = stored.task;
        if hides {
            task.output.clear();
        }
        task
    }

    /// The answer with a part, as it is to be given out.
    pub(crate) fn handle_part(&self, digest: &Digest, response: Response) -> Response {
        if !self.lists().wrong_parts.contains(digest) {
            return response;
        }
        let (parts, body) = response.into_parts();
        let mut is_first = true;
        let spoilt = body.into_data_stream().map(move |piece| {
            piece
                .map(|bytes| if std::mem::take(&mut is_first) { with_one_bit_changed(&bytes) } else { bytes })
        });
        Response::from_parts(parts, Body::from_stream(spoilt))
    }

    /// Counts bytes that passed. True if the connection is to be cut.
    fn pass(&self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(NEVER);
        let before = self.bytes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
            NEVER => None,
            left if left <= bytes => Some(NEVER),
            left => Some(left - bytes),
        });
        before.is_ok_and(|left| left <= bytes)
    }

    fn take_busy(&self) -> Option<u64> {
        let mut lists = self.lists();
        let (times, retry_after) = lists.busy?;
        lists.busy = (times > 1).then_some((times - 1, retry_after));
        Some(retry_after)
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn with_one_bit_changed(bytes: &Bytes) -> Bytes {
    let mut changed = BytesMut::from(&bytes[..]);
    if let Some(first) = changed.first_mut() {
        *first ^= 1;
    }
    changed.freeze()
}

/// Stalls, and answers busy, where that is asked for.
pub async fn misbehave(State(faults): State<Arc<Faults>>, request: Request, next: Next) -> Response {
    let mut stalls = faults.stalls.subscribe();
    // The sender lives as long as the faults.
    let _ = stalls.wait_for(|stalls| !stalls).await;
    if faults.refuses_certificates() {
        return Refusal::Forbidden("Your certificate is not accepted any more.").into_response();
    }
    match faults.take_busy() {
        Some(retry_after) => Refusal::Busy { retry_after }.into_response(),
        None => next.run(request).await,
    }
}

/// A connection that can be cut.
pub struct Cuttable<S> {
    inner: S,
    faults: Arc<Faults>,
    is_cut: bool,
}

impl<S> Cuttable<S> {
    /// Around a connection.
    pub fn new(inner: S, faults: Arc<Faults>) -> Self {
        Cuttable { inner, faults, is_cut: false }
    }

    fn check(&mut self, passed: usize) -> io::Result<()> {
        self.is_cut |= self.faults.pass(passed);
        if self.is_cut { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cuttable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(0)?;
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let passed = buffer.filled().len() - before;
        Poll::Ready(self.check(passed))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cuttable<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(0)?;
        let written = std::task::ready!(Pin::new(&mut self.inner).poll_write(context, bytes))?;
        self.check(written)?;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
