//! The admin socket: front ends ask, the desk answers. One JSON object per line in each direction, in order.
//!
//! The socket's permissions decide who may connect: the web pages' group, and root. A line that is too long or not a
//! question is answered with a refusal and the connection goes on, so that a front end's mistake is visible there.

mod addenda;
mod addressees;
mod answer;
mod archive;
mod certificates;
mod lines;
mod matching;
mod nodes;
mod redirect;
mod requests;
mod status;
mod whom;

use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use beeldbox_protocol::admin::{
    Answer, CONTENT_BREAKS, CONTENT_ENDS, Call, LONGEST_PIECE, MAX_LINE_LEN, Refusal, RefusalCode, Reply,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub use answer::Desk;
pub use archive::Pieces;

/// Connections at once: the web pages' pool and a few command lines. More wait.
const MAX_CONNECTIONS: usize = 64;

/// Who answers.
pub trait Answers: Send + Sync + 'static {
    /// Answers one question, and gives the bytes that follow the answer, if any do.
    fn answer(&self, call: Call) -> impl Future<Output = (Answer, Option<Pieces>)> + Send;
}

impl Answers for Desk {
    async fn answer(&self, call: Call) -> (Answer, Option<Pieces>) {
        match self.content(&call).await {
            Some(Ok((content, pieces))) => (Ok(Reply::Content(content)), Some(pieces)),
            Some(Err(refusal)) => (Err(refusal), None),
            None => (Desk::answer(self, call).await, None),
        }
    }
}

/// Makes the socket, taking the place of one that a crash left behind.
///
/// # Errors
/// If it cannot be made.
pub fn bind(path: &Path) -> std::io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let socket = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(socket)
}

/// Answers until asked to stop.
pub async fn serve<D: Answers>(socket: UnixListener, desk: Arc<D>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "a front end could not connect");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (desk, stop) = (Arc::clone(&desk), stop.clone());
        tokio::spawn(async move {
            let ended = tokio::select! {
                () = stop.cancelled() => Ok(()),
                ended = converse(stream, &*desk) => ended,
            };
            if let Err(error) = ended {
                debug!(%error, "a front end went away");
            }
            drop(place);
        });
    }
}

async fn converse(stream: UnixStream, desk: &impl Answers) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let limit = u64::try_from(MAX_LINE_LEN).unwrap_or(u64::MAX);
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(limit).read_until(b'\n', &mut line).await?;
        if read == 0 {
            return Ok(());
        }
        let (answer, pieces) = if line.last() == Some(&b'\n') || read < MAX_LINE_LEN {
            answer_line(desk, &line).await
        } else {
            return Err(std::io::Error::other("a question longer than a line may be"));
        };
        let mut text = serde_json::to_vec(&answer).map_err(std::io::Error::other)?;
        text.push(b'\n');
        writer.write_all(&text).await?;
        if let Some(pieces) = pieces {
            write_content(&mut writer, pieces).await?;
        }
        writer.flush().await?;
    }
}

/// Pieces of content, each with its length before it, and how it ended.
async fn write_content(writer: &mut (impl AsyncWrite + Unpin), mut pieces: Pieces) -> std::io::Result<()> {
    while let Some(piece) = pieces.recv().await {
        let Ok(piece) = piece else {
            return writer.write_all(&CONTENT_BREAKS.to_be_bytes()).await;
        };
        for part in piece.chunks(usize::try_from(LONGEST_PIECE).unwrap_or(usize::MAX)) {
            let length = u32::try_from(part.len()).unwrap_or(CONTENT_BREAKS);
            writer.write_all(&length.to_be_bytes()).await?;
            writer.write_all(part).await?;
        }
    }
    writer.write_all(&CONTENT_ENDS.to_be_bytes()).await
}

async fn answer_line(desk: &impl Answers, line: &[u8]) -> (Answer, Option<Pieces>) {
    match serde_json::from_slice::<Call>(line) {
        Ok(call) => desk.answer(call).await,
        // The error's text may quote the line: only its place is told.
        Err(error) => {
            let message = format!("the line is not a question (column {})", error.column());
            (Err(Refusal { code: RefusalCode::NotAQuestion, message }), None)
        }
    }
}
