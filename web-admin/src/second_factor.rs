//! The second factor: a code of six digits that an app on a telephone makes anew every half minute (TOTP, RFC 6238).

use data_encoding::BASE32_NOPAD;
use qrcode::{Color, EcLevel, QrCode};
use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Secret, Totp};

use crate::random;

/// The secret that box and telephone share. No `Debug`, no `Display`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SharedSecret(String);

impl SharedSecret {
    /// A new one: 160 bits, as RFC 4226 §4 asks.
    pub fn new() -> SharedSecret {
        SharedSecret(BASE32_NOPAD.encode(&random::bytes::<20>()))
    }

    /// Reads one from a form that this program made itself.
    pub fn from_text(text: &str) -> Option<SharedSecret> {
        let bytes = BASE32_NOPAD.decode(text.as_bytes()).ok()?;
        (bytes.len() == 20).then(|| SharedSecret(text.to_owned()))
    }

    /// The secret itself, for the page on which it is set up and for the hidden field of that page.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// In groups of four, for typing it into the app.
    pub fn in_groups(&self) -> String {
        let groups: Vec<String> =
            self.0.as_bytes().chunks(4).map(|c| String::from_utf8_lossy(c).into_owned()).collect();
        groups.join(" ")
    }

    /// Which time step this code belongs to, if it is a right one now; a step on either side is allowed, because
    /// clocks differ.
    pub fn step_of(&self, code: &str, now_secs: u64) -> Option<u64> {
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        self.totp()?.check(&digits, now_secs)
    }

    fn totp(&self) -> Option<Totp> {
        Builder::new().with_secret(Secret::try_from_base32(&self.0).ok()?).build().ok()
    }

    /// What the app reads: the key URI that authenticator apps agreed on.
    fn address(&self, account: &str, issuer: &str) -> String {
        let safe = |text: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
            text.bytes()
                .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
                .collect::<String>()
        };
        let (account, issuer) = (safe(account), safe(issuer));
        format!("otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}", self.0)
    }

    /// The same as a drawing: the path of the dark squares, and how many squares a side has.
    pub fn drawing(&self, account: &str, issuer: &str) -> Option<(String, usize)> {
        let code = QrCode::with_error_correction_level(self.address(account, issuer), EcLevel::M).ok()?;
        let width = code.width();
        let mut path = String::new();
        for (at, color) in code.to_colors().into_iter().enumerate() {
            if color == Color::Dark {
                path.push_str(&format!("M{} {}h1v1h-1z", at % width + 4, at / width + 4));
            }
        }
        Some((path, width + 8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238 Appendix B: the secret "12345678901234567890"; its eight digits end in these six.
        let secret = SharedSecret(BASE32_NOPAD.encode(b"12345678901234567890"));
        for (time, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(secret.step_of(code, time), Some(time / 30), "{time}");
        }
        assert_eq!(secret.step_of("287 082", 59 + 30), Some(1), "one step late is in time");
        assert_eq!(secret.step_of("287082", 59 + 90), None);
        for bad in ["", "28708", "2870822", "abcdef", "２８７０８２"] {
            assert_eq!(secret.step_of(bad, 59), None, "{bad}");
        }
    }

    #[test]
    fn a_new_secret_can_be_drawn_and_read_back() {
        let secret = SharedSecret::new();
        assert!(SharedSecret::from_text(secret.reveal()) == Some(secret.clone()));
        assert!(SharedSecret::from_text("AAAA").is_none());
        let (path, width) = secret.drawing("j.smit", "Ziekenhuis Noord").unwrap();
        assert!(path.starts_with("M4 4h1v1h-1z") && width > 30);
        assert!(secret.address("j.smit", "Ziekenhuis Noord").contains("totp/Ziekenhuis%20Noord:j.smit?"));
    }
}
