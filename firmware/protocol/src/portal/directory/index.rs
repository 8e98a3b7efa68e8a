//! The inverted index: from a word's beginning to the entries that hold it.
//!
//! Words lie sorted, so that those with one beginning are neighbours. Entries of one organisation lie side by side, and
//! its name stands in all of them, so a word's entries are kept as runs (gap, length), a byte or two each. A query sets
//! one bit per entry and word and keeps what has all of them: its memory is bounded by the number of entries, its time
//! by the runs under its words.

use super::texts::{Text, Texts};
use super::words::Wanted;

/// A run of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    /// The first.
    pub(super) first: u32,
    /// How many.
    pub(super) count: u32,
}

/// The index.
#[derive(Debug, Clone, Default)]
pub(super) struct WordIndex {
    /// Sorted.
    words: Texts,
    /// Where each word's runs begin in `runs`; one more than there are words.
    begins: Vec<u32>,
    /// Gap after the run before and length, both as base 128 numbers, least significant first.
    runs: Vec<u8>,
    entries: usize,
}

/// What one word of a query found.
pub(super) struct Found {
    /// Entries with a word that begins so.
    pub(super) begins: Bits,
    /// Entries with just this word.
    pub(super) whole: Bits,
    pub(super) is_needed: bool,
}

impl WordIndex {
    /// From all pairs of a word and entries with it, in any order; words by their name in `texts`.
    pub(super) fn build(mut pairs: Vec<(Text, Run)>, texts: &Texts, entries: usize) -> Self {
        let mut index = WordIndex { entries, ..WordIndex::default() };
        // By name first, which is cheap; then the few words by their letters.
        pairs.sort_unstable();
        let mut groups: Vec<&[(Text, Run)]> = pairs.chunk_by(|a, b| a.0 == b.0).collect();
        groups.sort_unstable_by_key(|group| {
            group.first().map(|(word, _)| texts.get(*word)).unwrap_or_default()
        });
        for group in groups {
            let Some((word, _)) = group.first() else { continue };
            index.words.push(texts.get(*word));
            index.begins.push(u32::try_from(index.runs.len()).unwrap_or(u32::MAX));
            let mut told = 0;
            let mut runs = group.iter().map(|(_, run)| *run);
            let mut open = runs.next();
            while let Some(run) = open {
                let mut end = run.first + run.count;
                open = runs.next();
                while let Some(next) = open.filter(|next| next.first <= end) {
                    end = end.max(next.first + next.count);
                    open = runs.next();
                }
                write_number(&mut index.runs, run.first - told);
                write_number(&mut index.runs, end - run.first);
                told = end;
            }
        }
        index.begins.push(u32::try_from(index.runs.len()).unwrap_or(u32::MAX));
        index.words.shrink();
        index.begins.shrink_to_fit();
        index.runs.shrink_to_fit();
        index
    }

    /// What a word of a query finds.
    pub(super) fn find(&self, wanted: &Wanted) -> Found {
        let mut found = Found {
            begins: Bits::none(self.entries),
            whole: Bits::none(self.entries),
            is_needed: wanted.is_needed,
        };
        let from = self.first_not_before(&wanted.word);
        for at in from..self.words.len().saturating_sub(1) {
            let word = self.word(at);
            if !word.starts_with(wanted.word.as_str()) {
                break;
            }
            self.set(at, &mut found.begins);
            if word.len() == wanted.word.len() {
                self.set(at, &mut found.whole);
            }
        }
        found
    }

    /// Position of the first word that is not before this one.
    fn first_not_before(&self, wanted: &str) -> usize {
        let (mut low, mut high) = (0, self.words.len().saturating_sub(1));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.word(middle) < wanted { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// The word at a place; the empty text that stands before all does not count.
    fn word(&self, at: usize) -> &str {
        self.words.at(at + 1)
    }

    fn set(&self, word: usize, bits: &mut Bits) {
        let edge = |at: usize| {
            self.begins.get(at).and_then(|begin| usize::try_from(*begin).ok()).unwrap_or_default()
        };
        let mut bytes = self.runs.get(edge(word)..edge(word + 1)).unwrap_or_default();
        let mut at = 0;
        while !bytes.is_empty() {
            let first = at + read_number(&mut bytes);
            let count = read_number(&mut bytes);
            bits.set(first, count);
            at = first + count;
        }
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        self.words.memory() + self.begins.capacity() * size_of::<u32>() + self.runs.capacity()
    }
}

fn write_number(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(0x80 | low_bits(number));
        number >>= 7;
    }
    bytes.push(low_bits(number));
}

fn low_bits(number: u32) -> u8 {
    let [low, ..] = (number & 0x7f).to_le_bytes();
    low
}

fn read_number(bytes: &mut &[u8]) -> usize {
    let (mut number, mut shift) = (0, 0);
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift > 28 {
            break;
        }
    }
    number
}

/// One bit per entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn none(count: usize) -> Self {
        Bits(vec![0; count.div_ceil(64)])
    }

    pub(super) fn all(count: usize) -> Self {
        let mut bits = Bits::none(count);
        bits.set(0, count);
        bits
    }

    /// Sets so many from this one on.
    pub(super) fn set(&mut self, first: usize, count: usize) {
        let end = first + count;
        let mut at = first;
        while at < end {
            let here = (64 - at % 64).min(end - at);
            let mask = if here == 64 { u64::MAX } else { ((1 << here) - 1) << (at % 64) };
            if let Some(word) = self.0.get_mut(at / 64) {
                *word |= mask;
            }
            at += here;
        }
    }

    pub(super) fn has(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Keeps what both have.
    pub(super) fn keep(&mut self, other: &Bits) {
        for (word, with) in self.0.iter_mut().zip(&other.0) {
            *word &= with;
        }
    }

    /// Those that are set, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = usize::try_from(rest.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
                rest &= rest - 1;
                Some(at * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::directory::texts::Collecting;

    #[test]
    fn runs_are_joined_and_read_back() {
        let mut texts = Collecting::default();
        let (zorg, zorgzaam, zee) = (texts.of("zorg"), texts.of("zorgzaam"), texts.of("zee"));
        let run = |first, count| Run { first, count };
        let pairs = vec![
            (zorgzaam, run(300, 1)),
            (zorg, run(5, 3)),
            (zorg, run(0, 2)),
            (zorg, run(6, 4)),
            (zee, run(9, 200)),
        ];
        let index = WordIndex::build(pairs, &texts.finish(), 1000);
        let find = |word: &str| {
            let found = index.find(&Wanted { word: word.to_owned(), is_needed: true });
            (found.begins.iter().collect::<Vec<_>>(), found.whole.iter().count())
        };
        assert_eq!(find("zorg"), (vec![0, 1, 5, 6, 7, 8, 9, 300], 7));
        assert_eq!(find("zorgz"), (vec![300], 0));
        assert_eq!(find("zee"), ((9..209).collect(), 200));
        assert_eq!(find("zon").0.len() + find("a").0.len() + find("zz").0.len(), 0);
    }

    #[test]
    fn bits_are_set_in_runs() {
        for (first, count) in [(0, 0), (0, 64), (3, 61), (63, 2), (1, 190), (130, 1)] {
            let mut bits = Bits::none(200);
            bits.set(first, count);
            assert!(bits.iter().eq(first..first + count), "{first}+{count}");
            assert!((0..200).all(|at| bits.has(at) == (first..first + count).contains(&at)));
        }
        let mut bits = Bits::all(70);
        let mut odd = Bits::none(70);
        odd.set(65, 3);
        bits.keep(&odd);
        assert!(bits.iter().eq(65..68));
    }

    #[test]
    fn an_empty_index_finds_nothing() {
        let index = WordIndex::build(Vec::new(), &Texts::default(), 0);
        assert_eq!(index.find(&Wanted { word: "a".to_owned(), is_needed: true }).begins, Bits::none(0));
        assert_eq!(
            WordIndex::default().find(&Wanted { word: "a".to_owned(), is_needed: true }).whole,
            Bits::none(0)
        );
    }
}
