//! Doors for the fuzz targets: whatever a peer may send, as bytes.
//!
//! Each function must return, without a panic and in bounded memory, whatever it is given. Compiled only with
//! `--cfg fuzzing`.

use beeldbox_protocol::clinical::Confidential;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::coerce::{Coercer, CoercionError, CoercionRecord, Coercions, Issuer, LocalOrder, LocalPatient};
use crate::commitment::{CommitmentRequest, CommitmentResult};
use crate::dimse::Command;
use crate::fixtures::Nobody;
use crate::found::failed_instances;
use crate::listen::accept_over;
use crate::negotiate::negotiate;
use crate::policy::{NodePolicy, Transport};
use crate::query::Found;
use crate::walk::Encoding;
use crate::{pdu, sniff};

/// Transfer syntaxes that [`data_set_header`] chooses from: each VR encoding, deflated, encapsulated, private, unknown.
const TRANSFER_SYNTAXES: [&str; 7] = [
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.113619.5.2",
    "2.25.1",
];

/// A request for an association that proposes verification (context 1) and CT storage in Explicit VR Little Endian
/// (context 3), so that a target need not find one by chance.
const REQUEST: &[u8] = b"\x01\x00\x00\x00\x00\xd7\x00\x01\x00\x00BEELDBOX        FUZZ            \
\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
\x10\0\0\x151.2.840.10008.3.1.1.1\
\x20\0\0\x2e\x01\0\0\0\x30\0\0\x111.2.840.10008.1.1\x40\0\0\x111.2.840.10008.1.2\
\x20\0\0\x38\x03\0\0\0\x30\0\0\x191.2.840.10008.5.1.4.1.1.2\x40\0\0\x131.2.840.10008.1.2.1\
\x50\0\0\x08\x51\0\0\x04\0\0\x40\0";

/// A complete association PDU with its header, as acceptor (A-ASSOCIATE-RQ) and as requestor (A-ASSOCIATE-AC).
pub fn control_pdu(bytes: &[u8]) {
    let pdu = Bytes::copy_from_slice(bytes);
    if let (Ok(request), Some(policy)) = (pdu::decode_request(&pdu), policy()) {
        // What came of it is not the question here.
        let _ = negotiate(&request, &policy, std::net::IpAddr::from([127, 0, 0, 1]), &Transport::Plain);
    }
    let _ = pdu::decode_accept(&pdu);
}

/// Everything a peer sends on one connection. The first byte says how: its upper bit puts a valid A-ASSOCIATE-RQ before
/// the rest, the others are the size of the pieces in which the rest arrives (0: all at once).
pub fn association(bytes: &[u8]) {
    let Some((how, rest)) = bytes.split_first() else { return };
    let (Ok(runtime), Some(policy)) =
        (tokio::runtime::Builder::new_current_thread().enable_time().build(), policy())
    else {
        return;
    };
    let piece = match usize::from(how & 0x7f) {
        0 => usize::MAX,
        size => size,
    };
    let greeting = if how & 0x80 == 0 { &[] } else { REQUEST };
    runtime.block_on(async {
        let (theirs, ours) = tokio::io::duplex(1 << 16);
        let (mut answers, mut wire) = tokio::io::split(theirs);
        let sending = async {
            for part in std::iter::once(greeting).chain(rest.chunks(piece.min(rest.len().max(1)))) {
                if wire.write_all(part).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            // The acceptor may have gone before us.
            let _ = wire.shutdown().await;
        };
        let reading = async {
            let mut heard = [0; 4096];
            while answers.read(&mut heard).await.is_ok_and(|length| length > 0) {}
        };
        tokio::join!(sending, reading, accept_over(ours, policy, Nobody));
    });
}

/// A command set as it is put together from its PDVs.
pub fn command_set(bytes: &[u8]) {
    if let Ok(command) = Command::parse(Bytes::copy_from_slice(bytes)) {
        let _ = (command.message_id(), command.status(), command.error_comment());
        let _ = (command.affected_sop_class(), command.affected_sop_instance());
    }
}

/// The beginning of a data set, in one of the transfer syntaxes above.
pub fn data_set_header(transfer_syntax_selector: u8, bytes: &[u8]) {
    let chosen = usize::from(transfer_syntax_selector) % TRANSFER_SYNTAXES.len();
    let _ = sniff::sniff(bytes, TRANSFER_SYNTAXES[chosen]);
}

/// What an archive answers to a query or a move: the first byte chooses the encoding, the rest is the identifier.
pub fn query_response(bytes: &[u8]) {
    let Some((how, identifier)) = bytes.split_first() else { return };
    let encoding = encoding(*how);
    let _ = Found::read(identifier, encoding);
    let _ = failed_instances(identifier, encoding);
}

/// A data set on its way to the archive, coerced. The first byte chooses the transfer syntax as above, the second a plan that
/// fits most character sets or none but UTF-8, the third the size of the pieces. It must come out the same in pieces as at
/// once, and a plan without anything must give the same bytes.
///
/// # Panics
/// If it does not.
pub fn coerce(bytes: &[u8]) {
    let [syntax, plan, size, data_set @ ..] = bytes else { return };
    let syntax = TRANSFER_SYNTAXES[usize::from(*syntax) % TRANSFER_SYNTAXES.len()];
    let (Ok(uid), Some(coercions)) = (syntax.parse(), coercions(*plan)) else { return };
    let coerced = |size: usize| -> Result<_, CoercionError> {
        let mut coercer = Coercer::new(&coercions, &uid)?;
        let mut out = Vec::new();
        for piece in data_set.chunks(size.max(1)) {
            coercer.push(piece, &mut out)?;
        }
        let outcome = coercer.finish(&mut out)?;
        Ok((out, outcome))
    };
    let in_pieces = coerced(usize::from(*size));
    if coercions.is_empty() {
        assert!(in_pieces.is_ok_and(|(out, _)| out == data_set), "changed by an empty plan");
    } else if sniff::form_of(syntax) != sniff::Form::Deflated {
        // Deflating twice could take longer than the target may; its output depends on the pieces anyway.
        assert!(in_pieces == coerced(usize::MAX), "another data set in pieces");
    }
}

fn coercions(which: u8) -> Option<Coercions> {
    let record = CoercionRecord { system: "BOX".into(), source: "N".into(), at: jiff::Timestamp::UNIX_EPOCH };
    let name = match which % 3 {
        0 => return Coercions::new(None, None, record).ok(),
        1 => "Jans\u{eb}n",
        _ => "\u{738b}",
    };
    let issuer = Some(Issuer { local_namespace: Some("Z".into()), universal: None });
    let order = LocalOrder { accession_number: Confidential::new("A9"), issuer };
    let patient = LocalPatient {
        id: Confidential::new("Z1"),
        issuer: None,
        name: Some(Confidential::new(name)),
        birth_date: None,
        sex: None,
    };
    Coercions::new(Some(patient), Some(order), record).ok()
}

/// A request for commitment, and a report: the first byte chooses the encoding. What can be read must read back the same.
///
/// # Panics
/// If it does not.
pub fn commitment_request(bytes: &[u8]) {
    let Some((how, data_set)) = bytes.split_first() else { return };
    let encoding = encoding(*how);
    if let Ok(request) = CommitmentRequest::read(data_set, encoding) {
        assert_eq!(CommitmentRequest::read(&request.write(encoding), encoding), Ok(request));
    }
    if let Ok(result) = CommitmentResult::read(data_set, encoding) {
        assert_eq!(CommitmentResult::read(&result.write(encoding), encoding), Ok(result));
    }
}

fn encoding(how: u8) -> Encoding {
    match how % 3 {
        0 => Encoding::ImplicitLittle,
        1 => Encoding::ExplicitLittle,
        _ => Encoding::ExplicitBig,
    }
}

fn policy() -> Option<NodePolicy> {
    let ae_title = "BEELDBOX".parse().ok()?;
    Some(NodePolicy { accept_any_peer: true, ..NodePolicy::new(ae_title) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_before_the_bytes_is_accepted() {
        let request = pdu::decode_request(&Bytes::from_static(REQUEST)).unwrap();
        let agreement = negotiate(
            &request,
            &policy().unwrap(),
            std::net::IpAddr::from([127, 0, 0, 1]),
            &Transport::Plain,
        )
        .unwrap();
        assert_eq!(agreement.contexts.len(), 2);
        association(&[&[0x83][..], &pdu::RELEASE_REQUEST].concat());
    }
}
