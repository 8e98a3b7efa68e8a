//! A source whose data set is coerced on its way out.

use beeldbox_protocol::ident::TransferSyntaxUid;
use bytes::Bytes;

use super::{Coercer, CoercionError, CoercionOutcome, Coercions};
use crate::deliver::{OutgoingSource, SourceError};

/// Gives what another source gives, coerced. An instance that cannot be coerced is a source that fails: the association is
/// aborted, and [`SourceError::coercion`] says why.
pub struct CoercedSource<S> {
    source: S,
    /// `None` once the source has ended.
    coercer: Option<Coercer>,
    /// `None` until the data set is complete.
    outcome: Option<CoercionOutcome>,
}

impl<S> CoercedSource<S> {
    /// For an instance in this transfer syntax.
    ///
    /// # Errors
    /// If a data set in this transfer syntax cannot be coerced.
    pub fn new(
        source: S,
        coercions: &Coercions,
        transfer_syntax: &TransferSyntaxUid,
    ) -> Result<Self, CoercionError> {
        let coercer = Coercer::new(coercions, transfer_syntax)?;
        Ok(CoercedSource { source, coercer: Some(coercer), outcome: None })
    }

    /// What was done beside the plan; `None` until the data set is complete.
    pub fn outcome(&self) -> Option<CoercionOutcome> {
        self.outcome
    }
}

impl<S: OutgoingSource> OutgoingSource for CoercedSource<S> {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, SourceError> {
        let refused = |error: CoercionError| SourceError(Box::new(error));
        while let Some(coercer) = &mut self.coercer {
            let chunk = self.source.next_chunk().await?;
            let mut out = Vec::new();
            match chunk {
                Some(chunk) if coercer.is_untouched() => return Ok(Some(chunk)),
                Some(chunk) => {
                    out.reserve(chunk.len());
                    coercer.push(&chunk, &mut out).map_err(refused)?;
                }
                None => {
                    let Some(coercer) = self.coercer.take() else { break };
                    self.outcome = Some(coercer.finish(&mut out).map_err(refused)?);
                }
            }
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
        }
        // A data set that could not be finished stays unfinished, however often it is asked for.
        if self.outcome.is_some() { Ok(None) } else { Err(refused(CoercionError::GivenUp)) }
    }
}
