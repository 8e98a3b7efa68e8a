//! Both machines as tables: every state with every event, compared with the list of moves that the ledger allows.

use beeldbox_custody::{
    DeclineReason, FailReason, HoldReason, InboundKind, InboundState, Kind, OutboundKind, OutboundState,
    allowed,
};
use jiff::Timestamp;

use crate::effect::{Effect, NotNow, Telling, Verdict};
use crate::inbound::{self, InboundEvent};
use crate::outbound::{self, OutboundEvent};

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn outbound_states() -> Vec<OutboundState> {
    let at = now();
    let sending = OutboundState::Sending { parts_done: 1, parts_total: 3 };
    vec![
        OutboundState::Collecting,
        OutboundState::Queued { closed_at: at },
        OutboundState::Addressed {
            at,
            leaves_at: at,
            undo_to: Some(Box::new(OutboundState::Queued { closed_at: at })),
        },
        sending.clone(),
        OutboundState::Accepted { at },
        OutboundState::Fetched { at },
        OutboundState::Delivered { stored: 2, of: 2, at },
        OutboundState::Erased { at },
        OutboundState::Held { back_to: Box::new(sending), reason: HoldReason::PortalRefusedUs, since: at },
        OutboundState::Recalled { at },
        OutboundState::Declined { reason: DeclineReason::Other, belongs_at: None, at },
        OutboundState::Expired { at },
        OutboundState::Failed { reason: FailReason::GivenUp, at },
    ]
}

fn outbound_events() -> Vec<OutboundEvent> {
    vec![
        OutboundEvent::Closed,
        OutboundEvent::ClosedInDoubt(HoldReason::TwoPatients),
        OutboundEvent::Addressed { leaves_at: now(), doubt: None },
        OutboundEvent::Undone,
        OutboundEvent::LetterFrozen { parts_total: 3 },
        OutboundEvent::PartsSent { parts_done: 2 },
        OutboundEvent::PortalAccepted,
        OutboundEvent::ReceiptInCustody,
        OutboundEvent::ReceiptInPacs { stored: 2, of: 2 },
        OutboundEvent::Declined { reason: DeclineReason::NotOurs, belongs_at: None },
        OutboundEvent::Expired,
        OutboundEvent::Recalled,
        OutboundEvent::ErasedThere,
        OutboundEvent::MustHold(HoldReason::DigestMismatch),
        OutboundEvent::Resumed,
        OutboundEvent::Failed(FailReason::BytesLost),
        OutboundEvent::Erased,
    ]
}

fn inbound_states() -> Vec<InboundState> {
    let at = now();
    let fetching = InboundState::Fetching { parts_done: 1, parts_total: 3 };
    vec![
        InboundState::Announced,
        fetching.clone(),
        InboundState::Opened { at },
        InboundState::Reconciled { at },
        InboundState::Delivering { settled: 1, of: 2 },
        InboundState::Delivered { stored: 2, of: 2, at },
        InboundState::Reported { at },
        InboundState::Erased { at, in_pacs: false },
        InboundState::Held { back_to: Box::new(fetching), reason: HoldReason::DigestMismatch, since: at },
        InboundState::Recalled { at, in_pacs: false },
        InboundState::Declined { reason: DeclineReason::Other, at },
        InboundState::Expired { at, in_pacs: false },
        InboundState::Failed { reason: FailReason::NotGenuine, at, in_pacs: false },
    ]
}

fn inbound_events() -> Vec<InboundEvent> {
    vec![
        InboundEvent::LetterOpened { parts_total: 3 },
        InboundEvent::PartsFetched { parts_done: 2 },
        InboundEvent::AllAuthenticated,
        InboundEvent::PatientConfirmed,
        InboundEvent::InstancesSettled { settled: 2, of: 2 },
        InboundEvent::AllSettled { stored: 2, of: 2 },
        InboundEvent::Reported,
        InboundEvent::Declined(DeclineReason::NotOurs),
        InboundEvent::Expired,
        InboundEvent::Recalled,
        InboundEvent::AskedBack,
        InboundEvent::GivenBack { removed: true },
        InboundEvent::MustHold(HoldReason::PackDamaged),
        InboundEvent::Resumed,
        InboundEvent::Failed(FailReason::GivenUp),
        InboundEvent::Erased,
    ]
}

#[test]
fn every_state_is_in_the_tables() {
    let outbound: Vec<OutboundKind> = outbound_states().iter().map(OutboundState::kind).collect();
    assert_eq!(outbound, OutboundKind::ALL);
    let inbound: Vec<InboundKind> = inbound_states().iter().map(InboundState::kind).collect();
    assert_eq!(inbound, InboundKind::ALL);
}

#[test]
fn every_move_of_a_machine_is_one_that_the_ledger_allows() {
    for from in outbound_states() {
        for event in outbound_events() {
            if let Ok(Verdict::Move(to, _)) = outbound::step(&from, event.clone(), now()) {
                let (from, to) = (Kind::Outbound(from.kind()), Kind::Outbound(to.kind()));
                assert!(allowed(from, to), "{event:?}: {from:?} to {to:?}");
            }
        }
    }
    for from in inbound_states() {
        for event in inbound_events() {
            if let Ok(Verdict::Move(to, _)) = inbound::step(&from, event.clone(), now()) {
                let (from, to) = (Kind::Inbound(from.kind()), Kind::Inbound(to.kind()));
                assert!(allowed(from, to), "{event:?}: {from:?} to {to:?}");
            }
        }
    }
}

#[test]
fn no_event_happens_twice_with_effect() {
    // News may be told twice, and a worker may repeat a step after a crash: the second time nothing moves.
    for from in outbound_states() {
        for event in outbound_events() {
            let Ok(Verdict::Move(to, _)) = outbound::step(&from, event.clone(), now()) else { continue };
            let overtook = matches!(from, OutboundState::Sending { .. })
                && matches!(event, OutboundEvent::ReceiptInCustody | OutboundEvent::ReceiptInPacs { .. });
            let resumed = matches!(event, OutboundEvent::Resumed);
            if !overtook && !resumed {
                let again = outbound::step(&to, event.clone(), now());
                assert!(!matches!(again, Ok(Verdict::Move(..))), "{event:?} in {from:?} and again in {to:?}");
            }
        }
    }
    for from in inbound_states() {
        for event in inbound_events() {
            let Ok(Verdict::Move(to, _)) = inbound::step(&from, event.clone(), now()) else { continue };
            if !matches!(event, InboundEvent::Resumed) {
                let again = inbound::step(&to, event.clone(), now());
                // The first settled batch may be the last one: then only the counter moves, once.
                assert!(!matches!(again, Ok(Verdict::Move(..))), "{event:?} in {from:?} and again in {to:?}");
            }
        }
    }
}

#[test]
fn a_held_transfer_goes_back_to_where_it_was() {
    for from in outbound_states() {
        let Ok(Verdict::Move(held, _)) =
            outbound::step(&from, OutboundEvent::MustHold(HoldReason::PackDamaged), now())
        else {
            continue;
        };
        match outbound::step(&held, OutboundEvent::Resumed, now()) {
            Ok(Verdict::Move(back, _)) => assert_eq!(back, from),
            other => panic!("{other:?}"),
        }
    }
    for from in inbound_states() {
        let Ok(Verdict::Move(held, _)) =
            inbound::step(&from, InboundEvent::MustHold(HoldReason::PackDamaged), now())
        else {
            continue;
        };
        match inbound::step(&held, InboundEvent::Resumed, now()) {
            Ok(Verdict::Move(back, _)) => assert_eq!(back, from),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_receipt_that_overtakes_the_commit_is_used_up_in_two_steps() {
    let sending = OutboundState::Sending { parts_done: 3, parts_total: 3 };
    let receipt = OutboundEvent::ReceiptInPacs { stored: 1, of: 1 };
    let Ok(Verdict::Move(accepted, effects)) = outbound::step(&sending, receipt.clone(), now()) else {
        panic!()
    };
    assert_eq!(effects, [Effect::LookAgain]);
    let Ok(Verdict::Move(delivered, _)) = outbound::step(&accepted, receipt, now()) else { panic!() };
    assert_eq!(delivered.kind(), OutboundKind::Delivered);
}

#[test]
fn what_the_other_side_must_know_is_told_by_the_move_that_makes_it_true() {
    let tells = |state: &InboundState, event| match inbound::step(state, event, now()) {
        Ok(Verdict::Move(_, effects)) => effects,
        other => panic!("{other:?}"),
    };
    let fetching = InboundState::Fetching { parts_done: 3, parts_total: 3 };
    assert!(
        tells(&fetching, InboundEvent::AllAuthenticated).contains(&Effect::Tell(Telling::ReceiptInCustody))
    );
    let delivering = InboundState::Delivering { settled: 2, of: 2 };
    let settled = InboundEvent::AllSettled { stored: 1, of: 2 };
    assert!(tells(&delivering, settled).contains(&Effect::Tell(Telling::ReceiptInPacs)));
    let opened = InboundState::Opened { at: now() };
    let declined = InboundEvent::Declined(DeclineReason::NotOurs);
    assert!(tells(&opened, declined).contains(&Effect::Tell(Telling::Decline)));
}

#[test]
fn nothing_is_erased_before_it_ended() {
    for from in outbound_states() {
        let is_over = Kind::Outbound(from.kind()).is_final() || from.kind() == OutboundKind::Queued;
        assert_eq!(outbound::step(&from, OutboundEvent::Erased, now()).is_ok(), is_over, "{from:?}");
    }
    for from in inbound_states() {
        let is_over = Kind::Inbound(from.kind()).is_final();
        assert_eq!(inbound::step(&from, InboundEvent::Erased, now()).is_ok(), is_over, "{from:?}");
    }
}

#[test]
fn what_the_other_box_has_is_not_recalled() {
    let at = now();
    for state in [OutboundState::Fetched { at }, OutboundState::Delivered { stored: 1, of: 1, at }] {
        assert!(outbound::step(&state, OutboundEvent::Recalled, at).is_err());
    }
}

#[test]
fn undoing_leads_back_to_where_the_study_was_and_only_until_the_letter_is_frozen() {
    let at = now();
    let soon = at + jiff::SignedDuration::from_secs(10);
    let queued = OutboundState::Queued { closed_at: at };
    let doubt = (HoldReason::TwoPatients, at);
    for (doubt, before) in [
        (None, queued.clone()),
        (
            Some(doubt),
            OutboundState::Held {
                back_to: Box::new(queued.clone()),
                reason: HoldReason::TwoPatients,
                since: at,
            },
        ),
    ] {
        let event = OutboundEvent::Addressed { leaves_at: soon, doubt };
        let Ok(Verdict::Move(addressed, effects)) = outbound::step(&queued, event, at) else { panic!() };
        assert_eq!(effects, [Effect::WorkAt(soon)]);
        let frozen = OutboundEvent::LetterFrozen { parts_total: 1 };
        assert!(outbound::step(&addressed, frozen.clone(), at).is_err(), "nothing leaves inside the window");
        let undone = outbound::step(&addressed, OutboundEvent::Undone, at);
        assert_eq!(undone, Ok(Verdict::Move(before, vec![])));
        // A hold inside the window does not shorten it.
        let hold = OutboundEvent::MustHold(HoldReason::RecipientKeyChanged);
        let Ok(Verdict::Move(held, _)) = outbound::step(&addressed, hold, at) else { panic!() };
        let Ok(Verdict::Move(_, effects)) = outbound::step(&held, OutboundEvent::Resumed, at) else {
            panic!()
        };
        assert_eq!(effects, [Effect::WorkAt(soon)]);
        let Ok(Verdict::Move(sending, _)) = outbound::step(&addressed, frozen, soon) else { panic!() };
        assert!(outbound::step(&sending, OutboundEvent::Undone, soon).is_err());
    }
}

#[test]
fn what_is_asked_back_goes_by_itself_unless_the_pacs_has_or_may_have_it() {
    let at = now();
    let recalled = InboundState::Recalled { at, in_pacs: false };
    let delivering = InboundState::Delivering { settled: 1, of: 2 };
    let delivered = InboundState::Delivered { stored: 2, of: 2, at };
    let fetching = InboundState::Fetching { parts_done: 1, parts_total: 3 };
    let for_a_person = |state: &InboundState| InboundState::Held {
        back_to: Box::new(state.clone()),
        reason: HoldReason::AskedBack,
        since: at,
    };
    let held = |back_to: &InboundState| InboundState::Held {
        back_to: Box::new(back_to.clone()),
        reason: HoldReason::PacsRefusedUs,
        since: at,
    };
    for state in
        [fetching.clone(), InboundState::Opened { at }, InboundState::Reconciled { at }, held(&fetching)]
    {
        let asked = inbound::step(&state, InboundEvent::AskedBack, at);
        assert_eq!(asked, Ok(Verdict::Move(recalled.clone(), vec![Effect::EraseNow])), "{state:?}");
    }
    let asked = inbound::step(&delivering, InboundEvent::AskedBack, at);
    assert_eq!(asked, Ok(Verdict::Move(for_a_person(&delivering), vec![])));
    // Told in time, it is settled; cancelled before it could be told, a person looks.
    assert_eq!(inbound::step(&delivered, InboundEvent::AskedBack, at), Ok(Verdict::Stay));
    for state in [&delivering, &delivered] {
        let cancelled = inbound::step(state, InboundEvent::Recalled, at);
        assert_eq!(cancelled, Ok(Verdict::Move(for_a_person(state), vec![])));
        let answer = |removed| inbound::step(&for_a_person(state), InboundEvent::GivenBack { removed }, at);
        assert_eq!(answer(true), Ok(Verdict::Move(recalled.clone(), vec![Effect::EraseNow])));
        // What the PACS keeps stays known: a later question is not answered by the box alone.
        let kept = InboundState::Recalled { at, in_pacs: true };
        assert_eq!(answer(false), Ok(Verdict::Move(kept.clone(), vec![Effect::EraseNow])));
        let erased = InboundState::Erased { at, in_pacs: true };
        assert_eq!(inbound::step(&kept, InboundEvent::Erased, at), Ok(Verdict::Move(erased, vec![])));
        assert_eq!(inbound::step(&held(state), InboundEvent::Recalled, at), Ok(Verdict::Stay));
    }
}

#[test]
fn what_expires_at_the_portal_before_it_is_told_does_not_stay_delivered() {
    let delivered = InboundState::Delivered { stored: 2, of: 3, at: now() };
    let verdict = inbound::step(&delivered, InboundEvent::Expired, now()).unwrap();
    let expired = InboundState::Expired { at: now(), in_pacs: true };
    assert_eq!(verdict, Verdict::Move(expired.clone(), vec![Effect::EraseAfterKeeping]));
    // It stays known when the images are erased: nobody is told that nothing is left.
    let erased = InboundState::Erased { at: now(), in_pacs: true };
    assert_eq!(inbound::step(&expired, InboundEvent::Erased, now()), Ok(Verdict::Move(erased, vec![])));
    let delivering = InboundState::Delivering { settled: 0, of: 3 };
    let held =
        InboundState::Held { back_to: Box::new(delivering), reason: HoldReason::PackDamaged, since: now() };
    let failed = InboundState::Failed { reason: FailReason::NotGenuine, at: now(), in_pacs: true };
    assert_eq!(
        inbound::step(&held, InboundEvent::Failed(FailReason::NotGenuine), now()),
        Ok(Verdict::Move(failed, vec![Effect::EraseAfterKeeping]))
    );
    let opened = InboundState::Opened { at: now() };
    let untouched = InboundState::Expired { at: now(), in_pacs: false };
    assert_eq!(
        inbound::step(&opened, InboundEvent::Expired, now()),
        Ok(Verdict::Move(untouched, vec![Effect::EraseAfterKeeping]))
    );
    // What was told stays told.
    let reported = InboundState::Reported { at: now() };
    assert_eq!(inbound::step(&reported, InboundEvent::Expired, now()), Err(NotNow));
}

#[test]
fn what_was_sent_to_nobody_is_not_over_whatever_a_portal_says_of_its_draft() {
    let at = now();
    for state in [OutboundState::Collecting, OutboundState::Queued { closed_at: at }] {
        let held = OutboundState::Held {
            back_to: Box::new(state.clone()),
            reason: HoldReason::TwoPatients,
            since: at,
        };
        for state in [state, held] {
            let over = [
                OutboundEvent::Expired,
                OutboundEvent::Recalled,
                OutboundEvent::Declined { reason: DeclineReason::Other, belongs_at: None },
                OutboundEvent::Failed(FailReason::GivenUp),
            ];
            for event in over {
                assert!(outbound::step(&state, event.clone(), at).is_err(), "{state:?}, {event:?}");
            }
        }
    }
}

#[test]
fn what_may_be_in_the_pacs_in_part_is_not_declined() {
    let at = now();
    let held = |back_to: InboundState| InboundState::Held {
        back_to: Box::new(back_to),
        reason: HoldReason::PacsRefusedUs,
        since: at,
    };
    let declined = || InboundEvent::Declined(DeclineReason::NotOurs);
    let in_part = held(InboundState::Delivering { settled: 5, of: 10 });
    assert!(inbound::step(&in_part, declined(), at).is_err());
    assert!(inbound::step(&held(InboundState::Opened { at }), declined(), at).is_ok());
}
