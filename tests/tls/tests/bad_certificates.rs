//! Every bad certificate is shown to everybody who checks one: to the box by the portal and by a PACS, to the portal by
//! the box, and to the box by a DICOM caller. None of them may say a word to its owner.
//!
//! Each of the four also meets good certificates, so that a refusal means something. What is accepted although it would
//! better not be stands in the table as a gap, and a gap that closes is noticed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use beeldbox_demo::child::until_listening;
use beeldbox_demo::programs::Programs;
use beeldbox_protocol::admin::{NodeTestStage, Question, Reply};
use beeldbox_scenarios::dicom_cards::CardOffice;
use beeldbox_scenarios::two_hospitals::{At, TwoHospitals, now};
use beeldbox_tls::impostor::{Outcome, Waiting, call};
use beeldbox_tls::rows::{Among, Expected, Row, rows};
use beeldbox_tls::world::{End, PATIENCE, World};

/// Refusals that the table must hold at least, of each end's certificates.
const AT_LEAST: usize = 40;

/// The node whose certificate the box is shown.
const NODE: &str = "TLS_PACS";

/// What one of them did with one certificate.
struct Verdict {
    name: &'static str,
    place: &'static str,
    outcome: Outcome,
    expected: Expected,
    /// What the one who was shown it says.
    said: String,
}

#[tokio::test]
async fn bad_certificates_are_refused_in_both_directions_and_good_ones_are_not() {
    let story = TwoHospitals::start_with_settings(|place, word, folder| {
        if word != "zuid" {
            return String::new();
        }
        let world = World::new(&place.folder("world").expect("a folder"), now());
        CardOffice::open(&place.folder("cards").expect("a folder")).issue("box").give_to_box(folder);
        let port = |name| place.port(name).expect("a port");
        let trusted = world.trusted();
        format!(
            "[dicom.tls]\nlisten = \"127.0.0.1:{}\"\nclient_authorities = \"{}\"\n\
             [[dicom.peers]]\nae_title = \"{NODE}\"\n\
             [dicom.peers.node]\naddress = \"localhost:{}\"\ntls = true\nauthority = \"{}\"\n",
            port("zuid-tls"),
            trusted.display(),
            port("tls-pacs"),
            trusted.display(),
        )
    })
    .await;
    let world = World::new(&story.place.folder("world").expect("a folder"), now());
    // The authority is the one that Zuid was started with, so Zuid starts again with the new one.
    story.kill(At::Zuid).await;
    let portal = portal_that_trusts(&story, &world).await;
    story.demo.noord.daemon.take_down().await.expect("it can be ended");
    let lonely = LonelyBox::of_noord(&story, &world);

    let mut verdicts = Vec::new();
    for row in rows() {
        for end in row.ends {
            verdicts.extend(shown_to_everybody(&story, &world, &lonely, portal.0, &row, *end).await);
        }
    }
    drop(portal);
    let table = table(&verdicts);
    println!("{table}");
    for end in
        ["the box, by the portal", "the portal, by the box", "the box, by a PACS", "the box, by a caller"]
    {
        let of_it = verdicts.iter().filter(|verdict| verdict.place == end);
        let refused = of_it.filter(|verdict| matches!(verdict.outcome, Outcome::Refused(_))).count();
        println!("{end}: {refused} refused");
        assert!(refused >= AT_LEAST, "{end}: only {refused} bad certificates were shown");
    }
    let wrong: Vec<String> =
        verdicts.iter().filter(|verdict| !verdict.is_right()).map(Verdict::line).collect();
    assert!(wrong.is_empty(), "not as the table says:\n{}", wrong.join(""));
    story.stop().await;
}

async fn shown_to_everybody(
    story: &TwoHospitals,
    world: &World,
    lonely: &LonelyBox,
    portal: u16,
    row: &Row,
    end: End,
) -> Vec<Verdict> {
    let shown = (row.make)(world, end);
    let verdict =
        |place, (outcome, said)| Verdict { name: row.name, place, outcome, expected: row.expected, said };
    let folder = world.folder();
    let mut verdicts = Vec::new();
    match end {
        End::Server => {
            let waiting = Waiting::at(lonely.port, &shown, folder).await;
            verdicts.push(verdict("the box, by the portal", lonely.meets(waiting).await));
            if row.among == Among::All {
                let port = story.place.port("tls-pacs").expect("a port");
                let waiting = Waiting::at(port, &shown, folder).await;
                let (outcome, said) = tokio::join!(waiting.outcome(), echo(story));
                verdicts.push(verdict("the box, by a PACS", (outcome, said)));
            }
        }
        End::Client => {
            let get = b"GET /fhir/Organization?_count=1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
            let outcome = match call(portal, &shown, get, folder).await {
                // The portal has no words for it but these, and they are for nobody's eyes only.
                Outcome::Talked(said) if said.starts_with("HTTP/1.1 403") => Outcome::Refused(said),
                Outcome::Talked(said) => Outcome::Talked(said),
                Outcome::Refused(how) => Outcome::Refused(how),
            };
            verdicts.push(verdict("the portal, by the box", (outcome, String::new())));
            if row.among == Among::All {
                let port = story.place.port("zuid-tls").expect("a port");
                let outcome = call(port, &shown, &associate(), folder).await;
                verdicts.push(verdict("the box, by a caller", (outcome, String::new())));
            }
        }
    }
    verdicts
}

impl Verdict {
    fn is_right(&self) -> bool {
        match self.expected {
            Expected::Refused => matches!(self.outcome, Outcome::Refused(_)),
            Expected::Accepted(_) | Expected::Gap(_) => matches!(self.outcome, Outcome::Talked(_)),
        }
    }

    fn line(&self) -> String {
        let outcome = match (&self.outcome, self.expected) {
            (Outcome::Refused(how), _) => format!("refused: {how}"),
            (Outcome::Talked(_), Expected::Accepted(why)) => format!("accepted ({why})"),
            (Outcome::Talked(_), Expected::Gap(why)) => format!("ACCEPTED, a gap: {why}"),
            (Outcome::Talked(said), Expected::Refused) => format!("ACCEPTED, and told {said:?}"),
        };
        format!("| {} | {} | {outcome} | {} |\n", self.name, self.place, self.said)
    }
}

fn table(verdicts: &[Verdict]) -> String {
    let mut text =
        "| What is wrong | shown to | what came of it | what it says itself |\n|---|---|---|---|\n"
            .to_owned();
    for verdict in verdicts {
        let _infallible = write!(text, "{}", verdict.line());
    }
    text
}

/// An A-ASSOCIATE-RQ (PS3.8 §9.3.2) of a caller that the box knows, for verification.
fn associate() -> Vec<u8> {
    let item = |kind: u8, content: &[u8]| {
        let length = u16::try_from(content.len()).expect("short");
        [&[kind, 0], length.to_be_bytes().as_slice(), content].concat()
    };
    let syntaxes = [item(0x30, b"1.2.840.10008.1.1"), item(0x40, b"1.2.840.10008.1.2")].concat();
    let context = [&[1, 0, 0, 0], syntaxes.as_slice()].concat();
    let user = [item(0x51, &16384_u32.to_be_bytes()), item(0x52, b"2.25.1")].concat();
    let items = [item(0x10, b"1.2.840.10008.3.1.1.1"), item(0x20, &context), item(0x50, &user)].concat();
    let mut body = vec![0, 1, 0, 0];
    body.extend(b"BEELDBOX_ZUID   ECHOSCU         ");
    body.extend([0; 32]);
    body.extend(items);
    let length = u32::try_from(body.len()).expect("short");
    [&[1, 0], length.to_be_bytes().as_slice(), &body].concat()
}

/// Lets the box of Zuid call the node, and gives what it says of the TLS handshake.
async fn echo(story: &TwoHospitals) -> String {
    let question = Question::TestNode { ae_title: Some(NODE.parse().expect("an AE title")) };
    let Reply::NodeTest(test) = story.ask(At::Zuid, question).await else { panic!("another answer") };
    let step = test.steps.iter().find(|step| step.step == NodeTestStage::Tls);
    step.and_then(|step| step.failure.clone()).unwrap_or_default()
}

/// A portal of the usual kind that believes the world's authority too. Gives its port.
async fn portal_that_trusts(story: &TwoHospitals, world: &World) -> (u16, Ended) {
    let (port, state) =
        (story.place.port("other-portal").expect("a port"), story.place.folder("other-portal"));
    let programs: &Programs = story.programs;
    let log = story.root().join("log/other-portal.log");
    let mut command = Command::new(programs.command("beeldbox-portal").as_std().get_program());
    command
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--state"])
        .arg(state.expect("a folder"));
    command.arg("--anchor").arg(world.trusted());
    let ended = Ended(started(&mut command, &log));
    until_listening(&format!("127.0.0.1:{port}"), &log).await.expect("the portal listens");
    (port, ended)
}

fn started(command: &mut Command, log: &Path) -> Child {
    let file = std::fs::File::create(log).expect("a log");
    let errors = file.try_clone().expect("a log");
    command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn().expect("a program")
}

/// A program that ends with the story.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The box of Noord, whose portal is somebody else. It is started anew for every certificate, because a box that was
/// refused waits longer each time.
struct LonelyBox {
    port: u16,
    program: PathBuf,
    settings: PathBuf,
    log: PathBuf,
}

impl LonelyBox {
    fn of_noord(story: &TwoHospitals, world: &World) -> LonelyBox {
        let folder = story.folder_of(At::Noord);
        let port = story.place.port("impostor").expect("a port");
        let text = std::fs::read_to_string(folder.join("beeldbox.toml")).expect("its settings");
        let text = text.replace(&story.demo.portal_url, &format!("https://localhost:{port}"));
        let settings = folder.join("lonely.toml");
        std::fs::write(&settings, text).expect("its settings");
        std::fs::copy(world.trusted(), folder.join("portal-authority.pem")).expect("the authority");
        let program = story.programs.command("beeldboxd").as_std().get_program().into();
        LonelyBox { port, program, settings, log: story.root().join("log/lonely-box.log") }
    }

    /// Starts it, and ends it when it has met its portal. Gives what came of that, and what the box says about it.
    async fn meets(&self, portal: Waiting) -> (Outcome, String) {
        let program =
            Ended(started(Command::new(&self.program).arg("--settings").arg(&self.settings), &self.log));
        let outcome = portal.outcome().await;
        let said = match outcome {
            Outcome::Talked(_) => String::new(),
            Outcome::Refused(_) => self.says().await,
        };
        drop(program);
        (outcome, said)
    }

    /// What it writes about its portal. Of two workers that call only one was served; the other found nobody.
    async fn says(&self) -> String {
        const NOBODY: &str = "the portal does not answer";
        let (began, mut seen) = (Instant::now(), "nothing".to_owned());
        while began.elapsed() < PATIENCE {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let errors = log.lines().filter_map(|line| Some(line.split_once("error=")?.1));
            let errors = errors.map(|said| &said[..said.find(" attempts=").unwrap_or(said.len())]);
            let errors: Vec<&str> =
                errors.map(|said| said.rsplit("together: ").next().unwrap_or(said)).collect();
            match errors.iter().find(|said| !said.starts_with(NOBODY)) {
                Some(said) => return (*said).to_owned(),
                // Both have called, and neither says more.
                None if errors.len() >= 2 => return NOBODY.to_owned(),
                None => seen = errors.first().map_or(seen, |said| (*said).to_owned()),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        seen
    }
}
