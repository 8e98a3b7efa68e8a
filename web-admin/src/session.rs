//! Sessions: who is signed in at which browser, with drafts and language. In memory only, and bounded.
//!
//! The browser holds a random name of 256 bits in a cookie; here only its digest is kept. A session is locked after ten
//! minutes without activity: then only the password opens it again, with its drafts. It ends after two hours without
//! activity and after 12 hours in any case. Live streams and their fetches are not activity.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use beeldbox_protocol::ident::Digest;

use crate::drafts::{AskDraft, Draft, Drafts};
use crate::lang::Lang;
use crate::random;

/// Time without activity after which the password is asked again (CS-19).
pub const LOCK_LIMIT: Duration = Duration::from_secs(10 * 60);
/// Longest time without activity.
pub const IDLE_LIMIT: Duration = Duration::from_secs(2 * 60 * 60);
/// How long a password that was asked again counts for what asks for that.
pub const RAISED: Duration = Duration::from_secs(10 * 60);
/// Longest life of a session.
pub const AGE_LIMIT: Duration = Duration::from_secs(12 * 60 * 60);
/// Most sessions at once: far more than a department has desks. The one idle longest makes room.
const MOST_SESSIONS: usize = 256;

/// Names a session on this side of the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey(Digest);

impl SessionKey {
    /// From what the browser sent.
    pub fn of_cookie(value: &str) -> SessionKey {
        SessionKey(Digest::of(value.as_bytes()))
    }
}

/// What still stands between a session and the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The password was right; the code from the telephone is still to come.
    Code,
    /// Nothing.
    Open,
    /// Nobody did anything for a while: the password is asked again.
    Locked,
}

/// What a handler may know of a session.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// What still stands between it and the pages.
    pub stage: Stage,
    /// Whether the password was asked again a short time ago.
    pub is_raised: bool,
    /// Name of the account.
    pub account: String,
    /// Language of the pages.
    pub lang: Lang,
}

struct Session {
    account: String,
    lang: Lang,
    stage: Stage,
    began: Instant,
    active: Instant,
    raised_at: Option<Instant>,
    drafts: Drafts<Draft>,
    asks: Drafts<AskDraft>,
    notice: Option<String>,
}

/// All sessions.
#[derive(Default)]
pub struct Sessions {
    table: Mutex<HashMap<SessionKey, Session>>,
}

impl Sessions {
    /// Begins a session and returns the value for the cookie.
    pub fn begin(&self, account: &str, lang: Lang, stage: Stage, now: Instant) -> String {
        let value = random::name::<32>();
        let mut table = self.lock();
        table.retain(|_, session| session.is_alive(now));
        if table.len() >= MOST_SESSIONS
            && let Some(idle) = table.iter().min_by_key(|(_, session)| session.active).map(|(key, _)| *key)
        {
            table.remove(&idle);
        }
        let session = Session {
            account: account.to_owned(),
            lang,
            stage,
            began: now,
            active: now,
            raised_at: None,
            drafts: Drafts::default(),
            asks: Drafts::default(),
            notice: None,
        };
        table.insert(SessionKey::of_cookie(&value), session);
        value
    }

    /// Who a session belongs to, and that a person did something.
    pub fn touch(&self, key: SessionKey, now: Instant) -> Option<SignedIn> {
        let mut table = self.lock();
        let session = table.get_mut(&key).filter(|session| session.is_alive(now))?;
        session.lock_if_idle(now);
        if session.stage != Stage::Locked {
            session.active = now;
        }
        Some(session.signed_in(now))
    }

    /// Who a session belongs to, without counting as activity.
    pub fn look(&self, key: SessionKey, now: Instant) -> Option<SignedIn> {
        let mut table = self.lock();
        let session = table.get_mut(&key).filter(|session| session.is_alive(now))?;
        session.lock_if_idle(now);
        Some(session.signed_in(now))
    }

    /// Opens a session after password or code, under another name: whoever knew the old one has nothing. Returns the
    /// value for the cookie.
    pub fn open(&self, key: SessionKey, now: Instant) -> Option<String> {
        let mut table = self.lock();
        let mut session = table.remove(&key)?;
        (session.stage, session.active) = (Stage::Open, now);
        let value = random::name::<32>();
        table.insert(SessionKey::of_cookie(&value), session);
        Some(value)
    }

    /// Remembers that the password was asked again just now.
    pub fn raise(&self, key: SessionKey, now: Instant) {
        if let Some(session) = self.lock().get_mut(&key) {
            session.raised_at = Some(now);
        }
    }

    /// Ends every session of an account but this one.
    pub fn end_account(&self, account: &str, but: Option<SessionKey>) {
        self.lock().retain(|key, session| session.account != account || Some(*key) == but);
    }

    /// Locks every session now.
    pub fn lock_all(&self) {
        for session in self.lock().values_mut() {
            session.lock_now();
        }
    }

    /// Ends a session.
    pub fn end(&self, key: SessionKey) {
        self.lock().remove(&key);
    }

    /// Changes the language of a session.
    pub fn set_lang(&self, key: SessionKey, lang: Lang) {
        if let Some(session) = self.lock().get_mut(&key) {
            session.lang = lang;
        }
    }

    /// Keeps what is still being typed under the name that it was kept under before, or a new one.
    pub fn keep_draft_as(&self, key: SessionKey, name: &str, draft: Draft) -> String {
        self.lock().get_mut(&key).map(|session| session.drafts.keep_as(name, draft)).unwrap_or_default()
    }

    /// The same for a request that is being written.
    pub fn keep_ask_as(&self, key: SessionKey, name: &str, ask: AskDraft) -> String {
        self.lock().get_mut(&key).map(|session| session.asks.keep_as(name, ask)).unwrap_or_default()
    }

    /// Keeps a draft and returns its name.
    pub fn keep_draft(&self, key: SessionKey, draft: Draft) -> String {
        self.lock().get_mut(&key).map(|session| session.drafts.keep(draft)).unwrap_or_default()
    }

    /// A draft of this session.
    pub fn draft(&self, key: SessionKey, name: &str) -> Option<Draft> {
        self.lock().get(&key)?.drafts.get(name)
    }

    /// Takes a draft out, so that it can be sent only once.
    pub fn take_draft(&self, key: SessionKey, name: &str) -> Option<Draft> {
        self.lock().get_mut(&key)?.drafts.take(name)
    }

    /// Puts a draft back under its name, after a send that was refused.
    pub fn return_draft(&self, key: SessionKey, name: &str, draft: Draft) {
        if let Some(session) = self.lock().get_mut(&key) {
            session.drafts.give_back(name, draft);
        }
    }

    /// Keeps a request that is being written and returns its name.
    pub fn keep_ask(&self, key: SessionKey, ask: AskDraft) -> String {
        self.lock().get_mut(&key).map(|session| session.asks.keep(ask)).unwrap_or_default()
    }

    /// A request that is being written.
    pub fn ask(&self, key: SessionKey, name: &str) -> Option<AskDraft> {
        self.lock().get(&key)?.asks.get(name)
    }

    /// Takes such a request out, so that it is made only once.
    pub fn take_ask(&self, key: SessionKey, name: &str) -> Option<AskDraft> {
        self.lock().get_mut(&key)?.asks.take(name)
    }

    /// Puts it back under its name, after a refusal.
    pub fn return_ask(&self, key: SessionKey, name: &str, ask: AskDraft) {
        if let Some(session) = self.lock().get_mut(&key) {
            session.asks.give_back(name, ask);
        }
    }

    /// Leaves a sentence for the next page.
    pub fn leave_notice(&self, key: SessionKey, notice: String) {
        if let Some(session) = self.lock().get_mut(&key) {
            session.notice = Some(notice);
        }
    }

    /// The sentence left for this page.
    pub fn take_notice(&self, key: SessionKey) -> Option<String> {
        self.lock().get_mut(&key)?.notice.take()
    }

    /// A panic while the lock is held leaves at worst one entry half made; signing everyone out would help nobody.
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, Session>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn is_alive(&self, now: Instant) -> bool {
        // Nobody needs longer to look at a telephone than it takes to be locked out.
        let idle = if self.stage == Stage::Code { LOCK_LIMIT } else { IDLE_LIMIT };
        now.duration_since(self.active) < idle && now.duration_since(self.began) < AGE_LIMIT
    }

    fn lock_if_idle(&mut self, now: Instant) {
        if now.duration_since(self.active) >= LOCK_LIMIT {
            self.lock_now();
        }
    }

    fn lock_now(&mut self) {
        if self.stage == Stage::Open {
            (self.stage, self.raised_at) = (Stage::Locked, None);
        }
    }

    fn signed_in(&self, now: Instant) -> SignedIn {
        SignedIn {
            stage: self.stage,
            is_raised: self.raised_at.is_some_and(|at| now.duration_since(at) < RAISED),
            account: self.account.clone(),
            lang: self.lang,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_idle_and_looking_is_not_activity() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let key = SessionKey::of_cookie(&sessions.begin("j.smit", Lang::Nl, Stage::Open, start));
        let stage = |at| sessions.look(key, at).map(|who| who.stage);
        let later = start + LOCK_LIMIT - Duration::from_secs(1);
        assert_eq!(stage(later), Some(Stage::Open));
        assert!(sessions.touch(key, later).is_some());
        assert_eq!(stage(start + LOCK_LIMIT), Some(Stage::Open), "somebody did something");
        assert_eq!(stage(later + LOCK_LIMIT), Some(Stage::Locked), "looking is no activity");
        assert_eq!(sessions.touch(key, later + LOCK_LIMIT).map(|who| who.stage), Some(Stage::Locked));
        assert_eq!(stage(later + IDLE_LIMIT), None);
    }

    #[test]
    fn the_password_opens_a_locked_session_with_its_drafts_under_another_name() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let key = SessionKey::of_cookie(&sessions.begin("j.smit", Lang::Nl, Stage::Open, start));
        let draft = sessions.keep_ask(key, AskDraft { query: "zuid".to_owned(), ..AskDraft::default() });
        sessions.raise(key, start);
        assert!(sessions.look(key, start).unwrap().is_raised);
        let later = start + LOCK_LIMIT;
        assert_eq!(sessions.touch(key, later).unwrap().stage, Stage::Locked);
        let opened = SessionKey::of_cookie(&sessions.open(key, later).unwrap());
        let who = sessions.touch(opened, later).unwrap();
        assert_eq!((who.stage, who.is_raised), (Stage::Open, false));
        assert_eq!(sessions.ask(opened, &draft).unwrap().query, "zuid");
        assert!(sessions.look(key, later).is_none(), "the old name is gone");
        sessions.end_account("j.smit", None);
        assert!(sessions.look(opened, later).is_none());
    }

    #[test]
    fn a_session_ends_after_twelve_hours_of_work() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let key = SessionKey::of_cookie(&sessions.begin("j.smit", Lang::Nl, Stage::Open, start));
        for minutes in (0..12 * 60).step_by(9) {
            assert!(sessions.touch(key, start + Duration::from_secs(minutes * 60)).is_some());
        }
        assert!(sessions.touch(key, start + AGE_LIMIT).is_none());
    }

    #[test]
    fn the_number_of_sessions_is_bounded() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let first = SessionKey::of_cookie(&sessions.begin("first", Lang::Nl, Stage::Open, start));
        for n in 0..MOST_SESSIONS {
            sessions.begin(
                "more",
                Lang::Nl,
                Stage::Open,
                start + Duration::from_millis(1 + u64::try_from(n).unwrap()),
            );
        }
        assert!(sessions.look(first, start + Duration::from_secs(2)).is_none());
        assert_eq!(sessions.lock().len(), MOST_SESSIONS);
    }
}
