//! Reads one image in a cage, and ends: what it says of itself, or a picture of it. See README.md.

mod cage;
mod header;
mod picture;

use std::io::{Read, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

/// Longest file that is read, in bytes. What is longer is not previewed.
const LONGEST_FILE: u64 = 256 * 1024 * 1024;

/// What is wanted.
enum Wanted {
    Header,
    Picture(picture::Wanted),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line; a decoder's own words may quote the image.
            let _ = writeln!(std::io::stderr(), "preview: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let wanted = wanted(std::env::args().skip(1).collect())?;
    cage::enter().context("the cage does not close")?;
    let input = std::io::stdin().lock().take(LONGEST_FILE);
    let answer = match wanted {
        Wanted::Header => header::of(input)?.into_bytes(),
        Wanted::Picture(wanted) => picture::of(input, wanted)?,
    };
    let mut out = std::io::stdout().lock();
    out.write_all(&answer).and_then(|()| out.flush()).context("nobody takes the answer")
}

fn wanted(words: Vec<String>) -> Result<Wanted> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["header"] => Ok(Wanted::Header),
        ["picture", frame, edge] => Ok(Wanted::Picture(picture::Wanted {
            frame: frame.parse().context("which frame")?,
            edge: edge.parse().context("which size")?,
            window: None,
        })),
        ["picture", frame, edge, centre, width] => Ok(Wanted::Picture(picture::Wanted {
            frame: frame.parse().context("which frame")?,
            edge: edge.parse().context("which size")?,
            window: Some((centre.parse().context("which window")?, width.parse().context("which window")?)),
        })),
        _ => bail!("usage: beeldbox-preview header | picture FRAME EDGE [CENTRE WIDTH]"),
    }
}
