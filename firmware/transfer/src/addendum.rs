//! Addendum: late images that follow a study which went to the same organisation already.
//!
//! What was closed never changes, so late images are a transfer of their own. Its letter names the first transfer of them
//! all and the one before it, so that people there see what belongs together; the box there delivers it like any other.

use beeldbox_custody::{AddendumTo, CollectionId, CustodyError, EarlierSend};
use beeldbox_protocol::envelope::letter::{About, Letter};
use beeldbox_protocol::ident::Ura;

use crate::road::Road;

/// The newest earlier transfer of the same study to this organisation, if there is one.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn earlier_to(
    road: &Road,
    collection: CollectionId,
    ura: &Ura,
) -> Result<Option<EarlierSend>, CustodyError> {
    let earlier = road.custody.earlier_sends(collection).await?;
    Ok(earlier.into_iter().rfind(|sent| sent.addressee.ura == *ura))
}

/// What a transfer of this collection to this organisation is an addendum to. Looked up when its letter is frozen: until
/// then an earlier choice can be undone.
///
/// # Errors
/// If the ledger cannot be read.
pub(crate) async fn addendum_to(
    road: &Road,
    collection: CollectionId,
    ura: &Ura,
) -> Result<Option<AddendumTo>, CustodyError> {
    let mut earlier = road.custody.earlier_sends(collection).await?;
    earlier.retain(|sent| sent.addressee.ura == *ura);
    let (Some(first), Some(last)) = (earlier.first(), earlier.last()) else { return Ok(None) };
    Ok(Some(AddendumTo { group: first.transfer, to: last.transfer }))
}

/// As the letter says it.
pub(crate) fn as_about(addendum: &AddendumTo) -> About {
    About::Addendum { group: addendum.group, to: addendum.to }
}

/// What a letter says that it is an addendum to.
pub(crate) fn said_by(letter: &Letter) -> Option<AddendumTo> {
    match &letter.about {
        Some(About::Addendum { group, to }) => Some(AddendumTo { group: *group, to: *to }),
        Some(About::AskBack { .. } | About::RequestImaging { .. }) | None => None,
    }
}
