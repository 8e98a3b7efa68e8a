//! The demo's own voice at a box's admin socket: asks what a technician would ask, until it is answered.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use beeldbox_protocol::admin::{Actor, Answer, Call, FrontEnd, Question, Reply, Status};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// The desk of one box.
#[derive(Clone)]
pub struct Desk {
    socket: PathBuf,
    person: &'static str,
}

impl Desk {
    /// At this socket.
    pub fn at(socket: PathBuf) -> Desk {
        Desk { socket, person: "demo" }
    }

    /// The same desk, where somebody else asks.
    pub fn by(self, person: &'static str) -> Desk {
        Desk { person, ..self }
    }

    /// Asks once, on a connection of its own: a daemon that was killed meanwhile is asked anew.
    pub async fn ask_once(&self, question: Question) -> Result<Answer> {
        let stream = UnixStream::connect(&self.socket).await.context("the box does not answer")?;
        let (reader, mut writer) = stream.into_split();
        let actor = Actor { name: self.person.to_owned(), through: FrontEnd::CommandLine };
        let mut line = serde_json::to_vec(&Call { actor, question })?;
        line.push(b'\n');
        writer.write_all(&line).await?;
        let mut answer = String::new();
        if BufReader::new(reader).read_line(&mut answer).await? == 0 {
            bail!("the box ended before it answered");
        }
        Ok(serde_json::from_str(&answer)?)
    }

    /// Asks until the box answers; it may be on its way up again. A refusal is an answer.
    pub async fn ask(&self, question: Question) -> Result<Reply> {
        let mut last = None;
        for _ in 0..600 {
            match self.ask_once(question.clone()).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(refusal)) => return Err(refusal.into()),
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("the box does not answer")))
    }

    /// How the box is.
    pub async fn status(&self) -> Result<Status> {
        let Reply::Status(status) = self.ask(Question::Status).await? else {
            bail!("the box answered another question")
        };
        Ok(*status)
    }
}
