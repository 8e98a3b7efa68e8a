//! Two hospitals and a portal in a temporary folder, with the programs that are shipped, and verbs for what happens.
//!
//! No verb sleeps for a time: it waits for a condition with a deadline. When the deadline passes, the panic tells the
//! state of both boxes and the last lines of every log. The folder of a story that failed is left for a look.

use std::fmt::{Debug, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use beeldbox_demo::child::Children;
use beeldbox_demo::desk::Desk;
use beeldbox_demo::hospital::{Demo, DemoOptions, Hospital};
use beeldbox_demo::place::Place;
use beeldbox_demo::programs::Programs;
use beeldbox_dicom::PeerNode;
use beeldbox_peer::part10::{self, Part10File};
use beeldbox_peer::send::{Sent, send_files};
use beeldbox_peer::study::{StudySpec, make_study};
use beeldbox_portal::{Portal, PortalHandle, PortalOptions};
use beeldbox_protocol::admin::{
    Check, CheckFlag, MAX_PAGE, Question, Refusal, Reply, StateCode, Status, StudyLine, StudyNumber,
    StudyRef, TransferDetail, TransferLine,
};
use beeldbox_protocol::clinical::Confidential;
use beeldbox_protocol::ident::{StudyInstanceUid, TransferId};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// The department to which stories send.
pub const ZUID: &str = "zuid-radiologie";

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(25);

/// Words for the addressee in every transfer; they must never be found on a disk.
pub const NOTE: &str = "Graag beoordeling vóór vrijdag; mevrouw is ongerust.";

/// Whom to call back, likewise.
pub const REPLY_CONTACT: &str = "Beelduitwisseling Noord, toestel 5512";

/// Which box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The sender's.
    Noord,
    /// The addressee's.
    Zuid,
}

/// Everything that runs.
pub struct TwoHospitals {
    /// The programs, where they can be run.
    pub programs: &'static Programs,
    /// Where everything lies.
    pub place: Place,
    /// The hospitals.
    pub demo: Demo,
    /// The portal, if it runs inside this process.
    own_portal: Option<PortalHandle>,
    children: Arc<Children>,
    folder: Option<TempDir>,
}

/// A study made for a story.
#[derive(Debug, Clone)]
pub struct Study {
    /// Its name.
    pub uid: StudyInstanceUid,
    /// Its files.
    pub files: Vec<Part10File>,
}

/// What stories differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortalRuns {
    /// As a program, like everything else.
    AsProgram,
    /// In this process, so that it can be told to misbehave.
    Here,
}

/// The time, for certificates and letters that a story makes itself.
#[expect(clippy::disallowed_methods, reason = "a test takes the time from the system")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

impl TwoHospitals {
    /// All programs, the PACS of `tests/peer`.
    pub async fn start() -> Self {
        Self::start_with(PortalRuns::AsProgram, &DemoOptions::default()).await
    }

    /// The portal inside this process.
    pub async fn start_with_own_portal() -> Self {
        Self::start_with(PortalRuns::Here, &DemoOptions::default()).await
    }

    /// With other options than usual; those about portal, pages and quiet time are set here.
    pub async fn start_with(portal: PortalRuns, options: &DemoOptions) -> Self {
        let programs = programs().await;
        // Short, because the path of a socket is short.
        let folder = tempfile::Builder::new().prefix("beeldbox-").tempdir().expect("a temporary folder");
        let place = Place::open(Some(folder.path().to_owned())).expect("a place");
        let children = Arc::new(Children::default());
        let own_portal = match portal {
            PortalRuns::AsProgram => None,
            PortalRuns::Here => Some(start_portal_here(&place).await),
        };
        let options = DemoOptions {
            has_own_portal: own_portal.is_some(),
            has_pages: false,
            quiet_time_secs: 1,
            ..options.clone()
        };
        let demo = Demo::start(programs, &place, &children, &options).await;
        let demo = demo.unwrap_or_else(|error| {
            panic!("the hospitals do not start: {error:#}\n{}", tails_of_logs(folder.path()))
        });
        TwoHospitals { programs, place, demo, own_portal, children, folder: Some(folder) }
    }

    /// The portal inside this process.
    ///
    /// # Panics
    /// If it runs as a program.
    pub fn portal(&self) -> &PortalHandle {
        self.own_portal.as_ref().expect("the story started with its own portal")
    }

    /// One of the hospitals.
    pub fn hospital(&self, at: At) -> &Hospital {
        match at {
            At::Noord => &self.demo.noord,
            At::Zuid => &self.demo.zuid,
        }
    }

    /// The desk of one of the boxes.
    pub fn desk(&self, at: At) -> Desk {
        self.hospital(at).desk()
    }

    /// Folder of a hospital: settings, credentials, state.
    pub fn folder_of(&self, at: At) -> PathBuf {
        let name = match at {
            At::Noord => "noord",
            At::Zuid => "zuid",
        };
        self.place.folder(name).expect("a folder")
    }

    /// Starts a box again that was taken down, and waits until it answers.
    pub async fn bring_up(&self, at: At) {
        self.hospital(at).daemon.bring_up();
        self.until_it_listens(at).await;
    }

    /// Ends a box with SIGKILL, and waits until it was started again and answers.
    pub async fn kill(&self, at: At) {
        self.hospital(at).daemon.take_down().await.expect("it can be ended");
        self.bring_up(at).await;
    }

    async fn until_it_listens(&self, at: At) {
        let hospital = self.hospital(at);
        self.until(&format!("the box of {at:?} listens"), async || {
            tokio::net::TcpStream::connect(&hospital.dicom).await.is_ok()
                && hospital.desk().ask_once(Question::Status).await.is_ok()
        })
        .await;
    }

    /// The folder with everything.
    pub fn root(&self) -> &Path {
        self.folder.as_ref().map(TempDir::path).expect("the folder lives as long as the story")
    }

    /// The log of a program, by the beginning of its file's name.
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.root().join("log").join(format!("{name}.log"))).unwrap_or_default()
    }

    /// Makes a CT study with a report: so many slices of 128 × 128. Another seed is another study.
    pub fn a_study(&self, seed: u64, slices: u32) -> Study {
        self.a_study_of(&StudySpec { slices, size: 128, seed, ..StudySpec::default() })
    }

    /// Makes a CT study with a report.
    pub fn a_study_of(&self, spec: &StudySpec) -> Study {
        let folder = self.place.folder(&format!("study-{}", spec.seed)).expect("a folder");
        let made = make_study(&folder, spec).expect("a study");
        Study { uid: made.study, files: part10::find(&[folder]).expect("its files") }
    }

    /// The PACS of Noord sends files to its box. Tells what became of each.
    pub async fn pacs_sends(&self, files: &[Part10File]) -> Vec<Sent> {
        self.send_as("PACS_NOORD", files).await
    }

    /// A node sends files to the box of Noord.
    pub async fn send_as(&self, calling: &str, files: &[Part10File]) -> Vec<Sent> {
        let box_ = &self.demo.noord;
        let to = PeerNode::plain(box_.ae.parse().expect("an AE title"), &*box_.dicom);
        let calling = calling.parse().expect("an AE title");
        send_files(&to, &calling, files, |_| ()).await.expect("told per file")
    }

    /// The PACS of Noord sends a study to its box, which takes all of it.
    pub async fn receive(&self, study: &Study) {
        let sent = self.pacs_sends(&study.files).await;
        if let Some(lost) = sent.iter().find(|sent| !sent.is_stored()) {
            self.panic(&format!("the box did not store an instance: {lost:?}"));
        }
    }

    /// Studies at Noord that wait for an addressee.
    pub async fn studies(&self) -> Vec<StudyLine> {
        let question = Question::Studies { before: None, limit: MAX_PAGE };
        let Reply::Studies(lines) = self.ask(At::Noord, question).await else { self.another_answer() };
        lines
    }

    /// Waits until the study is closed, and gives its line.
    pub async fn closed(&self, study: &Study) -> StudyLine {
        let mut line = None;
        self.until("the study is closed", async || {
            line = self.studies().await.into_iter().find(|line| is_of(line, &study.uid));
            line.as_ref().is_some_and(is_closed)
        })
        .await;
        line.expect("it was found")
    }

    /// A technician sends a study that was received to the department at Zuid.
    pub async fn address(&self, study: &Study) -> TransferId {
        let line = self.closed(study).await;
        self.address_number(line.study, ZUID).await
    }

    /// A technician sends a study that was received, by its number.
    pub async fn address_number(&self, study: StudyNumber, to: &str) -> TransferId {
        match self.try_to_address(study, to).await {
            Ok(transfer) => transfer,
            Err(refusal) => self.panic(&format!("the study is not sent: {refusal}")),
        }
    }

    /// A technician tries to send a study, having ticked everything.
    pub async fn try_to_address(&self, study: StudyNumber, to: &str) -> Result<TransferId, Refusal> {
        let question = Question::Send {
            study: StudyRef::Number(study),
            addressee: to.parse().expect("an addressee"),
            note: Some(Confidential::new(NOTE)),
            reply_contact: Some(Confidential::new(REPLY_CONTACT)),
            urgent: false,
            acknowledged: vec![
                CheckFlag::FirstTime,
                CheckFlag::StillArriving,
                CheckFlag::NoBsn,
                CheckFlag::PortalDelivery,
                CheckFlag::Conflict,
                CheckFlag::TwoPatients,
                CheckFlag::NoPatientId,
                CheckFlag::NoPatientName,
            ],
        };
        let Reply::Sent(transfer) = self.try_ask(At::Noord, question).await? else { self.another_answer() };
        Ok(transfer)
    }

    /// Received and addressed to Zuid.
    pub async fn send(&self, study: &Study) -> TransferId {
        self.receive(study).await;
        self.address(study).await
    }

    /// A technician at Zuid imports a transfer as soon as it is there.
    pub async fn import(&self, transfer: TransferId) {
        self.until_state(At::Zuid, transfer, StateCode::Opened).await;
        self.ask(At::Zuid, Question::Import { transfer, patient: None }).await;
    }

    /// Waits until the PACS of Zuid has it and both boxes know.
    pub async fn until_delivered(&self, transfer: TransferId) {
        self.until_state(At::Zuid, transfer, StateCode::Reported).await;
        self.until_state(At::Noord, transfer, StateCode::Delivered).await;
    }

    /// Received, addressed, imported, delivered.
    pub async fn goes_through(&self, study: &Study) -> TransferId {
        let transfer = self.send(study).await;
        self.import(transfer).await;
        self.until_delivered(transfer).await;
        transfer
    }

    /// Every study that Noord received goes to Zuid, is imported and delivered.
    pub async fn everything_goes_through(&self) -> Vec<TransferId> {
        self.until("every study is closed", async || self.studies().await.iter().all(is_closed)).await;
        let mut transfers = Vec::new();
        for line in self.studies().await {
            transfers.push(self.address_number(line.study, ZUID).await);
        }
        for transfer in &transfers {
            self.import(*transfer).await;
        }
        for transfer in &transfers {
            self.until_delivered(*transfer).await;
        }
        transfers
    }

    /// Lets a held transfer go on, or tries a waiting one now.
    pub async fn resume(&self, at: At, transfer: TransferId) {
        self.ask(at, Question::Resume { transfer }).await;
    }

    /// Waits for a state of a transfer. A hold that was not waited for ends the story at once.
    pub async fn until_state(&self, at: At, transfer: TransferId, state: StateCode) -> TransferDetail {
        self.until_transfer(at, transfer, &format!("{transfer} is {state:?} at {at:?}"), |detail| {
            let situation = &detail.line.situation;
            if situation.state == StateCode::Held && state != StateCode::Held {
                self.panic(&format!("{transfer} is held at {at:?} ({:?}), not {state:?}", situation.hold));
            }
            situation.state == state
        })
        .await
    }

    /// Waits until a transfer is as wanted.
    pub async fn until_transfer(
        &self,
        at: At,
        transfer: TransferId,
        what: &str,
        is_so: impl Fn(&TransferDetail) -> bool,
    ) -> TransferDetail {
        let mut last = None;
        self.until(what, async || {
            last = self.find(at, transfer).await;
            last.as_ref().is_some_and(&is_so)
        })
        .await;
        last.expect("it was found")
    }

    /// A transfer as it is now, if the box knows it.
    pub async fn find(&self, at: At, transfer: TransferId) -> Option<TransferDetail> {
        match self.try_ask(at, Question::Transfer { transfer }).await {
            Ok(Reply::Transfer(detail)) => Some(*detail),
            Ok(_) => self.another_answer(),
            Err(_) => None,
        }
    }

    /// How a box is.
    pub async fn status(&self, at: At) -> Status {
        let Reply::Status(status) = self.ask(at, Question::Status).await else { self.another_answer() };
        *status
    }

    /// What `beeldboxctl` prints for this command at one of the boxes.
    pub async fn beeldboxctl(&self, at: At, words: &[&str]) -> String {
        let socket = self.hospital(at).socket.display().to_string();
        let words: Vec<&str> = ["--socket", &socket].into_iter().chain(words.iter().copied()).collect();
        match self.programs.output("beeldboxctl", &words).await {
            Ok(said) => said,
            Err(error) => self.panic(&format!("{error:#}")),
        }
    }

    /// Asks a question that must be answered, while the box comes up again if need be.
    pub async fn ask(&self, at: At, question: Question) -> Reply {
        match self.try_ask(at, question.clone()).await {
            Ok(reply) => reply,
            Err(refusal) => self.panic(&format!("{at:?} refused {question:?}: {refusal}")),
        }
    }

    /// Asks a question that may be refused.
    pub async fn try_ask(&self, at: At, question: Question) -> Result<Reply, Refusal> {
        match self.desk(at).ask(question).await {
            Ok(reply) => Ok(reply),
            Err(error) => match error.downcast::<Refusal>() {
                Ok(refusal) => Err(refusal),
                Err(error) => self.panic(&format!("{at:?} does not answer: {error:#}")),
            },
        }
    }

    /// What the technician is shown before sending a study to Zuid.
    pub async fn check_page(&self, study: StudyNumber) -> Check {
        let question = Question::Check { study, addressee: ZUID.parse().expect("an addressee") };
        let Reply::Check(check) = self.ask(At::Noord, question).await else { self.another_answer() };
        *check
    }

    fn another_answer(&self) -> ! {
        self.panic("the box answered another question")
    }

    /// Waits for a condition.
    pub async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let began = Instant::now();
        while !is_so().await {
            if began.elapsed() > PATIENCE {
                self.panic(&format!("after {PATIENCE:?} it is still not so that {what}"));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends the story with the state of everything.
    #[track_caller]
    pub fn panic(&self, what: &str) -> ! {
        panic!("{what}\n\n{}", self.state_of_everything());
    }

    /// Says that something is as it should be, or ends the story with the state of everything.
    #[track_caller]
    pub fn check<T: PartialEq + Debug>(&self, what: &str, found: T, expected: T) {
        if found != expected {
            self.panic(&format!("{what}\n   found {found:?}\nexpected {expected:?}"));
        }
    }

    /// Transfers of one box, in lines of a list: those to others, then those from others.
    pub async fn transfers(&self, at: At) -> Vec<TransferLine> {
        let sent = Question::Transfers { before: None, limit: MAX_PAGE };
        let Reply::Transfers(mut all) = self.ask(at, sent).await else { self.another_answer() };
        let inbox = Question::Inbox { before: None, limit: MAX_PAGE };
        let Reply::Transfers(inbox) = self.ask(at, inbox).await else { self.another_answer() };
        all.extend(inbox);
        all
    }

    /// Both boxes by `beeldboxctl`, which needs no runtime of ours, and the last lines of every log.
    fn state_of_everything(&self) -> String {
        let mut text = String::new();
        for at in [At::Noord, At::Zuid] {
            for command in ["status", "studies", "transfers", "inbox"] {
                let mut ask = self.programs.command("beeldboxctl").into_std();
                let output = ask.arg("--socket").arg(&self.hospital(at).socket).arg(command).output();
                let said = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
                let _infallible = writeln!(text, "── {at:?} {command}\n{}", String::from_utf8_lossy(&said));
            }
        }
        text + &tails_of_logs(self.root())
    }

    /// Stops everything in order.
    pub async fn stop(mut self) {
        self.children.stop().await;
        if let Some(portal) = self.own_portal.take() {
            portal.stop().await;
        }
    }
}

impl Drop for TwoHospitals {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("everything is left in {}", folder.keep().display());
        }
    }
}

/// Whether the study's line is of this study.
pub fn is_of(line: &StudyLine, study: &StudyInstanceUid) -> bool {
    line.summary.study.as_ref() == Some(study)
}

async fn programs() -> &'static Programs {
    static BUILT: OnceCell<Programs> = OnceCell::const_new();
    BUILT.get_or_init(async || Programs::build().await.expect("the programs can be built")).await
}

async fn start_portal_here(place: &Place) -> PortalHandle {
    let port = place.port("portal").expect("a port");
    let state = place.folder("portal").expect("a folder");
    let options = PortalOptions { listen: ([127, 0, 0, 1], port).into(), ..PortalOptions::new(state) };
    Portal::start(options).await.expect("the portal starts")
}

/// The last lines of every log.
fn tails_of_logs(root: &Path) -> String {
    let mut text = String::new();
    let Ok(logs) = std::fs::read_dir(root.join("log")) else { return text };
    for log in logs.flatten() {
        let content = std::fs::read(log.path()).unwrap_or_default();
        let content = String::from_utf8_lossy(&content);
        let lines: Vec<&str> = content.lines().collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n");
        let _infallible = writeln!(text, "── {}\n{tail}", log.file_name().display());
    }
    text
}

/// Whether a study waits for a technician: queued, or held because it is doubtful.
fn is_closed(line: &StudyLine) -> bool {
    matches!(line.situation.state, StateCode::Queued | StateCode::Held)
}
