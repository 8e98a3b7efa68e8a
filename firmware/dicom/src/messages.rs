//! Messages of an association that a peer opened: command sets, data sets, and the wait between them.

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::dimse::{self, Command};
use crate::intake::Intake;
use crate::patience::Wait;
use crate::pdu::{Incoming, PdvKind, Piece, WireError};
use crate::receive::{Association, Interrupted, out_of_place};

/// A data set that is read whole may take this much for itself.
const MODEST: usize = 256 * 1024;
/// Places in this process for data sets above that: without them every association could hold a large one at once.
static LARGE: Semaphore = Semaphore::const_new(2);

/// A data set that was read whole.
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    /// Held as long as the bytes and what is made of them.
    _place: Option<SemaphorePermit<'static>>,
}

impl<S, I> Association<'_, S, I>
where
    S: AsyncRead + AsyncWrite + Unpin,
    I: Intake,
{
    /// A complete command set, from however many PDVs.
    pub(crate) async fn command(&mut self) -> Result<(u8, Command), Interrupted> {
        let mut bytes = BytesMut::new();
        let mut expected = None;
        loop {
            let incoming = match expected {
                None => self.next_message().await?,
                Some(_) => self.wire.next(Wait::Progress).await?,
            };
            let piece = match incoming {
                Incoming::Piece(piece) => piece,
                Incoming::ReleaseRequest if expected.is_none() => return Err(Interrupted::Released),
                Incoming::Abort { .. } => return Err(Interrupted::Aborted),
                other @ (Incoming::AssociateRequest(_)
                | Incoming::AssociateAccept(_)
                | Incoming::AssociateReject { .. }
                | Incoming::ReleaseRequest
                | Incoming::ReleaseReply) => return Err(out_of_place(&other).into()),
            };
            if piece.kind == PdvKind::Data || expected.is_some_and(|context| context != piece.context) {
                return Err(WireError::Unexpected("data where a command set belongs").into());
            }
            if bytes.len() + piece.chunk.len() > dimse::LONGEST_COMMAND_SET {
                return Err(WireError::Malformed("command set above 64 KiB").into());
            }
            expected = Some(piece.context);
            bytes.extend_from_slice(&piece.chunk);
            if piece.last {
                return Ok((piece.context, Command::parse(bytes.freeze())?));
            }
        }
    }

    /// The next piece of the data set of the message in progress.
    pub(crate) async fn data(&mut self, context: u8) -> Result<Piece, Interrupted> {
        match self.wire.next(Wait::Progress).await? {
            Incoming::Piece(piece) if piece.kind == PdvKind::Data && piece.context == context => Ok(piece),
            Incoming::Abort { .. } => Err(Interrupted::Aborted),
            other @ (Incoming::Piece(_)
            | Incoming::AssociateRequest(_)
            | Incoming::AssociateAccept(_)
            | Incoming::AssociateReject { .. }
            | Incoming::ReleaseRequest
            | Incoming::ReleaseReply) => Err(out_of_place(&other).into()),
        }
    }

    pub(crate) async fn drop_data_set(&mut self, context: u8, command: &Command) -> Result<(), Interrupted> {
        if command.has_data_set {
            while !self.data(context).await?.last {}
        }
        Ok(())
    }

    /// The data set of a message, whole. `None` if it is longer than `longest`, or there is no memory for another long
    /// one; it is read to its end all the same.
    pub(crate) async fn whole_data_set(
        &mut self,
        context: u8,
        command: &Command,
        longest: usize,
    ) -> Result<Option<Whole>, Interrupted> {
        let mut bytes = BytesMut::new();
        let mut place = None;
        let mut complete = !command.has_data_set;
        while !complete {
            let piece = self.data(context).await?;
            complete = piece.last;
            let length = bytes.len() + piece.chunk.len();
            if length > MODEST && place.is_none() {
                place = LARGE.try_acquire().ok();
            }
            if length > longest || (length > MODEST && place.is_none()) {
                drop((bytes, place));
                while !complete {
                    complete = self.data(context).await?.last;
                }
                return Ok(None);
            }
            bytes.extend_from_slice(&piece.chunk);
        }
        Ok(Some(Whole { bytes: bytes.freeze(), _place: place }))
    }
}
