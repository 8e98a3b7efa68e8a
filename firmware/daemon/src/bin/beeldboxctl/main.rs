//! `beeldboxctl`: the questions of the web pages, from the command line, over the same socket.
//!
//! Plain text for people, `--json` for programs. Exit codes: 0 answered; 1 refused, `verify` found damage, or a
//! step of `test` failed; 2 wrong arguments; 3 the daemon is not there.

/// Prints a line. A reader that went away (`| head`) has what it wanted: that is no failure and no panic.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        if writeln!(std::io::stdout(), $($words)*).is_err() {
            std::process::exit(0);
        }
    }};
}

mod certificates;
mod matching;
mod print;
mod requests;
mod stored;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use beeldbox_protocol::admin::{
    Actor, Answer, Call, CheckFlag, DeclineCode, FrontEnd, MAX_PAGE, Question, RefusalCode, Reply,
    StudyNumber, StudyRef,
};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::{AddresseeId, AeTitle, Digest, TransferId};
use clap::{Parser, Subcommand, ValueEnum};

/// Asks the Beeldbox daemon.
#[derive(Parser)]
#[command(name = "beeldboxctl", version)]
struct Arguments {
    /// The daemon's admin socket.
    #[arg(long, default_value = "/run/beeldbox/admin.sock", global = true)]
    socket: PathBuf,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// How the box is.
    Status,
    /// Received studies that wait for an addressee.
    Studies,
    /// Search the national directory.
    Addressees {
        /// Words of organisation, department or place.
        query: Vec<String>,
    },
    /// Send a study.
    Send {
        /// Its number, or its Study Instance UID.
        study: String,
        /// Id of the addressee in the directory. In answer to a request it may be left out: then it is the one that the
        /// request names.
        #[arg(long, required_unless_present = "answers")]
        to: Option<AddresseeId>,
        /// The request for images that it answers.
        #[arg(long)]
        answers: Option<TransferId>,
        /// Words for the addressee; sealed with the study.
        #[arg(long)]
        note: Option<String>,
        /// Ask the addressee to hurry.
        #[arg(long)]
        urgent: bool,
    },
    /// Transfers to others.
    Transfers,
    /// One transfer.
    Show {
        /// Its id.
        transfer: TransferId,
    },
    /// Undo a send while nothing has left the box: the study waits for an addressee again.
    Undo {
        /// Its id.
        transfer: TransferId,
    },
    /// Take a transfer back.
    Recall {
        /// Its id.
        transfer: TransferId,
    },
    /// Offer the study of a transfer for sending once more, to the same or to another addressee.
    Again {
        /// Its id.
        transfer: TransferId,
    },
    /// Send the images of a transfer that was declined, expired or taken back to another addressee.
    Redirect {
        /// Its id.
        transfer: TransferId,
        /// Id of the addressee in the directory; without it, the one that the other hospital named.
        #[arg(long)]
        to: Option<AddresseeId>,
        /// Other words for the addressee; without it, the same as before.
        #[arg(long)]
        note: Option<String>,
    },
    /// Ask the other hospital to erase what it has collected already.
    AskBack {
        /// Its id.
        transfer: TransferId,
        /// Why; sealed to the other hospital.
        #[arg(long)]
        reason: String,
    },
    /// Say that a transfer that its sender asks back was removed from the PACS: the box erases its copy.
    GiveBack {
        /// Its id.
        transfer: TransferId,
    },
    /// Say that a transfer that its sender asks back is kept.
    Keep {
        /// Its id.
        transfer: TransferId,
    },
    /// Ask another hospital for images.
    Request(Box<requests::Ask>),
    /// Requests for images, of this hospital and of others.
    Requests,
    /// One request.
    RequestShow {
        /// Its id.
        request: TransferId,
    },
    /// Take a request of this hospital back.
    RequestWithdraw {
        /// Its id.
        request: TransferId,
    },
    /// Refuse another hospital's request, or put one aside that is not believed.
    RequestRefuse(requests::Refuse),
    /// Try a waiting transfer now, or let a held one go on.
    Resume {
        /// Its id.
        transfer: TransferId,
    },
    /// Transfers from others.
    Inbox,
    /// What lies on this box and can be read.
    Stored(stored::Stored),
    /// Write a study out as a DICOM folder, in a ZIP archive. It stands in the audit trail.
    Folder(stored::Folder),
    /// Who of this hospital may be meant by a transfer.
    Candidates(matching::Candidates),
    /// Import a transfer into the local PACS.
    Import(matching::Import),
    /// Agree, as a second person, to what somebody proposed.
    Agree {
        /// Its id.
        transfer: TransferId,
        /// Which proposal, as `candidates` shows it.
        #[arg(long)]
        seen: Digest,
    },
    /// Take back what somebody proposed.
    DropProposal {
        /// Its id.
        transfer: TransferId,
    },
    /// Set a transfer aside until somebody resumes it.
    SetAside {
        /// Its id.
        transfer: TransferId,
        /// Why.
        #[arg(long)]
        reason: String,
    },
    /// Say for which department of this organisation a transfer is.
    Forward {
        /// Its id.
        transfer: TransferId,
        /// Id of the department in the directory.
        #[arg(long)]
        to: AddresseeId,
    },
    /// Refuse a transfer.
    Decline {
        /// Its id.
        transfer: TransferId,
        /// Why.
        #[arg(long)]
        reason: Reason,
        /// Id of the addressee in the directory where it belongs, for the reasons wrong-department and not-ours.
        #[arg(long)]
        belongs_at: Option<AddresseeId>,
    },
    /// Re-read and authenticate every sealed instance: `SOP-instance-UID SHA-256-of-data-set` per line.
    Verify,
    /// Call a DICOM node and ask for an echo, step by step.
    Test {
        /// AE title of a peer in the settings; without it, the PACS that incoming studies go to.
        ae_title: Option<AeTitle>,
    },
    /// Enrol this box at the portal, with a one-time code.
    Enrol(certificates::Enrol),
    /// The certificates of this box, with the days that are left.
    Certificates,
    /// Make a key and print a request for a certificate, for an authority that works by hand.
    Csr {
        /// What the certificate is for.
        #[arg(long = "for", value_enum, default_value = "signing")]
        what: certificates::For,
    },
    /// Import or renew a certificate.
    #[command(subcommand)]
    Certificate(certificates::Change),
    /// Make a new recipient key, used from the next start of the daemon on; letters to the old one are still opened.
    RotateRecipientKey,
    /// The audit trail, newest first.
    Audit,
}

#[derive(Clone, Copy, ValueEnum)]
enum Reason {
    WrongDepartment,
    UnknownPatient,
    Incomplete,
    Unreadable,
    NotOurs,
    Other,
}

impl From<Reason> for DeclineCode {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::WrongDepartment => DeclineCode::WrongDepartment,
            Reason::UnknownPatient => DeclineCode::UnknownPatient,
            Reason::Incomplete => DeclineCode::Incomplete,
            Reason::Unreadable => DeclineCode::Unreadable,
            Reason::NotOurs => DeclineCode::NotOurs,
            Reason::Other => DeclineCode::Other,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut line = match Line::open(&arguments.socket) {
        Ok(line) => line,
        Err(error) => {
            eprintln!("beeldboxctl: {error:#}");
            return ExitCode::from(3);
        }
    };
    match run(&arguments, &mut line) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("beeldboxctl: {error:#}");
            ExitCode::from(3)
        }
    }
}

fn run(arguments: &Arguments, line: &mut Line) -> Result<ExitCode> {
    if matches!(arguments.command, Command::Verify) {
        return verify(arguments, line);
    }
    if let Command::Folder(folder) = &arguments.command {
        return stored::write_folder(folder, line);
    }
    let question = question(&arguments.command)?;
    if let Question::Send { study: StudyRef::Number(study), addressee, .. } = &question {
        say_flags(line, Question::Check { study: *study, addressee: addressee.clone() })?;
    }
    if let Question::SendAnswer { request, study: StudyRef::Number(study), addressee, .. } = &question {
        let (request, addressee) = (*request, addressee.clone());
        say_flags(line, Question::CheckAnswer { request, study: *study, addressee })?;
    }
    let mut answer = ask_for_all(line, question.clone())?;
    if let (Question::Redirect { transfer, to, note, .. }, Err(refusal)) = (question, &answer)
        && refusal.code == RefusalCode::NotAcknowledged
    {
        eprintln!("beeldboxctl: note: {}", refusal.message);
        let acknowledged = every_flag();
        answer = ask_for_all(line, Question::Redirect { transfer, to, note, acknowledged })?;
    }
    match answer {
        Ok(reply) => {
            if arguments.json {
                say!("{}", serde_json::to_string_pretty(&reply)?);
            } else {
                print::reply(&reply);
            }
            let failed = matches!(&reply, Reply::NodeTest(test) if test.steps.iter().any(|step| step.failure.is_some()));
            Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
        Err(refusal) => {
            if arguments.json {
                say!("{}", serde_json::to_string_pretty(&refusal)?);
            } else {
                eprintln!("beeldboxctl: {}", refusal.message);
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Asks, and for a list asks on until it ends: whoever reads this output sees all of it.
fn ask_for_all(line: &mut Line, question: Question) -> Result<Answer> {
    let mut whole = match line.ask(question.clone())? {
        Ok(reply) => reply,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut page = next_page(&question, &whole);
    while let Some(question) = page {
        let more = match line.ask(question.clone())? {
            Ok(more) => more,
            Err(refusal) => return Ok(Err(refusal)),
        };
        page = next_page(&question, &more);
        match (&mut whole, more) {
            (Reply::Studies(all), Reply::Studies(more)) => all.extend(more),
            (Reply::Transfers(all), Reply::Transfers(more)) => all.extend(more),
            (Reply::Requests(all), Reply::Requests(more)) => all.requests.extend(more.requests),
            (Reply::Audit(all), Reply::Audit(more)) => all.extend(more),
            _ => anyhow::bail!("the daemon answered another question"),
        }
    }
    Ok(Ok(whole))
}

/// The question for the page behind this one, if it was full.
fn next_page(question: &Question, page: &Reply) -> Option<Question> {
    let is_full = |lines: usize| u32::try_from(lines).is_ok_and(|lines| lines >= MAX_PAGE);
    match (question, page) {
        (Question::Studies { limit, .. }, Reply::Studies(lines)) if is_full(lines.len()) => {
            Some(Question::Studies { before: Some(lines.last()?.study), limit: *limit })
        }
        (Question::Transfers { limit, .. }, Reply::Transfers(lines)) if is_full(lines.len()) => {
            Some(Question::Transfers { before: Some(lines.last()?.transfer), limit: *limit })
        }
        (Question::Inbox { limit, .. }, Reply::Transfers(lines)) if is_full(lines.len()) => {
            Some(Question::Inbox { before: Some(lines.last()?.transfer), limit: *limit })
        }
        (Question::Requests { limit, .. }, Reply::Requests(page)) if is_full(page.requests.len()) => {
            Some(Question::Requests { before: Some(page.requests.last()?.request), limit: *limit })
        }
        (Question::Audit { limit, .. }, Reply::Audit(lines)) if is_full(lines.len()) => {
            Some(Question::Audit { before: Some(lines.last()?.number), limit: *limit })
        }
        _ => None,
    }
}

/// Says on standard error what the check page would make a person look at.
fn say_flags(line: &mut Line, check: Question) -> Result<()> {
    if let Ok(Reply::Check(check)) = line.ask(check)? {
        if let Some(earlier) = &check.addendum_to {
            eprintln!("beeldboxctl: note: an addendum to what went {}", print::earlier_transfer(earlier));
        }
        for flag in check.flags {
            eprintln!("beeldboxctl: note: {}", print::flag(flag));
        }
    }
    Ok(())
}

fn question(command: &Command) -> Result<Question> {
    let confidential = |text: &Option<String>| text.clone().map(Confidential::new);
    Ok(match command {
        // The last two were done before.
        Command::Status | Command::Verify | Command::Folder(_) => Question::Status,
        Command::Studies => Question::Studies { before: None, limit: MAX_PAGE },
        Command::Addressees { query } => Question::Addressees { query: query.join(" "), limit: 50 },
        Command::Send { study, to, answers, note, urgent } => {
            let (study, note, reply_contact, urgent) = (study_ref(study), confidential(note), None, *urgent);
            // Whoever names study and addressee on the command line is not asked again; `run` says what to look at.
            let acknowledged = every_flag();
            match (answers, to) {
                (Some(request), to) => Question::SendAnswer {
                    request: *request,
                    study,
                    addressee: to.clone(),
                    note,
                    reply_contact,
                    urgent,
                    acknowledged,
                },
                (None, Some(addressee)) => {
                    let addressee = addressee.clone();
                    Question::Send { study, addressee, note, reply_contact, urgent, acknowledged }
                }
                (None, None) => anyhow::bail!("say to whom"),
            }
        }
        Command::Transfers => Question::Transfers { before: None, limit: MAX_PAGE },
        Command::Show { transfer } => Question::Transfer { transfer: *transfer },
        Command::Undo { transfer } => Question::Undo { transfer: *transfer },
        Command::Recall { transfer } => Question::Recall { transfer: *transfer },
        Command::Again { transfer } => Question::OfferAgain { transfer: *transfer },
        Command::Redirect { transfer, to, note } => Question::Redirect {
            transfer: *transfer,
            to: to.clone(),
            note: confidential(note),
            // As with sending: `run` says what to look at.
            acknowledged: vec![],
        },
        Command::AskBack { transfer, reason } => {
            Question::AskBack { transfer: *transfer, reason: Confidential::new(reason.clone()) }
        }
        Command::GiveBack { transfer } => Question::AnswerAsk { transfer: *transfer, removed: true },
        Command::Keep { transfer } => Question::AnswerAsk { transfer: *transfer, removed: false },
        Command::Request(ask) => ask.question()?,
        Command::Requests => Question::Requests { before: None, limit: MAX_PAGE },
        Command::RequestShow { request } => Question::Request { request: *request },
        Command::RequestWithdraw { request } => Question::WithdrawRequest { request: *request },
        Command::RequestRefuse(refuse) => refuse.question(),
        Command::Resume { transfer } => Question::Resume { transfer: *transfer },
        Command::Inbox => Question::Inbox { before: None, limit: MAX_PAGE },
        Command::Stored(look) => look.question(),
        Command::Candidates(look) => look.question(),
        Command::Import(import) => import.question()?,
        Command::Agree { transfer, seen } => Question::AgreeToImport { transfer: *transfer, seen: *seen },
        Command::DropProposal { transfer } => Question::DropProposal { transfer: *transfer },
        Command::SetAside { transfer, reason } => {
            Question::SetAside { transfer: *transfer, reason: Confidential::new(reason.clone()) }
        }
        Command::Forward { transfer, to } => Question::Forward { transfer: *transfer, to: to.clone() },
        Command::Decline { transfer, reason, belongs_at } => Question::Decline {
            transfer: *transfer,
            reason: (*reason).into(),
            belongs_at: belongs_at.clone(),
        },
        Command::Test { ae_title } => Question::TestNode { ae_title: ae_title.clone() },
        Command::Enrol(enrol) => enrol.question()?,
        Command::Certificates => Question::Certificates,
        Command::Csr { what } => Question::RequestCertificate { what: (*what).into() },
        Command::Certificate(change) => change.question()?,
        Command::RotateRecipientKey => Question::RotateRecipientKey,
        Command::Audit => Question::Audit { before: None, limit: MAX_PAGE },
    })
}

/// A number names a study on this box; anything with a dot is a UID. What is neither is left to the daemon to refuse.
fn study_ref(text: &str) -> StudyRef {
    match (text.parse::<i64>(), text.parse()) {
        (Ok(number), _) => StudyRef::Number(StudyNumber(number)),
        (Err(_), Ok(uid)) => StudyRef::Uid(uid),
        (Err(_), Err(_)) => StudyRef::Number(StudyNumber(-1)),
    }
}

fn every_flag() -> Vec<CheckFlag> {
    vec![
        CheckFlag::FirstTime,
        CheckFlag::StillArriving,
        CheckFlag::NoBsn,
        CheckFlag::PortalDelivery,
        CheckFlag::Conflict,
        CheckFlag::TwoPatients,
        CheckFlag::NoPatientId,
        CheckFlag::NoPatientName,
        CheckFlag::OtherPatient,
    ]
}

fn verify(arguments: &Arguments, line: &mut Line) -> Result<ExitCode> {
    let mut after = None;
    let mut damaged = false;
    loop {
        let page = match line.ask(Question::Verify { after })? {
            Ok(Reply::Verified(page)) => page,
            Ok(_) => anyhow::bail!("the daemon answered another question"),
            Err(refusal) => {
                eprintln!("beeldboxctl: {}", refusal.message);
                return Ok(ExitCode::FAILURE);
            }
        };
        for found in &page.lines {
            if arguments.json {
                say!("{}", serde_json::to_string(found)?);
            } else {
                match &found.digest {
                    Some(digest) => say!("{} {digest}", found.sop_instance),
                    None => say!("{} DAMAGED", found.sop_instance),
                }
            }
            damaged |= found.digest.is_none();
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    Ok(if damaged { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The line to the daemon.
struct Line {
    reader: BufReader<UnixStream>,
    actor: Actor,
}

impl Line {
    fn open(socket: &Path) -> Result<Line> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("the daemon does not answer at {}; does it run?", socket.display()))?;
        let name = std::env::var("SUDO_USER")
            .or_else(|_| std::env::var("USER"))
            .unwrap_or_else(|_| "root".to_owned());
        let actor = Actor { name: format!("beeldboxctl:{name}"), through: FrontEnd::CommandLine };
        Ok(Line { reader: BufReader::new(stream), actor })
    }

    /// The bytes behind an answer.
    fn content(&mut self) -> &mut BufReader<UnixStream> {
        &mut self.reader
    }

    fn ask(&mut self, question: Question) -> Result<Answer> {
        let call = Call { actor: self.actor.clone(), question };
        let mut line = serde_json::to_vec(&call)?;
        line.push(b'\n');
        self.reader.get_mut().write_all(&line).context("asking the daemon")?;
        let mut answer = String::new();
        if self.reader.read_line(&mut answer).context("waiting for the daemon")? == 0 {
            anyhow::bail!("the daemon ended before it answered");
        }
        serde_json::from_str(&answer)
            .context("the daemon's answer cannot be understood: are both of one version?")
    }
}
