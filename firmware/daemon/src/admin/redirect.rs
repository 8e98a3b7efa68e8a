//! What came to the wrong addressee: forwarded or declined at the one desk, redirected at the other.

use beeldbox_protocol::admin::{Answer, Refusal, RefusalCode, Reply};
use beeldbox_protocol::ident::{AddresseeId, TransferId};
use beeldbox_transfer::forward::{self, ForwardError};
use beeldbox_transfer::reconcile;
use beeldbox_transfer::redirect::{self, Declining, NotNamed, RedirectError, Redirection};

use super::answer::{Desk, address_refused, erased, refusal, step_refused};

impl Desk {
    /// Refuses an inbound transfer, and tells the sender where it belongs if a person says so.
    pub(super) async fn decline(&self, transfer: TransferId, declining: Declining, actor: &str) -> Answer {
        let row = self.row(transfer).await?;
        redirect::check_named(&self.road, &declining).map_err(not_named)?;
        reconcile::decline(&self.road, &row, &declining, actor).await.map_err(step_refused)?;
        Ok(Reply::Done)
    }

    /// Moves an inbound transfer to another department of this organisation.
    pub(super) async fn forward(&self, transfer: TransferId, to: &AddresseeId, actor: &str) -> Answer {
        let row = self.row(transfer).await?;
        match forward::forward(&self.road, &row, to, actor).await {
            Ok(()) => Ok(Reply::Done),
            Err(ForwardError::Unknown) => Err(not_named(NotNamed::Unknown)),
            Err(ForwardError::NotOurs) => Err(refusal(
                RefusalCode::BadValue,
                "that is no department of this organisation: decline it as not-ours and name it (--belongs-at)",
            )),
            Err(ForwardError::Step(step)) => Err(step_refused(step)),
        }
    }

    /// Sends the images of a transfer that came to nothing to another addressee.
    pub(super) async fn redirect(&self, transfer: TransferId, redirection: Redirection) -> Answer {
        let row = self.row(transfer).await?;
        match redirect::redirect(&self.road, &row, redirection).await {
            Ok(further) => Ok(Reply::Sent(further)),
            Err(RedirectError::NotOver) => Err(refusal(
                RefusalCode::NotNow,
                "only what was declined, has expired or was taken back can be redirected; take it back first (recall)",
            )),
            Err(RedirectError::NobodyNamed) => Err(refusal(
                RefusalCode::BadValue,
                "the other hospital did not say where it belongs: choose an addressee (--to)",
            )),
            Err(RedirectError::Erased) => Err(erased()),
            Err(RedirectError::Address(error)) => Err(address_refused(error)),
        }
    }
}

fn not_named(why: NotNamed) -> Refusal {
    match why {
        NotNamed::OtherReason => refusal(
            RefusalCode::BadValue,
            "where it belongs can be said only with the reasons wrong-department and not-ours",
        ),
        NotNamed::Unknown => refusal(RefusalCode::NotFound, "the directory has no such addressee"),
        NotNamed::NotOurs => refusal(
            RefusalCode::BadValue,
            "that is no department of this organisation: give the reason not-ours",
        ),
        NotNamed::Ours => refusal(
            RefusalCode::BadValue,
            "that is a department of this organisation: give the reason wrong-department",
        ),
    }
}
