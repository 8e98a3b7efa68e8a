//! Frames: where a message begins and ends, how long it may be, and how long it may take.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// VT, with which a frame begins.
const START: u8 = 0x0b;
/// FS, with which the content ends. CR follows; some senders leave it out, so it is not waited for.
const END: u8 = 0x1c;
/// How much is read at once.
const PIECE: usize = 64 * 1024;

/// How long a peer is waited for, and how much it may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Between two messages: interface engines keep a connection for hours.
    pub idle: Duration,
    /// Between two bytes of a message.
    pub stall: Duration,
    /// For one message, from its first byte to its last.
    pub message: Duration,
    /// For taking an answer of ours.
    pub write: Duration,
    /// Longest message in bytes.
    pub longest: usize,
}

impl Default for Patience {
    /// An hour of silence, ten seconds between bytes, two minutes for a message: 32 MiB at 2.3 Mbit/s.
    fn default() -> Self {
        Patience {
            idle: Duration::from_secs(3600),
            stall: Duration::from_secs(10),
            message: Duration::from_secs(120),
            write: Duration::from_secs(30),
            longest: 32 * 1024 * 1024,
        }
    }
}

/// Why there is no frame. After each of these the connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] std::io::Error),
    /// It ended inside of a message.
    #[error("the connection ended inside of a message")]
    CutOff,
    /// Bytes that begin no frame: no peer of HL7.
    #[error("what was sent is no frame of MLLP")]
    NotMllp,
    /// A frame begins inside of a frame: the one before was never ended.
    #[error("a second message begins before the first one ended")]
    StartInside,
    /// Longer than is taken.
    #[error("the message is longer than {limit} bytes")]
    TooLong {
        /// Bytes allowed.
        limit: usize,
    },
    /// Nothing came for too long between messages.
    #[error("nothing was sent for too long")]
    Idle,
    /// Nothing came for too long inside of a message.
    #[error("the message stopped coming")]
    Stalled,
    /// The message came too slowly.
    #[error("the message took too long")]
    TooSlow,
    /// The peer does not take what we write.
    #[error("the peer does not read")]
    NotRead,
}

/// The reading side of a connection.
#[derive(Debug)]
pub struct FrameReader {
    patience: Patience,
    /// Bytes that came and belong to no message that was given out.
    waiting: Vec<u8>,
}

impl FrameReader {
    /// For a connection on which nothing was read yet.
    pub fn new(patience: Patience) -> Self {
        FrameReader { patience, waiting: Vec::new() }
    }

    /// Waits until a message begins; `false` if the peer has closed between messages. Line ends between frames are passed
    /// over.
    ///
    /// # Errors
    /// See [`FrameError`].
    ///
    /// # Cancellation
    /// May be dropped at any moment: nothing is lost.
    pub async fn begins<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> Result<bool, FrameError> {
        let deadline = Instant::now() + self.patience.idle;
        loop {
            let gap = self.waiting.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
            self.waiting.drain(..gap.unwrap_or(self.waiting.len()));
            match self.waiting.first() {
                Some(&START) => return Ok(true),
                Some(_) => return Err(FrameError::NotMllp),
                None => {}
            }
            let read = timeout_at(deadline, stream.read_buf(&mut self.waiting)).await;
            if read.map_err(|_| FrameError::Idle)?.map_err(FrameError::Broken)? == 0 {
                return Ok(false);
            }
        }
    }

    /// Reads the message that has begun, without its frame.
    ///
    /// # Errors
    /// See [`FrameError`].
    ///
    /// # Cancellation
    /// Dropping it loses what has come; the connection is then of no more use.
    pub async fn message<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> Result<Vec<u8>, FrameError> {
        let whole = Instant::now() + self.patience.message;
        let mut message = std::mem::take(&mut self.waiting);
        // The start block, seen by `begins`.
        message.drain(..1);
        let mut seen = 0;
        loop {
            let fresh = message.get(seen..).unwrap_or_default();
            if let Some(at) = fresh.iter().position(|byte| matches!(*byte, START | END)) {
                if fresh.get(at) == Some(&START) {
                    return Err(FrameError::StartInside);
                }
                self.waiting = message.split_off(seen + at);
                self.waiting.drain(..1);
                return if message.len() > self.patience.longest {
                    Err(self.too_long())
                } else {
                    Ok(message)
                };
            }
            seen = message.len();
            if seen > self.patience.longest {
                return Err(self.too_long());
            }
            let stall = Instant::now() + self.patience.stall;
            message.reserve(PIECE);
            let read = timeout_at(stall.min(whole), stream.read_buf(&mut message)).await;
            let late = if stall < whole { FrameError::Stalled } else { FrameError::TooSlow };
            if read.map_err(|_| late)?.map_err(FrameError::Broken)? == 0 {
                return Err(FrameError::CutOff);
            }
        }
    }

    fn too_long(&self) -> FrameError {
        FrameError::TooLong { limit: self.patience.longest }
    }
}

/// Writes a message in its frame and flushes it.
///
/// # Errors
/// [`FrameError::Broken`] and [`FrameError::NotRead`].
///
/// # Cancellation
/// Dropping it leaves half a frame; the connection is then of no more use.
pub async fn write_frame<S: AsyncWrite + Unpin>(
    stream: &mut S,
    message: &[u8],
    within: Duration,
) -> Result<(), FrameError> {
    let mut frame = Vec::with_capacity(message.len() + 3);
    frame.push(START);
    frame.extend_from_slice(message);
    frame.extend_from_slice(&[END, b'\r']);
    let written = timeout_at(Instant::now() + within, async {
        stream.write_all(&frame).await?;
        stream.flush().await
    });
    written.await.map_err(|_| FrameError::NotRead)?.map_err(FrameError::Broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn frames(bytes: &[u8], longest: usize) -> (Vec<Vec<u8>>, Option<FrameError>) {
        let mut reader = FrameReader::new(Patience { longest, ..Patience::default() });
        let (mut read, mut stream) = (Vec::new(), bytes);
        loop {
            match reader.begins(&mut stream).await {
                Ok(true) => {}
                Ok(false) => return (read, None),
                Err(error) => return (read, Some(error)),
            }
            match reader.message(&mut stream).await {
                Ok(message) => read.push(message),
                Err(error) => return (read, Some(error)),
            }
        }
    }

    #[tokio::test]
    async fn frames_are_parted() {
        let (read, error) = frames(b"\x0ba\rb\x1c\r\n\x0bc\x1c\x0b\x1c\r", 10).await;
        assert_eq!((read, error.is_none()), (vec![b"a\rb".to_vec(), b"c".to_vec(), vec![]], true));
    }

    #[tokio::test]
    async fn what_is_no_frame_is_named() {
        assert!(matches!(frames(b"GET / HTTP/1.1\r\n", 10).await.1, Some(FrameError::NotMllp)));
        assert!(matches!(frames(b"\x0babc", 10).await.1, Some(FrameError::CutOff)));
        assert!(matches!(frames(b"\x0ba\x0bb\x1c\r", 10).await.1, Some(FrameError::StartInside)));
        assert!(matches!(
            frames(b"\x0b0123456789a\x1c\r", 10).await.1,
            Some(FrameError::TooLong { limit: 10 })
        ));
        assert_eq!(frames(b"\x0b0123456789\x1c\r", 10).await.0.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_longer_than_agreed() {
        let patience = Patience::default();
        let (mut near, mut far) = tokio::io::duplex(64);
        let mut reader = FrameReader::new(patience);
        assert!(matches!(reader.begins(&mut near).await, Err(FrameError::Idle)));
        far.write_all(b"\x0bMSH").await.unwrap();
        assert!(reader.begins(&mut near).await.unwrap());
        assert!(matches!(reader.message(&mut near).await, Err(FrameError::Stalled)));
        let mut reader = FrameReader::new(patience);
        let slow = tokio::spawn(async move {
            far.write_all(b"\x0b").await.unwrap();
            loop {
                tokio::time::sleep(Duration::from_secs(9)).await;
                if far.write_all(b"x").await.is_err() {
                    return;
                }
            }
        });
        assert!(reader.begins(&mut near).await.unwrap());
        assert!(matches!(reader.message(&mut near).await, Err(FrameError::TooSlow)));
        slow.abort();
        let (mut near, _far) = tokio::io::duplex(4);
        let written = write_frame(&mut near, b"0123456789", patience.write).await;
        assert!(matches!(written, Err(FrameError::NotRead)));
    }
}
