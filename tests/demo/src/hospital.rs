//! The portal and the two hospitals: settings, keys and programs of each.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use beeldbox_protocol::admin::{Question, Reception, Reply};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::child::{Children, Program, Running, until_listening};
use crate::desk::Desk;
use crate::orthanc;
use crate::pki::National;
use crate::place::Place;
use crate::programs::Programs;

/// AE titles that may send to the boxes of the demo: its own PACS, and the names under which common tools call.
const SENDERS: [&str; 9] =
    ["PACS_NOORD", "PACS_ZUID", "STORESCU", "DCMSEND", "ECHOSCU", "ANY-SCU", "PYNETDICOM", "ORTHANC", "PEER"];

/// Account and password of both web pages. Fixed, because the demo shows them and keeps no patient.
const USER: &str = "demo";

/// Care providers in the directory that have a published key but no box here: (URA, name, hosted by the portal).
const BYSTANDERS: [(&str, &str, bool); 6] = [
    ("90000401", "Streekziekenhuis Waddenkust", false),
    ("90000402", "Ziekenhuis De Friese Meren", false),
    ("90000403", "Medisch Centrum Oostergo", true),
    ("90000404", "Ziekenhuis Drentse Aa", false),
    ("90000405", "Ziekenhuis Veenhorst", true),
    ("90000406", "Ziekenhuis Vechtoever", false),
];

/// Prepares a hospital before its box starts: gets the place, the hospital's word and its folder, may write files there, and
/// gives more settings that stand at the end of those for DICOM.
pub type Prepare = Arc<dyn Fn(&Place, &str, &Path) -> Result<String> + Send + Sync>;

/// What differs between the demo and a scenario.
#[derive(Clone)]
pub struct DemoOptions {
    /// Orthanc instead of the storage SCP of `tests/peer`.
    pub is_orthanc: bool,
    /// The caller runs a portal of its own on the port `portal` and in the folder `portal` of the place, seeded here.
    /// It must listen before [`Demo::start`] is called.
    pub has_own_portal: bool,
    /// The web pages of both boxes run.
    pub has_pages: bool,
    /// Quiet time of the boxes.
    pub quiet_time_secs: u64,
    /// How long sending can be undone.
    pub undo_seconds: u64,
    /// Settings of every peer of the boxes.
    pub each_peer: &'static str,
    /// What else is prepared.
    pub prepare: Option<Prepare>,
}

impl Default for DemoOptions {
    fn default() -> Self {
        DemoOptions {
            is_orthanc: false,
            has_own_portal: false,
            has_pages: true,
            quiet_time_secs: 3,
            undo_seconds: 0,
            each_peer: "",
            prepare: None,
        }
    }
}

/// One hospital: a box with its web page, and a PACS.
pub struct Hospital {
    /// Its name.
    pub name: &'static str,
    /// Its URA.
    pub ura: &'static str,
    /// AE title.
    pub ae: &'static str,
    /// Where it listens for DICOM, `host:port`.
    pub dicom: String,
    /// Address of its web page; empty if it has none.
    pub admin: String,
    /// Password of the account `demo`.
    pub password: String,
    /// Its admin socket.
    pub socket: PathBuf,
    /// Where its packs and ledger lie.
    pub state: PathBuf,
    /// Its daemon.
    pub daemon: Running,
    /// Its PACS.
    pub pacs: Pacs,
}

/// One PACS.
pub struct Pacs {
    /// AE title.
    pub ae: &'static str,
    /// Where it listens for DICOM, `host:port`.
    pub dicom: String,
    /// Where it keeps files.
    pub store: PathBuf,
    /// Its program.
    pub program: Running,
}

impl Hospital {
    /// Its desk.
    pub fn desk(&self) -> Desk {
        Desk::at(self.socket.clone())
    }
}

/// Everything that runs.
pub struct Demo {
    /// The portal's address.
    pub portal_url: String,
    /// The portal's program, unless the caller runs it.
    pub portal: Option<Running>,
    /// The sender.
    pub noord: Hospital,
    /// The addressee.
    pub zuid: Hospital,
}

struct Sketch {
    word: &'static str,
    name: &'static str,
    ura: &'static str,
    ae: &'static str,
    pacs_ae: &'static str,
}

const NOORD: Sketch = Sketch {
    word: "noord",
    name: "Ziekenhuis Noord",
    ura: "90000381",
    ae: "BEELDBOX_NOORD",
    pacs_ae: "PACS_NOORD",
};

const ZUID: Sketch = Sketch {
    word: "zuid",
    name: "Ziekenhuis Zuid",
    ura: "90000382",
    ae: "BEELDBOX_ZUID",
    pacs_ae: "PACS_ZUID",
};

impl Demo {
    /// Starts portal, PACS, boxes and pages, and waits until all of them listen.
    pub async fn start(
        programs: &Programs,
        place: &Place,
        children: &Arc<Children>,
        options: &DemoOptions,
    ) -> Result<Demo> {
        let national = National::open(&place.folder("national")?)?;
        seed_portal(programs, place, &national).await?;
        let portal = match options.has_own_portal {
            true => None,
            false => Some(start_portal(programs, place, children).await?),
        };
        let portal_url = format!("https://localhost:{}", place.port("portal")?);
        let starter =
            Starter { programs, place, children, national: &national, portal_url: &portal_url, options };
        let noord = starter.start(&NOORD).await?;
        let zuid = starter.start(&ZUID).await?;
        // The directory reaches a box within seconds; a visitor should find it filled.
        for (hospital, other) in [(&noord, &zuid), (&zuid, &noord)] {
            until_connected(hospital, other).await?;
        }
        Ok(Demo { portal_url, portal, noord, zuid })
    }

    /// All addresses, for programs.
    pub fn addresses(&self) -> Value {
        let boxes: Vec<Value> = [&self.noord, &self.zuid].into_iter().map(box_address).collect();
        let pacs: Vec<Value> = [&self.noord.pacs, &self.zuid.pacs]
            .into_iter()
            .map(|pacs| json!({ "ae": pacs.ae, "dicom": pacs.dicom, "store": pacs.store }))
            .collect();
        json!({ "portal": { "url": self.portal_url }, "boxes": boxes, "pacs": pacs })
    }

    /// All addresses, for people.
    pub fn print_addresses(&self) {
        println!("\nportal            {}", self.portal_url);
        for hospital in [&self.noord, &self.zuid] {
            println!("\n{} (URA {})", hospital.name, hospital.ura);
            println!("  web page        {}   user {USER}, password {}", hospital.admin, hospital.password);
            println!("  box, DICOM      {} at {}", hospital.ae, hospital.dicom);
            println!("  PACS            {} at {}", hospital.pacs.ae, hospital.pacs.dicom);
        }
        println!(
            "\nThe pages' certificates are made on this machine: the browser asks once whether to trust them.\n"
        );
    }

    /// What a visitor can do next.
    pub fn print_invitation(&self) {
        println!("\nNow by hand: send any study to {} at {}, for instance", self.noord.ae, self.noord.dicom);
        let (host, port) = self.noord.dicom.split_once(':').unwrap_or((&self.noord.dicom, "11112"));
        println!("    storescu -aec {} {host} {port} FILE.dcm", self.noord.ae);
        println!("then open {}, choose Ziekenhuis Zuid and send;", self.noord.admin);
        println!("import it at {}. Ctrl-C ends the demo.", self.zuid.admin);
    }
}

fn box_address(hospital: &Hospital) -> Value {
    json!({
        "name": hospital.name,
        "ura": hospital.ura,
        "ae": hospital.ae,
        "dicom": hospital.dicom,
        "admin": hospital.admin,
        "user": USER,
        "password": hospital.password,
        "socket": hospital.socket,
        "state": hospital.state,
        "pid": hospital.daemon.id(),
    })
}

/// Waits until one hospital finds the other in its directory, with a key.
async fn until_connected(hospital: &Hospital, other: &Hospital) -> Result<()> {
    for _ in 0..600 {
        let question = Question::Addressees { query: other.ura.to_owned(), limit: 1 };
        if let Reply::Addressees(page) = hospital.desk().ask(question).await?
            && page.addressees.iter().any(|addressee| addressee.reception == Reception::Box)
        {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let trouble = hospital.desk().status().await?.portal.trouble.unwrap_or_default();
    anyhow::bail!("{} does not find {} in its directory after 30 s: {trouble}", hospital.name, other.name)
}

async fn seed_portal(programs: &Programs, place: &Place, national: &National) -> Result<()> {
    let state = place.folder("portal")?;
    let state_text = text(&state)?;
    if !state.join("seeded").exists() {
        programs.output("beeldbox-portal", &["seed", "--state", state_text]).await?;
        let endpoints: Result<Vec<Value>> = BYSTANDERS
            .iter()
            .map(|(ura, name, hosted)| {
                Ok(json!({ "resource": national.bystander(ura, name, *hosted, now())? }))
            })
            .collect();
        let bundle = json!({ "resourceType": "Bundle", "type": "collection", "entry": endpoints? });
        let file = state.join("bystanders.json");
        std::fs::write(&file, serde_json::to_vec(&bundle)?)?;
        programs.output("beeldbox-portal", &["seed", "--state", state_text, "--file", text(&file)?]).await?;
        std::fs::write(state.join("seeded"), "")?;
    }
    Ok(())
}

async fn start_portal(programs: &Programs, place: &Place, children: &Arc<Children>) -> Result<Running> {
    let state = place.folder("portal")?;
    let address = format!("127.0.0.1:{}", place.port("portal")?);
    let log = place.folder("log")?.join("portal.log");
    let running = children.keep(Program {
        name: "the portal".to_owned(),
        path: programs.command("beeldbox-portal").as_std().get_program().into(),
        arguments: words(&["serve", "--state", text(&state)?, "--listen", &address]),
        log: log.clone(),
    })?;
    until_listening(&address, &log).await?;
    Ok(running)
}

struct Starter<'a> {
    programs: &'a Programs,
    place: &'a Place,
    children: &'a Arc<Children>,
    national: &'a National,
    portal_url: &'a str,
    options: &'a DemoOptions,
}

impl Starter<'_> {
    async fn start(&self, sketch: &Sketch) -> Result<Hospital> {
        let pacs = self.start_pacs(sketch).await?;
        let folder = self.place.folder(sketch.word)?;
        self.equip(sketch, &folder).await?;
        let dicom = format!("127.0.0.1:{}", self.place.port(&format!("{}-dicom", sketch.word))?);
        let socket = folder.join("admin.sock");
        let settings = folder.join("beeldbox.toml");
        let more = match &self.options.prepare {
            Some(prepare) => prepare(self.place, sketch.word, &folder)?,
            None => String::new(),
        };
        std::fs::write(&settings, self.box_settings(sketch, &dicom, &pacs, &more))?;
        let log = self.place.folder("log")?.join(format!("{}-box.log", sketch.word));
        let daemon = self.children.keep(Program {
            name: format!("the box of {}", sketch.name),
            path: self.programs.command("beeldboxd").as_std().get_program().into(),
            arguments: words(&["--settings", text(&settings)?]),
            log: log.clone(),
        })?;
        until_listening(&dicom, &log).await?;
        let (admin, password) = match self.options.has_pages {
            true => self.start_pages(sketch, &folder, &socket).await?,
            false => (String::new(), String::new()),
        };
        let state = folder.join("state");
        let Sketch { name, ura, ae, .. } = *sketch;
        Ok(Hospital { name, ura, ae, dicom, admin, password, socket, state, daemon, pacs })
    }

    async fn start_pacs(&self, sketch: &Sketch) -> Result<Pacs> {
        let store = self.place.folder(&format!("{}-pacs", sketch.word))?;
        let dicom = format!("127.0.0.1:{}", self.place.port(&format!("{}-pacs", sketch.word))?);
        let log = self.place.folder("log")?.join(format!("{}-pacs.log", sketch.word));
        let (path, arguments) = if self.options.is_orthanc {
            orthanc::program(self.place, sketch.word, sketch.pacs_ae, &dicom, &store)?
        } else {
            let path = self.programs.command("beeldbox-peer").as_std().get_program().into();
            (path, words(&["pacs", "--ae", sketch.pacs_ae, "--listen", &dicom, "--store", text(&store)?]))
        };
        let program = self.children.keep(Program {
            name: format!("the PACS of {}", sketch.name),
            path,
            arguments,
            log: log.clone(),
        })?;
        until_listening(&dicom, &log).await?;
        Ok(Pacs { ae: sketch.pacs_ae, dicom, store, program })
    }

    /// Keys and certificates: the organisation's from the national authority, the TLS client's from the portal's.
    async fn equip(&self, sketch: &Sketch, folder: &Path) -> Result<()> {
        let credentials = folder.join("credentials");
        std::fs::create_dir_all(&credentials)?;
        self.national.equip(&credentials, sketch.ura, sketch.name)?;
        let certificate = credentials.join("tls-certificate.pem");
        if !certificate.exists() {
            let state = self.place.folder("portal")?;
            let enrol = [
                "enrol",
                "--state",
                text(&state)?,
                "--ura",
                sketch.ura,
                "--name",
                sketch.name,
                "--out-dir",
                text(&credentials)?,
            ];
            self.programs.output("beeldbox-portal", &enrol).await?;
            std::fs::rename(credentials.join("portal-ca.pem"), folder.join("portal-authority.pem"))?;
            std::fs::rename(credentials.join("tls.key.pem"), credentials.join("tls-key.pem"))?;
            std::fs::rename(credentials.join("tls.pem"), certificate)?;
        }
        std::fs::copy(self.national.anchor(), folder.join("trust-anchors.pem"))?;
        Ok(())
    }

    fn box_settings(&self, sketch: &Sketch, dicom: &str, pacs: &Pacs, more: &str) -> String {
        let mut peers = String::new();
        for sender in SENDERS {
            let each = self.options.each_peer;
            let _infallible = write!(peers, "[[dicom.peers]]\nae_title = \"{sender}\"\n{each}\n");
        }
        format!(
            "[box]\nname = \"Beeldbox {word}\"\nstate_dir = \"state\"\nadmin_socket = \"admin.sock\"\n\n\
             [dicom]\nae_title = \"{ae}\"\nlisten = \"{dicom}\"\nquiet_time_secs = {quiet}\n{peers}\n{more}\n\
             [pacs]\nae_title = \"{pacs_ae}\"\naddress = \"{pacs_address}\"\n\n\
             [portal]\nurl = \"{portal}\"\nauthority = \"portal-authority.pem\"\n\n\
             [trust]\nanchors = \"trust-anchors.pem\"\n\n\
             [credentials]\ndirectory = \"credentials\"\n\n{import}\
             [sending]\nundo_seconds = {undo}\n\n\
             [keeping]\nreserve_mib = 64\nballast_mib = 8\ndirectory_interval_secs = 2\n",
            // The PACS of the demo only keeps what it gets; an Orthanc knows its patients.
            import = if more.contains("[import") || self.options.is_orthanc {
                ""
            } else {
                "[import]\nask_pacs = false\n\n"
            },
            undo = self.options.undo_seconds,
            quiet = self.options.quiet_time_secs,
            word = capitalised(sketch.word),
            ae = sketch.ae,
            pacs_ae = pacs.ae,
            pacs_address = pacs.dicom,
            portal = self.portal_url,
        )
    }

    async fn start_pages(&self, sketch: &Sketch, folder: &Path, socket: &Path) -> Result<(String, String)> {
        let state = folder.join("pages");
        std::fs::create_dir_all(&state)?;
        let password_file = folder.join("password");
        if !password_file.exists() {
            std::fs::write(&password_file, format!("{}-beeldbox-demo", sketch.word))?;
            let add = [
                "add-user",
                "--state-dir",
                text(&state)?,
                "--name",
                USER,
                "--password-file",
                text(&password_file)?,
            ];
            self.programs.output("beeldbox-admin", &add).await?;
        }
        let password = std::fs::read_to_string(&password_file)?;
        let listen = format!("127.0.0.1:{}", self.place.port(&format!("{}-pages", sketch.word))?);
        let settings = folder.join("pages.toml");
        std::fs::write(
            &settings,
            format!(
                "listen = \"{listen}\"\nsocket = \"{}\"\nstate_dir = \"{}\"\nhospital = \"{}\"\n",
                text(socket)?,
                text(&state)?,
                sketch.name
            ),
        )?;
        let log = self.place.folder("log")?.join(format!("{}-pages.log", sketch.word));
        self.children.keep(Program {
            name: format!("the web page of {}", sketch.name),
            path: self.programs.command("beeldbox-admin").as_std().get_program().into(),
            arguments: words(&["--config", text(&settings)?]),
            log: log.clone(),
        })?;
        until_listening(&listen, &log).await?;
        Ok((format!("https://{listen}"), password.trim().to_owned()))
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the demo's folder has a name that is not text")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn capitalised(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

#[expect(clippy::disallowed_methods, reason = "a program of its own, which takes the time from the system")]
fn now() -> Timestamp {
    Timestamp::now()
}
