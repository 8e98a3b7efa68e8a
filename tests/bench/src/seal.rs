//! Sealing beside its parts: AES-256-GCM and SHA-256 of the library alone, and a whole frame as the box makes it.

use std::time::Duration;

use anyhow::{Context, Result};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use beeldbox_protocol::envelope::keys::SecretKey;
use beeldbox_protocol::envelope::pack::{CHUNK_LEN, FrameSealer, InstanceDescription, PackId};
use beeldbox_protocol::ident::Digest;
use nix::time::{ClockId, clock_gettime};

use crate::run::as_float;
use crate::workload;

/// One CT slice.
const INSTANCE: usize = 512 * 1024;
/// Instances per round.
const COUNT: u32 = 512;
const ROUNDS: usize = 7;

/// Bytes per second of CPU time of each.
pub struct Rates {
    /// AES-256-GCM in place, in chunks as the pack has them.
    pub cipher: f64,
    /// SHA-256.
    pub digest: f64,
    /// A frame of the pack: both, with framing and key derivation.
    pub frame: f64,
}

impl Rates {
    /// What a frame would reach if nothing but cipher and digest cost time.
    pub fn bound(&self) -> f64 {
        1.0 / (1.0 / self.cipher + 1.0 / self.digest)
    }
}

/// Measures all three, taking turns; medians.
///
/// # Errors
/// If the library refuses.
pub fn measure() -> Result<Rates> {
    let mut instance = workload::noise(INSTANCE);
    let (mut cipher, mut digest, mut frame) = (Vec::new(), Vec::new(), Vec::new());
    let mut out = Vec::with_capacity(INSTANCE + 8192);
    for _ in 0..ROUNDS {
        cipher.push(timed(|| encrypt(&mut instance))?);
        digest.push(timed(|| hash(&instance))?);
        frame.push(timed(|| seal(&instance, &mut out))?);
    }
    let middle = |mut rates: Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    Ok(Rates { cipher: middle(cipher), digest: middle(digest), frame: middle(frame) })
}

fn timed(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let begun = thread_time()?;
    for _ in 0..COUNT {
        work()?;
    }
    Ok(as_float(u64::from(COUNT) * INSTANCE as u64) / (thread_time()?.saturating_sub(begun)).as_secs_f64())
}

/// CPU time of this thread: others on the machine do not count.
fn thread_time() -> Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?))
}

fn encrypt(instance: &mut [u8]) -> Result<()> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32])?);
    for (counter, chunk) in (0_u64..).zip(instance.chunks_mut(CHUNK_LEN)) {
        let mut nonce = [0; NONCE_LEN];
        nonce[4..].copy_from_slice(&counter.to_be_bytes());
        let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), chunk)?;
        let _used = std::hint::black_box(tag);
    }
    Ok(())
}

fn hash(instance: &[u8]) -> Result<()> {
    let _used = std::hint::black_box(Digest::of(instance));
    Ok(())
}

fn seal(instance: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let key = SecretKey::from_bytes([7; 32]);
    let description = InstanceDescription {
        sop_class: "1.2.840.10008.5.1.4.1.1.2".parse()?,
        sop_instance: "2.25.1".parse()?,
        transfer_syntax: "1.2.840.10008.1.2.1".parse()?,
        study: Some("2.25.2".parse()?),
        series: Some("2.25.3".parse()?),
        source_ae: "BENCH".parse()?,
    };
    out.clear();
    let id = PackId::from_random([1; 16]);
    let mut sealer = FrameSealer::new(&key, &id, 0, [2; 16], &description, out);
    sealer.write(instance, out)?;
    let summary = sealer.finish(out).context("a frame of half a MiB")?;
    let _used = std::hint::black_box((summary, &out));
    Ok(())
}
