//! One end of an association: a stream, what comes in, what may go out, and how it ends.
//!
//! ```text
//!  stream ─▶ Inflow (bytes → PDUs) ─▶ Machine (may this come now?) ─▶ caller
//!  caller ─▶ Machine (may we say this now?) ─▶ stream
//!                  any breach ─▶ A-ABORT as the table says ─▶ Sta13: ARTIM until the peer closes
//! ```
//!
//! Nothing is taken from the peer and nothing is sent without asking the state machine of the upper layer, so the table
//! decides and not the order of statements somewhere. PS3.8 §9.2.

use std::io;
use std::time::Duration;

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::greeting::Greeting;
use crate::inflow::Inflow;
use crate::patience::{Patience, Phase, Timers, Wait};
use crate::pdu::{ABORT_BY_USER, Incoming, RELEASE_REPLY, RELEASE_REQUEST, WireError, abort_by_provider};
use crate::upper_layer::{Action, Event, Machine, Role, State};

/// After this much quiet between messages the buffers are given back.
const QUIET: Duration = Duration::from_secs(1);
/// How long the rest of a greeting that is not DICOM may take, to be named.
const GREETING: Duration = Duration::from_millis(300);
/// How long we stay behind a peer that does not speak DICOM, or when the node is stopping.
const SHORT_FAREWELL: Duration = Duration::from_millis(500);

/// One end of an association.
pub(crate) struct Wire<S> {
    stream: S,
    inflow: Inflow,
    machine: Machine,
    patience: Patience,
    /// The abort that the table asked for when something came out of turn.
    owed: Option<Action>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// The end of somebody who was connected to: waits for A-ASSOCIATE-RQ, and ARTIM runs.
    pub(crate) fn acceptor(stream: S, timers: Timers, phase: Option<watch::Receiver<Phase>>) -> Self {
        let mut wire = Self::new(stream, Role::Acceptor, timers, phase);
        // Sta1 takes this event by construction.
        let _ = wire.machine.apply(Event::Evt5);
        wire.patience.start_artim();
        wire
    }

    /// The end of somebody who has connected.
    pub(crate) fn requestor(stream: S, timers: Timers) -> Self {
        let mut wire = Self::new(stream, Role::Requestor, timers, None);
        let _ = wire.machine.apply(Event::Evt1);
        wire
    }

    /// An association in whatever state.
    #[cfg(test)]
    pub(crate) fn at(stream: S, timers: Timers, role: Role, state: State) -> Self {
        Wire { machine: Machine::at(role, state), ..Self::new(stream, role, timers, None) }
    }

    fn new(stream: S, role: Role, timers: Timers, phase: Option<watch::Receiver<Phase>>) -> Self {
        let (machine, patience) = (Machine::new(role), Patience::new(timers, phase));
        Wire { stream, inflow: Inflow::default(), machine, patience, owed: None }
    }

    /// The next control PDU or piece of data that may come in this state.
    ///
    /// # Cancellation
    /// Safe to drop: nothing that was read is lost.
    pub(crate) async fn next(&mut self, wait: Wait) -> Result<Incoming, WireError> {
        if wait == Wait::Idle {
            self.patience.begin_message();
        }
        loop {
            match self.inflow.next()? {
                Some(incoming) => return self.admit(incoming),
                None => self.fill(wait).await?,
            }
        }
    }

    /// Asks for the association (A-ASSOCIATE-RQ). The answer must be there within ARTIM.
    pub(crate) async fn request(&mut self, pdu: &[u8]) -> Result<(), WireError> {
        self.step(Event::Evt2, pdu).await?;
        self.patience.start_artim();
        Ok(())
    }

    /// Accepts (A-ASSOCIATE-AC).
    pub(crate) async fn accept(&mut self, pdu: &[u8]) -> Result<(), WireError> {
        self.step(Event::Evt7, pdu).await
    }

    /// Rejects (A-ASSOCIATE-RJ) and closes.
    pub(crate) async fn reject(mut self, pdu: &[u8]) {
        // A peer that does not read its rejection is gone all the same.
        let _ = self.step(Event::Evt8, pdu).await;
        self.close().await;
    }

    /// Sends whole P-DATA-TF PDUs and flushes: a TLS layer may keep bytes until it is told.
    pub(crate) async fn send(&mut self, pdus: &[u8]) -> Result<(), WireError> {
        self.step(Event::Evt9, pdus).await
    }

    /// Answers A-RELEASE-RQ.
    pub(crate) async fn answer_release(&mut self) -> Result<(), WireError> {
        self.step(Event::Evt14, &RELEASE_REPLY).await
    }

    /// Ends the association in good order from our side. A request of the peer that crosses ours is answered in the
    /// order of PS3.8 §7.2.2: the requestor of the association answers first. Data that still comes is dropped.
    pub(crate) async fn release(&mut self) -> Result<(), WireError> {
        self.step(Event::Evt11, &RELEASE_REQUEST).await?;
        self.patience.start_artim();
        loop {
            match (self.next(Wait::Response).await?, self.machine.state()) {
                (Incoming::ReleaseRequest, State::Sta9) => self.answer_release().await?,
                (Incoming::ReleaseReply, State::Sta12) => return self.answer_release().await,
                (Incoming::ReleaseReply, _) => return Ok(()),
                (Incoming::Abort { .. }, _) => return Err(WireError::Closed),
                (
                    Incoming::ReleaseRequest
                    | Incoming::Piece(_)
                    | Incoming::AssociateRequest(_)
                    | Incoming::AssociateAccept(_)
                    | Incoming::AssociateReject { .. },
                    _,
                ) => {}
            }
        }
    }

    /// Ends after an error: says what the table says, and closes.
    pub(crate) async fn fail(mut self, error: &WireError) {
        let event = match error {
            WireError::Malformed(_)
            | WireError::UnknownType(_)
            | WireError::Foreign(_)
            | WireError::ControlTooLarge { .. } => Event::Evt19,
            WireError::Closed | WireError::Io(_) => Event::Evt17,
            WireError::Silent | WireError::TooSlow | WireError::Stopping | WireError::Evicted
                if self.machine.state() == State::Sta2 =>
            {
                Event::Evt18
            }
            WireError::Unexpected(_)
            | WireError::Silent
            | WireError::TooSlow
            | WireError::Stalled
            | WireError::Stopping
            | WireError::Evicted
            | WireError::OutOfTurn(_) => Event::Evt15,
        };
        let action = self.owed.take().map_or_else(|| self.machine.apply(event), Ok);
        let last_words = match action {
            Ok(Action::Aa1) => ABORT_BY_USER,
            Ok(Action::Aa7 | Action::Aa8) => abort_by_provider(error),
            // Nothing is left to say, or nobody to say it to.
            Ok(_) | Err(_) => return self.shut().await,
        };
        if self.write(&last_words).await.is_ok() {
            let readable = event != Event::Evt19;
            let short = matches!(error, WireError::Foreign(_));
            self.wait_for_close(readable, short).await;
        }
    }

    /// Aborts by a decision of ours (A-ABORT, service user).
    pub(crate) async fn abort(mut self) {
        if self.step(Event::Evt15, &ABORT_BY_USER).await.is_ok() {
            self.close().await;
        }
    }

    /// The association has ended in order: waits for the peer to close, or closes if that is ours to do.
    pub(crate) async fn close(mut self) {
        if self.machine.state() == State::Sta13 {
            self.wait_for_close(true, false).await;
        } else {
            self.shut().await;
        }
    }

    /// Sta13: what the peer still says is ignored, or answered by one more abort, until it closes or ARTIM runs out.
    async fn wait_for_close(&mut self, readable: bool, short: bool) {
        let artim = self.patience.timers().artim;
        let short = short || self.patience.is_stopping();
        let patience = if short { artim.min(SHORT_FAREWELL) } else { artim };
        let mut ignored = [0; 2048];
        let closing = async {
            if readable && !short && self.heed_until_closed().await {
                return self.stream.shutdown().await;
            }
            // Says that we are done; the peer's bytes are read so that closing does not reset the connection before it
            // has read our last words.
            self.inflow = Inflow::default();
            self.stream.shutdown().await?;
            while self.stream.read(&mut ignored).await? > 0 {}
            Ok::<(), io::Error>(())
        };
        // Whether the peer still listens changes nothing.
        let _ = tokio::time::timeout(patience, closing).await;
    }

    /// Sta13 by the table, for a moment. True if the peer has closed, as it should.
    async fn heed_until_closed(&mut self) -> bool {
        let heeding = async {
            loop {
                let event = match self.inflow.next() {
                    Ok(Some(incoming)) => event_of(&incoming).0,
                    Ok(None) => match self.stream.read_buf(&mut self.inflow.room().0).await {
                        Ok(count) if count > 0 => continue,
                        Ok(_) | Err(_) => Event::Evt17,
                    },
                    Err(_) => Event::Evt19,
                };
                match self.machine.apply(event) {
                    Ok(Action::Aa6) => {}
                    // Once is enough: what breaks the rules in spite of an abort gets no more answers.
                    Ok(Action::Aa7) => {
                        let _ = self.write(&ABORT_BY_USER).await;
                        return false;
                    }
                    Ok(_) | Err(_) => return true,
                }
            }
        };
        tokio::time::timeout(SHORT_FAREWELL, heeding).await.unwrap_or(false)
    }

    async fn shut(&mut self) {
        let _ = tokio::time::timeout(SHORT_FAREWELL, self.stream.shutdown()).await;
    }

    /// A step of ours: asks the table, then sends.
    async fn step(&mut self, event: Event, pdu: &[u8]) -> Result<(), WireError> {
        self.machine.apply(event)?;
        self.write(pdu).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match tokio::time::timeout(self.patience.timers().progress, write).await {
            Ok(written) => written.map_err(WireError::Io),
            Err(_) => Err(WireError::Stalled),
        }
    }

    /// Asks the table whether this may come now.
    fn admit(&mut self, incoming: Incoming) -> Result<Incoming, WireError> {
        let (event, name) = event_of(&incoming);
        let action = self.machine.apply(event)?;
        match action {
            Action::Aa1 | Action::Aa6 | Action::Aa7 | Action::Aa8 => {
                self.owed = Some(action);
                Err(WireError::Unexpected(name))
            }
            Action::Dt2 | Action::Ar6 | Action::Ar8 | Action::Ar10 => Ok(incoming),
            Action::Ae1
            | Action::Ae2
            | Action::Ae3
            | Action::Ae4
            | Action::Ae5
            | Action::Ae6
            | Action::Ae7
            | Action::Ae8
            | Action::Dt1
            | Action::Ar1
            | Action::Ar2
            | Action::Ar3
            | Action::Ar4
            | Action::Ar5
            | Action::Ar7
            | Action::Ar9
            | Action::Aa2
            | Action::Aa3
            | Action::Aa4
            | Action::Aa5 => {
                self.patience.stop_artim();
                Ok(incoming)
            }
        }
    }

    /// One read.
    async fn fill(&mut self, wait: Wait) -> Result<(), WireError> {
        let inside = self.inflow.is_inside();
        let in_control = self.inflow.is_inside_control();
        if in_control {
            self.patience.keep_artim();
        }
        if let Some(greeting) = self.inflow.stranger() {
            return self.name_stranger(greeting).await;
        }
        let wait = if inside { Wait::Progress } else { wait };
        if wait == Wait::Idle && self.read_soon().await? {
            return Ok(());
        }
        self.read(wait).await
    }

    /// Reads what comes within a moment. If nothing does, the association is idle and gives its buffers back.
    async fn read_soon(&mut self) -> Result<bool, WireError> {
        match tokio::time::timeout(QUIET, self.read(Wait::Idle)).await {
            Ok(read) => read.map(|()| true),
            Err(_) => {
                self.inflow.shrink();
                Ok(false)
            }
        }
    }

    async fn read(&mut self, wait: Wait) -> Result<(), WireError> {
        let began = Instant::now();
        let inside = self.inflow.is_inside();
        let (buffer, most) = self.inflow.room();
        let mut buffer = buffer.limit(most);
        let read = tokio::select! {
            biased;
            read = self.stream.read_buf(&mut buffer) => read.map_err(WireError::Io),
            reason = self.patience.run_out(wait) => Err(reason),
        };
        match read {
            Ok(0) => Err(WireError::Closed),
            Ok(count) => {
                self.patience.received(count, began.elapsed());
                Ok(())
            }
            // A deadline with nothing begun is plain silence.
            Err(WireError::TooSlow) if !inside => Err(WireError::Silent),
            Err(error) => Err(error),
        }
    }

    /// The first bytes are not DICOM. Waits a moment for enough of them to give the protocol its name.
    async fn name_stranger(&mut self, so_far: Greeting) -> Result<(), WireError> {
        let more = async {
            while self.inflow.next().is_ok() {
                let (buffer, most) = self.inflow.room();
                match self.stream.read_buf(&mut buffer.limit(most)).await {
                    Ok(count) if count > 0 => {}
                    Ok(_) | Err(_) => return,
                }
            }
        };
        // What has come by then must do.
        let _ = tokio::time::timeout(GREETING, more).await;
        Err(WireError::Foreign(self.inflow.stranger().unwrap_or(so_far)))
    }
}

/// The event that a PDU is, and its name.
fn event_of(incoming: &Incoming) -> (Event, &'static str) {
    match incoming {
        Incoming::AssociateAccept(_) => (Event::Evt3, "A-ASSOCIATE-AC"),
        Incoming::AssociateReject { .. } => (Event::Evt4, "A-ASSOCIATE-RJ"),
        Incoming::AssociateRequest(_) => (Event::Evt6, "A-ASSOCIATE-RQ"),
        Incoming::Piece(_) => (Event::Evt10, "P-DATA-TF"),
        Incoming::ReleaseRequest => (Event::Evt12, "A-RELEASE-RQ"),
        Incoming::ReleaseReply => (Event::Evt13, "A-RELEASE-RP"),
        Incoming::Abort { .. } => (Event::Evt16, "A-ABORT"),
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
pub(crate) mod tests;
