//! Bad manners: what a portal could do wrong, by accident or on purpose. None of it happens unless a test asks for it
//! through [`crate::PortalHandle::faults`].
//!
//! Here is what lies in how it answers. What it would have to write into its own books (a forged receipt, a swapped key,
//! a letter sent again or to somebody else) is in `forgery`, on [`crate::PortalHandle`] itself.
//!
//! | Bad manner | Asked for with |
//! |---|---|
//! | cut at byte n | [`Faults::drop_connection_after_bytes`] |
//! | forget a part | [`crate::PortalHandle::forget_part`] |
//! | answer late | [`Faults::answer_late`]; never: [`Faults::stall`] |
//! | tell twice | [`Faults::tell_twice`] |
//! | 500 after the effect | [`Faults::fail_after_effect`] |
//! | wrong digest | [`Faults::wrong_bytes_in_part`], [`Faults::wrong_digest_of_part`], [`Faults::deny_digests`] |
//! | stale directory | [`crate::PortalHandle::freeze_directory`] |
//! | swapped recipient key | [`crate::PortalHandle::swap_recipient_key`] |
//! | replayed letter | [`crate::PortalHandle::replay`]; another's: [`Faults::wrong_letter`] |
//! | re-addressed letter | [`crate::PortalHandle::readdress`] |
//! | forged receipt | [`crate::PortalHandle::forge_receipt`]; none: [`Faults::withhold_receipts`] |
//! | forged refusal | [`crate::PortalHandle::forge_refusal`] |
//! | next link to itself, or to elsewhere | [`Faults::next_link_to_itself`], [`Faults::next_link_to`] |
//! | Retry-After of ten years | [`Faults::answer_busy`] with [`TEN_YEARS_SECS`] |
//! | clock two days off | [`Faults::clock_off_by`] |

use std::collections::{HashMap, HashSet};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use beeldbox_protocol::ident::{Digest, TransferId, Ura};
use beeldbox_protocol::portal::content_digest;
use beeldbox_protocol::portal::fhir::Task;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use jiff::SignedDuration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::content::{CONTENT_DIGEST, REPR_DIGEST};
use crate::directory::Frozen;
use crate::page::Page;
use crate::refusal::Refusal;
use crate::tasks::StoredTask;

/// Connections are not cut.
const NEVER: u64 = u64::MAX;

/// Seconds of a `Retry-After` that no box can wait for.
pub const TEN_YEARS_SECS: u64 = 10 * 365 * 24 * 60 * 60;

/// The bad manners that are asked for. All of them can be changed while the portal runs.
#[derive(Debug)]
pub struct Faults {
    bytes_left: AtomicU64,
    refuses_certificates: AtomicBool,
    withholds_receipts: AtomicBool,
    clock_off_by_ms: AtomicI64,
    stalls: watch::Sender<bool>,
    lateness: watch::Sender<Duration>,
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    busy: Option<(u32, u64)>,
    failing_writes: u32,
    denied_digests: u32,
    tells_twice: bool,
    next: Option<NextLink>,
    wrong_parts: HashSet<Digest>,
    wrong_digests: HashMap<Digest, Digest>,
    wrong_letters: HashMap<TransferId, TransferId>,
    frozen: Option<Arc<Frozen>>,
}

/// Where the next page is said to be.
#[derive(Debug, Clone)]
enum NextLink {
    /// Here.
    Itself,
    /// There.
    To(String),
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            bytes_left: AtomicU64::new(NEVER),
            refuses_certificates: AtomicBool::new(false),
            withholds_receipts: AtomicBool::new(false),
            clock_off_by_ms: AtomicI64::new(0),
            stalls: watch::Sender::new(false),
            lateness: watch::Sender::new(Duration::ZERO),
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

    /// Every request is dealt with at once and answered only after this long, until [`Faults::behave`].
    pub fn answer_late(&self, wait: Duration) {
        self.lateness.send_replace(wait);
    }

    /// The next writes that succeed are answered with 500 all the same.
    pub fn fail_after_effect(&self, times: u32) {
        self.lists().failing_writes = times;
    }

    /// Every list tells each of its entries twice, until [`Faults::behave`].
    pub fn tell_twice(&self) {
        self.lists().tells_twice = true;
    }

    /// Every page says that the next one is itself, until [`Faults::behave`].
    pub fn next_link_to_itself(&self) {
        self.lists().next = Some(NextLink::Itself);
    }

    /// Every page says that the next one is there, until [`Faults::behave`].
    pub fn next_link_to(&self, url: impl Into<String>) {
        self.lists().next = Some(NextLink::To(url.into()));
    }

    /// The portal's clock is so much ahead, or behind: in marks, expiry, certificates and the `Date` of its answers.
    /// Marks never go back, so after [`Faults::behave`] they stay ahead until the time has come up with them.
    pub fn clock_off_by(&self, by: SignedDuration) {
        self.clock_off_by_ms.store(i64::try_from(by.as_millis()).unwrap_or(0), Ordering::SeqCst);
    }

    /// The next requests are answered with 429.
    pub fn answer_busy(&self, times: u32, retry_after_secs: u64) {
        self.lists().busy = Some((times, retry_after_secs));
    }

    /// This part is given out with one bit changed, until [`Faults::behave`].
    pub fn wrong_bytes_in_part(&self, digest: Digest) {
        self.lists().wrong_parts.insert(digest);
    }

    /// The headers of this part name another digest, while its bytes are right, until [`Faults::behave`].
    pub fn wrong_digest_of_part(&self, digest: Digest, told: Digest) {
        self.lists().wrong_digests.insert(digest, told);
    }

    /// The next letters and parts are refused as if their bytes were not those that the digest names.
    pub fn deny_digests(&self, times: u32) {
        self.lists().denied_digests = times;
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
        self.clock_off_by_ms.store(0, Ordering::SeqCst);
        self.lateness.send_replace(Duration::ZERO);
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

    /// Whether these bytes are to be refused although they are right.
    pub(crate) fn denies_digest(&self) -> bool {
        count_down(&mut self.lists().denied_digests)
    }

    /// From now on the directory is told as it is in this copy.
    pub(crate) fn freeze(&self, frozen: Frozen) {
        self.lists().frozen = Some(Arc::new(frozen));
    }

    /// The old copy of the directory that is told, if it is.
    pub(crate) fn frozen(&self) -> Option<Arc<Frozen>> {
        self.lists().frozen.clone()
    }

    /// A clock that is off by as much as is asked for.
    pub(crate) fn clock_over(self: &Arc<Self>, clock: Clock) -> Clock {
        let faults = self.clone();
        Clock::new(move || {
            let by = SignedDuration::from_millis(faults.clock_off_by_ms.load(Ordering::SeqCst));
            clock.after(by)
        })
    }

    /// A page as it is to be told. `asked` is where it was asked for.
    pub(crate) fn handle_page(&self, mut page: Page, asked: &Uri) -> Page {
        let lists = self.lists();
        match &lists.next {
            Some(NextLink::Itself) => page.next = asked.path_and_query().map(ToString::to_string),
            Some(NextLink::To(url)) => page.next = Some(url.clone()),
            None => {}
        }
        if lists.tells_twice {
            page.resources = page.resources.into_iter().flat_map(|told| [told.clone(), told]).collect();
        }
        page
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
    pub(crate) fn handle_part(&self, digest: &Digest, mut response: Response) -> Response {
        if let Some(told) = self.lists().wrong_digests.get(digest) {
            tell_digest(response.headers_mut(), told);
        }
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

    /// The answer to a write that was dealt with.
    fn spoil(&self, response: Response) -> Response {
        if response.status().is_success() && count_down(&mut self.lists().failing_writes) {
            return Refusal::Fault("a test asked for this".to_owned()).into_response();
        }
        response
    }

    fn take_busy(&self) -> Option<u64> {
        let mut lists = self.lists();
        let (times, retry_after) = lists.busy?;
        lists.busy = (times > 1).then_some((times - 1, retry_after));
        Some(retry_after)
    }

    /// Waits as long as answers are to be late; shorter, if that ends.
    async fn be_late(&self) {
        let mut lateness = self.lateness.subscribe();
        let wait = *lateness.borrow_and_update();
        if !wait.is_zero() {
            let _ = tokio::time::timeout(wait, lateness.wait_for(Duration::is_zero)).await;
        }
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

fn count_down(times: &mut u32) -> bool {
    let is_left = *times > 0;
    *times = times.saturating_sub(1);
    is_left
}

/// Replaces the digest in the headers that are there.
fn tell_digest(headers: &mut HeaderMap, told: &Digest) {
    let digest = content_digest(told);
    for (name, text) in
        [(CONTENT_DIGEST, digest.clone()), (REPR_DIGEST, digest), (header::ETAG, format!("\"{told}\""))]
    {
        if let (true, Ok(value)) = (headers.contains_key(&name), HeaderValue::try_from(text)) {
            headers.insert(name, value);
        }
    }
}

/// Stalls, answers busy, late, or with a failure that is none, where that is asked for.
pub async fn misbehave(
    State((faults, clock)): State<(Arc<Faults>, Clock)>,
    request: Request,
    next: Next,
) -> Response {
    let mut stalls = faults.stalls.subscribe();
    // The sender lives as long as the faults.
    let _ = stalls.wait_for(|stalls| !stalls).await;
    if faults.refuses_certificates() {
        return Refusal::Forbidden("Your certificate is not accepted any more.").into_response();
    }
    if let Some(retry_after) = faults.take_busy() {
        return Refusal::Busy { retry_after }.into_response();
    }
    let is_write = matches!(*request.method(), Method::PUT | Method::POST);
    let response = next.run(request).await;
    let mut response = if is_write { faults.spoil(response) } else { response };
    faults.be_late().await;
    let date = clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    response.headers_mut().extend(HeaderValue::try_from(date).ok().map(|date| (header::DATE, date)));
    response
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
