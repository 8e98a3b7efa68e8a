//! Two hospitals and a portal, each hospital behind a line of its own.
//!
//! ```text
//!   PACS ─► box of Noord ─► line 1 ─► portal ─► line 2 ─► box of Zuid ─► PACS
//! ```
//!
//! The PACS stand beside their boxes. The programs are those that are shipped, in the profile of this one.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use beeldbox_demo::child::{Children, Program, Running, until_listening};
use beeldbox_demo::hospital::{Demo, DemoOptions, Hospital};
use beeldbox_demo::place::Place;
use beeldbox_demo::programs::Programs;
use beeldbox_peer::pacs::RECEIVED_LIST;
use beeldbox_peer::part10::{self, Part10File};
use beeldbox_peer::study::{StudySpec, make_study};
use beeldbox_protocol::admin::Question;
use beeldbox_protocol::ident::StudyInstanceUid;

use crate::wire::{Conditions, Wire};

/// The department to which studies go.
pub const ADDRESSEE: &str = "zuid-radiologie";

/// The AE title of Noord that stands for it.
pub const ALIAS: &str = "NAAR_ZUID";

/// Pause between two looks.
pub const LOOK: Duration = Duration::from_millis(20);

/// Longest start of anything.
const START: Duration = Duration::from_secs(60);

/// Everything that runs.
pub struct Stage {
    /// The hospitals.
    pub demo: Demo,
    /// Where everything lies.
    pub place: Place,
    /// The line of Noord.
    pub noord: Wire,
    /// The line of Zuid.
    pub zuid: Wire,
    /// What runs beside this program.
    pub children: Arc<Children>,
    is_behind_lines: bool,
    _portal: Running,
}

/// A study made for a run.
pub struct Study {
    /// Its name.
    pub uid: StudyInstanceUid,
    /// Its files.
    pub files: Vec<Part10File>,
    /// Bytes of their data sets.
    pub bytes: u64,
}

impl Stage {
    /// Starts everything. `lines` is how both lines are at first, `numbers` are theirs; the boxes reach the portal over
    /// them.
    ///
    /// # Errors
    /// If something does not start.
    pub async fn start(lines: Conditions, numbers: [u8; 2]) -> Result<Stage> {
        let mut stage = Stage::start_side_by_side(lines, numbers).await?;
        stage.is_behind_lines = true;
        let port = stage.place.port("portal")?;
        for (word, hospital, wire) in
            [("noord", &stage.demo.noord, &stage.noord), ("zuid", &stage.demo.zuid, &stage.zuid)]
        {
            stage.move_behind_line(word, hospital, &format!("https://{}:{port}", wire.far())).await?;
        }
        Ok(stage)
    }

    /// The same, where the boxes reach the portal without a line. The lines are there for others.
    ///
    /// # Errors
    /// If something does not start.
    pub async fn start_side_by_side(lines: Conditions, numbers: [u8; 2]) -> Result<Stage> {
        let programs = Programs::build().await?;
        let place = Place::open(None)?;
        let children = Arc::new(Children::default());
        let (noord, zuid) = (Wire::open(numbers[0], 11, lines)?, Wire::open(numbers[1], 12, lines)?);
        let portal = start_portal(&programs, &place, &children, &[&noord, &zuid]).await?;
        let options = DemoOptions {
            has_own_portal: true,
            has_pages: false,
            quiet_time_secs: 1,
            prepare: Some(Arc::new(|_: &Place, word: &str, _: &Path| Ok(settings(word)))),
            ..DemoOptions::default()
        };
        let demo = Demo::start(&programs, &place, &children, &options).await?;
        Ok(Stage { demo, place, noord, zuid, children, is_behind_lines: false, _portal: portal })
    }

    /// Changes both lines, and counts anew from now on.
    pub fn set(&self, conditions: Conditions) {
        self.noord.set(conditions);
        self.zuid.set(conditions);
    }

    /// Where a server of Zuid is reached from Noord.
    pub fn host_of_zuid(&self) -> String {
        if self.is_behind_lines { self.noord.far() } else { "127.0.0.1".to_owned() }
    }

    /// How many instances of a study the PACS of Zuid was given, each as often as it was.
    ///
    /// # Errors
    /// If its list cannot be read.
    pub fn given_to_pacs(&self, study: &Study) -> Result<usize> {
        let list = self.demo.zuid.pacs.store.join(RECEIVED_LIST);
        if !list.exists() {
            return Ok(0);
        }
        let names: BTreeSet<&str> = study.files.iter().map(|file| file.sop_instance.as_str()).collect();
        let list = std::fs::read_to_string(list)?;
        let given = list.lines().filter_map(|line| line.split('\t').next());
        Ok(given.filter(|name| names.contains(name)).count())
    }

    /// Makes a CT study of slices of 512 KiB, with a report.
    ///
    /// # Errors
    /// If its files cannot be written.
    pub fn study(&self, seed: u64, slices: u32) -> Result<Study> {
        let folder = self.place.folder(&format!("study-{seed}"))?;
        let made = make_study(&folder, &StudySpec { slices, seed, ..StudySpec::default() })?;
        let files = part10::find(&[folder])?;
        let bytes = files.iter().map(|file| file.data_set_length).sum();
        Ok(Study { uid: made.study, files, bytes })
    }

    /// Ends everything and removes what it wrote.
    pub async fn stop(self) {
        self.children.stop().await;
        self.place.close(true);
    }

    async fn move_behind_line(&self, word: &str, hospital: &Hospital, url: &str) -> Result<()> {
        hospital.daemon.take_down().await?;
        let settings = self.place.folder(word)?.join("beeldbox.toml");
        let text = std::fs::read_to_string(&settings)?.replace(&self.demo.portal_url, url);
        std::fs::write(&settings, text)?;
        hospital.daemon.bring_up();
        let began = Instant::now();
        loop {
            if let Ok(Ok(_)) = hospital.desk().ask_once(Question::Status).await
                && hospital.desk().status().await?.portal.last_answer_at.is_some()
            {
                return Ok(());
            }
            if began.elapsed() > START {
                bail!("{} does not reach the portal over its line", hospital.name);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Noord has an alias for Zuid.
fn settings(word: &str) -> String {
    match word {
        "noord" => format!("[[dicom.aliases]]\nae_title = \"{ALIAS}\"\naddressee = \"{ADDRESSEE}\"\n"),
        _ => String::new(),
    }
}

/// The portal, with the far ends of both lines in its certificate.
async fn start_portal(
    programs: &Programs,
    place: &Place,
    children: &Arc<Children>,
    wires: &[&Wire],
) -> Result<Running> {
    let port = place.port("portal")?;
    let state = place.folder("portal")?;
    let mut arguments: Vec<String> = ["serve", "--state"].map(str::to_owned).to_vec();
    arguments.push(state.to_str().context("a folder whose name is not text")?.to_owned());
    arguments.extend(["--listen".to_owned(), format!("0.0.0.0:{port}")]);
    let far = wires.iter().map(|wire| wire.far());
    for name in ["localhost".to_owned(), "127.0.0.1".to_owned()].into_iter().chain(far) {
        arguments.extend(["--name".to_owned(), name]);
    }
    let log = place.folder("log")?.join("portal.log");
    let path = programs.command("beeldbox-portal").as_std().get_program().into();
    let running =
        children.keep(Program { name: "the portal".to_owned(), path, arguments, log: log.clone() })?;
    until_listening(&format!("127.0.0.1:{port}"), &log).await?;
    Ok(running)
}
