//! Starts `beeldbox-preview` for one image, feeds it and takes its answer. What it does meanwhile cannot hurt us: it runs in its
//! own cage, has no environment, and is stopped when it takes too long.

use std::io::Read;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::Duration;

use beeldbox_transfer::hand_out::OutgoingFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::{Semaphore, mpsc};

/// How long one image may take by the clock.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest answer that is taken, in bytes.
const LONGEST_ANSWER: u64 = 16 * 1024 * 1024;
/// Images at once: one may take a processor and 512 MiB, and the unit has 768 MiB for all.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(1));
/// Bytes of one piece that is fed.
const PIECE: usize = 256 * 1024;

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// The program is not where it belongs.
    #[error("the preview program cannot be started")]
    NotThere(#[source] std::io::Error),
    /// It said no, crashed, or was stopped by its cage.
    #[error("the preview program gives no answer: {0}")]
    NoAnswer(String),
    /// It took too long.
    #[error("the preview program took too long")]
    TooLong,
    /// The box is ending.
    #[error("the box is ending")]
    Ending,
}

/// A picture of one frame.
#[derive(Debug, Clone, Copy)]
pub struct Picture {
    /// Which frame, from zero.
    pub frame: u32,
    /// Most pixels on an edge.
    pub edge: u32,
    /// Centre and width of the window; without them as the image says.
    pub window: Option<(f64, f64)>,
}

/// What an image says of itself, in the DICOM JSON model.
///
/// # Errors
/// If it cannot be read.
pub async fn header(file: OutgoingFile) -> Result<String, PreviewError> {
    let answer = ask(file, &["header".to_owned()]).await?;
    String::from_utf8(answer).map_err(|_| PreviewError::NoAnswer("it is no text".to_owned()))
}

/// A picture, as PNG.
///
/// # Errors
/// If the image has none, or cannot be decoded.
pub async fn picture(file: OutgoingFile, wanted: Picture) -> Result<Vec<u8>, PreviewError> {
    let mut words = vec!["picture".to_owned(), wanted.frame.to_string(), wanted.edge.to_string()];
    if let Some((centre, width)) = wanted.window {
        words.extend([centre.to_string(), width.to_string()]);
    }
    ask(file, &words).await
}

/// Beside our own program, where everything is installed.
fn program() -> Result<PathBuf, PreviewError> {
    let own = std::env::current_exe().map_err(PreviewError::NotThere)?;
    Ok(own.with_file_name("beeldbox-preview"))
}

async fn ask(file: OutgoingFile, words: &[String]) -> Result<Vec<u8>, PreviewError> {
    let _place = PLACES.acquire().await.map_err(|_| PreviewError::Ending)?;
    let mut child = Command::new(program()?)
        .args(words)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(PreviewError::NotThere)?;
    let (Some(mut input), Some(output), Some(trouble)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(PreviewError::Ending);
    };
    let mut pieces = pieces_of(file);
    let feeding = async move {
        // It may have seen enough before the end; then nothing more is wanted.
        while let Some(piece) = pieces.recv().await {
            if input.write_all(&piece).await.is_err() {
                break;
            }
        }
    };
    let listening = async {
        let mut answer = Vec::new();
        output.take(LONGEST_ANSWER).read_to_end(&mut answer).await.map(|_| answer)
    };
    let complaining = async {
        let mut said = String::new();
        trouble.take(1024).read_to_string(&mut said).await.map(|_| said)
    };
    let all = async {
        let ((), answer, said) = tokio::join!(feeding, listening, complaining);
        (answer, said, child.wait().await)
    };
    let (answer, said, ended) =
        tokio::time::timeout(PATIENCE, all).await.map_err(|_| PreviewError::TooLong)?;
    let answer = answer.map_err(PreviewError::NotThere)?;
    match ended {
        Ok(status) if status.success() => Ok(answer),
        Ok(status) => {
            let said = said.unwrap_or_default();
            Err(PreviewError::NoAnswer(format!("{status}: {}", said.trim())))
        }
        Err(error) => Err(PreviewError::NotThere(error)),
    }
}

/// Reads on a thread of its own. An image that breaks ends early, and the program then refuses it.
fn pieces_of(mut file: OutgoingFile) -> mpsc::Receiver<Vec<u8>> {
    let (sender, pieces) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let limit = u64::try_from(PIECE).unwrap_or(u64::MAX);
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            match (&mut file).take(limit).read_to_end(&mut piece) {
                Ok(0) => return,
                Ok(_) if sender.blocking_send(piece).is_err() => return,
                Ok(_) => {}
                Err(error) => return tracing::error!(%error, "an instance broke while it was looked at"),
            }
        }
    });
    pieces
}
