//! The recipient keys of the box: the one that is published, and those it took the place of.
//!
//! A letter may be on its way to a key for as long as an addressee may collect it. A key that was replaced is kept so
//! much longer, and opens what was sealed to it; then it is forgotten. Only the newest is published.

use anyhow::{Context, Result, bail};
use beeldbox_protocol::envelope::recipient::RecipientIdentity;
use beeldbox_protocol::ident::Digest;
use data_encoding::BASE64;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::identity::Sealed;

/// How long a replaced key still opens letters: the longest time that a sender may give an addressee (a year), and a
/// month for senders whose copy of the directory was old.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours((365 + 30) * 24);

/// The name of the sealed file.
const FILE: &str = "recipient";

/// What the sealed file holds, newest first.
#[derive(Default, Serialize, Deserialize)]
struct KeyRing {
    keys: Vec<RingKey>,
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct RingKey {
    /// Which key. Stays when the key itself is forgotten, so that an old credential is not taken for a new one.
    #[zeroize(skip)]
    id: Digest,
    /// 32 bytes in base64, until it is forgotten.
    seed: Option<String>,
    /// When another took its place.
    #[zeroize(skip)]
    replaced_at: Option<Timestamp>,
}

impl RingKey {
    fn new(seed: &[u8; 32]) -> Result<Self> {
        let id = RecipientIdentity::from_seed(seed)?.key_id();
        Ok(RingKey { id, seed: Some(BASE64.encode(seed)), replaced_at: None })
    }

    fn is_kept(&self, now: Timestamp) -> bool {
        self.replaced_at.is_none_or(|replaced| now.duration_since(replaced) < KEPT_FOR)
    }

    fn identity(&self) -> Result<Option<RecipientIdentity>> {
        let Some(seed) = &self.seed else { return Ok(None) };
        let seed = Zeroizing::new(BASE64.decode(seed.as_bytes()).context("a sealed recipient key")?);
        RecipientIdentity::from_seed(&seed).context("a sealed recipient key").map(Some)
    }
}

/// The key to publish, and those that still open letters. `given` is the credential: it counts unless it was replaced
/// on this box; one that a person put there later replaces all others.
///
/// # Errors
/// If the sealed file cannot be read.
pub fn load(
    sealed: &Sealed,
    given: &[u8; 32],
    now: Timestamp,
) -> Result<(RecipientIdentity, Vec<RecipientIdentity>)> {
    let ring = read(sealed)?;
    let given = RecipientIdentity::from_seed(given)?;
    let was_replaced = ring.keys.iter().any(|key| key.id == given.key_id());
    let mut kept = Vec::new();
    for key in ring.keys.iter().filter(|key| key.is_kept(now)) {
        kept.extend(key.identity()?);
    }
    match was_replaced {
        true if kept.is_empty() => bail!("the sealed recipient keys hold none"),
        true => Ok((kept.remove(0), kept)),
        false => Ok((given, kept)),
    }
}

/// Makes a new key and writes it down. It is published from the next start on.
///
/// # Durability
/// Old and new key survive a power cut when this returns.
///
/// # Errors
/// If it cannot be written.
pub fn rotate(sealed: &Sealed, given: &[u8; 32], now: Timestamp) -> Result<()> {
    let mut ring = read(sealed)?;
    let given = RingKey::new(given)?;
    if !ring.keys.iter().any(|key| key.id == given.id) {
        ring.keys.insert(0, given);
    }
    for key in &mut ring.keys {
        key.replaced_at.get_or_insert(now);
        if !key.is_kept(now) {
            key.seed.zeroize();
            key.seed = None;
        }
    }
    let mut seed = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut *seed).context("randomness")?;
    ring.keys.insert(0, RingKey::new(&seed)?);
    let content = Zeroizing::new(serde_json::to_vec(&ring)?);
    sealed.write(FILE, &content)
}

fn read(sealed: &Sealed) -> Result<KeyRing> {
    match sealed.read(FILE)? {
        Some(content) => serde_json::from_slice(&content).context("the sealed recipient keys"),
        None => Ok(KeyRing::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use beeldbox_protocol::envelope::keys::StorageKey;

    #[test]
    fn a_replaced_key_opens_letters_until_the_last_has_expired() {
        let dir = tempfile::tempdir().unwrap();
        let sealed = Sealed::new(dir.path(), StorageKey::from_bytes([1; 32]));
        let day = |number: i64| {
            "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * number)
        };
        let id = |seed: &[u8; 32]| RecipientIdentity::from_seed(seed).unwrap().key_id();
        let given = [5; 32];
        let (current, previous) = load(&sealed, &given, day(0)).unwrap();
        assert_eq!((current.key_id(), previous.len()), (id(&given), 0));

        rotate(&sealed, &given, day(0)).unwrap();
        let (second, previous) = load(&sealed, &given, day(1)).unwrap();
        assert_ne!(second.key_id(), id(&given));
        assert_eq!(previous[0].key_id(), id(&given));

        rotate(&sealed, &given, day(100)).unwrap();
        let (third, previous) = load(&sealed, &given, day(101)).unwrap();
        assert_ne!(third.key_id(), second.key_id());
        assert_eq!(
            previous.iter().map(RecipientIdentity::key_id).collect::<Vec<_>>(),
            [second.key_id(), id(&given)]
        );

        let (current, previous) = load(&sealed, &given, day(396)).unwrap();
        assert_eq!((current.key_id(), previous.len()), (third.key_id(), 1), "the first is forgotten");
        rotate(&sealed, &given, day(396)).unwrap();
        let (fourth, previous) = load(&sealed, &given, day(396)).unwrap();
        assert_ne!(fourth.key_id(), id(&given), "what was forgotten is not taken for new");
        assert_eq!(previous.len(), 2);

        // A person put another key there: that one is published, and what was sealed to the others still opens.
        let (current, previous) = load(&sealed, &[6; 32], day(397)).unwrap();
        assert_eq!((current.key_id(), previous.len()), (id(&[6; 32]), 3));
    }
}
