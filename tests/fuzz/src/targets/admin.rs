//! Lines of the admin socket: questions as the daemon reads them, answers as the pages read them.
//!
//! What must be true: what was read can be written, and reads back as the same text.

use beeldbox_protocol::admin::{Answer, Call};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Runs the reader. The first byte chooses question or answer.
pub fn run(input: &[u8]) {
    let Some((which, line)) = input.split_first() else { return };
    match which % 2 {
        0 => both_ways::<Call>(line),
        _ => both_ways::<Answer>(line),
    }
}

/// Reads, writes, reads and writes: the two texts must be one.
pub(crate) fn both_ways<T: Serialize + DeserializeOwned>(text: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(text) else { return };
    let written = serde_json::to_string(&read).expect("what was read can be written");
    let again: T = serde_json::from_str(&written).expect("what was written can be read");
    let twice = serde_json::to_string(&again).expect("what was read can be written");
    assert_eq!(written, twice);
}

/// Inputs to begin with.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let id = "6f1c2d3e-4f5a-4b6c-8d7e-8f90a1b2c3d4";
    let call = |question: &str| {
        format!("\0{{\"actor\":{{\"name\":\"a\",\"through\":\"web\"}},\"question\":{question}}}").into_bytes()
    };
    let of_transfer = |ask: &str| call(&format!("{{\"ask\":\"{ask}\",\"transfer\":\"{id}\"}}"));
    vec![
        ("status", call("{\"ask\":\"status\"}")),
        ("studies", call("{\"ask\":\"studies\",\"before\":7,\"limit\":50}")),
        ("study", call("{\"ask\":\"study\",\"study\":1}")),
        ("addressees", call("{\"ask\":\"addressees\",\"query\":\"zuid\",\"limit\":9}")),
        ("check", call("{\"ask\":\"check\",\"study\":1,\"addressee\":\"zuid-radiologie\"}")),
        (
            "send",
            call(
                "{\"ask\":\"send\",\"study\":1,\"addressee\":\"zuid\",\"note\":\"n\",\"reply_contact\":null,\
                 \"urgent\":true,\"acknowledged\":[]}",
            ),
        ),
        (
            "transfers",
            call("{\"ask\":\"transfers\",\"before\":\"0c7e1b0a-6a1d-4f4e-9a57-3d1f0a2f6f10\",\"limit\":2}"),
        ),
        ("transfer", of_transfer("transfer")),
        ("recall", of_transfer("recall")),
        (
            "import",
            call(&format!(
                "{{\"ask\":\"import\",\"transfer\":\"{id}\",\"patient\":{{\"patient_id\":\"P1\"}}}}"
            )),
        ),
        ("answer", b"\x01{\"Ok\":{\"reply\":\"done\"}}".to_vec()),
    ]
}
