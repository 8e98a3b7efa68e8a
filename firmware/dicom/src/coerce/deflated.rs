//! A deflated data set on its way through the rewriter (PS3.5 annex A.5): inflated, rewritten, deflated again.
//!
//! Memory is two windows and a few buffers, whatever the stream inflates to; what comes out is deflated in the same step.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::rewriter::Rewriter;
use super::{CoercionError, CoercionOutcome};

/// Bytes that are inflated, or deflated, in one step.
const STEP: usize = 64 * 1024;
/// CRC and length of gzip, and a NUL.
const LONGEST_TRAILER: usize = 9;

pub(super) struct Deflated {
    inflate: Decompress,
    deflate: Compress,
    rewriter: Rewriter,
    has_ended: bool,
    /// Bytes behind the stream, and whether all are NUL.
    behind: usize,
    is_padding: bool,
    inflated: Vec<u8>,
    rewritten: Vec<u8>,
}

impl Deflated {
    pub(super) fn new(rewriter: Rewriter) -> Self {
        Deflated {
            inflate: Decompress::new(false),
            deflate: Compress::new(Compression::default(), false),
            rewriter,
            has_ended: false,
            behind: 0,
            is_padding: true,
            inflated: vec![0; STEP],
            rewritten: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), CoercionError> {
        loop {
            if self.has_ended {
                return self.behind(input);
            }
            let (before, made) = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(input, &mut self.inflated, FlushDecompress::None);
            let status = status.map_err(|_| CoercionError::Deflate)?;
            let taken = usize::try_from(self.inflate.total_in() - before).unwrap_or(usize::MAX);
            let made = usize::try_from(self.inflate.total_out() - made).unwrap_or(usize::MAX);
            input = &input[taken.min(input.len())..];
            self.has_ended = status == Status::StreamEnd;
            self.rewritten.clear();
            self.rewriter.push(&self.inflated[..made.min(STEP)], &mut self.rewritten)?;
            deflate(&mut self.deflate, &self.rewritten, FlushCompress::None, out)?;
            // More may be ready without further input, however little came last: the decoder stops at its window's end.
            if !self.has_ended && input.is_empty() && made == 0 {
                return Ok(());
            }
            if !self.has_ended && taken == 0 && made == 0 {
                return Err(CoercionError::Deflate);
            }
        }
    }

    /// Padding behind the stream is left out, and so is the trailer of gzip, which some writers leave there.
    fn behind(&mut self, input: &[u8]) -> Result<(), CoercionError> {
        self.behind = self.behind.saturating_add(input.len());
        self.is_padding &= input.iter().all(|byte| *byte == 0);
        if self.is_padding || self.behind <= LONGEST_TRAILER { Ok(()) } else { Err(CoercionError::Deflate) }
    }

    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> Result<CoercionOutcome, CoercionError> {
        if !self.has_ended {
            return Err(CoercionError::CutOff);
        }
        self.rewritten.clear();
        let outcome = self.rewriter.finish(&mut self.rewritten)?;
        deflate(&mut self.deflate, &self.rewritten, FlushCompress::Finish, out)?;
        if self.deflate.total_out() % 2 == 1 {
            out.push(0);
        }
        Ok(outcome)
    }
}

/// Deflates all of it; with `Finish` to the end of the stream.
fn deflate(
    deflate: &mut Compress,
    mut bytes: &[u8],
    flush: FlushCompress,
    out: &mut Vec<u8>,
) -> Result<(), CoercionError> {
    loop {
        out.reserve(STEP.min(bytes.len() / 2 + 1024));
        let before = deflate.total_in();
        let status = deflate.compress_vec(bytes, out, flush).map_err(|_| CoercionError::Deflate)?;
        let taken = usize::try_from(deflate.total_in() - before).unwrap_or(usize::MAX);
        bytes = &bytes[taken.min(bytes.len())..];
        // What is not flushed stays inside until the end.
        let is_done = if matches!(flush, FlushCompress::Finish) {
            status == Status::StreamEnd
        } else {
            bytes.is_empty()
        };
        if is_done {
            return Ok(());
        }
    }
}
