//! Whose images are these: candidates shown, the patient confirmed, a second person asked.

use beeldbox_custody::{AuditRecord, InboundState, ReadError, State, TransferRow};
use beeldbox_protocol::admin::{
    Answer, CandidatePage, LocalChoice, PatientSearch, Refusal, RefusalCode, Reply,
};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::{Digest, TransferId};
use beeldbox_transfer::effect::NotNow;
use beeldbox_transfer::reconcile::candidates::{Candidates, candidates};
use beeldbox_transfer::reconcile::confirm::choose;
use beeldbox_transfer::reconcile::{self, Chosen, Deciding, NotConfirmed, PatientConfirmed};

use super::answer::{Desk, refusal, step_refused, storage};

impl Desk {
    /// Who may be meant by an opened transfer.
    pub(super) async fn candidates(
        &self,
        transfer: TransferId,
        search: &PatientSearch,
        actor: &str,
    ) -> Answer {
        let row = self.open_row(transfer).await?;
        if *search != PatientSearch::default() {
            self.record_search(transfer, actor).await?;
        }
        let found = self.look_up(&row, search).await?;
        let proposal = row.confidential.as_ref().and_then(|words| words.proposal.as_deref());
        let page: CandidatePage = found.page(proposal);
        Ok(Reply::Candidates(Box::new(page)))
    }

    /// Imports a transfer under one of the hospital's patients, or as it came.
    pub(super) async fn import(
        &self,
        transfer: TransferId,
        choice: Option<&LocalChoice>,
        actor: &str,
    ) -> Answer {
        let row = self.open_row(transfer).await?;
        let search = PatientSearch {
            patient_id: choice.map(|choice| choice.patient_id.clone()),
            ..PatientSearch::default()
        };
        let found = self.look_up(&row, &search).await?;
        let deciding = self.deciding(&row, actor);
        let confirmed = match choice {
            None => PatientConfirmed::as_sent(deciding, &found).map_err(not_confirmed)?,
            Some(choice) => match choose(deciding, &found, choice).map_err(not_confirmed)? {
                Chosen::Confirmed(confirmed) => confirmed,
                Chosen::Proposed(proposal) => {
                    reconcile::propose(&self.road, &row, *proposal).await.map_err(step_refused)?;
                    return Ok(Reply::Proposed);
                }
            },
        };
        reconcile::import(&self.road, &row, confirmed).await.map_err(step_refused)?;
        Ok(Reply::Done)
    }

    /// A second person agrees.
    pub(super) async fn agree_to_import(&self, transfer: TransferId, seen: Digest, actor: &str) -> Answer {
        let row = self.open_row(transfer).await?;
        let deciding = self.deciding(&row, actor);
        let confirmed = PatientConfirmed::by_second_person(deciding, seen).map_err(not_confirmed)?;
        reconcile::import(&self.road, &row, confirmed).await.map_err(step_refused)?;
        Ok(Reply::Done)
    }

    /// Takes a proposal back.
    pub(super) async fn drop_proposal(&self, transfer: TransferId, actor: &str) -> Answer {
        let row = self.open_row(transfer).await?;
        reconcile::drop_proposal(&self.road, &row, actor).await.map_err(step_refused)?;
        Ok(Reply::Done)
    }

    /// Sets a transfer aside.
    pub(super) async fn set_aside(&self, transfer: TransferId, reason: &Confidential, actor: &str) -> Answer {
        if reason.reveal().trim().is_empty() {
            return Err(refusal(RefusalCode::BadValue, "say why it is set aside"));
        }
        let row = self.row(transfer).await?;
        reconcile::set_aside(&self.road, &row, reason, actor).await.map_err(step_refused)?;
        Ok(Reply::Done)
    }

    /// A search for a patient stands in the audit trail before it is made; whom it was for is not repeated there.
    async fn record_search(&self, transfer: TransferId, actor: &str) -> Result<(), Refusal> {
        let record = AuditRecord {
            at: self.road.now(),
            actor: actor.to_owned(),
            action: "search-patient".to_owned(),
            transfer: Some(transfer),
            detail: Confidential::default(),
        };
        self.road.custody.append_audit(record).await.map_err(storage)
    }

    async fn open_row(&self, transfer: TransferId) -> Result<TransferRow, Refusal> {
        let row = self.row(transfer).await?;
        match &row.state {
            State::Inbound(InboundState::Opened { .. }) => Ok(row),
            State::Inbound(_) | State::Outbound(_) => Err(step_refused(NotNow.into())),
        }
    }

    async fn look_up(&self, row: &TransferRow, search: &PatientSearch) -> Result<Candidates, Refusal> {
        self.road.matches.forget(&row.id);
        candidates(&self.road, row, search).await.map_err(|error| match error {
            ReadError::Ledger(error) => storage(error),
            ReadError::Io(_) | ReadError::Pack(_) | ReadError::Differs => {
                tracing::error!(transfer = %row.id, %error, "an image cannot be read back");
                refusal(
                    RefusalCode::Storage,
                    "an image of this transfer cannot be read back; decline it as unreadable",
                )
            }
        })
    }

    fn deciding<'a>(&'a self, row: &'a TransferRow, by: &'a str) -> Deciding<'a> {
        Deciding { row, by, system: &self.road.settings.name, now: self.road.now() }
    }
}

fn not_confirmed(why: NotConfirmed) -> Refusal {
    match why {
        NotConfirmed::Unknown => refusal(
            RefusalCode::PatientUnknown,
            "no system of this hospital that was asked knows this patient number: have the patient registered, or type \
             who it is",
        ),
        NotConfirmed::Ambiguous => refusal(
            RefusalCode::Ambiguous,
            "several patients have this number: choose one of the candidates (--seen)",
        ),
        NotConfirmed::Changed => {
            refusal(RefusalCode::NotNow, "what your systems say of this patient has changed; look again")
        }
        NotConfirmed::NotAcknowledged(codes) => Refusal {
            code: RefusalCode::NotAcknowledged,
            message: format!("look at these and confirm them: {}", codes.join(", ")),
        },
        NotConfirmed::Contradicts(codes) => Refusal {
            code: RefusalCode::PatientContradicts,
            message: format!(
                "this contradicts: {}; if it is right all the same give a reason, and a second person must agree",
                codes.join(", ")
            ),
        },
        NotConfirmed::NumberOfAnother => refusal(
            RefusalCode::PatientContradicts,
            "the patient number in the images belongs to somebody else here: choose a patient of yours",
        ),
        NotConfirmed::NotHeard => refusal(
            RefusalCode::SystemNotHeard,
            "a system of yours did not say whose the patient number in the images is; try again, or choose a patient",
        ),
        NotConfirmed::Value(error) => Refusal {
            code: RefusalCode::BadValue,
            message: format!("this cannot be written into the images: {error}"),
        },
        NotConfirmed::NoProposal => {
            refusal(RefusalCode::NotNow, "there is no such proposal any more; look again")
        }
        NotConfirmed::SamePerson => {
            refusal(RefusalCode::SecondPersonNeeded, "a second person must agree, not who proposed it")
        }
    }
}
