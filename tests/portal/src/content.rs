//! Giving out bytes: letters and parts, whole or from the byte at which a download broke (RFC 9110 §14).

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use beeldbox_protocol::ident::Digest;
use beeldbox_protocol::portal::{content_digest, read_content_digest};
use futures_util::StreamExt;
use object_store::path::Path;

use crate::refusal::Refusal;
use crate::site::header_text;
use crate::store::{BODY_TIMEOUT, Store};

/// `Content-Digest` (RFC 9530 §2): of the bytes in this message.
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// `Repr-Digest` (RFC 9530 §3): of the whole, also when only a range of it is sent.
pub const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// Stored bytes that may be given out.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Where they lie.
    pub at: Path,
    /// Their digest.
    pub digest: Digest,
    /// How many.
    pub len: u64,
}

/// Which bytes to give out.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Range { from: u64, until: u64 },
    Nothing,
}

/// The answer to a GET.
pub async fn give(store: &Store, headers: &HeaderMap, stored: &Stored) -> Result<Response, Refusal> {
    let tag = format!("\"{}\"", stored.digest);
    let is_same = header_text(headers, header::IF_RANGE).is_none_or(|expected| expected == tag);
    let range = header_text(headers, header::RANGE).filter(|_| is_same);
    let (status, from, until) = match range.map_or(Wanted::All, |range| read_range(range, stored.len)) {
        Wanted::All => (StatusCode::OK, 0, stored.len),
        Wanted::Range { from, until } => (StatusCode::PARTIAL_CONTENT, from, until),
        Wanted::Nothing => return Err(Refusal::RangeOutside { len: stored.len }),
    };
    let body = store.body(&stored.at, from, until).await?;
    let mut response = (status, body).into_response();
    let digest = content_digest(&stored.digest);
    let mut told = vec![
        (header::ETAG, tag),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, (until - from).to_string()),
        (REPR_DIGEST, digest.clone()),
    ];
    if status == StatusCode::PARTIAL_CONTENT {
        told.push((header::CONTENT_RANGE, format!("bytes {from}-{}/{}", until - 1, stored.len)));
    } else {
        told.push((CONTENT_DIGEST, digest));
    }
    for (name, value) in told {
        let value = HeaderValue::try_from(value).map_err(|error| Refusal::Fault(error.to_string()))?;
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// One range of bytes. What is not understood, or more than one, means everything (RFC 9110 §14.2).
fn read_range(text: &str, len: u64) -> Wanted {
    let Some((first, last)) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Wanted::All;
    };
    let (from, until) = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.saturating_add(1).min(len)),
        (Ok(first), Err(_)) if last.trim().is_empty() => (first, len),
        (Err(_), Ok(suffix)) if first.trim().is_empty() => (len.saturating_sub(suffix), len),
        (Ok(_), Ok(_)) | (Ok(_), Err(_)) | (Err(_), Ok(_)) | (Err(_), Err(_)) => return Wanted::All,
    };
    if from >= until { Wanted::Nothing } else { Wanted::Range { from, until } }
}

/// The digest that a client says its body has.
pub fn claimed_digest(headers: &HeaderMap) -> Result<Digest, Refusal> {
    header_text(headers, CONTENT_DIGEST).and_then(read_content_digest).ok_or(Refusal::DigestNeeded)
}

/// The length that a client says its body has.
pub fn claimed_len(headers: &HeaderMap, limit: u64) -> Result<u64, Refusal> {
    let len = header_text(headers, header::CONTENT_LENGTH).and_then(|text| text.parse().ok());
    match len {
        None => Err(Refusal::LengthNeeded),
        Some(0) => Err(Refusal::Malformed("Nothing is not worth storing.".to_owned())),
        Some(len) if len > limit => Err(Refusal::TooLarge { limit }),
        Some(len) => Ok(len),
    }
}

/// Reads a body of bounded length to its end before it is refused: over HTTP/1.1 a client that is still writing would
/// otherwise see a broken connection instead of the answer.
pub async fn read_away(body: Body) {
    let mut body = body.into_data_stream();
    let read = async { while let Some(Ok(_)) = body.next().await {} };
    // A client that is too slow for this sees the broken connection.
    let _ = tokio::time::timeout(BODY_TIMEOUT, read).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let range = |from, until| Wanted::Range { from, until };
        assert_eq!(read_range("bytes=0-0", 10), range(0, 1));
        assert_eq!(read_range("bytes=4-", 10), range(4, 10));
        assert_eq!(read_range("bytes=4-400", 10), range(4, 10));
        assert_eq!(read_range("bytes=-3", 10), range(7, 10));
        assert_eq!(read_range("bytes=-30", 10), range(0, 10));
        assert_eq!(read_range("bytes=10-", 10), Wanted::Nothing);
        assert_eq!(read_range("bytes=-0", 10), Wanted::Nothing);
        for whole in ["bytes=5-4", "bytes=0-1,3-4", "bytes=-", "items=0-1", "bytes=a-b"] {
            assert_eq!(read_range(whole, 10), Wanted::All, "{whole}");
        }
    }
}
