//! Where in the nesting of sequences and items the rewriter stands.

use dicom_core::Tag;

use super::CoercionError;
use crate::character_set::CharacterSets;
use crate::walk::Encoding;

/// Deepest nesting that is followed: sequences and items together. Real data sets stay below twenty.
const DEEPEST: usize = 512;

/// What is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A sequence: items come.
    Sequence,
    /// An item: elements come.
    Item,
    /// Pixel data in fragments: items with bytes come.
    Fragments,
}

/// A sequence or an item that has begun.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// The tag of the sequence.
    pub(super) tag: Tag,
    /// How its inside is written.
    pub(super) encoding: Encoding,
    /// Where it ends; `None`: at its delimiter.
    pub(super) end: Option<u64>,
    /// Whether it had a length and is written with a delimiter.
    pub(super) is_rewritten: bool,
    /// The character set that this item declares for itself.
    pub(super) sets: Option<CharacterSets>,
    /// Whether its text stays as it is, because it declares its own character set and records the past.
    pub(super) keeps_text: bool,
    /// Nothing in it may go beyond this place.
    reach: u64,
}

/// The stack of them.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    frames: Vec<Frame>,
}

impl Nesting {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn last(&self) -> Option<&Frame> {
        self.frames.last()
    }

    pub(super) fn last_mut(&mut self) -> Option<&mut Frame> {
        self.frames.last_mut()
    }

    /// Opens one; `length` counts from here, `None` is until its delimiter.
    pub(super) fn open(
        &mut self,
        kind: Kind,
        tag: Tag,
        encoding: Encoding,
        at: u64,
        length: Option<u32>,
    ) -> Result<&mut Frame, CoercionError> {
        if self.frames.len() == DEEPEST {
            return Err(CoercionError::TooDeep);
        }
        let end = length.map(|length| at.saturating_add(u64::from(length)));
        if let Some(end) = end {
            self.reaches(end)?;
        }
        let reach = end.unwrap_or_else(|| self.reach());
        let keeps_text = self.last().is_some_and(|frame| frame.keeps_text);
        let frame = Frame { kind, tag, encoding, end, is_rewritten: false, sets: None, keeps_text, reach };
        Ok(self.frames.push_mut(frame))
    }

    pub(super) fn close(&mut self) -> Option<Frame> {
        self.frames.pop()
    }

    /// Whether something may go on to this place.
    pub(super) fn reaches(&self, end: u64) -> Result<(), CoercionError> {
        if end > self.reach() {
            Err(CoercionError::Broken("something is longer than what it is in"))
        } else {
            Ok(())
        }
    }

    /// The character set in force here; `None`: that of the data set.
    pub(super) fn sets(&self) -> Option<&CharacterSets> {
        self.frames.iter().rev().find_map(|frame| frame.sets.as_ref())
    }

    fn reach(&self) -> u64 {
        self.last().map_or(u64::MAX, |frame| frame.reach)
    }
}
