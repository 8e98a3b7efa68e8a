//! A source whose data set is converted on its way out.

use beeldbox_protocol::ident::TransferSyntaxUid;
use bytes::Bytes;

use super::{ConversionError, Converter};
use crate::coerce::CoercionError;
use crate::deliver::{OutgoingSource, SourceError};

/// Deflated bytes that are taken at once: they may inflate a thousandfold.
const DEFLATED_BITE: usize = 512;

/// Gives what another source gives, converted. An instance that cannot be is a source that fails: the association
/// is aborted, and [`ConversionError::of`] says why.
pub struct ConvertedSource<S> {
    source: S,
    /// `None` once the source has ended, or nothing is converted.
    converter: Option<Converter>,
    /// Of the source, and not converted yet.
    rest: Bytes,
    state: SourceState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SourceState {
    /// Nothing is converted.
    AsItIs,
    Converting,
    Complete,
    Failed,
}

impl<S> ConvertedSource<S> {
    /// From the transfer syntax of the source to another, or to the same, which changes nothing. `None` if that is not one of
    /// `convertible_to`.
    pub fn new(source: S, from: &TransferSyntaxUid, to: &TransferSyntaxUid) -> Option<Self> {
        if from == to {
            return Some(ConvertedSource {
                source,
                converter: None,
                rest: Bytes::new(),
                state: SourceState::AsItIs,
            });
        }
        let converter = Some(Converter::new(from, to)?);
        Some(ConvertedSource { source, converter, rest: Bytes::new(), state: SourceState::Converting })
    }
}

impl<S: OutgoingSource> OutgoingSource for ConvertedSource<S> {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, SourceError> {
        let refused = |error: ConversionError| SourceError(Box::new(error));
        if self.state == SourceState::AsItIs {
            return self.source.next_chunk().await;
        }
        while let Some(converter) = &mut self.converter {
            if self.rest.is_empty() {
                let Some(chunk) = self.source.next_chunk().await? else {
                    let Some(converter) = self.converter.take() else { break };
                    self.state = SourceState::Failed;
                    converter.finish().map_err(refused)?;
                    self.state = SourceState::Complete;
                    break;
                };
                self.rest = chunk;
            }
            let bite = if converter.inflating.is_some() { DEFLATED_BITE } else { self.rest.len() };
            let chunk = self.rest.split_to(bite.min(self.rest.len()));
            let mut out = Vec::with_capacity(chunk.len());
            converter.push(&chunk, &mut out).map_err(refused)?;
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
        }
        // A data set that could not be finished stays unfinished, however often it is asked for.
        if self.state == SourceState::Complete {
            Ok(None)
        } else {
            Err(refused(CoercionError::GivenUp.into()))
        }
    }
}
