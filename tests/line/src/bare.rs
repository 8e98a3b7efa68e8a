//! What the line carries at best: bytes through one TCP connection and nothing else, with the same kernel.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::flows::Way;
use crate::wire::Wire;

/// Bytes at a time.
const PIECE: usize = 64 * 1024;

/// Longest wait for a byte.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends so many bytes over the line to a port of this machine, or fetches them, and gives the time from the connection
/// being asked for to the last byte being there.
///
/// # Errors
/// If the connection breaks.
pub fn carry(wire: &Wire, port: u16, bytes: u64, way: Way) -> Result<Duration> {
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    let server = thread::spawn(move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        match way {
            Way::Up => {
                take(&mut stream, bytes)?;
                // The caller's clock stops when it knows that everything is there.
                stream.write_all(&[1])?;
            }
            Way::Down => give(&mut stream, bytes)?,
        }
        Ok(())
    });
    let began = Instant::now();
    let mut stream = TcpStream::connect(format!("{}:{port}", wire.far())).context("over the line")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    match way {
        Way::Up => {
            give(&mut stream, bytes)?;
            take(&mut stream, 1)?;
        }
        Way::Down => take(&mut stream, bytes)?,
    }
    let took = began.elapsed();
    drop(stream);
    match server.join() {
        Ok(served) => served.map(|()| took),
        Err(_) => bail!("the server of bare bytes ended badly"),
    }
}

fn give(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    let piece = [0x5a; PIECE];
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        stream.write_all(&piece[..now])?;
        left -= u64::try_from(now)?;
    }
    Ok(())
}

fn take(stream: &mut TcpStream, bytes: u64) -> Result<()> {
    let mut piece = vec![0; PIECE];
    let mut left = bytes;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let read = stream.read(&mut piece[..most])?;
        if read == 0 {
            bail!("the connection ended {left} bytes too early");
        }
        left -= u64::try_from(read)?;
    }
    Ok(())
}
