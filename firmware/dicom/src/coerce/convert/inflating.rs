//! A deflated data set on its way to the walker (PS3.5 annex A.5).

use flate2::{Decompress, FlushDecompress, Status};

use super::{Done, Way};
use crate::coerce::CoercionError;

/// Bytes that are inflated in one step.
const STEP: usize = 64 * 1024;

/// A raw deflate stream (PS3.5 annex A.5).
pub(super) struct Inflating {
    inflate: Decompress,
    pub(super) has_ended: bool,
    inflated: Vec<u8>,
}

impl Inflating {
    pub(super) fn new() -> Self {
        Inflating { inflate: Decompress::new(false), has_ended: false, inflated: vec![0; STEP] }
    }

    pub(super) fn push(&mut self, mut input: &[u8], way: &mut Way, out: &mut Vec<u8>) -> Done {
        // Padding, or the trailer that some writers leave behind the stream, is not part of the data set.
        while !self.has_ended {
            let (before, made) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(input, &mut self.inflated, FlushDecompress::None);
            let status = status.map_err(|_| CoercionError::Deflate)?;
            let taken = usize::try_from(self.inflate.total_in() - before).unwrap_or(usize::MAX);
            let made = usize::try_from(self.inflate.total_out() - made).unwrap_or(usize::MAX);
            input = &input[taken.min(input.len())..];
            self.has_ended = status == Status::StreamEnd;
            way.take(&self.inflated[..made.min(STEP)], out)?;
            // More may be ready without further input, however little came last.
            if !self.has_ended && input.is_empty() && made == 0 {
                return Ok(());
            }
            if !self.has_ended && taken == 0 && made == 0 {
                return Err(CoercionError::Deflate);
            }
        }
        Ok(())
    }
}
