//! Open: the letter, for this box and nobody else.
//!
//! Gives the letter and a [`SenderVerified`]. What the letter lists is then written down in the ledger in one commit:
//! packs with their keys (wrapped under the storage key), parts with their digests, instances with theirs.

use beeldbox_custody::{InboundCollection, InboundInstance, InboundPack};
use beeldbox_protocol::envelope::letter::{self, About, Letter, LetterError, SenderVerified};
use beeldbox_protocol::ident::TransferId;

use crate::road::Road;

/// Opens a sealed letter that came with a transfer.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn open_letter(
    road: &Road,
    transfer: &TransferId,
    sealed: &[u8],
) -> Result<(Letter, SenderVerified), LetterError> {
    let with = |key| letter::open(sealed, transfer, key, road.signer.ura(), &road.anchors, road.now());
    let mut opened = with(&road.identity);
    for previous in &road.previous_identities {
        // Any other refusal is about this letter, whichever key it is for.
        if !matches!(opened, Err(LetterError::NotForOurKey)) {
            break;
        }
        opened = with(previous);
    }
    opened
}

/// Opens the letter of a transfer: one that carries images.
///
/// # Errors
/// As [`open_letter`]; a question is not a transfer.
pub fn open_transfer(
    road: &Road,
    transfer: &TransferId,
    sealed: &[u8],
) -> Result<(Letter, SenderVerified), LetterError> {
    let (letter, sender) = open_letter(road, transfer, sealed)?;
    match letter.about {
        Some(About::AskBack { .. } | About::RequestImaging { .. }) => {
            Err(LetterError::Inconsistent("a question came as a transfer"))
        }
        Some(About::Addendum { .. }) | None => Ok((letter, sender)),
    }
}

/// What the ledger writes down of a letter.
pub fn adopted(letter: &Letter) -> InboundCollection {
    InboundCollection {
        patient: letter.patient.clone(),
        summaries: letter.studies.clone(),
        packs: letter
            .packs
            .iter()
            .map(|pack| InboundPack {
                id: pack.id,
                key: pack.key.clone(),
                len_bytes: pack.len,
                parts: pack.parts.iter().map(|part| (part.sha256, part.len)).collect(),
            })
            .collect(),
        instances: letter
            .instances
            .iter()
            .filter_map(|instance| {
                Some(InboundInstance {
                    // The letter's lists were checked against each other when it was opened.
                    pack: letter.packs.get(usize::try_from(instance.pack).ok()?)?.id,
                    frame_index: instance.frame,
                    frame_offset: instance.at,
                    frame_len: instance.sealed,
                    sop_class: instance.class.clone(),
                    sop_instance: instance.instance.clone(),
                    transfer_syntax: instance.syntax.clone(),
                    study: instance.study.clone(),
                    series: instance.series.clone(),
                    size_bytes: instance.size,
                    digest: instance.sha256,
                })
            })
            .collect(),
    }
}
