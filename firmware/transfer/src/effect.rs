//! What the two machines ask for besides a new state. An effect is data: the worker that took the step carries it
//! out in the same commit as the move, or after it.

use jiff::Timestamp;

/// Something to do because of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// There is work for the worker of this direction at this time.
    WorkAt(Timestamp),
    /// The portal's newest word was not used up by this move: ask it again.
    LookAgain,
    /// Queue this for the portal, in the commit of the move.
    Tell(Telling),
    /// Erase keys, then bytes, once the keeping time has passed.
    EraseAfterKeeping,
    /// Erase keys, then bytes, at once: somebody asked for that.
    EraseNow,
}

/// What the portal is told. Stands in the outbox by its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// Receipt 1: in custody, every frame authenticated.
    ReceiptInCustody,
    /// Receipt 2: what the PACS has.
    ReceiptInPacs,
    /// We refuse the transfer.
    Decline,
    /// We ask for a transfer back. Carries the question's name.
    AskBack,
    /// We answer such a question. Carries the question's name.
    AnswerAsk,
}

impl Telling {
    /// All of them.
    pub const ALL: [Telling; 5] = [
        Telling::ReceiptInCustody,
        Telling::ReceiptInPacs,
        Telling::Decline,
        Telling::AskBack,
        Telling::AnswerAsk,
    ];

    /// Its word in the outbox.
    pub fn as_str(self) -> &'static str {
        match self {
            Telling::ReceiptInCustody => "receipt-in-custody",
            Telling::ReceiptInPacs => "receipt-in-pacs",
            Telling::Decline => "decline",
            Telling::AskBack => "ask-back",
            Telling::AnswerAsk => "answer-ask",
        }
    }

    /// The one with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Telling::ALL.into_iter().find(|telling| telling.as_str() == word)
    }
}

/// What an event does to a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<S> {
    /// The event brings nothing new.
    Stay,
    /// The new state, and what to do because of it.
    Move(S, Vec<Effect>),
}

/// The event cannot happen in this state: something else came first, or somebody does not keep to the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this cannot happen in the present state of the transfer")]
pub struct NotNow;
