//! Pages follow the box: one long question for everyone, and a word to every open page.
//!
//! The stream says only that something changed; the page fetches its own block again, with its own rights. So a
//! missed word costs nothing, and no patient data goes through the stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::box_client::BoxClient;
use crate::session::{SessionKey, Stage};
use crate::site::Site;
use crate::visit::Visit;

/// Shortest time between two words: four per second are more than a person can follow.
const SHORTEST_GAP: Duration = Duration::from_millis(250);
/// Time before an absent daemon is asked again.
const RETRY: Duration = Duration::from_secs(2);
/// How often a quiet stream says that it is there, and looks whether its session still is.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Most streams at once: one per open page of every desk, with room to spare.
const MOST_STREAMS: usize = 256;

/// What is known about the box's changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct News {
    change: u64,
    is_there: bool,
}

/// Where pages hear of changes.
pub struct Live {
    news: watch::Receiver<News>,
    places: Arc<Semaphore>,
}

/// Asks the daemon, for everyone.
pub struct Follower {
    client: Arc<BoxClient>,
    news: watch::Sender<News>,
}

/// The two ends.
pub fn new(client: Arc<BoxClient>) -> (Live, Follower) {
    let (sender, receiver) = watch::channel(News { change: 0, is_there: true });
    (
        Live { news: receiver, places: Arc::new(Semaphore::new(MOST_STREAMS)) },
        Follower { client, news: sender },
    )
}

impl Follower {
    /// Follows the box for as long as it is polled. All streams end when this is dropped.
    ///
    /// # Cancellation
    /// May be dropped at any moment.
    pub async fn run(self) {
        let mut since = 0;
        loop {
            match self.client.wait_for_change(since).await {
                Ok(change) => {
                    since = change;
                    self.tell(News { change, is_there: true });
                    tokio::time::sleep(SHORTEST_GAP).await;
                }
                Err(error) => {
                    if self.news.borrow().is_there {
                        tracing::warn!(%error, "the daemon cannot be followed");
                    }
                    self.tell(News { change: since, is_there: false });
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    fn tell(&self, news: News) {
        self.news.send_if_modified(|known| std::mem::replace(known, news) != news);
    }
}

/// `GET /live`: one stream per page.
pub async fn stream(State(site): State<Arc<Site>>, visit: Visit) -> Response {
    let Ok(place) = site.live.places.clone().try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let news = site.live.news.clone();
    let listener =
        Listener { site, key: visit.key, news, said_hello: false, has_ended: false, _place: place };
    Sse::new(words(listener)).into_response()
}

/// One open page.
struct Listener {
    site: Arc<Site>,
    key: SessionKey,
    news: watch::Receiver<News>,
    said_hello: bool,
    has_ended: bool,
    _place: OwnedSemaphorePermit,
}

fn words(listener: Listener) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(listener, async |mut listener| {
        let event = listener.next().await?;
        Some((Ok(event), listener))
    })
}

impl Listener {
    /// The next word for this page. A page that has just connected hears at once how things stand.
    async fn next(&mut self) -> Option<Event> {
        if self.has_ended {
            return None;
        }
        if self.said_hello {
            tokio::select! {
                changed = self.news.changed() => changed.ok()?,
                () = tokio::time::sleep(HEARTBEAT) => return Some(self.heartbeat()),
            }
        }
        self.said_hello = true;
        let news = *self.news.borrow_and_update();
        let word = if news.is_there { "changed" } else { "absent" };
        Some(Event::default().event(word).data(news.change.to_string()))
    }

    fn heartbeat(&mut self) -> Event {
        let who = self.site.sessions.look(self.key, Instant::now());
        if who.is_some_and(|who| who.stage == Stage::Open) {
            Event::default().event("beat").data("")
        } else {
            self.has_ended = true;
            Event::default().event("ended").data("")
        }
    }
}
