//! Chance from a seed, so that a state that failed can be made again.

/// A sequence of numbers that its seed decides (SplitMix64).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Begins the sequence of a seed.
    pub fn from_seed(seed: u64) -> Self {
        Chance(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; zero if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        let end = end as u64;
        self.draw().checked_rem(end).and_then(|drawn| usize::try_from(drawn).ok()).unwrap_or(0)
    }

    /// True in `part` of `whole` cases.
    pub fn is(&mut self, part: usize, whole: usize) -> bool {
        self.below(whole) < part
    }
}
