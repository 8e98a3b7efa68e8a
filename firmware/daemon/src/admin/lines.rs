//! From the ledger's rows to the lines that front ends show.

use beeldbox_custody::{
    AskState, CustodyError, HoldReason, InboundState, OutboundState, State, StudyRow, TransferConfidential,
    TransferRow,
};
use beeldbox_dicom::{DiagnosedStep, Diagnosis, DiagnosisStep, DimseStatus, PeerNode};
use beeldbox_protocol::admin::{
    AskCode, AskLine, BelongsAt, HoldCode, MatchCode, NodeTest, NodeTestStage, NodeTestStep, Partner,
    ReceiptLine, ReceiptStage, RefusedInstance, Situation, StateCode, StudyLine, StudyNumber, TransferDetail,
    TransferLine, WaitCode, WhoCode,
};
use beeldbox_protocol::clinical::{Confidential, StudySummary};
use beeldbox_protocol::envelope::receipt::Receipt;
use beeldbox_protocol::ident::Digest;
use beeldbox_transfer::codes::{decline_code, hold_code, state_code, wait_code, who_code};
use beeldbox_transfer::road::Road;
use jiff::Timestamp;

use super::addenda::addendum_line;

pub(super) fn study_line(row: &StudyRow) -> StudyLine {
    let since = match &row.state {
        OutboundState::Queued { closed_at } => *closed_at,
        OutboundState::Held { since, .. } => *since,
        OutboundState::Collecting
        | OutboundState::Addressed { .. }
        | OutboundState::Sending { .. }
        | OutboundState::Accepted { .. }
        | OutboundState::Fetched { .. }
        | OutboundState::Delivered { .. }
        | OutboundState::Erased { .. }
        | OutboundState::Recalled { .. }
        | OutboundState::Declined { .. }
        | OutboundState::Expired { .. }
        | OutboundState::Failed { .. } => row.opened_at,
    };
    let mut situation =
        plain(state_code(State::Outbound(row.state.clone()).kind()), since, WhoCode::Technician);
    situation.done = row.summary.instances;
    if let OutboundState::Held { reason, .. } = &row.state {
        hold(&mut situation, reason);
    } else if matches!(row.state, OutboundState::Queued { .. }) {
        situation.waits_for = Some(WaitCode::Technician);
        situation.waits_since = Some(since);
    } else {
        situation.who = WhoCode::Nobody;
    }
    StudyLine {
        study: StudyNumber(row.collection.0),
        transfer: row.transfer,
        patient: row.patient.clone(),
        summary: row.summary.clone(),
        source_ae: row.source_ae.to_string(),
        called_alias: row.called_alias.as_ref().map(ToString::to_string),
        last_instance_at: row.last_instance_at,
        situation,
        has_conflict: row.conflict,
        damaged: row.damaged,
        earlier: None,
    }
}

/// How calling a node went.
pub(super) fn node_test(node: &PeerNode, diagnosis: &Diagnosis) -> NodeTest {
    let step = |taken: &DiagnosedStep| NodeTestStep {
        step: match taken.step {
            DiagnosisStep::Resolve => NodeTestStage::Resolve,
            DiagnosisStep::Connect => NodeTestStage::Connect,
            DiagnosisStep::Tls => NodeTestStage::Tls,
            DiagnosisStep::Associate => NodeTestStage::Associate,
            DiagnosisStep::Context => NodeTestStage::Context,
            DiagnosisStep::Echo => NodeTestStage::Echo,
            DiagnosisStep::Release => NodeTestStage::Release,
        },
        took_micros: u64::try_from(taken.took.as_micros()).unwrap_or(u64::MAX),
        failure: taken.result.as_ref().err().map(ToString::to_string),
    };
    NodeTest {
        ae_title: node.ae_title.clone(),
        address: node.address.clone(),
        steps: diagnosis.steps.iter().map(step).collect(),
        advice: diagnosis.advice().to_owned(),
    }
}

/// A transfer as a row of a list.
pub(super) async fn transfer_line(road: &Road, row: &TransferRow) -> Result<TransferLine, CustodyError> {
    let mut line = bare_line(row);
    line.ask = ask_line(road, row).await?;
    line.addendum = addendum_line(road, row).await?;
    line.belongs_at = belongs_at(road, row);
    line.matching = matching(road, row);
    line.situation.is_overdue = is_overdue(road, row);
    if proof_of(line.situation.state).is_some() {
        prove(&mut line.situation, &receipt_lines(road, row).await?);
    }
    Ok(line)
}

fn bare_line(row: &TransferRow) -> TransferLine {
    let confidential = row.confidential.as_ref();
    TransferLine {
        transfer: row.id,
        patient: confidential.map(|confidential| confidential.patient.clone()),
        summary: confidential.and_then(|confidential| joined(&confidential.summaries)),
        partner: partner(row),
        urgent: row.urgent,
        created_at: row.created_at,
        situation: situation(row),
        ask: None,
        addendum: None,
        answers: confidential.and_then(|confidential| confidential.in_answer_to),
        desk: confidential.and_then(|confidential| confidential.desk.as_ref()?.name.clone()),
        belongs_at: None,
        matching: None,
        is_proposed: confidential.is_some_and(|confidential| confidential.proposal.is_some()),
    }
}

/// Who may be meant by an opened transfer.
fn matching(road: &Road, row: &TransferRow) -> Option<MatchCode> {
    let State::Inbound(InboundState::Opened { .. }) = &row.state else { return None };
    road.matches.of(&row.id)
}

/// Where a declined transfer belongs in the opinion of who declined it, as our copy of the directory knows it.
fn belongs_at(road: &Road, row: &TransferRow) -> Option<BelongsAt> {
    let State::Outbound(OutboundState::Declined { belongs_at: Some(addressee), .. }) = &row.state else {
        return None;
    };
    let found = road.directory.find(addressee).map(|entry| entry.addressee);
    Some(BelongsAt {
        addressee: addressee.clone(),
        organisation: found.as_ref().map(|found| found.organisation.clone()),
        department: found.and_then(|found| found.desk()),
    })
}

/// Nobody collected it, or nobody imported it, for longer than the settings say.
fn is_overdue(road: &Road, row: &TransferRow) -> bool {
    let waits_for_people = matches!(
        row.state,
        State::Outbound(OutboundState::Accepted { .. }) | State::Inbound(InboundState::Opened { .. })
    );
    waits_for_people && row.changed_at < road.before(road.settings.remind_after)
}

/// The newest question for it back.
async fn ask_line(road: &Road, row: &TransferRow) -> Result<Option<AskLine>, CustodyError> {
    let asks = road.custody.asks_about(row.id).await?;
    Ok(asks.into_iter().next_back().map(|row| AskLine {
        state: match row.ask.state {
            AskState::Asking => AskCode::Asking,
            AskState::Asked => AskCode::Asked,
            AskState::Open => AskCode::Open,
            AskState::Granted => AskCode::Granted,
            AskState::Refused => AskCode::Refused,
        },
        since: row.changed_at,
        reason: filled(row.ask.words.reason),
    }))
}

/// The receipt that a state stands on, where the state itself does not keep its numbers.
fn proof_of(state: StateCode) -> Option<ReceiptStage> {
    if state == StateCode::Fetched {
        Some(ReceiptStage::InCustody)
    } else if state == StateCode::Reported {
        Some(ReceiptStage::InPacs)
    } else {
        None
    }
}

/// How many images are proven to be there: a part must not look like the whole.
fn prove(situation: &mut Situation, receipts: &[ReceiptLine]) {
    let proof = proof_of(situation.state);
    if let Some(receipt) = receipts.iter().find(|receipt| Some(receipt.stage) == proof) {
        (situation.done, situation.of) = (receipt.stored, receipt.of);
    }
}

/// A transfer of several studies shows the first, with the counts of all.
fn joined(summaries: &[StudySummary]) -> Option<StudySummary> {
    let mut first = summaries.first()?.clone();
    for other in &summaries[1..] {
        first.series += other.series;
        first.instances += other.instances;
        first.size_bytes += other.size_bytes;
    }
    Some(first)
}

pub(super) fn partner(row: &TransferRow) -> Option<Partner> {
    if let Some(addressee) = &row.addressee {
        return Some(Partner {
            ura: addressee.ura.clone(),
            organisation: addressee.name.clone(),
            department: addressee.department.clone(),
            verified: true,
        });
    }
    if let Some(sender) = &row.sender {
        return Some(Partner {
            ura: sender.ura.clone(),
            organisation: sender.name.clone(),
            department: sender.department.clone(),
            verified: true,
        });
    }
    // Before the letter is opened there is only the portal's word.
    let ura = row.sender_hint.as_deref()?.parse().ok()?;
    Some(Partner { ura, organisation: String::new(), department: None, verified: false })
}

/// Where a transfer is, what it waits for, since when, and who can act.
pub(super) fn situation(row: &TransferRow) -> Situation {
    let mut situation = plain(state_code(row.state.kind()), row.changed_at, WhoCode::Nobody);
    situation.attempts = row.attempts;
    match &row.state {
        State::Outbound(state) => outbound(&mut situation, state),
        State::Inbound(state) => inbound(&mut situation, state),
    }
    if let Some(reason) = row.waiting {
        situation.waits_for = Some(wait_code(reason));
        situation.waits_since = row.waiting_since;
        situation.next_try_at = row.due_at;
        situation.who = who_code(reason.who_can_act());
    }
    situation
}

fn plain(state: StateCode, since: Timestamp, who: WhoCode) -> Situation {
    Situation {
        state,
        since,
        done: 0,
        of: 0,
        waits_for: None,
        waits_since: None,
        next_try_at: None,
        attempts: 0,
        hold: None,
        declined: None,
        who,
        is_overdue: false,
        undo_until: None,
        is_partly_in_pacs: false,
    }
}

fn hold(situation: &mut Situation, reason: &HoldReason) {
    let code: HoldCode = hold_code(reason);
    situation.hold = Some(code);
    situation.who = who_code(reason.who_can_act());
}

fn outbound(situation: &mut Situation, state: &OutboundState) {
    match state {
        OutboundState::Sending { parts_done, parts_total } => {
            (situation.done, situation.of) = (*parts_done, *parts_total)
        }
        OutboundState::Delivered { stored, of, .. } => (situation.done, situation.of) = (*stored, *of),
        OutboundState::Accepted { at } | OutboundState::Fetched { at } => {
            situation.waits_for = Some(WaitCode::OtherHospital);
            situation.waits_since = Some(*at);
            situation.who = WhoCode::OtherHospital;
        }
        OutboundState::Queued { closed_at } => {
            situation.waits_for = Some(WaitCode::Technician);
            situation.waits_since = Some(*closed_at);
            situation.who = WhoCode::Technician;
        }
        OutboundState::Addressed { leaves_at, undo_to: Some(_), .. } => {
            situation.undo_until = Some(*leaves_at);
            situation.who = WhoCode::Technician;
        }
        OutboundState::Held { reason, .. } => hold(situation, reason),
        OutboundState::Declined { reason, belongs_at, .. } => {
            situation.declined = Some(decline_code(reason));
            if belongs_at.is_some() {
                situation.who = WhoCode::Technician;
            }
        }
        OutboundState::Collecting
        | OutboundState::Addressed { undo_to: None, .. }
        | OutboundState::Erased { .. }
        | OutboundState::Recalled { .. }
        | OutboundState::Expired { .. }
        | OutboundState::Failed { .. } => {}
    }
}

fn inbound(situation: &mut Situation, state: &InboundState) {
    match state {
        InboundState::Fetching { parts_done, parts_total } => {
            (situation.done, situation.of) = (*parts_done, *parts_total)
        }
        InboundState::Delivering { settled, of } => (situation.done, situation.of) = (*settled, *of),
        InboundState::Delivered { stored, of, .. } => (situation.done, situation.of) = (*stored, *of),
        InboundState::Opened { at } => {
            situation.waits_for = Some(WaitCode::Technician);
            situation.waits_since = Some(*at);
            situation.who = WhoCode::Technician;
        }
        InboundState::Held { reason, .. } => hold(situation, reason),
        InboundState::Declined { reason, .. } => situation.declined = Some(decline_code(reason)),
        InboundState::Announced
        | InboundState::Reconciled { .. }
        | InboundState::Reported { .. }
        | InboundState::Erased { .. }
        | InboundState::Recalled { in_pacs: false, .. } => {}
        // Somebody here looked and keeps it.
        InboundState::Recalled { in_pacs: true, .. } => situation.is_partly_in_pacs = true,
        InboundState::Expired { in_pacs, .. } | InboundState::Failed { in_pacs, .. } => {
            situation.is_partly_in_pacs = *in_pacs;
            if *in_pacs {
                situation.who = WhoCode::Technician;
            }
        }
    }
}

pub(super) async fn transfer_detail(road: &Road, row: &TransferRow) -> Result<TransferDetail, CustodyError> {
    let confidential: TransferConfidential = row.confidential.clone().unwrap_or_default();
    let receipts = read_receipts(road, row).await?;
    let instances: u32 = confidential.summaries.iter().map(|summary| summary.instances).sum();
    let size_bytes: u64 = confidential.summaries.iter().map(|summary| summary.size_bytes).sum();
    let refused = refused_instances(road, row, &receipts).await?;
    let receipts: Vec<ReceiptLine> = receipts.into_iter().map(|(line, _)| line).collect();
    let mut line = bare_line(row);
    line.ask = ask_line(road, row).await?;
    line.addendum = addendum_line(road, row).await?;
    line.belongs_at = belongs_at(road, row);
    line.matching = matching(road, row);
    line.situation.is_overdue = is_overdue(road, row);
    prove(&mut line.situation, &receipts);
    Ok(TransferDetail {
        line,
        note: filled(confidential.note),
        reply_contact: filled(confidential.reply_contact),
        requested_by: (!confidential.requested_by.is_empty()).then_some(confidential.requested_by),
        receipts,
        instances,
        size_bytes,
        refused,
    })
}

fn filled(text: Confidential) -> Option<Confidential> {
    (!text.is_empty()).then_some(text)
}

async fn receipt_lines(road: &Road, row: &TransferRow) -> Result<Vec<ReceiptLine>, CustodyError> {
    Ok(read_receipts(road, row).await?.into_iter().map(|(line, _)| line).collect())
}

async fn read_receipts(
    road: &Road,
    row: &TransferRow,
) -> Result<Vec<(ReceiptLine, Vec<RefusedInstance>)>, CustodyError> {
    let rows = road.custody.receipts(row.id).await?;
    Ok(rows.iter().filter_map(|receipt| receipt_line(&receipt.jws, receipt.stage)).collect())
}

/// A receipt that stands in the ledger was verified before it was written there, or is our own.
fn receipt_line(jws: &[u8], stage: u8) -> Option<(ReceiptLine, Vec<RefusedInstance>)> {
    let receipt = Receipt::read_verified(std::str::from_utf8(jws).ok()?)?;
    let stage = match stage {
        1 => ReceiptStage::InCustody,
        2 => ReceiptStage::InPacs,
        _ => return None,
    };
    let line = ReceiptLine { stage, at: receipt.at, stored: receipt.stored, of: receipt.of, verified: true };
    Some((line, receipt.refused))
}

/// For an outbound transfer from receipt 2; for an inbound one from what our PACS answered.
async fn refused_instances(
    road: &Road,
    row: &TransferRow,
    receipts: &[(ReceiptLine, Vec<RefusedInstance>)],
) -> Result<Vec<RefusedInstance>, CustodyError> {
    if let Some((_, refused)) = receipts.iter().find(|(line, _)| line.stage == ReceiptStage::InPacs) {
        return Ok(refused.clone());
    }
    let mut refused = Vec::new();
    for (position, delivery) in road.custody.deliveries(row.id).await?.iter().enumerate() {
        if !DimseStatus(delivery.status).is_stored() {
            let position = u32::try_from(position).unwrap_or(u32::MAX);
            refused.push(RefusedInstance { position, status: delivery.status });
        }
    }
    Ok(refused)
}

/// A key's id for comparing by telephone: the first 20 hexadecimal digits in groups of four.
pub(super) fn thumbprint(id: &Digest) -> String {
    let text = id.to_string();
    let groups: Vec<&str> = (0..5).map(|group| &text[group * 4..group * 4 + 4]).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receipt(stage: ReceiptStage, stored: u32) -> ReceiptLine {
        ReceiptLine { stage, at: Timestamp::UNIX_EPOCH, stored, of: 21, verified: true }
    }

    #[test]
    fn a_state_that_stands_on_a_receipt_says_how_many_it_proves() {
        let receipts = [receipt(ReceiptStage::InCustody, 21), receipt(ReceiptStage::InPacs, 20)];
        for (state, counts) in [
            (StateCode::Fetched, (21, 21)),
            (StateCode::Reported, (20, 21)),
            // Proves nothing about images.
            (StateCode::Accepted, (0, 0)),
        ] {
            let mut situation = plain(state, Timestamp::UNIX_EPOCH, WhoCode::Nobody);
            prove(&mut situation, &receipts);
            assert_eq!((situation.done, situation.of), counts, "{state:?}");
        }
    }
}
