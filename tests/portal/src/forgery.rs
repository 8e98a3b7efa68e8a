//! Bad manners that a portal would have to write into its own books: what it lost, made up, turned to somebody else or
//! brought a second time. [`crate::faults`] lists them together with those that lie in how it answers.

use beeldbox_protocol::admin::{DeclineCode, ReceiptStage};
use beeldbox_protocol::ident::{AddresseeId, Digest, TransferId, Ura};
use beeldbox_protocol::portal::fhir::{Meta, RECIPIENT_KEY_EXTENSION, Reference, Task};
use beeldbox_protocol::portal::task::{TaskKind, TaskStatus, belonging_at, rejected, with_receipt};
use serde_json::json;

use crate::directory::{self, Frozen};
use crate::life_cycle::Checked;
use crate::refusal::Refusal;
use crate::store::{letter_at, part_at};
use crate::tasks::{self, StoredTask};
use crate::{PortalError, PortalHandle};

impl PortalHandle {
    /// Loses a part, as a portal with a broken disk would.
    ///
    /// # Errors
    /// If it cannot.
    pub async fn forget_part(&self, transfer: TransferId, digest: Digest) -> Result<(), PortalError> {
        self.site.ledger.write(move |writing| tasks::forget_part(writing, &transfer, &digest)).await?;
        Ok(self.site.store.remove(&part_at(&transfer, &digest)).await?)
    }

    /// From now on the directory is told as it is at this moment, whatever is written into it, until
    /// [`crate::faults::Faults::behave`].
    ///
    /// # Errors
    /// If the ledger refuses.
    pub async fn freeze_directory(&self) -> Result<(), PortalError> {
        let copy = self.site.ledger.read(|reading| Frozen::copy(reading).map_err(Refusal::from)).await?;
        self.site.faults.freeze(copy);
        Ok(())
    }

    /// Puts another statement about a recipient key into the entry of an organisation's box.
    ///
    /// # Errors
    /// If the box has published no entry.
    pub async fn swap_recipient_key(&self, of: &Ura, statement: &str) -> Result<(), PortalError> {
        let id = format!("box-{of}");
        let extension = json!([{ "url": RECIPIENT_KEY_EXTENSION, "valueString": statement }]);
        let swapping = self.site.ledger.write(move |writing| {
            directory::change_endpoint(writing, &id, |endpoint| endpoint["extension"] = extension)
        });
        Ok(swapping.await?)
    }

    /// Makes a receipt up: the Task moves as if the addressee had sent it.
    ///
    /// # Errors
    /// If there is no such transfer.
    pub async fn forge_receipt(
        &self,
        transfer: TransferId,
        stage: ReceiptStage,
        is_complete: bool,
        jws: &str,
    ) -> Result<(), PortalError> {
        let jws = jws.to_owned();
        self.rewrite(transfer, move |stored| with_receipt(stored.task.clone(), stage, is_complete, &jws))
            .await
    }

    /// Refuses a transfer as if its addressee had, naming where it belongs.
    ///
    /// # Errors
    /// If there is no such transfer.
    pub async fn forge_refusal(
        &self,
        transfer: TransferId,
        reason: DeclineCode,
        belongs_at: Option<AddresseeId>,
    ) -> Result<(), PortalError> {
        let change = move |stored: &StoredTask| {
            let refused = rejected(stored.task.clone(), reason);
            belongs_at.iter().fold(refused, belonging_at)
        };
        self.rewrite(transfer, change).await
    }

    /// Turns a transfer to another organisation, which then finds a letter that is not sealed to it.
    ///
    /// # Errors
    /// If there is no such transfer.
    pub async fn readdress(&self, transfer: TransferId, to: &Ura) -> Result<(), PortalError> {
        let to = to.clone();
        let grace = self.site.limits.grace;
        let turning = self.site.ledger.write(move |writing| {
            let stored = tasks::find(writing, &transfer)?.ok_or(Refusal::NotFound)?;
            let mut task = Task { meta: Meta::default(), ..stored.task.clone() };
            let owner = task.owner.get_or_insert_with(Reference::default);
            if let Some(identifier) = &mut owner.identifier {
                identifier.value = Some(to.to_string());
            }
            tasks::set_owner(writing, &transfer, &to)?;
            let valid_until = writing.now;
            tasks::update(writing, &stored, &task, stored.status, valid_until, grace)
        });
        turning.await?;
        self.site.tell_news();
        Ok(())
    }

    /// Brings a transfer a second time, under another id: the same letter, the same parts, the same sender.
    ///
    /// # Errors
    /// If there is no such transfer, or its content is gone.
    pub async fn replay(&self, transfer: TransferId, again_as: TransferId) -> Result<(), PortalError> {
        let reading = self.site.ledger.read(move |reading| {
            let stored = tasks::find(reading, &transfer)?.ok_or(Refusal::NotFound)?;
            let letter = tasks::letter(reading, &transfer)?.ok_or(Refusal::Gone)?;
            Ok::<_, Refusal>((stored, letter, tasks::parts(reading, &transfer)?))
        });
        let (stored, letter, parts) = reading.await?;
        let store = &self.site.store;
        store.copy(&letter_at(&transfer, &letter.0), &letter_at(&again_as, &letter.0)).await?;
        for (digest, _) in &parts {
            store.copy(&part_at(&transfer, digest), &part_at(&again_as, digest)).await?;
        }
        let grace = self.site.limits.grace;
        let bringing = self.site.ledger.write(move |writing| {
            let again = replayed(&stored, again_as)?;
            tasks::insert(writing, &again, grace)?;
            tasks::record_letter(writing, &again_as, &letter.0, letter.1)?;
            for (digest, len) in &parts {
                tasks::record_part(writing, &again_as, digest, *len)?;
            }
            let draft = tasks::find(writing, &again_as)?.ok_or(Refusal::NotFound)?;
            tasks::update(writing, &draft, &again.task, TaskStatus::Requested, again.valid_until, grace)
        });
        bringing.await?;
        self.site.tell_news();
        Ok(())
    }

    /// Writes a Task anew, in the status that it then says, without asking whose move it is.
    async fn rewrite(
        &self,
        transfer: TransferId,
        change: impl FnOnce(&StoredTask) -> Task + Send + 'static,
    ) -> Result<(), PortalError> {
        let grace = self.site.limits.grace;
        let writing = self.site.ledger.write(move |writing| {
            let stored = tasks::find(writing, &transfer)?.ok_or(Refusal::NotFound)?;
            let task = Task { meta: Meta::default(), ..change(&stored) };
            let to = TaskStatus::from_code(&task.status).ok_or(Refusal::NotFound)?;
            tasks::update(writing, &stored, &task, to, writing.now, grace)
        });
        writing.await?;
        self.site.tell_news();
        Ok(())
    }
}

/// The Task of a transfer as it was committed, under another id.
fn replayed(stored: &StoredTask, again_as: TransferId) -> Result<Checked, Refusal> {
    let mut task = Task { meta: Meta::default(), output: Vec::new(), ..stored.task.clone() };
    task.id = again_as.to_string();
    task.status = TaskStatus::Requested.code().to_owned();
    task.focus = Some(Reference { reference: Some(format!("Binary/{again_as}")), ..Reference::default() });
    let ura = |text: &str| text.parse::<Ura>().map_err(|_| Refusal::Fault("a stored URA".to_owned()));
    let period = task.restriction.as_ref().and_then(|restriction| restriction.period.as_ref());
    let valid_until = period.and_then(|period| period.end).ok_or(Refusal::NotFound)?;
    Ok(Checked {
        kind: TaskKind::of(&task).unwrap_or(TaskKind::Deliver),
        to: TaskStatus::Draft,
        requester: ura(&stored.requester)?,
        owner: ura(&stored.owner)?,
        valid_until,
        task,
    })
}
