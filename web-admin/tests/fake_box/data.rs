//! Made-up people, hospitals and transfers. Names are common, numbers are from the ranges for tests.

use beeldbox_protocol::admin::{
    Addressee, BelongsAt, DeclineCode, HoldCode, PacsStatus, Partner, PortalStatus, ReceiptLine,
    ReceiptStage, Reception, RefusedInstance, Situation, StateCode, Status, StudyLine, StudyNumber,
    TransferDetail, TransferLine, WaitCode, WhoCode,
};
use beeldbox_protocol::clinical::{Confidential, Patient, StudySummary};
use beeldbox_protocol::ident::TransferId;
use jiff::{SignedDuration, Timestamp};

use super::World;

pub fn patient(name: &str, birth: &str, sex: &str, id: &str, bsn: Option<&str>) -> Patient {
    let some = |text: &str| Some(Confidential::new(text)).filter(|text| !text.is_empty());
    Patient {
        name: some(name),
        id: some(id),
        id_issuer: None,
        birth_date: some(birth),
        sex: some(sex),
        bsn: bsn.map(|bsn| bsn.parse().unwrap()),
    }
}

pub fn summary(
    modalities: &[&str],
    what: &str,
    date: &str,
    series: u32,
    instances: u32,
    mb: u64,
) -> StudySummary {
    StudySummary {
        study: "1.2.826.0.1.3680043.8.498.1".parse().ok(),
        description: Some(Confidential::new(what)).filter(|text| !text.is_empty()),
        date: Some(date.to_owned()),
        time: Some("091200".to_owned()),
        modalities: modalities.iter().map(|m| (*m).to_owned()).collect(),
        accession_number: None,
        institution: None,
        series,
        instances,
        size_bytes: mb * 1_000_000,
    }
}

pub fn situation(state: StateCode, since: Timestamp, who: WhoCode) -> Situation {
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

fn study(
    number: i64,
    patient: Patient,
    summary: StudySummary,
    state: StateCode,
    since: Timestamp,
) -> StudyLine {
    StudyLine {
        study: StudyNumber(number),
        transfer: transfer_id(number),
        patient,
        summary,
        source_ae: "PACS_ZBC".to_owned(),
        last_instance_at: since,
        situation: situation(state, since, WhoCode::Technician),
        called_alias: None,
        has_conflict: false,
        damaged: 0,
        earlier: None,
    }
}

pub fn transfer_id(number: i64) -> TransferId {
    let [.., last] = number.to_be_bytes();
    TransferId::from_random([last; 16])
}

fn addressee(id: &str, ura: &str, organisation: &str, department: Option<&str>, place: &str) -> Addressee {
    Addressee {
        id: id.parse().unwrap(),
        ura: ura.parse().unwrap(),
        organisation: organisation.to_owned(),
        department: department.map(str::to_owned),
        location: None,
        person: None,
        place: Some(place.to_owned()),
        reception: Reception::Box,
    }
}

/// A transfer as it begins.
pub fn sent(study: &StudyLine, to: &Addressee, state: StateCode, at: Timestamp) -> TransferDetail {
    TransferDetail {
        line: TransferLine {
            transfer: study.transfer,
            patient: Some(study.patient.clone()),
            summary: Some(study.summary.clone()),
            partner: Some(Partner {
                ura: to.ura.clone(),
                organisation: to.organisation.clone(),
                department: to.department.clone(),
                verified: true,
            }),
            urgent: false,
            created_at: at,
            situation: situation(state, at, WhoCode::Nobody),
            ask: None,
            answers: None,
            addendum: None,
            desk: None,
            belongs_at: None,
            matching: None,
            is_proposed: false,
        },
        note: None,
        reply_contact: None,
        requested_by: Some("j.smit".to_owned()),
        receipts: Vec::new(),
        instances: study.summary.instances,
        size_bytes: study.summary.size_bytes,
        refused: Vec::new(),
    }
}

pub fn world(now: Timestamp) -> World {
    let ago = |minutes: i64| now - SignedDuration::from_mins(minutes);
    let directory = directory();
    World {
        status: status(now),
        studies: studies(now),
        sent: sent_list(now, &directory),
        inbox: inbox_list(now),
        directory,
        flags: Vec::new(),
        thumbprint: "7F3A 91C2 04DE 55B8".to_owned(),
        obstacle: None,
        requests: super::requests::requests(now, people()),
        not_believed: super::requests::not_believed(now),
        audit: super::admin::audit(now),
        favourites: vec!["noord-rad".parse().unwrap()],
        recent: vec!["zuid-card".parse().unwrap(), "noord-rad".parse().unwrap()],
        asked: Vec::new(),
        now: ago(0),
    }
}

fn people() -> [Patient; 6] {
    [
        patient("Vries-Jansen^Anna Maria^^de", "19450314", "F", "3004100", Some("999990019")),
        patient("Bakker^Willem", "19620917", "M", "3011872", Some("999991772")),
        patient("Vries-Janssen^Annet^^de", "19510502", "F", "3007712", None),
        patient("ijsselstein^Piet", "20240811", "M", "3020019", Some("999994876")),
        patient("Yılmaz^Elif", "19880225", "F", "3015530", Some("999993653")),
        patient("Berg^Johannes Cornelis^^van den", "19380101", "M", "3000427", Some("999996915")),
    ]
}

fn studies(now: Timestamp) -> Vec<StudyLine> {
    let ago = |minutes: i64| now - SignedDuration::from_mins(minutes);
    let [anna, willem, annet, piet, _, johannes] = people();
    let ready = StateCode::Queued;
    let mut arriving = study(
        18,
        willem,
        summary(&["MR"], "MRI knie links", "20261123", 5, 212, 96),
        StateCode::Collecting,
        ago(0),
    );
    arriving.last_instance_at = now - SignedDuration::from_secs(2);
    vec![
        arriving,
        study(
            17,
            anna.clone(),
            summary(&["CT"], "CT thorax met contrast", "20261121", 4, 640, 338),
            ready,
            ago(12),
        ),
        study(15, anna, summary(&["MR", "SR"], "MRI hersenen", "20261120", 6, 1212, 512), ready, ago(14)),
        study(14, annet, summary(&["DX"], "X-bekken", "20261123", 1, 2, 18), ready, ago(47)),
        study(
            12,
            piet,
            summary(&["US"], "Echo heup beiderzijds", "20261119", 1, 38, 61),
            ready,
            ago(26 * 60),
        ),
        study(11, johannes, summary(&["PT", "CT"], "", "20261118", 9, 2744, 1420), ready, ago(49 * 60)),
    ]
}

fn directory() -> Vec<Addressee> {
    let mut portal = addressee("kust-1", "90000712", "Kustziekenhuis", Some("Radiologie"), "Zeewolde");
    portal.reception = Reception::PortalDelivery;
    let mut absent = addressee("heuvel-1", "90000833", "Heuvelkliniek", None, "Valkenhorst");
    absent.reception = Reception::NotConnected;
    vec![
        addressee("zuid-card", "90000381", "Zuiderpoort UMC", Some("Cardiologie"), "Rozendal"),
        addressee("zuid-rad", "90000381", "Zuiderpoort UMC", Some("Radiologie"), "Rozendal"),
        addressee("zuid-neuro", "90000381", "Zuiderpoort UMC", Some("Neurochirurgie"), "Rozendal"),
        addressee("noord-rad", "90000492", "Noorderbreedte Ziekenhuis", Some("Radiologie"), "Winterveen"),
        addressee("noord-ort", "90000492", "Noorderbreedte Ziekenhuis", Some("Orthopedie"), "Winterveen"),
        addressee("meer-all", "90000554", "Meerzicht Ziekenhuis", None, "Loosmeer"),
        portal,
        absent,
        addressee("broek-rad", "90000127", "Ziekenhuis Broekerland", Some("Radiologie"), "Broekerland"),
        addressee("broek-card", "90000127", "Ziekenhuis Broekerland", Some("Cardiologie"), "Broekerland"),
    ]
}

fn sent_list(now: Timestamp, directory: &[Addressee]) -> Vec<TransferDetail> {
    let ago = |minutes: i64| now - SignedDuration::from_mins(minutes);
    let [anna, willem, _, piet, elif, johannes] = people();
    let of = |number, patient, summary, to: usize, state, minutes: i64| {
        let line = study(number, patient, summary, StateCode::Queued, ago(minutes));
        sent(&line, &directory[to], state, ago(minutes))
    };
    let mut going = of(
        40,
        elif.clone(),
        summary(&["CT"], "CT abdomen", "20261123", 3, 640, 338),
        0,
        StateCode::Sending,
        3,
    );
    (going.line.situation.done, going.line.situation.of) = (312, 640);
    let mut waiting =
        of(39, willem, summary(&["MR"], "MRI schouder", "20261122", 4, 188, 80), 3, StateCode::Addressed, 22);
    waiting.line.urgent = true;
    waiting.line.situation.waits_for = Some(WaitCode::PortalUnreachable);
    waiting.line.situation.waits_since = Some(ago(20));
    waiting.line.situation.next_try_at = Some(ago(-4));
    waiting.line.situation.attempts = 5;
    let mut held = of(
        38,
        johannes.clone(),
        summary(&["PT", "CT"], "PET-CT", "20261118", 9, 2744, 1420),
        2,
        StateCode::Held,
        95,
    );
    held.line.situation.hold = Some(HoldCode::RecipientKeyChanged);
    held.line.situation.who = WhoCode::Technician;
    let mut fetched =
        of(37, anna, summary(&["CT"], "CT sinus", "20261116", 2, 210, 90), 1, StateCode::Fetched, 130);
    fetched.receipts.push(receipt(ReceiptStage::InCustody, 210, 210, ago(60)));
    (fetched.line.situation.done, fetched.line.situation.of) = (210, 210);
    fetched.line.situation.waits_for = Some(WaitCode::OtherHospital);
    fetched.line.situation.waits_since = Some(ago(60));
    fetched.line.situation.who = WhoCode::OtherHospital;
    fetched.note = Some(Confidential::new("Graag beoordeling voor het MDO van donderdag."));
    fetched.reply_contact = Some(Confidential::new("J. Smit, tst. 4471"));
    let mut delivered =
        of(36, piet, summary(&["US"], "Echo heup", "20261110", 1, 38, 61), 4, StateCode::Delivered, 60 * 26);
    delivered.receipts.push(receipt(ReceiptStage::InCustody, 38, 38, ago(60 * 25)));
    delivered.receipts.push(receipt(ReceiptStage::InPacs, 37, 38, ago(60 * 24)));
    (delivered.line.situation.done, delivered.line.situation.of) = (37, 38);
    delivered.refused.push(RefusedInstance { position: 17, status: 0xA900 });
    let mut erased =
        of(35, elif, summary(&["DX"], "X-thorax", "20261109", 1, 2, 20), 5, StateCode::Erased, 60 * 80);
    erased.line.patient = None;
    erased.line.summary = None;
    let declined = declined(now, johannes, directory);
    vec![going, waiting, held, fetched, delivered, erased, declined]
}

/// Refused by one who knows where it belongs.
fn declined(now: Timestamp, patient: Patient, directory: &[Addressee]) -> TransferDetail {
    let at = now - SignedDuration::from_mins(60 * 50);
    let what = summary(&["PT", "CT"], "PET-CT", "20261117", 9, 2744, 1420);
    let mut declined =
        sent(&study(34, patient, what, StateCode::Queued, at), &directory[1], StateCode::Declined, at);
    declined.line.situation.declined = Some(DeclineCode::NotOurs);
    declined.line.situation.who = WhoCode::Technician;
    declined.line.belongs_at = Some(BelongsAt {
        addressee: "noord-rad".parse().unwrap(),
        organisation: Some("Noorderbreedte Ziekenhuis".to_owned()),
        department: Some("Radiologie".to_owned()),
    });
    declined.note = Some(Confidential::new("Stadiëring; graag herbeoordeling."));
    declined
}

fn receipt(stage: ReceiptStage, stored: u32, of: u32, at: Timestamp) -> ReceiptLine {
    ReceiptLine { stage, at, stored, of, verified: true }
}

fn inbox_list(now: Timestamp) -> Vec<TransferDetail> {
    let ago = |minutes: i64| now - SignedDuration::from_mins(minutes);
    let [anna, willem, _, _, elif, _] = people();
    let from = |number, patient, summary, organisation: &str, department: &str, state, minutes: i64| {
        let line = study(number, patient, summary, StateCode::Queued, ago(minutes));
        let sender = addressee("x", "90000492", organisation, Some(department), "");
        let mut detail = sent(&line, &sender, state, ago(minutes));
        detail.requested_by = None;
        detail
    };
    let noord = "Noorderbreedte Ziekenhuis";
    let ct = summary(&["CT"], "CT aorta", "20261122", 3, 811, 402);
    let mut opened = from(60, anna, ct, noord, "Radiologie", StateCode::Opened, 9);
    opened.line.urgent = true;
    opened.line.situation.who = WhoCode::Technician;
    opened.line.situation.waits_for = Some(WaitCode::Technician);
    opened.note =
        Some(Confidential::new("Aneurysma 5,8 cm, graag vandaag beoordelen.\nOude CT van 2024 volgt."));
    opened.reply_contact = Some(Confidential::new("dr. M. Hofstra, 0511-55 50 12"));
    opened.receipts.push(receipt(ReceiptStage::InCustody, 811, 811, ago(8)));
    let mr = summary(&["MR"], "MRI lumbale wervelkolom", "20261120", 5, 240, 110);
    let mut unverified = from(59, willem, mr, "Heuvelkliniek", "Orthopedie", StateCode::Held, 55);
    unverified.line.partner.as_mut().unwrap().verified = false;
    unverified.line.situation.hold = Some(HoldCode::SenderNotVerified);
    unverified.line.situation.who = WhoCode::Technician;
    let dx = summary(&["DX"], "X-pols rechts", "20261123", 1, 3, 24);
    let mut fetching =
        from(58, elif.clone(), dx, "Zuiderpoort UMC", "Spoedeisende hulp", StateCode::Fetching, 1);
    (fetching.line.patient, fetching.line.summary) = (None, None);
    (fetching.line.situation.done, fetching.line.situation.of) = (2, 7);
    let us = summary(&["US"], "Echo abdomen", "20261117", 1, 44, 70);
    let mut reported = from(57, elif, us, noord, "Radiologie", StateCode::Reported, 60 * 30);
    (reported.line.situation.done, reported.line.situation.of) = (44, 44);
    reported.receipts.push(receipt(ReceiptStage::InCustody, 44, 44, ago(60 * 30)));
    reported.receipts.push(receipt(ReceiptStage::InPacs, 44, 44, ago(60 * 29)));
    vec![fetching, opened, unverified, reported]
}

fn status(now: Timestamp) -> Status {
    let ago = |minutes: i64| now - SignedDuration::from_mins(minutes);
    Status {
        name: "beeldbox-zbc".to_owned(),
        organisation: "Ziekenhuis Broekerland".to_owned(),
        ura: "90000127".parse().unwrap(),
        version: "0.1.0".to_owned(),
        ae_title: "BEELDBOX".to_owned(),
        dicom_address: "10.1.2.3:11112".to_owned(),
        portal: PortalStatus {
            url: "https://portaal.example".to_owned(),
            last_answer_at: Some(ago(1)),
            trouble: None,
            directory_as_of: Some(ago(180)),
            directory_trouble: None,
            directory_is_too_old: false,
            addressees: 3120,
        },
        pacs: PacsStatus {
            ae_title: "PACS_ZBC".to_owned(),
            address: "10.1.2.9:104".to_owned(),
            trouble: None,
        },
        studies_waiting: 0,
        outbound_open: 0,
        inbox_waiting: 0,
        held: 0,
        uncollected: 0,
        inbox_overdue: 0,
        asked_back: 0,
        requests_open: 1,
        requests_not_believed: 1,
        damaged: 0,
        free_bytes: 812_000_000_000,
        is_full: false,
        certificates_valid_until: Some(now + SignedDuration::from_hours(24 * 213)),
        certificates: super::admin::certificates(now),
        recovery: "nothing to repair".to_owned(),
        started_at: ago(60 * 24 * 9),
        change: 1,
    }
}
