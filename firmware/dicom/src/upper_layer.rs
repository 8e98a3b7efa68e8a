//! The state machine of the upper layer: 13 states, 19 events, one defined outcome for each pair (PS3.8 §9.2).
//!
//! Pure: no socket, no clock. A [`Machine`] sits inside every [`crate::wire::Wire`], which asks it before it acts on
//! anything that came in and before it sends anything. States, events and actions carry the standard's numbers, so that
//! this file can be read beside Table 9-10. A pair for which the table has no entry is [`Impossible`]: only our own
//! mistake can bring it about, and it ends the association.

/// Which side opened the association. Only a release collision asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Requestor,
    Acceptor,
}

/// States (PS3.8 Tables 9-1 to 9-5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// No connection.
    Sta1,
    /// Connection open, waiting for A-ASSOCIATE-RQ.
    Sta2,
    /// Waiting for our own decision on the request.
    Sta3,
    /// Waiting for the connection to open.
    Sta4,
    /// Waiting for A-ASSOCIATE-AC or -RJ.
    Sta5,
    /// Association established.
    Sta6,
    /// Waiting for A-RELEASE-RP.
    Sta7,
    /// Waiting for our own answer to A-RELEASE-RQ.
    Sta8,
    /// Release collision, requestor: waiting for our own answer.
    Sta9,
    /// Release collision, acceptor: waiting for A-RELEASE-RP.
    Sta10,
    /// Release collision, requestor: waiting for A-RELEASE-RP.
    Sta11,
    /// Release collision, acceptor: waiting for our own answer.
    Sta12,
    /// Waiting for the connection to close.
    Sta13,
}

/// Events (PS3.8 Table 9-10, first column).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// We want an association.
    Evt1,
    /// The connection that we opened is there.
    Evt2,
    /// A-ASSOCIATE-AC came in.
    Evt3,
    /// A-ASSOCIATE-RJ came in.
    Evt4,
    /// Somebody connected to us.
    Evt5,
    /// A-ASSOCIATE-RQ came in.
    Evt6,
    /// We accept.
    Evt7,
    /// We reject.
    Evt8,
    /// We send data.
    Evt9,
    /// P-DATA-TF came in.
    Evt10,
    /// We want to release.
    Evt11,
    /// A-RELEASE-RQ came in.
    Evt12,
    /// A-RELEASE-RP came in.
    Evt13,
    /// We answer a release.
    Evt14,
    /// We want to abort.
    Evt15,
    /// A-ABORT came in.
    Evt16,
    /// The connection closed.
    Evt17,
    /// ARTIM ran out.
    Evt18,
    /// A PDU came in that is unknown or invalid.
    Evt19,
}

/// Actions (PS3.8 Tables 9-6 to 9-9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Open a connection.
    Ae1,
    /// Send A-ASSOCIATE-RQ.
    Ae2,
    /// Tell the user: accepted.
    Ae3,
    /// Tell the user: rejected; close.
    Ae4,
    /// Start ARTIM.
    Ae5,
    /// Stop ARTIM and ask the user. (The table lets the provider reject here too; we let one place decide, in Sta3.)
    Ae6,
    /// Send A-ASSOCIATE-AC.
    Ae7,
    /// Send A-ASSOCIATE-RJ, start ARTIM.
    Ae8,
    /// Send P-DATA-TF.
    Dt1,
    /// Hand data over.
    Dt2,
    /// Send A-RELEASE-RQ.
    Ar1,
    /// Tell the user: the peer releases.
    Ar2,
    /// Tell the user: released; close.
    Ar3,
    /// Send A-RELEASE-RP, start ARTIM.
    Ar4,
    /// Stop ARTIM.
    Ar5,
    /// Hand data over although we want to release.
    Ar6,
    /// Send P-DATA-TF although the peer wants to release.
    Ar7,
    /// Tell the user: release collision.
    Ar8,
    /// Send A-RELEASE-RP as requestor of a collision.
    Ar9,
    /// Tell the user: the peer has answered our release of a collision.
    Ar10,
    /// Send A-ABORT of the user, start ARTIM.
    Aa1,
    /// Stop ARTIM, close.
    Aa2,
    /// Tell the user: aborted; close.
    Aa3,
    /// Tell the user: the connection is gone.
    Aa4,
    /// Stop ARTIM: the connection is gone.
    Aa5,
    /// Ignore.
    Aa6,
    /// Send A-ABORT once more.
    Aa7,
    /// Send A-ABORT of the provider, tell the user, start ARTIM.
    Aa8,
}

/// Something that the table does not provide for: a local step out of turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} in {state:?} has no place in the upper layer protocol")]
pub(crate) struct Impossible {
    pub(crate) state: State,
    pub(crate) event: Event,
}

/// Where one association stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    state: State,
    role: Role,
}

impl Machine {
    /// Nothing has happened yet (Sta1).
    pub(crate) fn new(role: Role) -> Self {
        Machine { state: State::Sta1, role }
    }

    /// In the middle of an established association, for tests of what comes after.
    #[cfg(test)]
    pub(crate) fn at(role: Role, state: State) -> Self {
        Machine { state, role }
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Takes an event: moves on and says what is to be done.
    pub(crate) fn apply(&mut self, event: Event) -> Result<Action, Impossible> {
        let action = action(self.state, event).ok_or(Impossible { state: self.state, event })?;
        self.state = next(action, self.state, self.role);
        Ok(action)
    }
}

/// PS3.8 Table 9-10, column by column. Read: in this state, on this event.
pub(crate) fn action(state: State, event: Event) -> Option<Action> {
    use Event::{
        Evt1, Evt2, Evt3, Evt4, Evt5, Evt6, Evt7, Evt8, Evt9, Evt10, Evt11, Evt12, Evt13, Evt14, Evt15,
        Evt16, Evt17, Evt18, Evt19,
    };
    match state {
        State::Sta1 => match event {
            Evt1 => Some(Action::Ae1),
            Evt5 => Some(Action::Ae5),
            Evt2 | Evt3 | Evt4 | Evt6 | Evt7 | Evt8 | Evt9 | Evt10 | Evt11 | Evt12 | Evt13 | Evt14
            | Evt15 | Evt16 | Evt17 | Evt18 | Evt19 => None,
        },
        State::Sta2 => match event {
            Evt3 | Evt4 | Evt10 | Evt12 | Evt13 | Evt19 => Some(Action::Aa1),
            Evt6 => Some(Action::Ae6),
            Evt16 | Evt18 => Some(Action::Aa2),
            Evt17 => Some(Action::Aa5),
            Evt1 | Evt2 | Evt5 | Evt7 | Evt8 | Evt9 | Evt11 | Evt14 | Evt15 => None,
        },
        State::Sta3 => match event {
            Evt7 => Some(Action::Ae7),
            Evt8 => Some(Action::Ae8),
            Evt1 | Evt2 | Evt5 | Evt9 | Evt11 | Evt14 | Evt18 => None,
            Evt3 | Evt4 | Evt6 | Evt10 | Evt12 | Evt13 | Evt15 | Evt16 | Evt17 | Evt19 => ending(event),
        },
        State::Sta4 => match event {
            Evt2 => Some(Action::Ae2),
            Evt15 => Some(Action::Aa2),
            Evt17 => Some(Action::Aa4),
            Evt1 | Evt3 | Evt4 | Evt5 | Evt6 | Evt7 | Evt8 | Evt9 | Evt10 | Evt11 | Evt12 | Evt13 | Evt14
            | Evt16 | Evt18 | Evt19 => None,
        },
        State::Sta5 => match event {
            Evt3 => Some(Action::Ae3),
            Evt4 => Some(Action::Ae4),
            Evt1 | Evt2 | Evt5 | Evt7 | Evt8 | Evt9 | Evt11 | Evt14 | Evt18 => None,
            Evt6 | Evt10 | Evt12 | Evt13 | Evt15 | Evt16 | Evt17 | Evt19 => ending(event),
        },
        State::Sta6 => match event {
            Evt9 => Some(Action::Dt1),
            Evt10 => Some(Action::Dt2),
            Evt11 => Some(Action::Ar1),
            Evt12 => Some(Action::Ar2),
            Evt1 | Evt2 | Evt5 | Evt7 | Evt8 | Evt14 | Evt18 => None,
            Evt3 | Evt4 | Evt6 | Evt13 | Evt15 | Evt16 | Evt17 | Evt19 => ending(event),
        },
        State::Sta7 => match event {
            Evt10 => Some(Action::Ar6),
            Evt12 => Some(Action::Ar8),
            Evt13 => Some(Action::Ar3),
            Evt1 | Evt2 | Evt5 | Evt7 | Evt8 | Evt9 | Evt11 | Evt14 | Evt18 => None,
            Evt3 | Evt4 | Evt6 | Evt15 | Evt16 | Evt17 | Evt19 => ending(event),
        },
        State::Sta8 | State::Sta9 | State::Sta10 | State::Sta11 | State::Sta12 => releasing(state, event),
        State::Sta13 => match event {
            Evt3 | Evt4 | Evt10 | Evt12 | Evt13 => Some(Action::Aa6),
            Evt6 | Evt19 => Some(Action::Aa7),
            Evt16 | Evt18 => Some(Action::Aa2),
            Evt17 => Some(Action::Ar5),
            Evt1 | Evt2 | Evt5 | Evt7 | Evt8 | Evt9 | Evt11 | Evt14 | Evt15 => None,
        },
    }
}

/// The five states in which a release waits for something.
fn releasing(state: State, event: Event) -> Option<Action> {
    match (state, event) {
        (State::Sta8, Event::Evt9) => Some(Action::Ar7),
        (State::Sta8 | State::Sta12, Event::Evt14) => Some(Action::Ar4),
        (State::Sta9, Event::Evt14) => Some(Action::Ar9),
        (State::Sta10, Event::Evt13) => Some(Action::Ar10),
        (State::Sta11, Event::Evt13) => Some(Action::Ar3),
        (_, Event::Evt10 | Event::Evt12) => Some(Action::Aa8),
        (_, event) => ending(event),
    }
}

/// What every state between connection and farewell does with an event that has no place in it: our own abort, the
/// peer's, the end of the connection; any other PDU is a breach.
fn ending(event: Event) -> Option<Action> {
    use Event::{
        Evt1, Evt2, Evt3, Evt4, Evt5, Evt6, Evt7, Evt8, Evt9, Evt10, Evt11, Evt12, Evt13, Evt14, Evt15,
        Evt16, Evt17, Evt18, Evt19,
    };
    match event {
        Evt15 => Some(Action::Aa1),
        Evt16 => Some(Action::Aa3),
        Evt17 => Some(Action::Aa4),
        Evt3 | Evt4 | Evt6 | Evt10 | Evt12 | Evt13 | Evt19 => Some(Action::Aa8),
        Evt1 | Evt2 | Evt5 | Evt7 | Evt8 | Evt9 | Evt11 | Evt14 | Evt18 => None,
    }
}

/// The state after an action (PS3.8 Tables 9-6 to 9-9).
pub(crate) fn next(action: Action, from: State, role: Role) -> State {
    match action {
        Action::Ae1 => State::Sta4,
        Action::Ae2 => State::Sta5,
        Action::Ae3 | Action::Ae7 | Action::Dt1 | Action::Dt2 => State::Sta6,
        Action::Ae5 => State::Sta2,
        Action::Ae6 => State::Sta3,
        Action::Ar1 | Action::Ar6 => State::Sta7,
        Action::Ar2 | Action::Ar7 => State::Sta8,
        Action::Ar8 => match role {
            Role::Requestor => State::Sta9,
            Role::Acceptor => State::Sta10,
        },
        Action::Ar9 => State::Sta11,
        Action::Ar10 => State::Sta12,
        Action::Ae8 | Action::Ar4 | Action::Aa1 | Action::Aa7 | Action::Aa8 => State::Sta13,
        Action::Aa6 => from,
        Action::Ae4 | Action::Ar3 | Action::Ar5 | Action::Aa2 | Action::Aa3 | Action::Aa4 | Action::Aa5 => {
            State::Sta1
        }
    }
}

#[cfg(test)]
#[path = "upper_layer_tests.rs"]
mod tests;
