//! P-DATA in every shape a peer may choose, at constant memory; control PDUs within their cap.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test that sees anything else has failed")]

use super::*;

fn pdv(context: u8, control: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len() + 2).unwrap();
    [&length.to_be_bytes()[..], &[context, control], data].concat()
}

fn p_data(pdvs: &[Vec<u8>]) -> Vec<u8> {
    let body = pdvs.concat();
    [&[4, 0][..], &u32::try_from(body.len()).unwrap().to_be_bytes(), &body].concat()
}

/// A data set as many PDVs of one size, one per PDU.
fn fragments(data: &[u8], size: usize) -> Vec<u8> {
    let count = data.chunks(size).len();
    let pdus = data.chunks(size).enumerate();
    pdus.flat_map(|(at, part)| p_data(&[pdv(1, if at + 1 == count { 2 } else { 0 }, part)])).collect()
}

/// Feeds bytes as reads of at most `read` bytes, never more than there is room for, and collects what comes out.
fn feed(inflow: &mut Inflow, mut bytes: &[u8], read: usize) -> Result<Vec<Incoming>, WireError> {
    let mut found = Vec::new();
    loop {
        while let Some(incoming) = inflow.next()? {
            found.push(incoming);
        }
        if bytes.is_empty() {
            return Ok(found);
        }
        let (buffer, most) = inflow.room();
        assert!(most > 0);
        let (now, later) = bytes.split_at(bytes.len().min(read).min(most));
        buffer.extend_from_slice(now);
        bytes = later;
    }
}

fn pieces(found: Vec<Incoming>) -> Vec<Piece> {
    found
        .into_iter()
        .map(|incoming| match incoming {
            Incoming::Piece(piece) => piece,
            other => panic!("{other:?} is no piece"),
        })
        .collect()
}

#[test]
fn several_values_in_one_pdu_come_apart_where_they_differ() {
    let bytes = p_data(&[
        pdv(1, 3, b"command"),
        pdv(1, 0, b"da"),
        pdv(1, 0, b"ta"),
        pdv(3, 0, b"other"),
        pdv(3, 2, b""),
    ]);
    for read in [1, 2, 5, 7, 1000] {
        let found = pieces(feed(&mut Inflow::default(), &bytes, read).unwrap());
        let commands: Vec<u8> = found
            .iter()
            .filter(|piece| piece.kind == PdvKind::Command)
            .flat_map(|piece| piece.chunk.to_vec())
            .collect();
        assert_eq!(commands, b"command");
        let data: Vec<_> = found
            .iter()
            .filter(|piece| piece.kind == PdvKind::Data)
            .map(|piece| (piece.context, piece.chunk.to_vec(), piece.last))
            .collect();
        assert_eq!(data, [(1, b"data".to_vec(), false), (3, b"other".to_vec(), true)], "reads of {read}");
    }
}

#[test]
fn whatever_the_sizes_the_bytes_are_the_same_and_the_pieces_are_large() {
    let data: Vec<u8> = (0..700_001_u32).map(|n| n.to_le_bytes()[1] ^ n.to_le_bytes()[0]).collect();
    for size in [1_018, 16_372, 131_066, 600_000, 700_001] {
        for read in [1_460, 65_536, usize::MAX] {
            let found = pieces(feed(&mut Inflow::default(), &fragments(&data, size), read).unwrap());
            let together: Vec<u8> = found.iter().flat_map(|piece| piece.chunk.to_vec()).collect();
            assert!(together == data, "{size} {read}");
            let (last, others) = found.split_last().unwrap();
            assert!(last.last && others.iter().all(|piece| !piece.last && piece.chunk.len() == PIECE));
        }
    }
}

#[test]
fn a_control_pdu_inside_a_data_set_comes_after_what_was_there() {
    let mut bytes = p_data(&[pdv(1, 0, b"half")]);
    bytes.extend([7, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
    let found = feed(&mut Inflow::default(), &bytes, 3).unwrap();
    assert!(matches!(&found[0], Incoming::Piece(piece) if &piece.chunk[..] == b"half" && !piece.last));
    assert_eq!(found[1], Incoming::Abort { source: 0, reason: 0 });
}

#[test]
fn nonsense_is_refused_by_name() {
    for (bytes, expected) in [
        (vec![9, 0, 0, 0, 0, 4], "no protocol known"),
        (b"GET / HTTP/1.1".to_vec(), "HTTP"),
        (vec![4, 0, 0, 0, 0, 5, 0, 0, 0, 1, 1], "without a complete PDV"),
        (vec![4, 0, 0, 0, 0, 6, 0, 0, 0, 1, 1, 3], "does not fit"),
        (vec![4, 0, 0, 0, 0, 6, 0, 0, 0, 9, 1, 3], "does not fit"),
        (vec![4, 0, 0, 0, 0, 8, 0, 0, 0, 2, 1, 3, 0, 0], "behind the last PDV"),
        (vec![5, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0], "wrong length"),
        (vec![1, 0, 0x7f, 0xff, 0xff, 0xff], "control PDU of 2147483647 bytes"),
        ([p_data(&[pdv(1, 3, b"x")]), vec![0x16, 3]].concat(), "unknown type 0x16"),
    ] {
        let error = feed(&mut Inflow::default(), &bytes, 1000).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

// 4 GiB are declared, 64 MiB come: the reader never asks for more room than it has been given.
#[test]
fn a_pdu_of_four_gibibytes_streams_through_constant_memory() {
    let mut inflow = Inflow::default();
    feed(&mut inflow, &[4, 0, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xfa, 1, 0], 100).unwrap();
    let block = vec![7; 1 << 20];
    for _ in 0..64 {
        for piece in pieces(feed(&mut inflow, &block, 65_536).unwrap()) {
            assert!(!piece.last && piece.chunk.len() == PIECE);
        }
        assert!(inflow.buffer.capacity() <= PIECE + 2 * SMALL && inflow.lent.len() <= MOST_LENT);
    }
}

#[test]
fn a_declared_control_pdu_costs_what_has_come_of_it() {
    let mut inflow = Inflow::default();
    feed(&mut inflow, &[1, 0, 0, 0x0f, 0xff, 0xff, 0, 1], 100).unwrap();
    inflow.room();
    assert!(inflow.buffer.capacity() <= 2 * SMALL, "{}", inflow.buffer.capacity());
    assert!(feed(&mut inflow, &vec![0; 100_000], 1_460).unwrap().is_empty());
    inflow.room();
    assert!(inflow.buffer.capacity() <= 4 * 100_000, "{}", inflow.buffer.capacity());
}

#[test]
fn buffers_come_back_when_the_taker_is_done() {
    let mut inflow = Inflow::default();
    let mut seen = std::collections::BTreeSet::new();
    let bytes = fragments(&vec![3; 40 * PIECE], 131_066);
    for part in bytes.chunks(PIECE) {
        for piece in pieces(feed(&mut inflow, part, usize::MAX).unwrap()) {
            seen.insert(piece.chunk.as_ptr().addr());
        }
    }
    assert!(seen.len() <= MOST_LENT + 1, "{} buffers", seen.len());
}
