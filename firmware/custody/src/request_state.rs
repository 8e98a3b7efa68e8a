//! Where a request for images stands, and where it may go.
//!
//! ```text
//!   outbound   asking ──portal has it──► asked ──seen there──► seen ──► promised ──► answered
//!                                          └───────────────────┴──────► refused | expired
//!              asking, asked, seen ──► withdrawing ──portal has it──► withdrawn
//!   inbound    open (a person must look) ──► answered | refused | withdrawn | expired
//! ```
//!
//! Ours is *answered* only by a letter that names it: what the portal says of that is a promise. So images that come after a
//! refusal or an end still count.

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestState {
    /// Ours: on its way to the portal.
    Asking,
    /// Ours: the portal has it.
    Asked,
    /// Ours: people at the other hospital can see it.
    Seen,
    /// Ours: the portal says that images are on their way.
    Promised,
    /// Ours: taken back here; the portal does not know yet.
    Withdrawing,
    /// Theirs: a person here has to answer.
    Open,
    /// Images in answer came here, or are at the portal.
    Answered,
    /// No images will come.
    Refused,
    /// Taken back by whoever asked.
    Withdrawn,
    /// Nobody answered in time.
    Expired,
}

impl RequestState {
    /// All of them.
    pub const ALL: [RequestState; 10] = [
        RequestState::Asking,
        RequestState::Asked,
        RequestState::Seen,
        RequestState::Promised,
        RequestState::Withdrawing,
        RequestState::Open,
        RequestState::Answered,
        RequestState::Refused,
        RequestState::Withdrawn,
        RequestState::Expired,
    ];

    /// Its word in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            RequestState::Asking => "asking",
            RequestState::Asked => "asked",
            RequestState::Seen => "seen",
            RequestState::Promised => "promised",
            RequestState::Withdrawing => "withdrawing",
            RequestState::Open => "open",
            RequestState::Answered => "answered",
            RequestState::Refused => "refused",
            RequestState::Withdrawn => "withdrawn",
            RequestState::Expired => "expired",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        RequestState::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether a request may go from here to there.
    pub fn may_become(self, to: RequestState) -> bool {
        use RequestState::{
            Answered, Asked, Asking, Expired, Open, Promised, Refused, Seen, Withdrawing, Withdrawn,
        };
        match self {
            Asking => {
                matches!(to, Asked | Seen | Promised | Withdrawing | Answered | Refused | Withdrawn | Expired)
            }
            Asked => matches!(to, Seen | Promised | Withdrawing | Answered | Refused | Withdrawn | Expired),
            Seen => matches!(to, Promised | Withdrawing | Answered | Refused | Withdrawn | Expired),
            Withdrawing => matches!(to, Promised | Answered | Refused | Withdrawn | Expired),
            Open => matches!(to, Answered | Refused | Withdrawn | Expired),
            // Images that come all the same.
            Promised | Refused | Withdrawn | Expired => to == Answered,
            Answered => false,
        }
    }
}
