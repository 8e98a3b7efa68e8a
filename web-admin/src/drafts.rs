//! What a person is about to do, between filling it in and confirming it: kept here, not in addresses and not in the
//! browser, because it is about a patient.

use std::collections::VecDeque;

use beeldbox_protocol::admin::StudyNumber;
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::{AddresseeId, TransferId};

use crate::random;

/// Most drafts of a kind in one session; the oldest makes room. One is made each time a check page is asked for.
const MOST_DRAFTS: usize = 32;

/// What a send is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A study that waits is sent.
    Send,
    /// The same, in answer to another hospital's request.
    Answer(TransferId),
    /// What came to nothing goes to another addressee.
    Redirect(TransferId),
}

/// What a send will be, between choosing and confirming. Never changed once made: a check page shows what will be sent.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Which study.
    pub study: StudyNumber,
    /// What for.
    pub purpose: Purpose,
    /// What was typed to search with.
    pub query: String,
    /// To whom, if chosen.
    pub addressee: Option<AddresseeId>,
    /// Words for the addressee.
    pub note: Confidential,
    /// Whom to call back.
    pub reply_contact: Confidential,
    /// Whether to hurry.
    pub urgent: bool,
}

/// A request for images as it was filled in, right or wrong.
#[derive(Debug, Clone, Default)]
pub struct AskDraft {
    /// Prefix of the family name.
    pub prefix: Confidential,
    /// Family name.
    pub family: Confidential,
    /// Given names.
    pub given: Confidential,
    /// Day of birth, as typed.
    pub born: Confidential,
    /// Sex: `M`, `F`, `O` or nothing.
    pub sex: Confidential,
    /// Citizen service number, as typed.
    pub bsn: Confidential,
    /// What was typed to search with.
    pub query: String,
    /// Whom to ask, if chosen.
    pub addressee: Option<AddresseeId>,
    /// Kinds of images.
    pub modalities: Vec<String>,
    /// Part of the body.
    pub region: Confidential,
    /// Made on this day or later, as typed.
    pub from: Confidential,
    /// Made on this day or earlier, as typed.
    pub until: Confidential,
    /// Which of our own addressees shall get them.
    pub answer_to: Option<AddresseeId>,
    /// Why.
    pub reason: Confidential,
    /// Whom to call back.
    pub reply_contact: Confidential,
    /// Whether to hurry.
    pub urgent: bool,
}

/// Drafts of one kind under names that cannot be guessed.
#[derive(Debug)]
pub struct Drafts<T>(VecDeque<(String, T)>);

impl<T> Default for Drafts<T> {
    fn default() -> Drafts<T> {
        Drafts(VecDeque::new())
    }
}

impl<T: Clone> Drafts<T> {
    /// Keeps one and returns its name.
    pub fn keep(&mut self, draft: T) -> String {
        let name = random::name::<16>();
        self.give_back(&name, draft);
        name
    }

    /// Keeps one in the place of another, or beside the others if there is none of that name.
    pub fn keep_as(&mut self, name: &str, draft: T) -> String {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => {
                *known = draft;
                name.to_owned()
            }
            None => self.keep(draft),
        }
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<T> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, draft)| draft.clone())
    }

    /// Takes one out, so that it can be used only once.
    pub fn take(&mut self, name: &str) -> Option<T> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        self.0.remove(at).map(|(_, draft)| draft)
    }

    /// Puts one under this name, as after an act that was refused.
    pub fn give_back(&mut self, name: &str, draft: T) {
        if self.0.len() >= MOST_DRAFTS {
            self.0.pop_front();
        }
        self.0.push_back((name.to_owned(), draft));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_used_once_and_the_oldest_makes_room() {
        let mut drafts = Drafts::default();
        let first = drafts.keep(0);
        assert_eq!((drafts.get(&first), drafts.take(&first), drafts.take(&first)), (Some(0), Some(0), None));
        assert_ne!(drafts.keep_as(&first, 7), first, "a name that is gone is not used again");
        drafts.give_back(&first, 0);
        assert_eq!((drafts.keep_as(&first, 8), drafts.get(&first)), (first.clone(), Some(8)));
        let names: Vec<String> = (1..=MOST_DRAFTS).map(|n| drafts.keep(n)).collect();
        assert_eq!(drafts.get(&first), None);
        assert!(names.iter().all(|name| drafts.get(name).is_some()));
    }
}
