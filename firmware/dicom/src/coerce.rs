//! Coercion on the fly: while an instance streams to the archive, the identity that the receiving hospital gave the
//! patient and the order takes the place of the sender's. PS3.4 §B.4.1.3, PS3.3 C.12.1.1.9.
//!
//! ```text
//! OutgoingSource ─▶ CoercedSource ─▶ Coercer ─┬─ deflated ─┬─▶ rewriter ─▶ the same transfer syntax
//!                                    (plan)   └────────────┘    │
//!                              text: ISO_IR 192 if a new value does not fit
//! ```
//!
//! - An empty plan gives the same bytes.
//! - Otherwise only the attributes of the plan change, at the outermost level, with Instance Coercion DateTime, one item of
//!   the Original Attributes Sequence, and Specific Character Set with all text if a new value does not fit. Whatever else
//!   is there, UIDs, pixel data and private elements, goes through byte for byte.
//! - Memory does not depend on the size of the instance: replaced elements (64 KiB each) and single texts that are
//!   converted (1 MiB) are held, nothing else.
//! - No total length is known before the end; DIMSE needs none, because fragments only say which is the last (PS3.8 annex E).
//! - What cannot be understood is refused with a name ([`CoercionError`]); what was given out until then is no data set.
//!
//! Nested items keep what they say. In the Request Attributes Sequence (0040,0275) stand the requests of the hospital that
//! made the images, in the Referenced Patient Sequence its references: they are its history, and the archive files a study by
//! its outermost level.

// Plans.
mod plan;
// The rewriter, from the outside in.
mod deflated;
mod rewriter;
// What it is made of.
mod element;
mod nesting;
mod original;
mod text;
// As part of a delivery.
mod source;
// The same walk for another purpose: another transfer syntax.
mod convert;

use beeldbox_protocol::ident::TransferSyntaxUid;
use dicom_core::Tag;

use self::deflated::Deflated;
use self::rewriter::Rewriter;
use crate::sniff::{Form, form_of};
use crate::walk::Encoding;

pub use self::convert::{ConversionError, ConvertedSource, Converter, convertible_to};
pub use self::plan::{
    CoercionPlanError, CoercionRecord, Coercions, Issuer, LocalOrder, LocalPatient, UniversalEntity,
    UniversalEntityKind,
};
pub use self::source::CoercedSource;

/// Why an instance cannot be coerced. It can still be delivered as it is, if a person wants that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CoercionError {
    /// Nobody knows how a data set in this private transfer syntax is written.
    #[error("a data set in this transfer syntax cannot be read")]
    UnknownTransferSyntax,
    /// An element has no VR, so the data set is not in the transfer syntax that it claims.
    #[error("the element {tag} is not written in the transfer syntax of the instance")]
    NotInTransferSyntax {
        /// Where.
        tag: Tag,
    },
    /// It ends inside an element, an item or a sequence.
    #[error("the data set ends too early")]
    CutOff,
    /// It is no data set.
    #[error("the data set is broken: {0}")]
    Broken(&'static str),
    /// More than 512 sequences and items, one in another.
    #[error("the data set is nested too deeply")]
    TooDeep,
    /// An element is too long to be held, or its text too long for its header once converted.
    #[error("the element {tag} is too long to be changed")]
    TooLong {
        /// Which.
        tag: Tag,
    },
    /// An attribute that is replaced comes twice, or behind one that must follow it.
    #[error("the element {tag} comes twice or in the wrong order")]
    OutOfOrder {
        /// Which.
        tag: Tag,
    },
    /// The Original Attributes Sequence that is there already is no sequence, or is written as UN while a sequence must be
    /// recorded in it.
    #[error("the Original Attributes Sequence cannot be read")]
    UnknownOriginalAttributes,
    /// The deflated stream is damaged, or something follows it.
    #[error("the deflated data set is damaged")]
    Deflate,
    /// A new value fits no character set. That is our own mistake.
    #[error("a new value does not fit the character set")]
    DoesNotFit,
    /// There was an error before.
    #[error("the data set was given up before")]
    GivenUp,
}

/// What was done beside the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CoercionOutcome {
    /// Whether the text went to ISO_IR 192.
    pub converted_to_utf8: bool,
    /// Texts that have other bytes since.
    pub texts_converted: u64,
    /// Of those, in UTF-8 before, though something else or nothing was declared.
    pub read_as_utf8: u64,
    /// Of those, in neither the declared character set nor UTF-8: taken for Windows-1252.
    pub read_as_windows_1252: u64,
    /// Values of VR UN in a data set whose text went to ISO_IR 192: nobody knows whether they hold text.
    pub unknown_left_alone: u64,
    /// Retired group lengths that would have been wrong.
    pub group_lengths_dropped: u64,
}

/// Rewrites one data set. Pure: no clock, no input or output.
pub struct Coercer {
    way: Way,
}

enum Way {
    /// Nothing is changed.
    Untouched,
    Plain(Box<Rewriter>),
    Deflated(Box<Deflated>),
    /// After an error.
    GivenUp,
}

impl Coercer {
    /// For a data set in this transfer syntax.
    ///
    /// # Errors
    /// If nobody knows how it is written.
    pub fn new(coercions: &Coercions, transfer_syntax: &TransferSyntaxUid) -> Result<Self, CoercionError> {
        if coercions.is_empty() {
            return Ok(Coercer { way: Way::Untouched });
        }
        let plain = |encoding| Way::Plain(Box::new(Rewriter::new(coercions, encoding)));
        let way = match form_of(transfer_syntax.as_str()) {
            Form::Plain(encoding) => plain(encoding),
            Form::Deflated => {
                let rewriter = Rewriter::new(coercions, Encoding::ExplicitLittle);
                Way::Deflated(Box::new(Deflated::new(rewriter)))
            }
            Form::Private => return Err(CoercionError::UnknownTransferSyntax),
        };
        Ok(Coercer { way })
    }

    /// Whether the bytes come out as they go in.
    pub fn is_untouched(&self) -> bool {
        matches!(self.way, Way::Untouched)
    }

    /// Takes the next bytes, cut anywhere, and appends what is ready to `out`: about as many, and what was held before.
    ///
    /// # Errors
    /// See [`CoercionError`]. What came out before must not be used; every later call fails too.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), CoercionError> {
        let pushed = match &mut self.way {
            Way::Untouched => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            Way::Plain(rewriter) => rewriter.push(bytes, out),
            Way::Deflated(deflated) => deflated.push(bytes, out),
            Way::GivenUp => Err(CoercionError::GivenUp),
        };
        if pushed.is_err() {
            self.way = Way::GivenUp;
        }
        pushed
    }

    /// Says that the data set is complete, and appends the rest of it. Only after this it is one.
    ///
    /// # Errors
    /// If it ended too early, or there was an error before.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<CoercionOutcome, CoercionError> {
        match self.way {
            Way::Untouched => Ok(CoercionOutcome::default()),
            Way::Plain(rewriter) => rewriter.finish(out),
            Way::Deflated(deflated) => deflated.finish(out),
            Way::GivenUp => Err(CoercionError::GivenUp),
        }
    }
}

#[cfg(test)]
#[path = "coerce/hardship_tests.rs"]
mod hardship_tests;
#[cfg(test)]
#[path = "coerce/rewriter_tests.rs"]
mod tests;
#[cfg(test)]
mod writing;
