//! Texts kept once: all in one string, named by a number. Two hundred thousand entries share a few thousand towns and
//! departments, and a `String` each would cost more than what it holds.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

/// Names a text. The first of every collection is the empty one, which means "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct Text(u32);

impl Text {
    pub(super) const NONE: Text = Text(0);

    pub(super) fn is_none(self) -> bool {
        self == Text::NONE
    }
}

/// The texts.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    all: String,
    /// Where each text ends; it begins where the one before it ends.
    ends: Vec<u32>,
}

impl Texts {
    /// The text behind a name.
    pub(super) fn get(&self, text: Text) -> &str {
        self.at(usize::try_from(text.0).unwrap_or(usize::MAX))
    }

    /// The text at a place, in the order of adding; the empty one stands at 0.
    pub(super) fn at(&self, at: usize) -> &str {
        let end = self.ends.get(at).copied().unwrap_or_default();
        let begin = at.checked_sub(1).and_then(|before| self.ends.get(before).copied()).unwrap_or_default();
        let (begin, end) =
            (usize::try_from(begin).unwrap_or_default(), usize::try_from(end).unwrap_or_default());
        self.all.get(begin..end).unwrap_or_default()
    }

    /// The same, or nothing for none.
    pub(super) fn some(&self, text: Text) -> Option<&str> {
        (!text.is_none()).then(|| self.get(text))
    }

    /// Adds a text at the end; none if there is no room for it (4 GiB).
    pub(super) fn push(&mut self, text: &str) -> Text {
        if self.ends.is_empty() {
            self.ends.push(0);
        }
        let name = u32::try_from(self.ends.len());
        let (Ok(name), Ok(end)) = (name, u32::try_from(self.all.len() + text.len())) else {
            return Text::NONE;
        };
        self.all.push_str(text);
        self.ends.push(end);
        Text(name)
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Gives back room that was kept for more.
    pub(super) fn shrink(&mut self) {
        self.all.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        self.all.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

/// Texts that are still being collected, each once.
#[derive(Debug, Default)]
pub(super) struct Collecting {
    texts: Texts,
    /// By digest; the next free place after a collision.
    known: HashMap<u64, Text, BuildHasherDefault<DefaultHasher>>,
}

impl Collecting {
    /// The name of this text.
    pub(super) fn of(&mut self, text: &str) -> Text {
        if text.is_empty() {
            return Text::NONE;
        }
        let mut digest = digest(text);
        loop {
            match self.known.get(&digest) {
                Some(known) if self.texts.get(*known) == text => return *known,
                Some(_) => digest = digest.wrapping_add(1),
                None => {
                    let name = self.texts.push(text);
                    self.known.insert(digest, name);
                    return name;
                }
            }
        }
    }

    pub(super) fn maybe(&mut self, text: Option<&str>) -> Text {
        text.map_or(Text::NONE, |text| self.of(text))
    }

    pub(super) fn get(&self, text: Text) -> &str {
        self.texts.get(text)
    }

    pub(super) fn finish(self) -> Texts {
        let mut texts = self.texts;
        texts.shrink();
        texts
    }
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once() {
        let mut texts = Collecting::default();
        let (radiology, empty, town) = (texts.of("Radiologie"), texts.of(""), texts.of("Één"));
        assert_eq!(texts.of("Radiologie"), radiology);
        assert!(empty.is_none() && texts.maybe(None).is_none());
        let texts = texts.finish();
        assert_eq!((texts.get(radiology), texts.get(town), texts.get(Text::NONE)), ("Radiologie", "Één", ""));
        assert_eq!((texts.some(town), texts.some(empty)), (Some("Één"), None));
        assert_eq!(texts.len(), 3);
    }
}
