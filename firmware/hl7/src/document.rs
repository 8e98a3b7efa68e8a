//! Documents inside of observations: ED, and what senders make of it.
//!
//! ED is `source ^ type ^ subtype ^ encoding ^ data` (§2.A.24). The type is often wrong or missing, the base64 is broken
//! over lines, repetitions or several OBX, and some put it into a text field. What a document is, its first bytes say.

use beeldbox_protocol::clinical::Confidential;
use data_encoding::{BASE64_NOPAD, HEXUPPER_PERMISSIVE};

/// What a document is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DocumentKind {
    /// `%PDF-`.
    Pdf,
    /// A JPEG picture.
    Jpeg,
    /// A PNG picture.
    Png,
    /// XML, such as CDA.
    Xml,
    /// Rich text: readable, and not what a report can be made of.
    Rtf,
    /// An Office or ZIP file.
    Zip,
    /// Plain text: nothing else, and valid UTF-8 without control characters.
    Text,
    /// Something else.
    Other,
}

impl DocumentKind {
    /// Looks at the first bytes.
    pub fn of(bytes: &[u8]) -> Self {
        // Some printers write a line before the PDF begins; readers look through the first kilobyte.
        let beginning = bytes.get(..bytes.len().min(1024)).unwrap_or_default();
        let trimmed = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
        if beginning.windows(5).any(|window| window == b"%PDF-") {
            DocumentKind::Pdf
        } else if bytes.starts_with(b"\xff\xd8\xff") {
            DocumentKind::Jpeg
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            DocumentKind::Png
        } else if trimmed.starts_with(b"{\\rtf") {
            DocumentKind::Rtf
        } else if bytes.starts_with(b"PK\x03\x04") {
            DocumentKind::Zip
        } else if trimmed.starts_with(b"<?xml") || trimmed.starts_with(b"<ClinicalDocument") {
            DocumentKind::Xml
        } else if is_text(bytes) {
            DocumentKind::Text
        } else {
            DocumentKind::Other
        }
    }

    /// Its MIME type.
    pub fn mime_type(self) -> &'static str {
        match self {
            DocumentKind::Pdf => "application/pdf",
            DocumentKind::Jpeg => "image/jpeg",
            DocumentKind::Png => "image/png",
            DocumentKind::Xml => "text/xml",
            DocumentKind::Rtf => "application/rtf",
            DocumentKind::Zip => "application/zip",
            DocumentKind::Text => "text/plain",
            DocumentKind::Other => "application/octet-stream",
        }
    }

    /// Type and subtype of ED (tables 0191 and 0291).
    pub(crate) fn ed_type(self) -> (&'static str, &'static str) {
        match self {
            DocumentKind::Pdf => ("application", "pdf"),
            DocumentKind::Jpeg => ("image", "jpeg"),
            DocumentKind::Png => ("image", "png"),
            DocumentKind::Xml => ("text", "xml"),
            DocumentKind::Rtf => ("application", "rtf"),
            DocumentKind::Zip => ("application", "zip"),
            DocumentKind::Text => ("text", "plain"),
            DocumentKind::Other => ("application", "octet-stream"),
        }
    }

    /// What ED calls it, in any of the ways that occur; `None` if it says nothing that we know.
    fn declared(kind: &str, subtype: &str) -> Option<Self> {
        let said = format!("{kind} {subtype}").to_ascii_lowercase();
        let table = [
            ("pdf", DocumentKind::Pdf),
            ("jpeg", DocumentKind::Jpeg),
            ("jpg", DocumentKind::Jpeg),
            ("png", DocumentKind::Png),
            ("rtf", DocumentKind::Rtf),
            ("xml", DocumentKind::Xml),
            ("x-hl7-cda", DocumentKind::Xml),
            ("plain", DocumentKind::Text),
        ];
        table.iter().find(|(word, _)| said.contains(word)).map(|(_, kind)| *kind)
    }
}

fn is_text(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    !text.chars().any(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t'))
}

/// A document.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// What it is.
    pub kind: DocumentKind,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Document({:?}, {} bytes)", self.kind, self.bytes.len())
    }
}

/// Why data are no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Nothing there.
    #[error("there is no data")]
    Empty,
    /// Not base64, or cut off inside of it.
    #[error("the base64 is broken")]
    Base64,
    /// Not hexadecimal.
    #[error("the hexadecimal digits are broken")]
    Hexadecimal,
    /// A PDF or picture without its end: it was cut off on its way.
    #[error("the document has no end")]
    CutOff,
    /// An encoding that is not in table 0299.
    #[error("the encoding is unknown")]
    UnknownEncoding,
}

/// How ED says its data are written (table 0299).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DataEncoding {
    Base64,
    Hex,
    Plain,
}

impl DataEncoding {
    fn named(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("base64") || text.eq_ignore_ascii_case("b64") {
            Some(DataEncoding::Base64)
        } else if text.eq_ignore_ascii_case("hex") {
            Some(DataEncoding::Hex)
        } else {
            text.eq_ignore_ascii_case("A").then_some(DataEncoding::Plain)
        }
    }
}

/// An ED while it is put together: the data of several repetitions or OBX.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Encoded {
    encoding: DataEncoding,
    declared: Option<DocumentKind>,
    data: String,
}

impl Encoded {
    /// From the first four components of an ED and its data.
    pub(crate) fn new(kind: &str, subtype: &str, encoding: &str, data: &str) -> Result<Self, DocumentError> {
        let encoding = match (DataEncoding::named(encoding), encoding.is_empty()) {
            (Some(encoding), _) => encoding,
            (None, true) => DataEncoding::Base64,
            (None, false) => return Err(DocumentError::UnknownEncoding),
        };
        let mut encoded =
            Encoded { encoding, declared: DocumentKind::declared(kind, subtype), data: String::new() };
        encoded.push(data);
        Ok(encoded)
    }

    /// Base64 that stands in a text field.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let beginning: String = text.chars().filter(|letter| !letter.is_whitespace()).take(8).collect();
        // `%PDF-`, the beginnings of JPEG and of PNG.
        let is_document = ["JVBERi0", "/9j/4", "iVBORw0K"].iter().any(|known| beginning.starts_with(known));
        let is_base64 = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/' | '=');
        (is_document && text.chars().all(|letter| is_base64(letter) || letter.is_whitespace())).then(|| {
            let data = text.split_whitespace().collect();
            Encoded { encoding: DataEncoding::Base64, declared: None, data }
        })
    }

    /// More of the same document. White space means something in plain text only.
    pub(crate) fn push(&mut self, data: &str) {
        match self.encoding {
            DataEncoding::Base64 | DataEncoding::Hex => self.data.extend(data.split_whitespace()),
            DataEncoding::Plain => self.data.push_str(data),
        }
    }

    /// Takes a line of text as more of the same document, if it can be that and the document has no end yet.
    pub(crate) fn push_line(&mut self, line: &str) -> bool {
        let is_base64 = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/' | '=');
        let fits = !line.is_empty() && line.chars().all(is_base64) && !self.has_end();
        if fits {
            self.data.push_str(line);
        }
        fits
    }

    /// Whether base64 so far ends as a PDF, a JPEG or a PNG does.
    fn has_end(&self) -> bool {
        let whole = self.data.len() - self.data.len() % 4;
        let tail = self.data.get(whole.saturating_sub(4096)..).unwrap_or_default();
        base64(tail).is_ok_and(|bytes| {
            [&b"%%EOF"[..], b"\xff\xd9", b"IEND"]
                .iter()
                .any(|end| bytes.windows(end.len()).any(|at| at == *end))
        })
    }

    /// Whether these data begin a document of their own.
    pub(crate) fn begins_anew(data: &str) -> bool {
        Encoded::from_text(data.get(..data.len().min(64)).unwrap_or_default()).is_some()
    }

    /// The document, and whether it is what was declared.
    pub(crate) fn finish(self) -> Result<(Document, bool), DocumentError> {
        if self.data.is_empty() {
            return Err(DocumentError::Empty);
        }
        let bytes = match self.encoding {
            DataEncoding::Base64 => base64(&self.data)?,
            DataEncoding::Hex => {
                HEXUPPER_PERMISSIVE.decode(self.data.as_bytes()).map_err(|_| DocumentError::Hexadecimal)?
            }
            DataEncoding::Plain => self.data.into_bytes(),
        };
        let kind = DocumentKind::of(&bytes);
        if !is_whole(kind, &bytes) {
            return Err(DocumentError::CutOff);
        }
        let as_declared = self.declared.is_none_or(|declared| declared == kind);
        Ok((Document { kind, bytes }, as_declared))
    }
}

/// Base64 in either alphabet, with or without padding. Padding ends it: what was encoded in pieces has
/// padding inside and each piece is decoded.
fn base64(text: &str) -> Result<Vec<u8>, DocumentError> {
    let mut plain = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        plain.push(match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        });
    }
    let mut bytes = Vec::with_capacity(plain.len() / 4 * 3);
    for piece in plain.split(|byte| *byte == b'=').filter(|piece| !piece.is_empty()) {
        let start = bytes.len();
        let length = BASE64_NOPAD.decode_len(piece.len()).map_err(|_| DocumentError::Base64)?;
        bytes.resize(start + length, 0);
        let room = bytes.get_mut(start..).ok_or(DocumentError::Base64)?;
        let written = BASE64_NOPAD.decode_mut(piece, room).map_err(|_| DocumentError::Base64)?;
        bytes.truncate(start + written);
    }
    if bytes.is_empty() { Err(DocumentError::Base64) } else { Ok(bytes) }
}

/// Whether the document has the end that its kind has. Some bytes may follow it.
fn is_whole(kind: DocumentKind, bytes: &[u8]) -> bool {
    let ends_with = |end: &[u8]| {
        let from = bytes.len().saturating_sub(2048);
        bytes.get(from..).unwrap_or_default().windows(end.len()).any(|window| window == end)
    };
    match kind {
        DocumentKind::Pdf => ends_with(b"%%EOF"),
        DocumentKind::Jpeg => ends_with(b"\xff\xd9"),
        DocumentKind::Png => ends_with(b"IEND"),
        DocumentKind::Xml
        | DocumentKind::Rtf
        | DocumentKind::Zip
        | DocumentKind::Text
        | DocumentKind::Other => true,
    }
}

/// The text of a plain document, for whoever shows it.
impl Document {
    /// The text, if it is plain text.
    pub fn text(&self) -> Option<Confidential> {
        let text = std::str::from_utf8(&self.bytes).ok()?;
        (self.kind == DocumentKind::Text).then(|| Confidential::new(text))
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;

    use super::*;

    const PDF: &[u8] = b"%PDF-1.4\nsome text of a report\n%%EOF\n";

    fn decode(encoding: &str, data: &str) -> Result<(Document, bool), DocumentError> {
        Encoded::new("application", "pdf", encoding, data).and_then(Encoded::finish)
    }

    #[test]
    fn base64_is_read_in_every_dress() {
        let plain = BASE64.encode(PDF);
        let (head, tail) = plain.split_at(20);
        let pieces = format!("{}{}", BASE64.encode(&PDF[..10]), BASE64.encode(&PDF[10..]));
        let bare = plain.trim_end_matches('=').replace('+', "-").replace('/', "_");
        for data in [plain.clone(), format!("{head}\r\n {tail}\n"), pieces, bare] {
            let (document, as_declared) = decode("Base64", &data).unwrap();
            assert_eq!((document.kind, document.bytes.as_slice()), (DocumentKind::Pdf, PDF));
            assert!(as_declared);
        }
        assert_eq!(decode("", &plain).unwrap().0.bytes, PDF);
        let hex = data_encoding::HEXLOWER.encode(PDF);
        assert_eq!(decode("Hex", &hex).unwrap().0.bytes, PDF);
    }

    #[test]
    fn what_is_broken_is_named() {
        let plain = BASE64.encode(PDF);
        assert_eq!(decode("Base64", ""), Err(DocumentError::Empty));
        assert_eq!(decode("Base64", "===="), Err(DocumentError::Base64));
        assert_eq!(decode("Base64", "%%%"), Err(DocumentError::Base64));
        assert_eq!(decode("Hex", "0g"), Err(DocumentError::Hexadecimal));
        assert_eq!(decode("uuencode", "x"), Err(DocumentError::UnknownEncoding));
        assert_eq!(decode("Base64", &plain[..28]), Err(DocumentError::CutOff));
    }

    #[test]
    fn a_document_is_what_its_bytes_say() {
        assert_eq!(DocumentKind::of(b"\xff\xd8\xff\xe0"), DocumentKind::Jpeg);
        assert_eq!(DocumentKind::of(b"{\\rtf1 x"), DocumentKind::Rtf);
        assert_eq!(DocumentKind::of(b"PK\x03\x04x"), DocumentKind::Zip);
        assert_eq!(DocumentKind::of(b"\n<?xml version='1.0'?>"), DocumentKind::Xml);
        assert_eq!(DocumentKind::of("één".as_bytes()), DocumentKind::Text);
        assert_eq!(DocumentKind::of(b"\0\x01"), DocumentKind::Other);
        let text = Encoded::new("application", "pdf", "Base64", &BASE64.encode(b"no pdf")).unwrap();
        assert!(!text.finish().unwrap().1, "declared as something else");
    }

    #[test]
    fn base64_in_a_text_is_known_by_its_beginning() {
        assert!(Encoded::from_text(&BASE64.encode(PDF)).is_some());
        assert!(Encoded::from_text("JVBERi0 is how a PDF begins, they say.").is_none());
        assert!(Encoded::from_text("Geen afwijkingen").is_none());
    }
}
