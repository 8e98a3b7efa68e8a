//! Commands about what lies on the box: listed, and written out as a DICOM folder.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use beeldbox_protocol::admin::{
    CONTENT_BREAKS, CONTENT_ENDS, LONGEST_PIECE, MAX_PAGE, Question, Reply, StoredPage, StoredSearch,
    StudyNumber,
};
use beeldbox_protocol::clinical::Confidential;
use clap::Args;

use crate::Line;
use crate::print::{text, who};

/// A look at what lies here.
#[derive(Args)]
pub struct Stored {
    /// Only of this patient number.
    #[arg(long)]
    patient_id: Option<String>,
    /// Only under this accession number.
    #[arg(long)]
    accession: Option<String>,
}

impl Stored {
    /// As a question.
    pub fn question(&self) -> Question {
        let confidential = |text: &Option<String>| text.clone().map(Confidential::new);
        let search = StoredSearch {
            patient_id: confidential(&self.patient_id),
            accession_number: confidential(&self.accession),
            ..StoredSearch::default()
        };
        Question::Stored { search: Box::new(search), before: None, limit: MAX_PAGE }
    }
}

/// A study to be written out.
#[derive(Args)]
pub struct Folder {
    /// Number of the study, as `stored` shows it.
    study: i64,
    /// The archive to write; it must not exist yet. `-` writes to standard output.
    #[arg(long)]
    out: PathBuf,
}

/// Prints a page.
pub fn page(page: &StoredPage) {
    if page.studies.is_empty() {
        say!("Nothing that can be read lies here.");
    }
    for line in &page.studies {
        say!(
            "{:>6}  {}  {:<8} {}  {}  {} instances",
            line.study.0,
            line.at.strftime("%Y-%m-%d %H:%M"),
            if line.is_incoming { "received" } else { "own" },
            who(&line.patient),
            text(line.summary.description.as_ref()),
            line.summary.instances,
        );
    }
    if page.next.is_some() {
        say!("There is more; say which patient with --patient-id.");
    }
}

/// Writes a study out as a DICOM folder. A file that could not be completed is removed.
pub fn write_folder(folder: &Folder, line: &mut Line) -> Result<ExitCode> {
    let reply = match line.ask(Question::Folder { study: StudyNumber(folder.study) })? {
        Ok(reply) => reply,
        Err(refusal) => {
            eprintln!("beeldboxctl: {}", refusal.message);
            return Ok(ExitCode::FAILURE);
        }
    };
    let Reply::Content(_) = reply else { bail!("the daemon answered another question") };
    if folder.out.as_os_str() == "-" {
        copy(line.content(), std::io::stdout().lock())?;
        return Ok(ExitCode::SUCCESS);
    }
    let file = std::fs::File::create_new(&folder.out)
        .with_context(|| format!("cannot make {}", folder.out.display()))?;
    let written = copy(line.content(), &file).and_then(|()| file.sync_all().context("cannot write it"));
    if let Err(error) = written {
        // What is there is no archive.
        let _ = std::fs::remove_file(&folder.out);
        return Err(error);
    }
    Ok(ExitCode::SUCCESS)
}

/// Pieces, until they end well.
fn copy(from: &mut impl Read, mut to: impl Write) -> Result<()> {
    let mut piece = Vec::new();
    loop {
        let mut length = [0; 4];
        from.read_exact(&mut length).context("the daemon ended before it was complete")?;
        match u32::from_be_bytes(length) {
            CONTENT_ENDS => return to.flush().context("cannot write it"),
            CONTENT_BREAKS => bail!("the daemon cannot read it to its end; its log says why"),
            length if length > LONGEST_PIECE => bail!("the daemon's answer cannot be understood"),
            length => {
                piece.clear();
                from.take(u64::from(length)).read_to_end(&mut piece).context("the daemon ended")?;
                to.write_all(&piece).context("cannot write it")?;
            }
        }
    }
}
