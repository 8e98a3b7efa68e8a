//! Asks `beeldboxd`: one JSON line each way over its Unix socket.
//!
//! A few connections are kept and lent out. A connection that failed is dropped, never lent again. When a kept one
//! turns out to be closed, as after a restart of the daemon, the question is asked on a fresh one, but only if its
//! line was not sent whole: then it cannot have been understood, and no act is done twice.
//!
//! Nothing that is asked or answered is logged: the lines carry patient data.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use beeldbox_protocol::admin::{Actor, Answer, Call, FrontEnd, MAX_LINE_LEN, Question, Refusal, Reply};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;

/// Most questions at once. The daemon answers from one ledger, so more would only wait there.
const MOST_QUESTIONS: usize = 8;
/// Longest wait for a place among them.
const LONGEST_QUEUE: Duration = Duration::from_secs(3);
/// Longest wait for an answer: a person gives up after that, and so does the page.
const LONGEST_ANSWER: Duration = Duration::from_secs(8);
/// Longest wait where other systems are asked first.
const LONGEST_INQUIRY: Duration = Duration::from_secs(60);
/// Longest wait for [`Question::WaitForChange`], which the daemon answers after 25 seconds at the latest.
const LONGEST_CHANGE: Duration = Duration::from_secs(40);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum BoxError {
    /// Nobody listens at the socket.
    #[error("the daemon cannot be reached")]
    Absent(#[source] std::io::Error),
    /// No answer in time; whether an act was done is unknown.
    #[error("the daemon does not answer in time")]
    Slow,
    /// The connection ended in the middle; whether an act was done is unknown.
    #[error("the connection to the daemon broke")]
    Broken(#[source] std::io::Error),
    /// The answer was not an answer, or not to this question.
    #[error("the daemon's answer does not fit the question")]
    Odd,
    /// Too many questions at once.
    #[error("too many questions at once")]
    Busy,
    /// The daemon says no.
    #[error("the daemon refused")]
    Refused(Refusal),
}

/// The way to the daemon.
pub struct BoxClient {
    socket: PathBuf,
    places: Semaphore,
    kept: Mutex<Vec<Line>>,
}

/// One connection.
struct Line {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

/// How an exchange on one connection failed.
enum Fault {
    /// The line could not be sent whole: it was not understood.
    NotSent(std::io::Error),
    /// It was sent, but no whole answer came.
    NotAnswered(std::io::Error),
    /// What came is not an answer.
    Odd,
}

impl BoxClient {
    /// Talks to the daemon at this socket; opens nothing yet.
    pub fn new(socket: &Path) -> BoxClient {
        BoxClient {
            socket: socket.to_owned(),
            places: Semaphore::new(MOST_QUESTIONS),
            kept: Mutex::new(Vec::new()),
        }
    }

    /// Asks on behalf of an account.
    ///
    /// # Errors
    /// If the daemon is absent, slow, odd or refuses.
    ///
    /// # Cancellation
    /// Dropping this drops the connection; an act that was already sent may still be done.
    pub async fn ask(&self, account: &str, question: Question) -> Result<Reply, BoxError> {
        let place = tokio::time::timeout(LONGEST_QUEUE, self.places.acquire()).await;
        let Ok(Ok(_place)) = place else { return Err(BoxError::Busy) };
        let longest = longest_answer(&question);
        let text = encode(account, question)?;
        let exchange = self.exchange(&text);
        tokio::time::timeout(longest, exchange).await.map_err(|_| BoxError::Slow)?
    }

    /// Asks on a connection of its own, and gives it: bytes follow the answer.
    ///
    /// # Errors
    /// As [`BoxClient::ask`].
    pub(crate) async fn ask_alone(
        &self,
        account: &str,
        question: Question,
    ) -> Result<(Reply, BufReader<OwnedReadHalf>, OwnedWriteHalf), BoxError> {
        let text = encode(account, question)?;
        let mut line = self.open().await?;
        match line.exchange(&text).await {
            Ok(Ok(reply)) => Ok((reply, line.read, line.write)),
            Ok(Err(refusal)) => Err(BoxError::Refused(refusal)),
            Err(Fault::Odd) => Err(BoxError::Odd),
            Err(Fault::NotSent(error) | Fault::NotAnswered(error)) => Err(BoxError::Broken(error)),
        }
    }

    /// Waits until something differs from `since`. Uses a connection of its own, outside the bound.
    ///
    /// # Errors
    /// If the daemon is absent, slow or odd.
    pub async fn wait_for_change(&self, since: u64) -> Result<u64, BoxError> {
        let text = encode("beeldbox-admin", Question::WaitForChange { since })?;
        let wait = async {
            let mut line = self.open().await?;
            match line.exchange(&text).await {
                Ok(Ok(Reply::Changed(change))) => Ok(change),
                Ok(Err(refusal)) => Err(BoxError::Refused(refusal)),
                Ok(Ok(_)) | Err(Fault::Odd) => Err(BoxError::Odd),
                Err(Fault::NotSent(error) | Fault::NotAnswered(error)) => Err(BoxError::Broken(error)),
            }
        };
        tokio::time::timeout(LONGEST_CHANGE, wait).await.map_err(|_| BoxError::Slow)?
    }

    async fn exchange(&self, text: &[u8]) -> Result<Reply, BoxError> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(mut line) = kept {
            match line.exchange(text).await {
                Err(Fault::NotSent(_)) => {}
                other => return self.settle(line, other),
            }
        }
        let mut line = self.open().await?;
        let outcome = line.exchange(text).await;
        self.settle(line, outcome)
    }

    fn settle(&self, line: Line, outcome: Result<Answer, Fault>) -> Result<Reply, BoxError> {
        match outcome {
            Ok(answer) => {
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() < MOST_QUESTIONS {
                    kept.push(line);
                }
                answer.map_err(BoxError::Refused)
            }
            Err(Fault::NotSent(error) | Fault::NotAnswered(error)) => Err(BoxError::Broken(error)),
            Err(Fault::Odd) => Err(BoxError::Odd),
        }
    }

    async fn open(&self) -> Result<Line, BoxError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(BoxError::Absent)?;
        let (read, write) = stream.into_split();
        Ok(Line { read: BufReader::new(read), write })
    }
}

impl Line {
    async fn exchange(&mut self, text: &[u8]) -> Result<Answer, Fault> {
        self.write.write_all(text).await.map_err(Fault::NotSent)?;
        let limit = u64::try_from(MAX_LINE_LEN).unwrap_or(u64::MAX);
        let mut answer = Vec::new();
        let mut bounded = (&mut self.read).take(limit);
        bounded.read_until(b'\n', &mut answer).await.map_err(Fault::NotAnswered)?;
        if answer.last() != Some(&b'\n') {
            return Err(Fault::NotAnswered(std::io::ErrorKind::UnexpectedEof.into()));
        }
        serde_json::from_slice(&answer).map_err(|_| Fault::Odd)
    }
}

/// How long an answer may take: the hospital's own systems, or a decoder, may have to be asked first.
fn longest_answer(question: &Question) -> Duration {
    #[expect(clippy::wildcard_enum_match_arm, reason = "every other question is answered from the ledger")]
    match question {
        Question::Candidates { .. } | Question::Import { .. } | Question::Header { .. } => LONGEST_INQUIRY,
        _ => LONGEST_ANSWER,
    }
}

fn encode(account: &str, question: Question) -> Result<Vec<u8>, BoxError> {
    let call = Call { actor: Actor { name: account.to_owned(), through: FrontEnd::Web }, question };
    let mut text = serde_json::to_vec(&call).map_err(|_| BoxError::Odd)?;
    text.push(b'\n');
    Ok(text)
}
