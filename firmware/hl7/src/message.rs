//! A message: segments of fields of repetitions of components of subcomponents, read where they stand.
//!
//! ```text
//!   bytes ─▶ delimiters ─▶ text (character_set) ─▶ lines ─▶ segments, continued ones joined (ADD) ─▶ Message
//!                                                                     Message::segments ─▶ field ─▶ component ─▶ text
//! ```
//!
//! The whole message is kept as one text and parts of it are looked up, so memory is a small multiple of the message
//! whatever it consists of. Any of CR, LF and CRLF ends a segment. A line that does not begin as a segment is the rest of
//! the field before it: senders break lines inside of text. HL7 v2.5.1 §2.5, §2.10.2.

use std::fmt;
use std::ops::Range;

use crate::character_set::{self, CharacterSet};
use crate::delimiters::{DelimiterError, Delimiters};
use crate::escape;
use crate::remark::Remark;

/// How much of a message is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageLimits {
    /// Longest message in bytes.
    pub bytes: usize,
    /// Most segments.
    pub segments: usize,
    /// Most fields of one segment.
    pub fields: usize,
}

impl Default for MessageLimits {
    /// 32 MiB: a PDF of 20 MB in base64, with room. Ten thousand segments: laboratories send thousands of lines. No
    /// segment of the standard has more than a hundred fields.
    fn default() -> Self {
        MessageLimits { bytes: 32 * 1024 * 1024, segments: 10_000, fields: 500 }
    }
}

/// Why bytes are no message. The sender is answered with what [`crate::Fault`] makes of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Nothing there.
    #[error("there is no message")]
    Empty,
    /// It does not begin with MSH.
    #[error("the message does not begin with MSH")]
    NoHeader,
    /// A batch or file (BHS, FHS): one message at a time.
    #[error("this is a batch, not a message")]
    Batch,
    /// Characters of 16 or 32 bits.
    #[error("the message is written in characters of 16 or 32 bits")]
    WideCharacters,
    /// MSH-1 and MSH-2.
    #[error("the delimiters are unusable")]
    Delimiters(#[source] DelimiterError),
    /// Longer than is read.
    #[error("the message has {length} bytes, at most {limit} are read")]
    TooLong {
        /// Bytes found.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// More segments than are read.
    #[error("the message has more than {limit} segments")]
    TooManySegments {
        /// Segments allowed.
        limit: usize,
    },
    /// More fields than are read.
    #[error("a segment has more than {limit} fields")]
    TooManyFields {
        /// Fields allowed.
        limit: usize,
    },
    /// A second MSH: two messages in one frame.
    #[error("a second message begins inside of the message")]
    SecondHeader,
    /// ADD continues a segment, and there is none before it, neither here nor (MSH-14) in another message.
    #[error("a segment is continued that is not there")]
    NothingToContinue,
}

/// One message. What it says does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    text: String,
    segments: Vec<Range<usize>>,
    delimiters: Delimiters,
    set: CharacterSet,
    remarks: Vec<Remark>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} segments, {} bytes)", self.segments.len(), self.text.len())
    }
}

impl Message {
    /// Reads a message as it came out of its frame.
    ///
    /// # Errors
    /// See [`ParseError`].
    pub fn parse(bytes: &[u8], limits: &MessageLimits) -> Result<Self, ParseError> {
        if bytes.len() > limits.bytes {
            return Err(ParseError::TooLong { length: bytes.len(), limit: limits.bytes });
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
        let after_name = header(bytes)?;
        let delimiters = Delimiters::read(after_name).map_err(ParseError::Delimiters)?;
        let declared = declared_set(after_name, &delimiters);
        let byte = |one: char| u8::try_from(one).unwrap_or_default();
        let escape = delimiters.escape.map(byte);
        let decoded = character_set::decode(bytes, declared.as_deref(), byte(delimiters.field), escape);
        let mut message = Message {
            text: String::with_capacity(decoded.text.len()),
            segments: Vec::new(),
            delimiters,
            set: decoded.set,
            remarks: decoded.remarks,
        };
        message.take_lines(&decoded.text, limits)?;
        if !decoded.text.ends_with(['\r', '\n']) {
            message.remarks.push(Remark::NoFinalTerminator);
        }
        Ok(message)
    }

    fn take_lines(&mut self, text: &str, limits: &MessageLimits) -> Result<(), ParseError> {
        let field = self.delimiters.field;
        let (mut broken, mut continues_other) = (0, false);
        for line in text.split(['\r', '\n']).filter(|line| !line.is_empty()) {
            let name = line.split_once(field).map(|(name, _)| name).filter(|name| is_segment_name(name));
            match (name, self.segments.last_mut()) {
                (Some("MSH"), Some(_)) => return Err(ParseError::SecondHeader),
                (Some("ADD"), Some(last)) if last.start > 0 => {
                    self.text.push_str(line.get(4..).unwrap_or_default());
                    last.end = self.text.len();
                }
                (Some("ADD"), _) if !continues_other => {
                    return Err(ParseError::NothingToContinue);
                }
                (Some(_), _) => {
                    if self.segments.len() == limits.segments {
                        return Err(ParseError::TooManySegments { limit: limits.segments });
                    }
                    let start = self.text.len();
                    self.text.push_str(line);
                    self.segments.push(start..self.text.len());
                    if start == 0 {
                        continues_other = self.continuation_of().is_some();
                    }
                }
                (None, Some(last)) => {
                    broken += 1;
                    self.text.push('\n');
                    self.text.push_str(line);
                    last.end = self.text.len();
                }
                (None, None) => return Err(ParseError::NoHeader),
            }
        }
        if broken > 0 {
            self.remarks.push(Remark::LineBreakInField { lines: broken });
        }
        // One field more than separators.
        let fields = |range: &Range<usize>| self.text[range.clone()].matches(field).count() + 1;
        if self.segments.iter().any(|range| fields(range) > limits.fields) {
            return Err(ParseError::TooManyFields { limit: limits.fields });
        }
        Ok(())
    }

    /// Its segments, in order, the header first.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.segments.iter().map(|range| Segment { text: &self.text[range.clone()], message: self })
    }

    /// The first segment of this name.
    pub fn segment(&self, name: &str) -> Option<Segment<'_>> {
        self.segments().find(|segment| segment.name() == name)
    }

    /// A field of the header.
    pub fn header_field(&self, number: usize) -> Value<'_> {
        match self.segments().next() {
            Some(header) => header.field(number),
            None => Value { text: "", message: self },
        }
    }

    /// Message type and trigger event, MSH-9.1 and MSH-9.2, such as `ORU` and `R01`.
    pub fn kind(&self) -> (&str, &str) {
        let kind = self.header_field(9);
        (kind.component(1).raw(), kind.component(2).raw())
    }

    /// Message control id, MSH-10: what an acknowledgement names.
    pub fn control_id(&self) -> &str {
        self.header_field(10).raw()
    }

    /// Continuation pointer, DSC-1, if the rest is in another message, whose MSH-14 names it.
    pub fn continues_at(&self) -> Option<&str> {
        let last = self.segments().last().filter(|last| last.name() == "DSC")?;
        Some(last.field(1).component(1).raw()).filter(|pointer| !pointer.is_empty())
    }

    /// MSH-14: this message is the rest of one that ended with this pointer.
    pub fn continuation_of(&self) -> Option<&str> {
        Some(self.header_field(14).component(1).raw()).filter(|pointer| !pointer.is_empty())
    }

    /// What was odd about it so far.
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// The character set it was read in.
    pub fn character_set(&self) -> CharacterSet {
        self.set
    }

    /// Its delimiters.
    pub fn delimiters(&self) -> &Delimiters {
        &self.delimiters
    }

    /// Adds the rest of a message that was sent in two (§2.10.2.2): everything behind its header. Where it begins with ADD,
    /// that continues our last segment.
    ///
    /// # Errors
    /// [`ContinuationError`] names what does not fit. `self` is then what it was.
    pub fn join(&mut self, rest: &Message, limits: &MessageLimits) -> Result<(), ContinuationError> {
        let pointer = self.continues_at().ok_or(ContinuationError::Complete)?;
        if rest.continuation_of() != Some(pointer) {
            return Err(ContinuationError::OtherPointer);
        }
        if rest.delimiters != self.delimiters {
            return Err(ContinuationError::OtherDelimiters);
        }
        if self.text.len().saturating_add(rest.text.len()) > limits.bytes {
            return Err(ContinuationError::TooLong);
        }
        let mut lines: Vec<&str> = self.segments.iter().map(|range| &self.text[range.clone()]).collect();
        lines.pop();
        let rest_lines = rest.segments.iter().skip(1).map(|range| &rest.text[range.clone()]);
        lines.extend(rest_lines);
        // Line breaks inside of fields were remarked where they were read.
        let text = lines.join("\r");
        let mut joined = Message {
            text: String::with_capacity(text.len()),
            segments: Vec::new(),
            remarks: Vec::new(),
            ..*self
        };
        joined.take_lines(&text, limits).map_err(|_| ContinuationError::TooLong)?;
        joined.remarks = self.remarks.iter().chain(&rest.remarks).cloned().collect();
        *self = joined;
        Ok(())
    }
}

/// Why two messages are not two parts of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContinuationError {
    /// The first one says nothing of a continuation.
    #[error("the message is complete")]
    Complete,
    /// The second one continues another message.
    #[error("the continuation belongs to another message")]
    OtherPointer,
    /// Their delimiters differ.
    #[error("the continuation has other delimiters")]
    OtherDelimiters,
    /// Together they are more than is read.
    #[error("the message and its continuation are too long")]
    TooLong,
}

/// What follows the name of the header.
fn header(bytes: &[u8]) -> Result<&[u8], ParseError> {
    if bytes.is_empty() {
        return Err(ParseError::Empty);
    }
    let beginning = bytes.get(..bytes.len().min(8)).unwrap_or_default();
    if beginning.contains(&0) || beginning.starts_with(b"\xff\xfe") || beginning.starts_with(b"\xfe\xff") {
        return Err(ParseError::WideCharacters);
    }
    if bytes.starts_with(b"BHS") || bytes.starts_with(b"FHS") {
        return Err(ParseError::Batch);
    }
    bytes.strip_prefix(b"MSH").ok_or(ParseError::NoHeader)
}

/// MSH-18, first repetition: read before the text can be decoded, and ASCII in every set.
fn declared_set(after_name: &[u8], delimiters: &Delimiters) -> Option<String> {
    let end = after_name.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let line = after_name.get(..end.unwrap_or(after_name.len()))?;
    let field = u8::try_from(delimiters.field).ok()?;
    let declared = line.split(|byte| *byte == field).nth(17)?;
    let declared = String::from_utf8_lossy(declared);
    let first = declared.split(|letter| Some(letter) == delimiters.repetition).next()?.trim();
    (!first.is_empty()).then(|| first.to_owned())
}

fn is_segment_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() == 3
        && bytes.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        && bytes.first().is_some_and(u8::is_ascii_uppercase)
}

/// One segment.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    text: &'a str,
    message: &'a Message,
}

impl<'a> Segment<'a> {
    /// Its name, three characters.
    pub fn name(&self) -> &'a str {
        self.text.get(..3).unwrap_or_default()
    }

    /// The field with this number, counted from one as the standard does; empty if it is not there. Of the header, field 1
    /// is the delimiter itself.
    pub fn field(&self, number: usize) -> Value<'a> {
        let rest = self.text.get(3..).unwrap_or_default();
        let text = if self.name() == "MSH" && number == 1 {
            rest.get(..1)
        } else {
            let place = if self.name() == "MSH" { number.saturating_sub(1) } else { number };
            rest.split(self.message.delimiters.field).nth(place)
        };
        Value { text: text.unwrap_or_default(), message: self.message }
    }

    /// How many fields it has.
    pub fn field_count(&self) -> usize {
        let separators = self.text.matches(self.message.delimiters.field).count();
        if self.name() == "MSH" { separators + 1 } else { separators }
    }
}

/// A field, a repetition, a component or a subcomponent.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    text: &'a str,
    message: &'a Message,
}

impl<'a> Value<'a> {
    /// As it stands, without white space around it.
    pub fn raw(&self) -> &'a str {
        self.text.trim()
    }

    /// Whether there is nothing: no text, or `""`, which says that there is no value (§2.5.3).
    pub fn is_empty(&self) -> bool {
        matches!(self.raw(), "" | "\"\"")
    }

    /// Its text without escape sequences; empty for `""`.
    pub fn text(&self) -> String {
        if self.is_empty() { String::new() } else { self.unescaped(self.raw()).text }
    }

    /// The same with the white space around it, which a formatted text may begin with.
    pub(crate) fn formatted(&self) -> escape::Unescaped {
        if self.is_empty() { escape::Unescaped::default() } else { self.unescaped(self.text) }
    }

    fn unescaped(&self, text: &str) -> escape::Unescaped {
        escape::unescape(text, &self.message.delimiters, self.message.set)
    }

    /// The repetitions of a field: at least one, which may be empty.
    pub fn repetitions(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let separator = self.message.delimiters.repetition;
        let message = self.message;
        self.text.split(move |letter| Some(letter) == separator).map(move |text| Value { text, message })
    }

    /// The component with this number, from one. Of a field that repeats, ask a repetition.
    pub fn component(&self, number: usize) -> Value<'a> {
        let text = self.text.split(self.message.delimiters.component).nth(number.saturating_sub(1));
        Value { text: text.unwrap_or_default(), message: self.message }
    }

    /// What follows that many components, as it stands.
    pub(crate) fn after_components(&self, count: usize) -> Value<'a> {
        let text = self.text.splitn(count + 1, self.message.delimiters.component).nth(count);
        Value { text: text.unwrap_or_default(), message: self.message }
    }

    /// The subcomponent with this number, from one.
    pub fn subcomponent(&self, number: usize) -> Value<'a> {
        let separator = self.message.delimiters.subcomponent;
        let text = self.text.split(|letter| Some(letter) == separator).nth(number.saturating_sub(1));
        Value { text: text.unwrap_or_default(), message: self.message }
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
