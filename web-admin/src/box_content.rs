//! Bytes behind an answer of the daemon: instances, pictures, folders. Each on a connection of its own.

use std::io::ErrorKind;
use std::time::Duration;

use beeldbox_protocol::admin::{CONTENT_BREAKS, CONTENT_ENDS, Content, LONGEST_PIECE, Question, Reply};
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::box_client::{BoxClient, BoxError};

/// Longest wait for the first byte: a picture may have to be decoded.
const LONGEST_START: Duration = Duration::from_secs(40);
/// Longest wait for the next piece.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What comes behind an answer.
pub struct ContentReader {
    read: BufReader<OwnedReadHalf>,
    /// Kept open: the daemon stops when it is closed.
    _write: OwnedWriteHalf,
    is_over: bool,
}

impl BoxClient {
    /// Asks for bytes on behalf of an account.
    ///
    /// # Errors
    /// If the daemon is absent, slow, odd or refuses.
    ///
    /// # Cancellation
    /// Dropping what is given closes the connection, and the daemon stops reading.
    pub async fn content(
        &self,
        account: &str,
        question: Question,
    ) -> Result<(Content, ContentReader), BoxError> {
        let asking = async {
            let (reply, read, write) = self.ask_alone(account, question).await?;
            let Reply::Content(content) = reply else { return Err(BoxError::Odd) };
            Ok((content, ContentReader { read, _write: write, is_over: false }))
        };
        tokio::time::timeout(LONGEST_START, asking).await.map_err(|_| BoxError::Slow)?
    }
}

impl ContentReader {
    /// The next piece; nothing once it has ended well.
    ///
    /// # Errors
    /// If it broke: what came before is worth nothing.
    pub async fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        if self.is_over {
            return Ok(None);
        }
        let piece = tokio::time::timeout(LONGEST_PAUSE, self.read_piece()).await;
        let piece = piece.map_err(|_| std::io::Error::from(ErrorKind::TimedOut)).and_then(|piece| piece);
        self.is_over = !matches!(piece, Ok(Some(_)));
        piece
    }

    async fn read_piece(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        match self.read.read_u32().await? {
            CONTENT_ENDS => Ok(None),
            CONTENT_BREAKS => Err(std::io::Error::other("the daemon cannot read it to its end")),
            length if length > LONGEST_PIECE => Err(ErrorKind::InvalidData.into()),
            length => {
                let mut piece = vec![0; usize::try_from(length).map_err(std::io::Error::other)?];
                self.read.read_exact(&mut piece).await?;
                Ok(Some(piece))
            }
        }
    }

    /// All of it, at most so many bytes.
    ///
    /// # Errors
    /// If it broke, or is longer.
    pub async fn all(mut self, most: usize) -> std::io::Result<Vec<u8>> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await? {
            if whole.len() + piece.len() > most {
                return Err(ErrorKind::FileTooLarge.into());
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }
}
