//! Reading the directory in the manner of IHE mCSD: everything once (ITI-90), then what changed (ITI-91), type by type
//! and one request after another, at an interval with jitter.
//!
//! What a source may not do, however it means it: empty the book, fill the disk, keep us reading for ever, lead us
//! elsewhere, or silence us for years. Every such answer is refused by name, the copy stays as it was, and the name is
//! shown to people until a sync succeeds.

use std::collections::HashSet;
use std::time::Duration;

use beeldbox_custody::{CustodyError, Extent, StagedEntry};
use beeldbox_protocol::ident::Digest;
use beeldbox_protocol::portal::directory::Kind;
use beeldbox_protocol::portal::directory::page::{DirectoryPage, Now, Told};
use jiff::{SignedDuration, Timestamp};
use tracing::{debug, error, info, warn};

use super::own_key::{self, Seen};
use super::source::{Answer, Ask, DirectorySource, SourceError};
use super::span;
use crate::portal_client::PortalError;
use crate::road::{Road, after};
use crate::send::chain;
use crate::worker::{Worked, Worker, backoff};

/// The names of all types, for the ledger.
const TYPES: [&str; 7] = [
    Kind::Organization.as_str(),
    Kind::Location.as_str(),
    Kind::Endpoint.as_str(),
    Kind::HealthcareService.as_str(),
    Kind::OrganizationAffiliation.as_str(),
    Kind::Practitioner.as_str(),
    Kind::PractitionerRole.as_str(),
];

/// Longest pause that a source may ask for. It wants to be spared, not to be forgotten.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Most pages of one sync: a national directory at twenty entries a page.
const MOST_PAGES: usize = 20_000;

/// Most entries told in one sync, versions counted.
const MOST_TOLD: usize = 1_000_000;

/// Most bytes told in one sync. Four times a register of 200,000 entries with a kilobyte each, and little beside what the
/// box keeps free for itself.
const MOST_BYTES: usize = 800 * 1024 * 1024;

/// Most resources of one type, with those that have ended. Twice the largest register there is.
const MOST_RESOURCES: u64 = 500_000;

/// Most pages in a row without an entry; some servers filter after they count.
const MOST_EMPTY_PAGES: u32 = 20;

/// Longest sync.
const LONGEST_SYNC: SignedDuration = SignedDuration::from_hours(2);

/// Where a source names no mark, its clock does, so much earlier: its pages may come from another machine.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(5);

/// A whole list with fewer than one in this many of the known entries is not believed.
const SHRUNK: u64 = 2;

/// What a sync can fail at.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// At the source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A page comes again.
    #[error("the directory's pages lead back to a page that was read already")]
    GoesRound,
    /// There is no end.
    #[error("the directory tells more than a directory can hold")]
    Endless,
    /// A whole list without entries.
    #[error("the directory's whole list of {0} is empty")]
    Empty(&'static str),
    /// A whole list that lost most of its entries.
    #[error("the directory's whole list of {0} lacks most of what is known")]
    Shrunk(&'static str),
    /// At the portal, publishing our own entry.
    #[error("our own entry cannot be published")]
    Portal(#[from] PortalError),
    /// In the ledger.
    #[error("the directory cannot be stored")]
    Custody(#[from] CustodyError),
    /// We were asked to stop.
    #[error("the box stops")]
    Stopping,
}

/// Keeps the copy up to date and our own entry published.
pub struct DirectorySync {
    road: Road,
    source: DirectorySource,
    attempts: u32,
    next_at: Timestamp,
}

/// What one sync may cost, over all types.
struct Budget {
    pages: usize,
    told: usize,
    bytes: usize,
    until: Timestamp,
}

/// What one type came to.
struct Reading {
    extent: Extent,
    mark: Option<Timestamp>,
}

impl DirectorySync {
    /// For this road, from this source; the first sync is at once.
    pub fn new(road: Road, source: DirectorySource) -> Self {
        DirectorySync { road, source, attempts: 0, next_at: Timestamp::MIN }
    }

    /// Whether the source is the portal's own directory.
    fn seen(&self) -> Seen {
        let portal = self.road.portal.base();
        if self.source.base().strip_prefix(portal) == Some("/fhir") {
            Seen::InTheCopy
        } else {
            Seen::Elsewhere
        }
    }

    async fn sync(&self) -> Result<(), DirectoryError> {
        let custody = &self.road.custody;
        let known = custody.directory_source().await?.filter(|source| source.url == self.source.base());
        if known.is_none() {
            info!(source = self.source.base(), "the directory is read as a whole");
            custody.change_directory_source(self.source.base(), &TYPES).await?;
        }
        let began = self.road.now();
        let until = began.checked_add(LONGEST_SYNC).unwrap_or(Timestamp::MAX);
        let mut budget = Budget { pages: MOST_PAGES, told: MOST_TOLD, bytes: MOST_BYTES, until };
        let mut changed = 0;
        for kind in Kind::ALL {
            changed += self.sync_kind(kind, &mut budget).await?;
        }
        if own_key::publish(&self.road, self.seen(), began).await? && self.seen() == Seen::InTheCopy {
            changed += self.sync_kind(Kind::Endpoint, &mut budget).await?;
        }
        let now = self.road.now();
        custody.directory_is_up_to_date(now).await?;
        let directory = self.road.directory.get();
        if changed > 0 || directory.changes_at().is_some_and(|at| at <= now) {
            self.road.directory.load(custody, now).await?;
            info!(changed, addressees = self.road.directory.get().len(), "directory brought up to date");
        }
        self.road.directory.note_up_to_date(now);
        Ok(())
    }

    /// Brings one type up to date. Gives how many resources are different.
    async fn sync_kind(&self, kind: Kind, budget: &mut Budget) -> Result<usize, DirectoryError> {
        let custody = &self.road.custody;
        let mark = custody.directory_mark(kind.as_str()).await?;
        let reading = match self.read(kind, mark.as_deref(), budget).await {
            Ok(reading) => reading,
            // What was never read and is not offered is not a part of this directory.
            Err(DirectoryError::Source(SourceError::NotOffered(_) | SourceError::Refused(403)))
                if mark.is_none() && kind != Kind::Organization =>
            {
                debug!(resource_type = kind.as_str(), "the directory has none of these");
                return Ok(0);
            }
            Err(error) => return Err(error),
        };
        let counts = custody.directory_counts(kind.as_str()).await?;
        if counts.all + counts.staged > MOST_RESOURCES {
            return Err(DirectoryError::Endless);
        }
        if reading.extent == Extent::Whole {
            if counts.staged == 0 && (counts.here > 0 || kind == Kind::Organization) {
                return Err(DirectoryError::Empty(kind.as_str()));
            }
            // Another source may be a smaller one; the same one does not lose half of a country.
            if mark.is_some() && counts.staged < counts.here / SHRUNK {
                return Err(DirectoryError::Shrunk(kind.as_str()));
            }
        }
        let mark = reading.mark.map(|mark| mark.to_string());
        Ok(custody.take_over_directory(kind.as_str(), reading.extent, mark).await?)
    }

    /// Stages what a type tells: what changed since the mark, in the best way the source knows, or everything.
    async fn read(
        &self,
        kind: Kind,
        mark: Option<&str>,
        budget: &mut Budget,
    ) -> Result<Reading, DirectoryError> {
        let since = mark.into_iter().flat_map(|mark| [Ask::History(mark), Ask::Changed(mark)]);
        for ask in since {
            match self.read_all(kind, ask, budget).await {
                Ok(mark) => return Ok(Reading { extent: Extent::Changes, mark }),
                // Its history is gone: what was removed meanwhile can only be seen in the whole.
                Err(DirectoryError::Source(SourceError::NotOffered(410))) => break,
                Err(DirectoryError::Source(SourceError::NotOffered(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Reading { extent: Extent::Whole, mark: self.read_all(kind, Ask::Whole, budget).await? })
    }

    /// Stages every page of an answer. Gives the mark to go on from: that of the first page, so that what changed while
    /// paging is asked for again; but of the last where each page goes on from the mark of the one before.
    async fn read_all(
        &self,
        kind: Kind,
        ask: Ask<'_>,
        budget: &mut Budget,
    ) -> Result<Option<Timestamp>, DirectoryError> {
        self.road.custody.drop_staged_directory().await?;
        let mut seen = HashSet::new();
        let (mut mark, mut odd, mut empty) = (None, 0, 0);
        let mut next = Some(self.source.first(kind, ask));
        while let Some(url) = next {
            if !seen.insert(Digest::of(url.as_str().as_bytes())) {
                return Err(DirectoryError::GoesRound);
            }
            let answer = tokio::select! {
                () = self.road.stop.cancelled() => return Err(DirectoryError::Stopping),
                answer = self.source.page(kind, url.clone()) => answer?,
            };
            mark = mark.or_else(|| mark_of(&answer, self.road.now()));
            let page = answer.page;
            empty = if page.told.is_empty() { empty + 1 } else { 0 };
            budget.spend(page.told.len(), len_of(&page), self.road.now())?;
            if empty > MOST_EMPTY_PAGES {
                return Err(DirectoryError::Endless);
            }
            odd += page.odd;
            if page.next.as_deref().is_some_and(|link| goes_on_from(page.mark, link)) {
                mark = None;
            }
            next = page.next.map(|link| self.source.next(&url, &link)).transpose()?;
            if !page.told.is_empty() {
                let entries = page.told.into_iter().map(staged).collect();
                self.road.custody.stage_directory(kind.as_str(), entries).await?;
            }
        }
        if odd > 0 {
            warn!(
                resource_type = kind.as_str(),
                odd, "entries of the directory make no sense and are left out"
            );
        }
        Ok(mark)
    }

    /// What people are told, and how long to wait.
    fn failed(&mut self, failure: &DirectoryError, jitter: u8) -> Duration {
        self.attempts += 1;
        let pause = backoff(self.attempts, jitter);
        match failure {
            DirectoryError::Stopping => return pause,
            DirectoryError::Custody(_) => error!(error = %chain(failure), "the directory cannot be stored"),
            DirectoryError::Source(_)
            | DirectoryError::GoesRound
            | DirectoryError::Endless
            | DirectoryError::Empty(_)
            | DirectoryError::Shrunk(_)
            | DirectoryError::Portal(_) => {
                let attempts = self.attempts;
                warn!(error = %chain(failure), attempts, "the directory cannot be brought up to date");
            }
        }
        let mut trouble = failure.to_string();
        if let DirectoryError::Portal(portal) = failure {
            trouble = format!("{trouble}: {portal}");
        }
        self.road.directory.note_trouble(trouble);
        if let DirectoryError::Source(SourceError::Busy { retry_after: Some(asked) }) = failure {
            return patience(*asked, pause);
        }
        pause
    }
}

/// As long as was asked for, within reason, and not shorter than we would wait anyway.
fn patience(asked: Duration, own: Duration) -> Duration {
    asked.min(LONGEST_PAUSE).max(own)
}

impl Budget {
    fn spend(&mut self, told: usize, bytes: usize, now: Timestamp) -> Result<(), DirectoryError> {
        let left = (self.pages.checked_sub(1), self.told.checked_sub(told), self.bytes.checked_sub(bytes));
        match left {
            (Some(pages), Some(told), Some(bytes)) if now <= self.until => {
                (self.pages, self.told, self.bytes) = (pages, told, bytes);
                Ok(())
            }
            _ => Err(DirectoryError::Endless),
        }
    }
}

/// Bytes of what a page tells.
fn len_of(page: &DirectoryPage) -> usize {
    let len = |told: &Told| match &told.now {
        Now::Here { json, .. } => json.len(),
        Now::Removed => 0,
    };
    page.told.iter().map(len).sum()
}

/// Never later than now here: a mark from the future would skip what happens until then.
fn mark_of(answer: &Answer, now: Timestamp) -> Option<Timestamp> {
    let by_clock = || answer.date?.checked_sub(CLOCKS_APART).ok();
    let mark = answer.page.mark.or_else(by_clock).or_else(|| answer.page.newest())?;
    Some(mark.min(now))
}

/// Whether the next page is asked for with this page's mark: then pages come in the order of change, and the first
/// page's mark would have all later ones told again (`PORTAL.md` §3).
fn goes_on_from(mark: Option<Timestamp>, link: &str) -> bool {
    let link = link.replace("%3A", ":");
    mark.is_some_and(|mark| ["=", "=ge"].iter().any(|sign| link.contains(&format!("{sign}{mark}"))))
}

fn staged(told: Told) -> StagedEntry {
    let (json, has_ended) = match told.now {
        Now::Here { json, has_ended } => (Some(json), has_ended),
        Now::Removed => (None, true),
    };
    StagedEntry { id: told.id, json, has_ended, changed_at: told.changed_at }
}

impl Worker for DirectorySync {
    fn name(&self) -> &'static str {
        "directory"
    }

    async fn work(&mut self) -> Worked {
        if self.road.now() < self.next_at {
            return Worked::Idle;
        }
        let [jitter] = self.road.random_bytes::<1>();
        let pause = match self.sync().await {
            Ok(()) => {
                self.attempts = 0;
                let interval = self.road.settings.directory_interval;
                interval + interval.mul_f64(f64::from(jitter) / 255.0 / 4.0)
            }
            Err(failure) => {
                // What was read of it will be read again, and takes room until then.
                if let Err(error) = self.road.custody.drop_staged_directory().await {
                    warn!(%error, "what was read of the directory could not be dropped");
                }
                self.failed(&failure, jitter)
            }
        };
        self.next_at = after(self.road.now(), pause);
        Worked::Idle
    }

    async fn wait(&mut self) {
        // A clock that was set back must not make a long pause of a short one.
        let sleep = self.next_at.duration_since(self.road.now()).min(span(LONGEST_PAUSE));
        tokio::time::sleep(Duration::try_from(sleep).unwrap_or_default()).await;
    }
}

#[cfg(test)]
mod tests {
    use beeldbox_protocol::portal::directory::page::DirectoryPage;

    use super::*;

    #[test]
    fn the_names_for_the_ledger_are_those_of_all_types() {
        assert_eq!(TYPES, Kind::ALL.map(Kind::as_str));
    }

    #[test]
    fn a_pause_of_ten_years_is_an_hour() {
        let seconds = Duration::from_secs;
        assert_eq!(patience(seconds(315_360_000), seconds(4)), LONGEST_PAUSE);
        assert_eq!(patience(seconds(90), seconds(4)), seconds(90));
        assert_eq!(patience(seconds(0), seconds(4)), seconds(4));
    }

    #[test]
    fn a_budget_ends_by_pages_by_entries_by_bytes_and_by_time() {
        let now: Timestamp = "2026-11-23T09:00:00Z".parse().unwrap();
        let later = now + SignedDuration::from_hours(1);
        let spent = |pages, told, bytes, now| {
            Budget { pages, told, bytes, until: later }.spend(10, 100, now).is_err()
        };
        assert!(!spent(1, 10, 100, later));
        assert!(spent(0, 10, 100, now) && spent(1, 9, 100, now) && spent(1, 10, 99, now));
        assert!(spent(1, 10, 100, later + SignedDuration::from_secs(1)));
    }

    #[test]
    fn pages_may_go_on_from_their_mark() {
        let mark = "2026-11-23T09:14:07.312001Z".parse().ok();
        assert!(goes_on_from(mark, "/fhir/Task?_since=2026-11-23T09:14:07.312001Z&_count=2"));
        assert!(goes_on_from(mark, "/fhir/Task?_since=2026-11-23T09%3A14%3A07.312001Z"));
        assert!(goes_on_from(mark, "/fhir/Task?_lastUpdated=ge2026-11-23T09:14:07.312001Z"));
        assert!(!goes_on_from(mark, "/fhir/Task?_since=2026-11-23T09:00:00Z&page=2"));
        assert!(!goes_on_from(None, "/fhir/Task?_since=2026-11-23T09:00:00Z&page=2"));
    }

    #[test]
    fn without_a_mark_the_clock_of_the_server_or_the_newest_entry_says_how_far_it_goes() {
        let moment = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = moment("2026-11-23T09:00:00Z");
        let entry = r#"{"resource":{"resourceType":"Location","id":"1","meta":{"lastUpdated":"2026-11-20T00:00:00Z"}}}"#;
        let answer = |mark: &str, date: Option<&str>, entries: &str| {
            let text = format!(r#"{{"resourceType":"Bundle","meta":{{{mark}}},"entry":[{entries}]}}"#);
            let page = DirectoryPage::read(Kind::Location, text.as_bytes()).unwrap();
            mark_of(&Answer { page, date: date.map(moment) }, now)
        };
        let date = Some("2026-11-23T08:00:00Z");
        let marked = r#""lastUpdated":"2026-11-22T00:00:00Z""#;
        assert_eq!(answer(marked, date, entry), Some(moment("2026-11-22T00:00:00Z")));
        assert_eq!(answer("", date, entry), Some(moment("2026-11-23T07:55:00Z")));
        assert_eq!(answer("", None, entry), Some(moment("2026-11-20T00:00:00Z")));
        assert_eq!(answer("", None, ""), None);
        assert_eq!(answer(r#""lastUpdated":"9999-01-01T00:00:00Z""#, None, ""), Some(now));
    }
}
