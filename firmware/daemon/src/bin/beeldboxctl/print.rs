//! Answers as text for people: one line per thing, the most telling words first.

use beeldbox_protocol::admin::{
    Addressee, AddresseePage, AskCode, Check, CheckFlag, DeclineCode, EarlierLine, HoldCode, NodeTestStage,
    Reception, Reply, Situation, StateCode, Status, StudyLine, TransferDetail, TransferLine, WaitCode,
    WhoCode,
};
use beeldbox_protocol::clinical::{Confidential, Patient};

use crate::{certificates, matching, requests, stored};

/// Prints an answer.
pub fn reply(reply: &Reply) {
    match reply {
        Reply::Status(status) => self::status(status),
        Reply::Studies(studies) => {
            if studies.is_empty() {
                say!("No study waits to be sent.");
            }
            studies.iter().for_each(study);
        }
        Reply::Study(study) => self::study(study),
        Reply::Addressees(page) => addressees(page),
        Reply::Check(check) => self::check(check),
        Reply::Sent(transfer) => say!("{transfer}"),
        Reply::Transfers(transfers) => {
            if transfers.is_empty() {
                say!("No transfers.");
            }
            transfers.iter().for_each(transfer);
        }
        Reply::Transfer(detail) => self::detail(detail),
        Reply::Verified(page) => page.lines.iter().for_each(|line| say!("{}", line.sop_instance)),
        Reply::NodeTest(test) => {
            say!("{} at {}", test.ae_title, test.address);
            for step in &test.steps {
                let stage = match step.step {
                    NodeTestStage::Resolve => "name",
                    NodeTestStage::Connect => "connection",
                    NodeTestStage::Tls => "TLS",
                    NodeTestStage::Associate => "association",
                    NodeTestStage::Context => "verification",
                    NodeTestStage::Echo => "echo",
                    NodeTestStage::Release => "release",
                };
                let milliseconds = step.took_micros / 1000;
                say!("{stage:<13} {milliseconds:>6} ms  {}", step.failure.as_deref().unwrap_or("ok"));
            }
            say!("{}", test.advice);
        }
        Reply::Requested(request) => say!("{request}"),
        Reply::WhomCheck(check) => {
            let certified = check.certified_name.as_deref().unwrap_or("certificate not believed");
            say!("{} ({certified}), look at {:?}", check.addressee.organisation, check.flags);
        }
        Reply::Requests(page) => requests::page(page),
        Reply::Request(line) => requests::line(line),
        Reply::Audit(lines) => {
            for line in lines {
                let transfer = line.transfer.map(|id| id.to_string()).unwrap_or_default();
                let detail = line.detail.as_ref().map(Confidential::reveal).unwrap_or_default();
                say!(
                    "{:>6}  {}  {:<22} {:<20} {transfer}  {detail}",
                    line.number,
                    line.at,
                    line.actor,
                    line.action
                );
            }
        }
        Reply::Nodes(nodes) => {
            nodes.peers.iter().for_each(|peer| {
                say!("peer   {:<16} {}", peer.ae_title, peer.address.as_deref().unwrap_or("-"));
            });
            nodes.aliases.iter().for_each(|alias| say!("alias  {:<16} {}", alias.ae_title, alias.entry));
        }
        Reply::Certificates(lines) => lines.iter().for_each(|line| say!("{}", certificates::line(line))),
        Reply::CertificateRequest(pem) => say!("{}", pem.trim_end()),
        Reply::Changed(change) => say!("{change}"),
        Reply::Stored(page) => stored::page(page),
        Reply::StoredInstances(lines) => lines.iter().for_each(|line| say!("{}", line.sop_instance)),
        Reply::Header(json) => say!("{}", json.reveal()),
        // Only asked for by commands that take the bytes.
        Reply::Content(_) => {}
        Reply::Candidates(page) => matching::page(page),
        Reply::Proposed => say!("Proposed. A second person must agree: see candidates."),
        Reply::Done => say!("Done."),
    }
}

fn status(status: &Status) {
    say!("{} ({}, URA {}), version {}", status.name, status.organisation, status.ura, status.version);
    say!("  DICOM      {} on {}", status.ae_title, status.dicom_address);
    let portal = status.portal.trouble.as_deref().unwrap_or("answers");
    say!("  portal     {}: {portal}; {} addressees", status.portal.url, status.portal.addressees);
    let too_old =
        if status.portal.directory_is_too_old { "TOO OLD to send to what stands in it; " } else { "" };
    let as_of =
        status.portal.directory_as_of.map_or_else(|| "never read".to_owned(), |as_of| as_of.to_string());
    let directory = status.portal.directory_trouble.as_deref().unwrap_or("no trouble known");
    say!("  directory  {as_of}; {too_old}{directory}");
    let pacs = status.pacs.trouble.as_deref().unwrap_or("no trouble known");
    say!("  PACS       {} at {}: {pacs}", status.pacs.ae_title, status.pacs.address);
    say!(
        "  waiting    {} studies to send, {} under way, {} to import, {} held",
        status.studies_waiting,
        status.outbound_open,
        status.inbox_waiting,
        status.held
    );
    if status.uncollected + status.inbox_overdue + status.asked_back > 0 {
        say!(
            "  REMINDER   {} not collected for long, {} not imported for long, {} asked back by their senders",
            status.uncollected,
            status.inbox_overdue,
            status.asked_back
        );
    }
    if status.requests_open + status.requests_not_believed > 0 {
        say!(
            "  REQUESTS   {} of other hospitals wait for an answer, {} are not believed: see requests",
            status.requests_open,
            status.requests_not_believed
        );
    }
    say!(
        "  disk       {} MiB free{}",
        status.free_bytes / (1024 * 1024),
        if status.is_full { ": FULL, intake refused" } else { "" }
    );
    if status.damaged > 0 {
        say!(
            "  DAMAGED    {} instances cannot be read back: ask the PACS to send them again",
            status.damaged
        );
    }
    for certificate in &status.certificates {
        say!("  key        {}", certificates::line(certificate));
    }
    say!("  start-up   {}", status.recovery);
}

fn study(line: &StudyLine) {
    say!(
        "{:>5}  {}  {}  {} instances, {:.1} MB  {}{}",
        line.study.0,
        who(&line.patient),
        text(line.summary.description.as_ref()),
        line.summary.instances,
        megabytes(line.summary.size_bytes),
        sentence(&line.situation),
        if line.has_conflict {
            "; CONFLICT: different objects came under one name, look before sending"
        } else {
            ""
        },
    );
    if let Some(earlier) = &line.earlier {
        say!(
            "       late images: others of this study went {}; sent there (--to {}) these are an addendum",
            earlier_transfer(earlier),
            earlier.addressee
        );
    }
}

/// To whom an earlier transfer of the same study went, and when.
pub fn earlier_transfer(earlier: &EarlierLine) -> String {
    let at = earlier.at.strftime("%Y-%m-%d %H:%M:%S UTC");
    format!("to {} at {at} (transfer {})", earlier.partner.organisation, earlier.transfer)
}

/// Who somebody is.
pub fn who(patient: &Patient) -> String {
    format!("{} ({})", text(patient.name.as_ref()), text(patient.id.as_ref()))
}

/// A text, or that it was not sent along.
pub fn text(value: Option<&Confidential>) -> &str {
    value.map_or("(not sent along)", Confidential::reveal)
}

fn addressees(page: &AddresseePage) {
    page.addressees.iter().for_each(addressee);
    match (page.directory_as_of, page.directory_age_secs) {
        (Some(as_of), Some(age)) => say!("directory of {as_of}, {}", how_long_ago(age)),
        _ => say!("the directory was never read"),
    }
    if page.is_too_old {
        say!("TOO OLD: nothing is sent to these until the directory is brought up to date");
    }
    if let Some(trouble) = &page.directory_trouble {
        say!("not brought up to date: {trouble}");
    }
}

fn how_long_ago(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (minutes, hours, days) {
        (0 | 1, _, _) => "just now".to_owned(),
        (_, 0 | 1, _) => format!("{minutes} minutes ago"),
        (_, _, 0 | 1) => format!("{hours} hours ago"),
        _ => format!("{days} days ago"),
    }
}

fn addressee(addressee: &Addressee) {
    let reception = match addressee.reception {
        Reception::Box => "",
        Reception::PortalDelivery => "  [portal delivery: a box at the portal can read it]",
        Reception::NotConnected => "  [not connected]",
    };
    let department = addressee.desk().unwrap_or_else(|| "(whole organisation)".to_owned());
    let place = addressee.place.as_deref().unwrap_or("?");
    say!("{:<32} {} - {department}, {place}{reception}", addressee.id.to_string(), addressee.organisation);
}

fn check(check: &Check) {
    study(&check.study);
    addressee(&check.addressee);
    say!(
        "certified as {}, key {}",
        check.certified_name.as_deref().unwrap_or("-"),
        check.key_thumbprint.as_deref().unwrap_or("-")
    );
    if let Some(earlier) = &check.addendum_to {
        say!("an addendum to what went {}", earlier_transfer(earlier));
    }
    say!("to confirm: {:?}", check.flags);
}

fn transfer(line: &TransferLine) {
    let partner = line.partner.as_ref().map_or_else(
        || "?".to_owned(),
        |partner| {
            format!(
                "{} (URA {}{})",
                partner.organisation,
                partner.ura,
                if partner.verified { "" } else { ", not verified" }
            )
        },
    );
    let patient = line.patient.as_ref().map_or_else(|| "-".to_owned(), who);
    say!(
        "{}  {partner}  {patient}  {}{}",
        line.transfer,
        if line.urgent { "URGENT  " } else { "" },
        sentence(&line.situation)
    );
    if let Some(addendum) = &line.addendum {
        match addendum.at {
            Some(at) => {
                let at = at.strftime("%Y-%m-%d %H:%M:%S UTC");
                say!("  supplement to the transfer of {at} ({})", addendum.to);
            }
            None => say!("  supplement to the transfer {}, which this box does not know", addendum.to),
        }
    }
    if let Some(request) = &line.answers {
        say!("  in answer to the request {request}");
    }
    if let Some(desk) = &line.desk {
        say!("  for {desk}");
    }
    if let Some(belongs) = &line.belongs_at {
        let organisation = belongs.organisation.as_deref().unwrap_or("(not in the directory of this box)");
        let department = belongs.department.as_deref().unwrap_or("whole organisation");
        say!(
            "  declined: belongs at {organisation} - {department} ({}); to send it there: redirect {}",
            belongs.addressee,
            line.transfer
        );
    }
    if let Some(ask) = &line.ask {
        let since = ask.since.strftime("%Y-%m-%d %H:%M:%S UTC");
        say!("  {}, since {since}; reason: {}", asked(ask.state), text(ask.reason.as_ref()));
    }
}

/// Where a question for a transfer back stands.
fn asked(state: AskCode) -> &'static str {
    match state {
        AskCode::Asking => "asked back: the question is on its way",
        AskCode::Asked => "asked back: the other hospital has to answer",
        AskCode::Open => {
            "THE SENDER ASKS FOR IT BACK: remove it from the PACS and say so (give-back), or keep it (keep)"
        }
        AskCode::Granted => "asked back, and erased by the receiving hospital",
        AskCode::Refused => "asked back, and kept by the receiving hospital; call them",
    }
}

fn detail(detail: &TransferDetail) {
    transfer(&detail.line);
    say!("  {} instances, {:.1} MB", detail.instances, megabytes(detail.size_bytes));
    if let Some(note) = &detail.note {
        say!("  note: {}", note.reveal());
    }
    if let Some(by) = &detail.requested_by {
        say!("  sent by {by}");
    }
    for receipt in &detail.receipts {
        say!("  receipt {:?} at {}: {} of {}", receipt.stage, receipt.at, receipt.stored, receipt.of);
    }
    for refused in &detail.refused {
        say!("  instance {} refused with status {:04X}H", refused.position, refused.status);
    }
}

#[expect(clippy::cast_precision_loss, reason = "one decimal for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}

/// What is true, what it waits for, since when, and who can do something about it: one plain sentence.
fn sentence(situation: &Situation) -> String {
    let mut sentence = match situation.state {
        StateCode::Collecting => format!("arriving, {} instances so far", situation.done),
        StateCode::Queued => "complete, waits for an addressee".to_owned(),
        StateCode::Addressed => match situation.undo_until {
            Some(until) => {
                format!(
                    "addressed, leaves at {} and can be undone until then",
                    until.strftime("%H:%M:%S UTC")
                )
            }
            None => "addressed, about to be sent".to_owned(),
        },
        StateCode::Sending => format!("sending, {} of {} parts at the portal", situation.done, situation.of),
        StateCode::Accepted => "at the portal, not collected yet".to_owned(),
        StateCode::Fetched => "in custody of the other hospital, not yet in its PACS".to_owned(),
        StateCode::Delivered => {
            format!("delivered: {} of {} instances in the PACS", situation.done, situation.of)
        }
        StateCode::Erased => "erased".to_owned(),
        StateCode::Announced => "announced by the portal".to_owned(),
        StateCode::Fetching => format!("fetching, {} of {} parts here", situation.done, situation.of),
        StateCode::Opened => "verified and in custody, waits for import".to_owned(),
        StateCode::Reconciled => "about to go to the PACS".to_owned(),
        StateCode::Delivering => {
            format!("going to the PACS, {} of {} instances", situation.done, situation.of)
        }
        StateCode::Reported => "in the PACS, and the sender knows".to_owned(),
        StateCode::Held => format!("HELD: {}", situation.hold.as_ref().map_or("unknown reason", held)),
        StateCode::Recalled => "taken back by the sender".to_owned(),
        StateCode::Declined => format!("declined: {}", situation.declined.map_or("no reason told", refused)),
        StateCode::Expired => "expired: its time was over before it was settled".to_owned(),
        StateCode::Failed => "failed".to_owned(),
    };
    if situation.is_partly_in_pacs {
        sentence.push_str("; THE PACS HERE HAS SOME OF IT, or may have: look there, and call the sender");
    }
    if situation.is_overdue {
        sentence.push_str(", LONGER THAN IT SHOULD: call them");
    }
    sentence.push_str(&format!(", since {}", situation.since.strftime("%Y-%m-%d %H:%M:%S UTC")));
    if let (Some(wait), Some(at)) = (situation.waits_for, situation.next_try_at) {
        let next = at.strftime("%H:%M:%S UTC");
        sentence.push_str(&format!("; {} (tried {} times, next at {next})", waits(wait), situation.attempts));
    }
    if situation.who != WhoCode::Nobody {
        sentence.push_str(&format!("; {} can act", who_can_act(situation.who)));
    }
    sentence
}

/// Who can do something about it.
pub fn who_can_act(who: WhoCode) -> &'static str {
    match who {
        WhoCode::Nobody => "nobody",
        WhoCode::Technician => "a technician",
        WhoCode::Administrator => "the administrator of the box or the PACS",
        WhoCode::OtherHospital => "the other hospital",
        WhoCode::Vendor => "the supplier of the box",
    }
}

/// What the check page would make a person look at.
pub fn flag(flag: CheckFlag) -> &'static str {
    match flag {
        CheckFlag::FirstTime => "never sent to this organisation before",
        CheckFlag::StillArriving => "images were still arriving; the study is closed now",
        CheckFlag::NoBsn => "no citizen service number was sent along",
        CheckFlag::PortalDelivery => "it arrives at a box that the portal hosts",
        CheckFlag::Conflict => "two different objects came under one name",
        CheckFlag::TwoPatients => "the images name different patients",
        CheckFlag::NoPatientId => "no image has a Patient ID",
        CheckFlag::NoPatientName => "no patient name was sent along",
        CheckFlag::OtherPatient => {
            "the request that it answers names another citizen service number or birthday: look whose images these are"
        }
    }
}

fn waits(wait: WaitCode) -> &'static str {
    match wait {
        WaitCode::PortalUnreachable => "the portal does not answer",
        WaitCode::PortalBusy => "the portal asks for patience",
        WaitCode::PacsUnreachable => "the PACS does not answer",
        WaitCode::PacsBusy => "the PACS asks for patience",
        WaitCode::PacsProof => "the PACS has not confirmed yet what it stored",
        WaitCode::DiskFull => "the disk of the box is full",
        WaitCode::OtherHospital => "waits for the other hospital",
        WaitCode::Technician => "waits for a technician",
    }
}

fn refused(reason: DeclineCode) -> &'static str {
    match reason {
        DeclineCode::WrongDepartment => "meant for another department",
        DeclineCode::UnknownPatient => "the patient is not known there",
        DeclineCode::Incomplete => "something is missing",
        DeclineCode::Unreadable => "it cannot be read there",
        DeclineCode::NotOurs => "not for that organisation",
        DeclineCode::Other => "for another reason",
    }
}

fn held(reason: &HoldCode) -> &'static str {
    match reason {
        HoldCode::RecipientKeyChanged => {
            "the partner has another key than before; compare it by telephone, then resume"
        }
        HoldCode::RecipientNotVerified => "the addressee's key is not believed",
        HoldCode::SenderNotVerified => "the sender's signature is not believed",
        HoldCode::AddressedToSomeoneElse => "the letter is for another organisation",
        HoldCode::CertificateExpired => "a certificate is not valid: renew it, then resume",
        HoldCode::DigestMismatch => "what arrived is not what was sent; ask the sender to send again",
        HoldCode::LetterUnreadable => "the letter cannot be opened; ask the sender to send again",
        HoldCode::PortalRefusedUs => "the portal refuses this box",
        HoldCode::PacsRefusedUs => "the PACS refuses this box: check the AE titles there, then resume",
        HoldCode::PacsRefusedInstances => "the PACS refused instances",
        HoldCode::ConflictingInstances => "two different objects came under one name",
        HoldCode::TwoPatients => "its images name different patients: check it in the PACS before sending it",
        HoldCode::PatientIdMissing => "no image has a Patient ID: make sure whose it is before sending it",
        HoldCode::PackDamaged => "sealed bytes on this box are damaged; ask the PACS to send the study again",
        HoldCode::AskedBack => {
            "the sender asks for it back and some of it is in the PACS; remove it there and answer, or say no"
        }
        HoldCode::SetAside => {
            "somebody here has set it aside; the audit trail says who and why; resume puts it back"
        }
        HoldCode::UnknownToThisVersion => "for a reason that this version does not know",
    }
}
