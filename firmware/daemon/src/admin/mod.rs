//! The admin socket: front ends ask, the desk answers. One JSON object per line in each direction, in order.
//!
//! The socket's permissions decide who may connect: the web pages' group, and root. A line that is too long or not a
//! question is answered with a refusal and the connection goes on, so that a front end's mistake is visible there.

mod addenda;
mod addressees;
mod answer;
mod certificates;
mod lines;
mod nodes;
mod redirect;
mod requests;
mod status;
mod whom;

use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use beeldbox_protocol::admin::{Answer, Call, MAX_LINE_LEN, Refusal, RefusalCode};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub use answer::Desk;

/// Connections at once: the web pages' pool and a few command lines. More wait.
const MAX_CONNECTIONS: usize = 64;

/// Who answers.
pub trait Answers: Send + Sync + 'static {
    /// Answers one question.
    fn answer(&self, call: Call) -> impl Future<Output = Answer> + Send;
}

impl Answers for Desk {
    async fn answer(&self, call: Call) -> Answer {
        Desk::answer(self, call).await
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
        let answer = if line.last() == Some(&b'\n') || read < MAX_LINE_LEN {
            answer_line(desk, &line).await
        } else {
            return Err(std::io::Error::other("a question longer than a line may be"));
        };
        let mut text = serde_json::to_vec(&answer).map_err(std::io::Error::other)?;
        text.push(b'\n');
        writer.write_all(&text).await?;
        writer.flush().await?;
    }
}

async fn answer_line(desk: &impl Answers, line: &[u8]) -> Answer {
    match serde_json::from_slice::<Call>(line) {
        Ok(call) => desk.answer(call).await,
        // The error's text may quote the line: only its place is told.
        Err(error) => Err(Refusal {
            code: RefusalCode::NotAQuestion,
            message: format!("the line is not a question (column {})", error.column()),
        }),
    }
}
