//! What a DICOM peer sends: association PDUs, a whole association, command sets, the beginning of a data set. The
//! readers are the doors that `beeldbox-dicom` opens for the instrumented build.
//!
//! The inputs to begin with are written here byte by byte from PS3.8 §9.3, PS3.7 annex E and PS3.5 §7.

#[cfg(fuzzing)]
use crate::budget::{Allowance, within};

/// An A-ASSOCIATE-RQ or A-ASSOCIATE-AC PDU.
#[cfg(fuzzing)]
pub fn control_pdu(input: &[u8]) {
    within(Allowance::FourTimes, input.len(), || beeldbox_dicom::fuzzing::control_pdu(input));
}

/// Everything that a peer sends on one connection.
#[cfg(fuzzing)]
pub fn association(input: &[u8]) {
    within(Allowance::FourTimes, input.len(), || beeldbox_dicom::fuzzing::association(input));
}

/// A command set.
#[cfg(fuzzing)]
pub fn command_set(input: &[u8]) {
    within(Allowance::FourTimes, input.len(), || beeldbox_dicom::fuzzing::command_set(input));
}

/// The beginning of a data set. The first byte chooses the transfer syntax.
#[cfg(fuzzing)]
pub fn data_set_header(input: &[u8]) {
    let Some((syntax, data_set)) = input.split_first() else { return };
    within(Allowance::FourTimes, input.len(), || beeldbox_dicom::fuzzing::data_set_header(*syntax, data_set));
}

/// An identifier that an archive answers a query with. The first byte chooses the transfer syntax.
#[cfg(fuzzing)]
pub fn query_response(input: &[u8]) {
    within(Allowance::Fixed, input.len(), || beeldbox_dicom::fuzzing::query_response(input));
}

/// A request for storage commitment. The first byte chooses the transfer syntax.
#[cfg(fuzzing)]
pub fn commitment_request(input: &[u8]) {
    within(Allowance::Fixed, input.len(), || beeldbox_dicom::fuzzing::commitment_request(input));
}

/// A data set on its way to the archive. The first three bytes choose the transfer syntax, the plan and the pieces.
#[cfg(fuzzing)]
pub fn coerce(input: &[u8]) {
    within(Allowance::Fixed, input.len(), || beeldbox_dicom::fuzzing::coerce(input));
}

const VERIFICATION: &str = "1.2.840.10008.1.1";
const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// A sub-item of an association PDU: type, reserved, length, content (PS3.8 §9.3.2.1).
fn item(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("an item is short").to_be_bytes();
    [&[kind, 0], length.as_slice(), content].concat()
}

fn pdu(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("a PDU is short").to_be_bytes();
    [&[kind, 0], length.as_slice(), content].concat()
}

/// Text with its length before it, as in the sub-items of PS3.7 annex D.
fn counted(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("short").to_be_bytes();
    [length.as_slice(), text.as_bytes()].concat()
}

/// An association PDU with the contexts and sub-items of user information given.
fn association_pdu(kind: u8, contexts: &[Vec<u8>], user: &[Vec<u8>]) -> Vec<u8> {
    let mut content = vec![0, 1, 0, 0];
    content.extend_from_slice(b"BEELDBOX        FUZZ            ");
    content.extend_from_slice(&[0; 32]);
    content.extend(item(0x10, b"1.2.840.10008.3.1.1.1"));
    contexts.iter().for_each(|context| content.extend_from_slice(context));
    content.extend(item(0x50, &user.concat()));
    pdu(kind, &content)
}

fn proposed(id: u8, class: &str, syntaxes: &[&str]) -> Vec<u8> {
    let mut content = vec![id, 0, 0, 0];
    content.extend(item(0x30, class.as_bytes()));
    syntaxes.iter().for_each(|syntax| content.extend(item(0x40, syntax.as_bytes())));
    item(0x20, &content)
}

fn every_user_item() -> Vec<Vec<u8>> {
    let common = [counted(CT), counted("1.2.840.10008.4.2"), vec![0, 0]].concat();
    vec![
        item(0x51, &[0, 0, 0x40, 0]),
        item(0x52, b"2.25.1"),
        item(0x53, &[0, 1, 0, 1]),
        item(0x54, &[counted(CT), vec![1, 1]].concat()),
        item(0x55, b"FUZZ_1"),
        item(0x56, &[counted(CT), vec![1, 0, 1]].concat()),
        item(0x57, &common),
        item(0x58, &[vec![2, 1], counted("user"), counted("word")].concat()),
    ]
}

/// A P-DATA-TF PDU with one PDV. Bit 0 of the header says command, bit 1 says last (PS3.8 annex E.2).
fn p_data(context: u8, header: u8, fragment: &[u8]) -> Vec<u8> {
    let length = u32::try_from(fragment.len() + 2).expect("short").to_be_bytes();
    pdu(4, &[length.as_slice(), &[context, header], fragment].concat())
}

/// An element in Implicit VR Little Endian.
fn implicit(group: u16, element: u16, value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).expect("short").to_le_bytes();
    [group.to_le_bytes().as_slice(), &element.to_le_bytes(), &length, value].concat()
}

/// An element in Explicit VR, in either byte order; `OB`, `SQ` and `UN` have the long form (PS3.5 §7.1.2).
fn explicit(big: bool, group: u16, element: u16, vr: &str, value: &[u8]) -> Vec<u8> {
    let two = |number: u16| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let mut out = [two(group), two(element)].concat();
    out.extend_from_slice(vr.as_bytes());
    if ["OB", "SQ", "UN"].contains(&vr) {
        let length = u32::try_from(value.len()).expect("short");
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&if big { length.to_be_bytes() } else { length.to_le_bytes() });
    } else {
        out.extend_from_slice(&two(u16::try_from(value.len()).expect("short")));
    }
    out.extend_from_slice(value);
    out
}

/// A UID with an even number of bytes.
fn uid(text: &str) -> Vec<u8> {
    let mut out = text.as_bytes().to_vec();
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

fn command(field: u16, class: &str, with_data_set: bool) -> Vec<u8> {
    let data_set_type: u16 = if with_data_set { 0 } else { 0x0101 };
    let mut elements = [
        implicit(0, 0x0002, &uid(class)),
        implicit(0, 0x0100, &field.to_le_bytes()),
        implicit(0, 0x0110, &7_u16.to_le_bytes()),
    ]
    .concat();
    if with_data_set {
        elements.extend(implicit(0, 0x0700, &0_u16.to_le_bytes()));
    }
    elements.extend(implicit(0, 0x0800, &data_set_type.to_le_bytes()));
    if with_data_set {
        elements.extend(implicit(0, 0x1000, &uid("1.2.3.4")));
    }
    let length = u32::try_from(elements.len()).expect("short").to_le_bytes();
    [implicit(0, 0, &length), elements].concat()
}

const ECHO: u16 = 0x0030;
const STORE: u16 = 0x0001;

/// Tags, VRs and values of a data set that names everything a header is read for.
fn header_elements() -> Vec<(u16, u16, &'static str, Vec<u8>)> {
    vec![
        (0x0008, 0x0005, "CS", b"ISO_IR 100".to_vec()),
        (0x0008, 0x0016, "UI", uid(CT)),
        (0x0008, 0x0018, "UI", uid("1.2.3.4")),
        (0x0008, 0x0020, "DA", b"20261123".to_vec()),
        (0x0008, 0x0050, "SH", b"A1".to_vec()),
        (0x0008, 0x0060, "CS", b"CT".to_vec()),
        (0x0008, 0x1030, "LO", b"none".to_vec()),
        (0x0009, 0x0010, "UN", b"anything".to_vec()),
        (0x0010, 0x0010, "PN", b"Proef^Petra ".to_vec()),
        (0x0010, 0x0020, "LO", b"P1".to_vec()),
        (0x0010, 0x0030, "DA", b"19700101".to_vec()),
        (0x0010, 0x0040, "CS", b"F ".to_vec()),
        (0x0020, 0x000d, "UI", uid("1.2.3")),
        (0x0020, 0x000e, "UI", uid("1.2.3.1")),
        (0x7fe0, 0x0010, "OB", vec![0; 16]),
    ]
}

fn implicit_data_set() -> Vec<u8> {
    header_elements()
        .iter()
        .flat_map(|(group, element, _, value)| implicit(*group, *element, value))
        .collect()
}

fn explicit_data_set(big: bool) -> Vec<u8> {
    let one =
        |(group, element, vr, value): &(u16, u16, &str, Vec<u8>)| explicit(big, *group, *element, vr, value);
    header_elements().iter().flat_map(one).collect()
}

/// A sequence of undefined length with an item of undefined length in it, before anything that is wanted.
fn undefined_lengths() -> Vec<u8> {
    let unknown = [0xff; 4];
    let mut out =
        [&[0x08, 0, 0x10, 0x11][..], b"SQ\0\0", &unknown, &[0xfe, 0xff, 0, 0xe0], &unknown].concat();
    out.extend(explicit(false, 0x0008, 0x1150, "UI", &uid(CT)));
    out.extend_from_slice(&[0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0, 0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]);
    out.extend(explicit_data_set(false));
    out
}

/// A deflated data set that is stored and not compressed (RFC 1951 §3.2.4).
fn deflated() -> Vec<u8> {
    let plain = explicit_data_set(false);
    let length = u16::try_from(plain.len()).expect("short");
    [&[1], length.to_le_bytes().as_slice(), &(!length).to_le_bytes(), &plain].concat()
}

/// Inputs to begin with, for `control_pdu`.
pub(crate) fn control_pdu_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let accepted =
        |id: u8, syntax: &str| item(0x21, &[vec![id, 0, 0, 0], item(0x40, syntax.as_bytes())].concat());
    let many: Vec<Vec<u8>> = (0..8_u8).map(|n| proposed(n * 2 + 1, CT, &[IMPLICIT, EXPLICIT])).collect();
    let user = every_user_item();
    vec![
        ("request-plain", association_pdu(1, &[proposed(1, VERIFICATION, &[IMPLICIT])], &user[..1])),
        ("request-every-item", association_pdu(1, &[proposed(1, CT, &[EXPLICIT, IMPLICIT])], &user)),
        ("request-many-contexts", association_pdu(1, &many, &user[..2])),
        ("request-nothing-proposed", association_pdu(1, &[], &[])),
        ("accept", association_pdu(2, &[accepted(1, EXPLICIT), accepted(3, IMPLICIT)], &user[..5])),
        ("accept-refused-context", association_pdu(2, &[item(0x21, &[1, 0, 3, 0])], &user[..2])),
    ]
}

/// Inputs to begin with, for `association`. The first byte says whether a request goes before (bit 7) and how long the
/// pieces are.
pub(crate) fn association_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let release = pdu(5, &[0; 4]);
    let abort = pdu(7, &[0; 4]);
    let echo = p_data(1, 3, &command(ECHO, VERIFICATION, false));
    let data_set = explicit_data_set(false);
    let (first, second) = data_set.split_at(100);
    let store = [p_data(3, 3, &command(STORE, CT, true)), p_data(3, 0, first), p_data(3, 2, second)].concat();
    let own = association_pdu(1, &[proposed(1, VERIFICATION, &[IMPLICIT])], &every_user_item());
    let asks = |how: u8, parts: &[&[u8]]| [&[how], parts.concat().as_slice()].concat();
    vec![
        ("echo-release", asks(0x80, &[&echo, &release])),
        ("echo-in-bytes", asks(0x81, &[&echo, &release])),
        ("store-release", asks(0x80, &[&store, &release])),
        ("store-twice", asks(0xa0, &[&store, &store, &release])),
        ("store-abort-inside", asks(0x80, &[&p_data(3, 3, &command(STORE, CT, true)), &abort])),
        ("release-inside", asks(0x80, &[&p_data(3, 3, &command(STORE, CT, true)), &release])),
        ("own-request", asks(0, &[&own, &echo, &release])),
        ("own-request-in-pieces", asks(0x11, &[&own, &abort])),
        ("request-twice", asks(0x80, &[&own])),
        ("accept-to-acceptor", asks(0, &[&association_pdu(2, &[], &[])])),
        ("web", asks(0, &[b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])),
    ]
}

/// Inputs to begin with, for `command_set`.
pub(crate) fn command_set_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let response = [
        implicit(0, 0x0002, &uid(CT)),
        implicit(0, 0x0100, &0x8001_u16.to_le_bytes()),
        implicit(0, 0x0120, &7_u16.to_le_bytes()),
        implicit(0, 0x0800, &0x0101_u16.to_le_bytes()),
        implicit(0, 0x0900, &0xa700_u16.to_le_bytes()),
        implicit(0, 0x0902, b"out of room "),
        implicit(0, 0x1000, &uid("1.2.3.4")),
    ];
    vec![
        ("echo", command(ECHO, VERIFICATION, false)),
        ("store", command(STORE, CT, true)),
        ("store-response", response.concat()),
    ]
}

/// Inputs to begin with, for `data_set_header`. The first byte chooses the transfer syntax.
pub(crate) fn data_set_header_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let with = |syntax: u8, data_set: Vec<u8>| [vec![syntax], data_set].concat();
    vec![
        ("implicit", with(0, implicit_data_set())),
        ("explicit", with(1, explicit_data_set(false))),
        ("explicit-undefined-lengths", with(1, undefined_lengths())),
        ("big-endian", with(2, explicit_data_set(true))),
        ("deflated", with(3, deflated())),
        ("encapsulated", with(4, explicit_data_set(false))),
        ("private", with(5, implicit_data_set())),
    ]
}

/// Inputs to begin with, for `coerce`: those of `data_set_header`, and what was coerced before or is wrongly declared.
pub(crate) fn coerce_seeds() -> Vec<(&'static str, Vec<u8>)> {
    let element = |group, element, vr, value: &[u8]| explicit(false, group, element, vr, value);
    let item = |content: &[u8]| {
        let length = u32::try_from(content.len()).expect("short").to_le_bytes();
        [&[0xfe, 0xff, 0, 0xe0], &length[..], content].concat()
    };
    let name = element(0x0010, 0x0010, "PN", b"Fran\xe7ois ");
    let own = [element(0x0008, 0x0005, "CS", b"ISO_IR 144"), name.clone()].concat();
    let past = element(0x0400, 0x0550, "SQ", &item(&own));
    let before = [
        element(0x0008, 0x0000, "UL", &[0; 4]),
        element(0x0008, 0x0005, "CS", b"\\ISO 2022 IR 87 "),
        name.clone(),
        element(0x0040, 0x0275, "SQ", &[item(&own), item(&name)].concat()),
        element(0x0400, 0x0561, "SQ", &item(&past)),
    ];
    let fragments = [0xfe, 0xff, 0, 0xe0, 2, 0, 0, 0, 0xff, 0xd9, 0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0];
    let pixels = [&[0xe0, 0x7f, 0x10, 0][..], b"OB\0\0", &[0xff; 4], &fragments].concat();
    let with = |how: [u8; 3], data_set: &[u8]| [&how, data_set].concat();
    vec![
        ("implicit", with([0, 1, 0], &implicit_data_set())),
        ("explicit", with([1, 2, 7], &explicit_data_set(false))),
        ("undefined-lengths", with([1, 2, 1], &undefined_lengths())),
        ("big-endian", with([2, 1, 3], &explicit_data_set(true))),
        ("deflated", with([3, 2, 5], &deflated())),
        ("coerced-before", with([1, 2, 9], &before.concat())),
        ("fragments", with([4, 2, 2], &[name, pixels].concat())),
        ("nothing-to-do", with([6, 0, 4], &explicit_data_set(false))),
    ]
}
