//! The desk's part about addenda: late images that follow a study which went out already.

use beeldbox_custody::{CustodyError, Direction, EarlierSend, StudyRow, TransferRow};
use beeldbox_protocol::admin::{AddendumLine, EarlierLine, Partner, Refusal, StudyLine};
use beeldbox_transfer::road::Road;

use super::answer::{Desk, storage};
use super::lines;

impl Desk {
    /// A study as a line, with the last addressee of what came of it before.
    pub(super) async fn study_line(&self, row: &StudyRow) -> Result<StudyLine, Refusal> {
        let earlier = self.road.custody.earlier_sends(row.collection).await.map_err(storage)?;
        let earlier = earlier.into_iter().next_back().map(earlier_line);
        Ok(StudyLine { earlier, ..lines::study_line(row) })
    }
}

pub(super) fn earlier_line(sent: EarlierSend) -> EarlierLine {
    EarlierLine {
        transfer: sent.transfer,
        addressee: sent.addressee.id,
        partner: Partner {
            ura: sent.addressee.ura,
            organisation: sent.addressee.name,
            department: sent.addressee.department,
            verified: true,
        },
        at: sent.at,
    }
}

/// What a transfer is an addendum to. A sender can name whatever it likes: only a transfer of the same two is shown.
pub(super) async fn addendum_line(
    road: &Road,
    row: &TransferRow,
) -> Result<Option<AddendumLine>, CustodyError> {
    let addendum = row.confidential.as_ref().and_then(|words| words.addendum.as_ref());
    let Some(addendum) = addendum else { return Ok(None) };
    let earlier = road.custody.transfer(addendum.to).await?;
    let earlier = earlier.filter(|earlier| is_between_the_same(row, earlier));
    Ok(Some(AddendumLine { to: addendum.to, at: earlier.map(|earlier| earlier.created_at) }))
}

fn is_between_the_same(row: &TransferRow, earlier: &TransferRow) -> bool {
    let partner = |row: &TransferRow| match row.direction {
        Direction::Outbound => row.addressee.as_ref().map(|addressee| addressee.ura.clone()),
        Direction::Inbound => row.sender.as_ref().map(|sender| sender.ura.clone()),
    };
    row.direction == earlier.direction && partner(row).is_some() && partner(row) == partner(earlier)
}
