//! Length and SHA-256 of a data set, taken apart from its sealing.
//!
//! Hashing and encrypting an instance cost about as much as moving it. Whoever receives one on two threads hashes on the
//! first and encrypts on the second; what the second puts at the end of the frame comes from the first by way of these
//! types, and a piece that one of them missed is noticed by its length.

use crate::ident::{Digest, RunningDigest};

/// Takes the digest of a data set while it passes by.
#[derive(Default)]
pub struct DataSetDigester {
    digest: RunningDigest,
    len: u64,
}

/// Length and SHA-256 of a whole data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataSetDigest {
    len: u64,
    digest: Digest,
}

impl DataSetDigester {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.digest.update(piece);
        self.len = self.len.saturating_add(piece.len() as u64);
    }

    /// The digest of everything taken.
    pub fn finish(self) -> DataSetDigest {
        DataSetDigest { len: self.len, digest: self.digest.finish() }
    }
}

impl DataSetDigest {
    /// Of a data set that is in memory.
    pub fn of(data_set: &[u8]) -> Self {
        let mut digester = DataSetDigester::default();
        digester.update(data_set);
        digester.finish()
    }

    /// Length in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.len
    }

    /// SHA-256.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}
