//! What the codec must forgive.

use super::*;

#[test]
fn refused_contexts_without_a_transfer_syntax_are_understood() {
    let mut pdu = vec![2, 0, 0, 0, 0, 0, 0, 1, 0, 0];
    pdu.extend([b' '; 32]);
    pdu.extend([0; 32]);
    pdu.extend(b"\x10\0\0\x151.2.840.10008.3.1.1.1");
    pdu.extend(b"\x21\0\0\x04\x01\0\x03\0");
    pdu.extend(b"\x21\0\0\x19\x03\0\0\0\x40\0\0\x111.2.840.10008.1.2");
    pdu.extend(b"\x50\0\0\x08\x51\0\0\x04\0\0\x40\0");
    let length = u32::try_from(pdu.len() - 6).unwrap().to_be_bytes();
    pdu[2..6].copy_from_slice(&length);
    let accept = decode_accept(&Bytes::from(pdu)).unwrap();
    assert_eq!(accept.presentation_contexts.len(), 2);
    assert_eq!(accept.presentation_contexts[1].transfer_syntax, "1.2.840.10008.1.2");
}
