//! Every state, wait, hold and refusal there is has a plain sentence of its own, in both languages, with since when and
//! who can act.

use std::collections::BTreeMap;

use super::*;
use crate::lang::Lang;

const STATES: [StateCode; 19] = [
    StateCode::Collecting,
    StateCode::Queued,
    StateCode::Addressed,
    StateCode::Sending,
    StateCode::Accepted,
    StateCode::Fetched,
    StateCode::Delivered,
    StateCode::Erased,
    StateCode::Announced,
    StateCode::Fetching,
    StateCode::Opened,
    StateCode::Reconciled,
    StateCode::Delivering,
    StateCode::Reported,
    StateCode::Held,
    StateCode::Recalled,
    StateCode::Declined,
    StateCode::Expired,
    StateCode::Failed,
];

const WAITS: [WaitCode; 8] = [
    WaitCode::PortalUnreachable,
    WaitCode::PortalBusy,
    WaitCode::PacsUnreachable,
    WaitCode::PacsBusy,
    WaitCode::PacsProof,
    WaitCode::DiskFull,
    WaitCode::OtherHospital,
    WaitCode::Technician,
];

const HOLDS: [HoldCode; 17] = [
    HoldCode::RecipientKeyChanged,
    HoldCode::RecipientNotVerified,
    HoldCode::SenderNotVerified,
    HoldCode::AddressedToSomeoneElse,
    HoldCode::CertificateExpired,
    HoldCode::DigestMismatch,
    HoldCode::LetterUnreadable,
    HoldCode::PortalRefusedUs,
    HoldCode::PacsRefusedUs,
    HoldCode::PacsRefusedInstances,
    HoldCode::ConflictingInstances,
    HoldCode::TwoPatients,
    HoldCode::PatientIdMissing,
    HoldCode::PackDamaged,
    HoldCode::AskedBack,
    HoldCode::SetAside,
    HoldCode::UnknownToThisVersion,
];

const REFUSALS: [DeclineCode; 6] = [
    DeclineCode::WrongDepartment,
    DeclineCode::UnknownPatient,
    DeclineCode::Incomplete,
    DeclineCode::Unreadable,
    DeclineCode::NotOurs,
    DeclineCode::Other,
];

const WHO: [WhoCode; 5] =
    [WhoCode::Technician, WhoCode::Administrator, WhoCode::OtherHospital, WhoCode::Vendor, WhoCode::Nobody];

/// The directions in which a transfer can be in this state. No wildcard: a state that is added must be thought of.
fn directions_of(state: StateCode) -> &'static [Direction] {
    match state {
        StateCode::Collecting
        | StateCode::Queued
        | StateCode::Addressed
        | StateCode::Sending
        | StateCode::Accepted
        | StateCode::Fetched => &[Direction::Out],
        StateCode::Announced
        | StateCode::Fetching
        | StateCode::Opened
        | StateCode::Reconciled
        | StateCode::Delivering
        | StateCode::Reported => &[Direction::In],
        StateCode::Delivered
        | StateCode::Erased
        | StateCode::Held
        | StateCode::Recalled
        | StateCode::Declined
        | StateCode::Expired
        | StateCode::Failed => &[Direction::Out, Direction::In],
    }
}

fn in_state(state: StateCode) -> Situation {
    Situation {
        state,
        since: "2026-07-01T12:00:00Z".parse().unwrap(),
        done: 3,
        of: 7,
        waits_for: None,
        waits_since: None,
        next_try_at: None,
        attempts: 0,
        hold: None,
        declined: None,
        who: WhoCode::Technician,
        is_overdue: false,
        undo_until: None,
        is_partly_in_pacs: false,
    }
}

/// The view, once it is plain words.
fn view(situation: &Situation, direction: Direction, lang: Lang) -> StateView {
    let view = StateView::new(situation, direction, "2026-07-01T14:00:00Z".parse().unwrap(), lang.words());
    for words in [&view.word, &view.sentence, &view.since, &view.who] {
        assert!(!words.trim().is_empty(), "{situation:?}: nothing is said");
        assert!(!words.contains("state.") && !words.contains('{'), "{situation:?}: no words for {words}");
    }
    assert!(view.sentence.ends_with(['.', '!', '?']), "{situation:?}: not a sentence: {}", view.sentence);
    view
}

/// Fails if two of them say the same.
fn each_says_its_own<T: std::fmt::Debug>(said: impl Iterator<Item = (T, String)>) {
    let mut seen: BTreeMap<String, T> = BTreeMap::new();
    for (what, words) in said {
        if let Some(other) = seen.get(&words) {
            panic!("{what:?} and {other:?} say the same: {words}");
        }
        seen.insert(words, what);
    }
}

#[test]
fn every_state_has_its_own_sentence() {
    for lang in [Lang::Nl, Lang::En] {
        for direction in [Direction::Out, Direction::In] {
            let here = STATES.into_iter().filter(|state| directions_of(*state).contains(&direction));
            each_says_its_own(here.map(|state| (state, view(&in_state(state), direction, lang).sentence)));
        }
    }
}

#[test]
fn every_wait_says_what_for_since_when_and_when_it_is_tried_again() {
    for lang in [Lang::Nl, Lang::En] {
        for state in STATES {
            for direction in directions_of(state) {
                for wait in WAITS {
                    let waiting = Situation {
                        waits_for: Some(wait),
                        waits_since: Some("2026-07-01T13:00:00Z".parse().unwrap()),
                        next_try_at: Some("2026-07-01T14:05:00Z".parse().unwrap()),
                        attempts: 2,
                        ..in_state(state)
                    };
                    let view = view(&waiting, *direction, lang);
                    assert!(view.since.contains("15:00"), "since when it waits: {}", view.since);
                    assert!(view.since.contains("16:05"), "when it is tried again: {}", view.since);
                }
            }
        }
        let of_machines = WAITS.into_iter().filter(|wait| wait_words(*wait).is_some());
        each_says_its_own(of_machines.map(|wait| {
            let waiting = Situation { waits_for: Some(wait), ..in_state(StateCode::Sending) };
            (wait, view(&waiting, Direction::Out, lang).sentence)
        }));
    }
}

#[test]
fn every_hold_and_every_refusal_says_why() {
    for lang in [Lang::Nl, Lang::En] {
        for direction in [Direction::Out, Direction::In] {
            each_says_its_own(HOLDS.iter().map(|hold| {
                let held = Situation { hold: Some(hold.clone()), ..in_state(StateCode::Held) };
                (hold, view(&held, direction, lang).sentence)
            }));
            each_says_its_own(REFUSALS.into_iter().map(|reason| {
                let declined = Situation { declined: Some(reason), ..in_state(StateCode::Declined) };
                (reason, view(&declined, direction, lang).sentence)
            }));
        }
        each_says_its_own(WHO.into_iter().map(|who| {
            let situation = Situation { who, ..in_state(StateCode::Queued) };
            (who, view(&situation, Direction::Out, lang).who)
        }));
    }
}

#[test]
fn what_ended_with_images_in_the_pacs_is_not_said_to_be_nothing() {
    for lang in [Lang::Nl, Lang::En] {
        for state in [StateCode::Expired, StateCode::Failed] {
            let plain = in_state(state);
            let partly = Situation { is_partly_in_pacs: true, ..plain.clone() };
            let said = view(&partly, Direction::In, lang).sentence;
            assert!(said.contains("PACS"), "{said}");
            assert!(!view(&plain, Direction::In, lang).sentence.contains("PACS"));
        }
    }
}
