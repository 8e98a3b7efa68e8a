//! All 247 cells of PS3.8 Table 9-10, written down as the standard prints it, and the state after each.

use super::*;

/// Rows: events 1 to 19. Columns: states 1 to 13. `-`: no entry. Typed in from the table, not made from the code.
const TABLE: &str = "
    AE-1  -     -     -     -     -     -     -     -     -     -     -     -
    -     -     -     AE-2  -     -     -     -     -     -     -     -     -
    -     AA-1  AA-8  -     AE-3  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
    -     AA-1  AA-8  -     AE-4  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
    AE-5  -     -     -     -     -     -     -     -     -     -     -     -
    -     AE-6  AA-8  -     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
    -     -     AE-7  -     -     -     -     -     -     -     -     -     -
    -     -     AE-8  -     -     -     -     -     -     -     -     -     -
    -     -     -     -     -     DT-1  -     AR-7  -     -     -     -     -
    -     AA-1  AA-8  -     AA-8  DT-2  AR-6  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
    -     -     -     -     -     AR-1  -     -     -     -     -     -     -
    -     AA-1  AA-8  -     AA-8  AR-2  AR-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
    -     AA-1  AA-8  -     AA-8  AA-8  AR-3  AA-8  AA-8  AR-10 AR-3  AA-8  AA-6
    -     -     -     -     -     -     -     AR-4  AR-9  -     -     AR-4  -
    -     -     AA-1  AA-2  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  -
    -     AA-2  AA-3  -     AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-2
    -     AA-5  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AR-5
    -     AA-2  -     -     -     -     -     -     -     -     -     -     AA-2
    -     AA-1  AA-8  -     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7";

pub(crate) const STATES: [State; 13] = [
    State::Sta1,
    State::Sta2,
    State::Sta3,
    State::Sta4,
    State::Sta5,
    State::Sta6,
    State::Sta7,
    State::Sta8,
    State::Sta9,
    State::Sta10,
    State::Sta11,
    State::Sta12,
    State::Sta13,
];

const EVENTS: [Event; 19] = [
    Event::Evt1,
    Event::Evt2,
    Event::Evt3,
    Event::Evt4,
    Event::Evt5,
    Event::Evt6,
    Event::Evt7,
    Event::Evt8,
    Event::Evt9,
    Event::Evt10,
    Event::Evt11,
    Event::Evt12,
    Event::Evt13,
    Event::Evt14,
    Event::Evt15,
    Event::Evt16,
    Event::Evt17,
    Event::Evt18,
    Event::Evt19,
];

/// `Aa8` as the standard writes it.
fn standard_name(action: Action) -> String {
    let name = format!("{action:?}");
    format!("{}-{}", name[..2].to_uppercase(), &name[2..])
}

#[test]
fn every_cell_is_that_of_the_standard() {
    let rows: Vec<Vec<&str>> = TABLE.trim().lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), EVENTS.len());
    let mut cells = 0;
    for (event, row) in EVENTS.into_iter().zip(rows) {
        assert_eq!(row.len(), STATES.len());
        for (state, expected) in STATES.into_iter().zip(row) {
            let found = action(state, event).map_or_else(|| "-".to_owned(), standard_name);
            assert_eq!(found, expected, "{state:?} {event:?}");
            cells += 1;
        }
    }
    assert_eq!(cells, 247);
}

/// The state behind each action, as Tables 9-6 to 9-9 end their rows.
#[test]
fn every_action_leads_where_the_standard_says() {
    let leads = [
        ("AE-1", 4),
        ("AE-2", 5),
        ("AE-3", 6),
        ("AE-4", 1),
        ("AE-5", 2),
        ("AE-6", 3),
        ("AE-7", 6),
        ("AE-8", 13),
        ("DT-1", 6),
        ("DT-2", 6),
        ("AR-1", 7),
        ("AR-2", 8),
        ("AR-3", 1),
        ("AR-4", 13),
        ("AR-5", 1),
        ("AR-6", 7),
        ("AR-7", 8),
        ("AR-9", 11),
        ("AR-10", 12),
        ("AA-1", 13),
        ("AA-2", 1),
        ("AA-3", 1),
        ("AA-4", 1),
        ("AA-5", 1),
        ("AA-6", 13),
        ("AA-7", 13),
        ("AA-8", 13),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for state in STATES {
        for event in EVENTS {
            for (role, collision) in [(Role::Requestor, 9), (Role::Acceptor, 10)] {
                let mut machine = Machine::at(role, state);
                let Ok(done) = machine.apply(event) else {
                    // Nothing moves on what cannot be.
                    assert_eq!(machine.state(), state);
                    continue;
                };
                let name = standard_name(done);
                let expected = leads.iter().find(|(action, _)| *action == name).map(|(_, number)| *number);
                assert_eq!(machine.state(), STATES[expected.unwrap_or(collision) - 1], "{name}");
                seen.insert(name);
            }
        }
    }
    // All but AR-8, which leads to two states.
    assert_eq!(seen.len(), leads.len() + 1);
}
