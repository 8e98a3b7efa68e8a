//! Sessions: who is signed in at which browser, with drafts and language. In memory only, and bounded.
//!
//! The browser holds a random name of 256 bits in a cookie; here only its digest is kept. A session ends after 15
//! minutes without activity and after 12 hours in any case. Live streams and their fetches are not activity.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use beeldbox_protocol::ident::Digest;

use crate::drafts::{AskDraft, Draft, Drafts};
use crate::lang::Lang;
use crate::random;

/// Longest time without activity.
pub const IDLE_LIMIT: Duration = Duration::from_secs(15 * 60);
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

/// What a handler may know of a session.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Name of the account.
    pub account: String,
    /// Language of the pages.
    pub lang: Lang,
}

struct Session {
    account: String,
    lang: Lang,
    began: Instant,
    active: Instant,
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
    pub fn begin(&self, account: &str, lang: Lang, now: Instant) -> String {
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
            began: now,
            active: now,
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
        session.active = now;
        Some(session.signed_in())
    }

    /// Who a session belongs to, without counting as activity.
    pub fn look(&self, key: SessionKey, now: Instant) -> Option<SignedIn> {
        let table = self.lock();
        table.get(&key).filter(|session| session.is_alive(now)).map(Session::signed_in)
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
        now.duration_since(self.active) < IDLE_LIMIT && now.duration_since(self.began) < AGE_LIMIT
    }

    fn signed_in(&self) -> SignedIn {
        SignedIn { account: self.account.clone(), lang: self.lang }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_when_idle_and_looking_is_not_activity() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let key = SessionKey::of_cookie(&sessions.begin("j.smit", Lang::Nl, start));
        let later = start + IDLE_LIMIT - Duration::from_secs(1);
        assert!(sessions.look(key, later).is_some());
        assert!(sessions.look(key, start + IDLE_LIMIT).is_none());
        assert!(sessions.touch(key, later).is_some());
        assert!(sessions.look(key, start + IDLE_LIMIT).is_some());
    }

    #[test]
    fn a_session_ends_after_twelve_hours_of_work() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let key = SessionKey::of_cookie(&sessions.begin("j.smit", Lang::Nl, start));
        for minutes in (0..12 * 60).step_by(10) {
            assert!(sessions.touch(key, start + Duration::from_secs(minutes * 60)).is_some());
        }
        assert!(sessions.touch(key, start + AGE_LIMIT).is_none());
    }

    #[test]
    fn the_number_of_sessions_is_bounded() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let first = SessionKey::of_cookie(&sessions.begin("first", Lang::Nl, start));
        for n in 0..MOST_SESSIONS {
            sessions.begin("more", Lang::Nl, start + Duration::from_millis(1 + u64::try_from(n).unwrap()));
        }
        assert!(sessions.look(first, start + Duration::from_secs(2)).is_none());
        assert_eq!(sessions.lock().len(), MOST_SESSIONS);
    }
}
