//! What a process did to the files of one folder: its system calls, recorded by `strace`, each with the functions that
//! led to it.
//!
//! Threads are recorded apart and put together by time. A call has a beginning and an end; of two calls that overlap
//! nothing is assumed.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::told::Told;

/// File in the folder to which a script writes what it was told, one line of JSON in one write.
pub const TOLD: &str = "told";

/// The calls that change files or make changes durable.
const CALLS: &str = "openat,creat,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,sync_file_range,syncfs,sync,\
                     ftruncate,truncate,fallocate,unlink,unlinkat,rename,renameat,renameat2,link,linkat,mkdir,\
                     mkdirat,rmdir";

/// One thing done to a file or a folder. Paths are relative to the recorded folder; the folder itself is empty.
#[derive(Debug, Clone)]
pub enum Call {
    /// Bytes written at an offset.
    Write {
        /// Which file.
        path: String,
        /// Where.
        offset: u64,
        /// What.
        data: Vec<u8>,
    },
    /// The length was set.
    SetLen {
        /// Which file.
        path: String,
        /// To how many bytes.
        len: u64,
    },
    /// Room was reserved: the file is at least so long.
    Reserve {
        /// Which file.
        path: String,
        /// How many bytes.
        len: u64,
    },
    /// A file was made, unless it was there.
    Create {
        /// Which file.
        path: String,
    },
    /// A folder was made.
    MakeFolder {
        /// Which folder.
        path: String,
    },
    /// A name was removed.
    Unlink {
        /// Which file.
        path: String,
    },
    /// A file or a folder was flushed.
    Flush {
        /// Which.
        path: String,
    },
    /// Something was told.
    Told(Told),
}

/// A call with its times and origin.
#[derive(Debug, Clone)]
pub struct Event {
    /// Microseconds at its beginning.
    pub start: u64,
    /// Microseconds at its end.
    pub end: u64,
    /// What was done.
    pub call: Call,
    /// The functions that led to it, innermost first, as far as `strace` can follow them.
    pub stack: Vec<String>,
    /// What the same thread did to the folder just before, as [`Event::word`] and its stack say it.
    pub previous: String,
}

impl Event {
    /// The event in two words: what was done, and to which kind of file.
    pub fn word(&self) -> String {
        let (done, path) = match &self.call {
            Call::Write { path, offset: 0, .. } => ("begin", path.as_str()),
            Call::Write { path, .. } => ("write", path.as_str()),
            Call::SetLen { path, .. } => ("set length of", path.as_str()),
            Call::Reserve { path, .. } => ("reserve", path.as_str()),
            Call::Create { path } => ("create", path.as_str()),
            Call::MakeFolder { path } => ("make", path.as_str()),
            Call::Unlink { path } => ("remove", path.as_str()),
            Call::Flush { path } => ("flush", path.as_str()),
            Call::Told(_) => ("tell", ""),
        };
        format!("{done} {}", kind(path))
    }
}

/// The kind of a file of custody.
pub fn kind(path: &str) -> &'static str {
    match path {
        "" => "top",
        "packs" => "packs",
        "lock" => "lock",
        "ballast" => "ballast",
        "ledger.sqlite" => "database",
        "ledger.sqlite-wal" => "log",
        "ledger.sqlite-journal" => "journal",
        _ if path.ends_with(".pack") => "pack",
        _ => "another file",
    }
}

/// Whether to record the functions that led to each call. It makes every call slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stacks {
    /// Yes.
    Shown,
    /// No.
    Hidden,
}

/// Runs a command and gives what it did to a folder, in the order in which the calls ended.
///
/// # Errors
/// If the command fails, or did something to the folder that cannot be followed.
pub fn record(command: &[&str], folder: &Path, stacks: Stacks) -> Result<Vec<Event>> {
    let traces = tempfile::tempdir()?;
    let status = Command::new("strace")
        .args(["-ff", "-qq", "-ttt", "-T", "-y", "-xx", "-s", "33554432", "-e", "signal=none", "-e"])
        .arg(format!("trace={CALLS}"))
        .args((stacks == Stacks::Shown).then_some("-k"))
        .arg("-o")
        .arg(traces.path().join("thread"))
        .args(command)
        .stdin(Stdio::null())
        .status()
        .context("strace does not start")?;
    ensure!(status.success(), "the traced script failed: {status}");
    let mut events = Vec::new();
    for entry in fs::read_dir(traces.path())? {
        read_thread(&entry?.path(), &folder.canonicalize()?, &mut events)?;
    }
    events.sort_by_key(|event| event.end);
    ensure!(!events.is_empty(), "the trace shows nothing of the folder");
    Ok(events)
}

fn read_thread(file: &Path, folder: &Path, events: &mut Vec<Event>) -> Result<()> {
    let (mut is_last_ours, mut previous) = (false, String::new());
    let mut places = Places::new();
    for line in BufReader::new(fs::File::open(file)?).lines() {
        let line = line?;
        if let Some(frame) = line.strip_prefix(" > ") {
            if let Some(event) = events.last_mut().filter(|_| is_last_ours) {
                event.stack.push(function(frame));
            }
            continue;
        }
        let event = read_line(&line, folder, &mut places)
            .with_context(|| format!("a line of the trace: {}", line.get(..200).unwrap_or(&line)))?;
        is_last_ours = event.is_some();
        if let Some(mut event) = event {
            event.previous = previous;
            previous = event.word();
            events.push(event);
        }
    }
    Ok(())
}

/// How far each file that this thread opened was written in sequence, by its number.
type Places = HashMap<String, u64>;

/// The name out of `program(name+0x12) [0x34]`.
fn function(frame: &str) -> String {
    let name = frame.split_once('(').map_or(frame, |(_, rest)| rest);
    name.rsplit_once("+0x").map_or(name, |(name, _)| name).to_owned()
}

fn read_line(line: &str, folder: &Path, places: &mut Places) -> Result<Option<Event>> {
    let (time, rest) = line.split_once(' ').context("no time")?;
    let Some((name, rest)) = rest.split_once('(') else { return Ok(None) };
    let Some((arguments, result)) = rest.rsplit_once(" = ") else { return Ok(None) };
    let arguments = arguments.trim_end().trim_end_matches(')');
    // Refused, or never answered because the process ended.
    if result.starts_with(['-', '?']) {
        return Ok(None);
    }
    let (result, took) = result.rsplit_once(" <").context("no duration")?;
    let start = micros(time)?;
    let end = start + micros(took.trim_end_matches('>'))?;
    let arguments: Vec<&str> = arguments.split(", ").collect();
    let Some(call) = read_call(name, &arguments, result, folder, places)? else { return Ok(None) };
    Ok(Some(Event { start, end, call, stack: Vec::new(), previous: String::new() }))
}

fn read_call(
    name: &str,
    arguments: &[&str],
    result: &str,
    folder: &Path,
    places: &mut Places,
) -> Result<Option<Call>> {
    let first = *arguments.first().unwrap_or(&"");
    let place = match name {
        "openat" => result.to_owned(),
        "unlinkat" | "mkdirat" => (*arguments.get(1).unwrap_or(&"")).to_owned(),
        _ => first.to_owned(),
    };
    if place.contains("(deleted)") {
        return Ok(None);
    }
    let Some(path) = inside(&place, folder)? else { return Ok(None) };
    let number = |at: usize| -> Result<u64> {
        arguments.get(at).context("an argument is missing")?.parse().context("not a number")
    };
    Ok(match name {
        "openat" => {
            places.insert(number_of(result), 0);
            let makes = arguments.get(2).is_some_and(|flags| flags.contains("O_CREAT"));
            makes.then_some(Call::Create { path })
        }
        "write" if path == TOLD => {
            Some(Call::Told(serde_json::from_slice(&quoted(arguments.get(1).context("no data")?)?)?))
        }
        "write" => {
            let place =
                places.get_mut(&number_of(first)).context("written by another thread than opened it")?;
            let data = quoted(arguments.get(1).context("no data")?)?;
            let offset = *place;
            *place += result.parse::<u64>()?;
            Some(Call::Write { path, offset, data })
        }
        "pwrite64" => {
            let mut data = quoted(arguments.get(1).context("no data")?)?;
            data.truncate(result.parse()?);
            Some(Call::Write { path, offset: number(3)?, data })
        }
        "fsync" | "fdatasync" => Some(Call::Flush { path }),
        "ftruncate" => Some(Call::SetLen { path, len: number(1)? }),
        "fallocate" => Some(Call::Reserve { path, len: number(2)? + number(3)? }),
        "unlink" | "unlinkat" => Some(Call::Unlink { path }),
        "mkdir" | "mkdirat" => Some(Call::MakeFolder { path }),
        other => bail!("custody does something with its files that is not followed yet: {other}"),
    })
}

/// The number of an open file: `3` of `3</a/b>`.
fn number_of(open_file: &str) -> String {
    open_file.split('<').next().unwrap_or_default().to_owned()
}

/// The path below the folder of `3</a/b>` or `"/a/b"`; nothing if it lies elsewhere.
fn inside(place: &str, folder: &Path) -> Result<Option<String>> {
    let path = match (place.split_once('<'), place.starts_with('"')) {
        (Some((_, rest)), _) => unescape(rest.trim_end_matches('>'))?,
        (None, true) => quoted(place)?,
        (None, false) => return Ok(None),
    };
    let path = String::from_utf8(path).context("a path")?;
    let below = Path::new(&path).strip_prefix(folder);
    Ok(below.ok().map(|below| below.to_string_lossy().into_owned()))
}

fn quoted(argument: &str) -> Result<Vec<u8>> {
    let text = argument.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    unescape(text.context("a text that is not whole")?)
}

/// Bytes of `\x2f\x74`.
fn unescape(text: &str) -> Result<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => bail!("not hexadecimal"),
    };
    let escapes = text.as_bytes().chunks_exact(4);
    ensure!(escapes.remainder().is_empty(), "an escape is cut");
    escapes.map(|escape| Ok(digit(escape[2])? * 16 + digit(escape[3])?)).collect()
}

/// Microseconds of `12.000345`.
fn micros(text: &str) -> Result<u64> {
    let (seconds, fraction) = text.split_once('.').context("no fraction")?;
    Ok(seconds.parse::<u64>()? * 1_000_000 + fraction.parse::<u64>()?)
}
