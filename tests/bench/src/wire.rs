//! The little DICOM that a sender of prepared bytes needs: an association request, a C-STORE request, PDUs around a
//! data set, and the status of a response. PS3.8 §9.3, PS3.7 §9.3.1.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, bail, ensure};
use dicom_ul::pdu::{
    AssociationRQ, Pdu, PresentationContextProposed, PresentationContextResultReason, UserVariableItem,
    read_pdu, write_pdu,
};

/// The one presentation context that is proposed.
const CONTEXT: u8 = 1;
/// PDU header and PDV header.
const HEADERS: usize = 12;
/// Longest fragment for a peer that takes any length.
const LONGEST_PDU: usize = 256 * 1024;
const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";

/// One element in Explicit VR Little Endian with a short length.
pub fn element(out: &mut Vec<u8>, tag: (u16, u16), vr: [u8; 2], value: &[u8]) {
    let padded = value.len() + value.len() % 2;
    out.extend_from_slice(&tag.0.to_le_bytes());
    out.extend_from_slice(&tag.1.to_le_bytes());
    out.extend_from_slice(&vr);
    out.extend_from_slice(&u16::try_from(padded).unwrap_or(0).to_le_bytes());
    out.extend_from_slice(value);
    if padded > value.len() {
        out.push(if vr == *b"UI" { 0 } else { b' ' });
    }
}

/// A C-STORE-RQ command set in a PDU of its own.
pub fn store_request(sop_class: &str, sop_instance: &str, message_id: u16) -> Vec<u8> {
    let mut set = Vec::new();
    let mut implicit = |element: u16, value: &[u8]| {
        let padded = value.len() + value.len() % 2;
        set.extend_from_slice(&[0, 0]);
        set.extend_from_slice(&element.to_le_bytes());
        set.extend_from_slice(&u32::try_from(padded).unwrap_or(0).to_le_bytes());
        set.extend_from_slice(value);
        set.resize(set.len() + padded - value.len(), 0);
    };
    implicit(0x0002, sop_class.as_bytes());
    implicit(0x0100, &1_u16.to_le_bytes());
    implicit(0x0110, &message_id.to_le_bytes());
    implicit(0x0700, &0_u16.to_le_bytes());
    implicit(0x0800, &1_u16.to_le_bytes());
    implicit(0x1000, sop_instance.as_bytes());
    let mut command = vec![0, 0, 0, 0, 4, 0, 0, 0];
    command.extend_from_slice(&u32::try_from(set.len()).unwrap_or(0).to_le_bytes());
    command.extend_from_slice(&set);
    let mut out = Vec::with_capacity(HEADERS + command.len());
    pdu(&mut out, &command, 3);
    out
}

/// A stretch of a data set in PDUs of at most `limit` bytes (0: any); `ends` if the data set ends with it.
pub fn data_pdus(out: &mut Vec<u8>, data: &[u8], limit: usize, ends: bool) {
    let longest = if limit == 0 { LONGEST_PDU } else { limit.min(LONGEST_PDU) };
    let room = (longest - 6) & !1;
    let count = data.len().div_ceil(room);
    out.reserve(data.len() + count * HEADERS);
    for (index, fragment) in data.chunks(room).enumerate() {
        pdu(out, fragment, if ends && index + 1 == count { 2 } else { 0 });
    }
}

fn pdu(out: &mut Vec<u8>, fragment: &[u8], control: u8) {
    let length = u32::try_from(fragment.len()).unwrap_or(0);
    out.extend_from_slice(&[4, 0]);
    out.extend_from_slice(&(length + 6).to_be_bytes());
    out.extend_from_slice(&(length + 2).to_be_bytes());
    out.extend_from_slice(&[CONTEXT, control]);
    out.extend_from_slice(fragment);
}

/// Asks for an association; gives the longest P-DATA PDU that the peer takes, 0 for any.
///
/// # Errors
/// If the peer does not accept.
pub fn associate(stream: &mut TcpStream, calling: &str, called: &str, sop_class: &str) -> Result<usize> {
    let request = Pdu::AssociationRQ(AssociationRQ {
        protocol_version: 1,
        calling_ae_title: calling.to_owned(),
        called_ae_title: called.to_owned(),
        application_context_name: "1.2.840.10008.3.1.1.1".to_owned(),
        presentation_contexts: vec![PresentationContextProposed {
            id: CONTEXT,
            abstract_syntax: sop_class.to_owned(),
            transfer_syntaxes: vec![EXPLICIT_LITTLE_ENDIAN.to_owned()],
        }],
        user_variables: vec![
            UserVariableItem::MaxLength(16_384),
            UserVariableItem::ImplementationClassUID("2.25.310000000000000000000000000000000009".to_owned()),
        ],
    });
    let mut bytes = Vec::new();
    write_pdu(&mut bytes, &request)?;
    stream.write_all(&bytes)?;
    let answer = next_pdu(stream)?;
    let Some(Pdu::AssociationAC(accepted)) = read_pdu(answer.as_slice(), 1 << 20, false)? else {
        bail!("the association was not accepted");
    };
    let context = accepted.presentation_contexts.first().context("no presentation context")?;
    ensure!(
        context.reason == PresentationContextResultReason::Acceptance,
        "the presentation context was not accepted"
    );
    let limit = accepted
        .user_variables
        .iter()
        .find_map(|item| if let UserVariableItem::MaxLength(length) = item { Some(*length) } else { None });
    Ok(usize::try_from(limit.unwrap_or(16_384))?)
}

/// Ends the association in good order.
///
/// # Errors
/// If the peer does not answer.
pub fn release(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(&[5, 0, 0, 0, 0, 4, 0, 0, 0, 0])?;
    let answer = next_pdu(stream)?;
    ensure!(answer.first() == Some(&6), "the release was not answered");
    Ok(())
}

/// Waits for a response and gives its status (0000,0900).
///
/// # Errors
/// If something else comes, or nothing.
pub fn response(stream: &mut TcpStream) -> Result<u16> {
    let mut command = Vec::new();
    loop {
        let pdu = next_pdu(stream)?;
        ensure!(pdu.first() == Some(&4) && pdu.len() >= HEADERS, "something else than a response came");
        let mut values = &pdu[6..];
        while let [a, b, c, d, _, control, ..] = *values {
            let whole = 4 + usize::try_from(u32::from_be_bytes([a, b, c, d]))?;
            command.extend_from_slice(values.get(6..whole).context("a PDV longer than its PDU")?);
            values = &values[whole..];
            if control & 2 == 2 {
                return status(&command);
            }
        }
    }
}

fn status(mut set: &[u8]) -> Result<u16> {
    while let [g0, g1, e0, e1, l0, l1, l2, l3, ..] = *set {
        let whole = 8 + usize::try_from(u32::from_le_bytes([l0, l1, l2, l3]))?;
        let value = set.get(8..whole).context("a command element longer than its set")?;
        if ([g0, g1, e0, e1], value.len()) == ([0, 0, 0, 9], 2) {
            return Ok(u16::from_le_bytes([value[0], value[1]]));
        }
        set = &set[whole..];
    }
    bail!("a response without a status")
}

fn next_pdu(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut pdu = vec![0; 6];
    stream.read_exact(&mut pdu).context("the peer closed or is silent")?;
    let length = usize::try_from(u32::from_be_bytes([pdu[2], pdu[3], pdu[4], pdu[5]]))?;
    ensure!(length <= 1 << 20, "a PDU of {length} bytes as an answer");
    pdu.resize(6 + length, 0);
    stream.read_exact(&mut pdu[6..])?;
    Ok(pdu)
}
