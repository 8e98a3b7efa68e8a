//! Two hospitals with their pages, and a modality that sends what is asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use beeldbox_demo::child::Children;
use beeldbox_demo::hospital::{Demo, DemoOptions};
use beeldbox_demo::place::Place;
use beeldbox_demo::programs::Programs;
use beeldbox_peer::study::{StudySpec, make_study};
use beeldbox_protocol::ident::StudyInstanceUid;
use serde_json::{Value, json};

/// Everything that runs, and where it lies.
pub struct Stage {
    /// The hospitals.
    pub demo: Demo,
    programs: Programs,
    place: Place,
    children: Arc<Children>,
}

/// A study that lies ready at the modality.
pub struct Ready {
    /// Its name.
    pub uid: StudyInstanceUid,
    /// Its instances.
    pub images: usize,
    folder: PathBuf,
}

impl Stage {
    /// Starts both hospitals in a temporary folder.
    ///
    /// # Errors
    /// A program cannot be built or does not start.
    pub async fn open(quiet_time_secs: u64) -> Result<Stage> {
        let programs = Programs::build().await?;
        let place = Place::open(None)?;
        let children = Arc::new(Children::default());
        let options = DemoOptions { quiet_time_secs, ..DemoOptions::default() };
        match Demo::start(&programs, &place, &children, &options).await {
            Ok(demo) => Ok(Stage { demo, programs, place, children }),
            Err(error) => {
                children.stop().await;
                place.close(false);
                Err(error)
            }
        }
    }

    /// Stops everything; the folder of what went wrong is left for a look.
    pub async fn close(self, is_well: bool) {
        self.children.stop().await;
        self.place.close(is_well);
    }

    /// Gives somebody an account at both hospitals, with the password of the account `demo`.
    ///
    /// # Errors
    /// The account cannot be made.
    pub async fn add_user(&self, name: &str) -> Result<()> {
        for hospital in [&self.demo.noord, &self.demo.zuid] {
            let folder = hospital.socket.parent().context("where the hospital lies")?;
            let (state, file) = (folder.join("pages"), folder.join("password-of-another"));
            std::fs::write(&file, &hospital.password)?;
            let text = |path: &Path| path.to_str().map(str::to_owned).context("a path that is not text");
            let (state, file) = (text(&state)?, text(&file)?);
            let add = ["add-user", "--state-dir", &state, "--name", name, "--password-file", &file];
            self.programs.output("beeldbox-admin", &add).await?;
        }
        Ok(())
    }

    /// Makes a study at the modality of Noord.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn make(&self, spec: &StudySpec) -> Result<Ready> {
        let folder = self.place.folder(&format!("study-{}", spec.seed))?;
        let made = make_study(&folder, spec)?;
        Ok(Ready { uid: made.study, images: made.files.len(), folder })
    }

    /// Sends it to the box of Noord.
    ///
    /// # Errors
    /// Not every instance was stored.
    pub async fn send(&self, study: &Ready) -> Result<()> {
        let arguments = self.sending(study)?;
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.programs.output("beeldbox-peer", &words).await?;
        Ok(())
    }

    fn sending(&self, study: &Ready) -> Result<Vec<String>> {
        let noord = &self.demo.noord;
        let folder = study.folder.to_str().context("the folder has a name that is not text")?;
        let words = ["send", "--to", &noord.dicom, "--called", noord.ae, "--calling", noord.pacs.ae, folder];
        Ok(words.map(str::to_owned).to_vec())
    }

    /// What `journey.mjs` has to know.
    ///
    /// # Errors
    /// A path is not text.
    pub fn described(&self, study: &Ready, spec: &StudySpec, chromium: &Path) -> Result<Value> {
        let addresses = self.demo.addresses();
        let modality = self.programs.command("beeldbox-peer");
        Ok(json!({
            "noord": addresses["boxes"][0],
            "zuid": addresses["boxes"][1],
            "chromium": chromium,
            "images": study.images,
            "modality": {
                "program": modality.as_std().get_program().to_str().context("where the programs are")?,
                "arguments": self.sending(study)?,
            },
            "secrets": secrets(spec, study),
        }))
    }

    /// Where what belongs to this run can be kept.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        self.place.folder(name)
    }
}

/// What must not be found where it would stay behind: each way in which a page writes who the patient is.
fn secrets(spec: &StudySpec, study: &Ready) -> Vec<String> {
    let mut found: Vec<String> =
        spec.patient.split('^').filter(|part| part.len() > 2).map(str::to_owned).collect();
    found.extend([spec.bsn.clone(), spec.born.clone(), study.uid.to_string()]);
    if let (Some(start), Some(middle), Some(end)) = (spec.bsn.get(..4), spec.bsn.get(4..6), spec.bsn.get(6..))
    {
        found.push(format!("{start} {middle} {end}"));
    }
    if let (Some(year), Some(month), Some(day)) =
        (spec.born.get(..4), spec.born.get(4..6), spec.born.get(6..))
    {
        found.push(format!("{year}-{month}-{day}"));
    }
    found
}
