//! The claim code: printed on the label of the box, it makes the first account, and then it is used up. It does not run
//! out, so a box that stood in a cupboard for a year can still be set up.
//!
//! What was delivered is a hash of the code in `claim.json`; the code itself is only on the label.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::accounts::{self, AccountsError};
use crate::state_dir;

/// Shortest code that is accepted: guessing is slowed down, and ten characters of thirty-two are 50 bits.
pub const SHORTEST_CODE: usize = 10;

/// The claim code of one state directory.
#[derive(Debug, Clone)]
pub struct Claim {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct ClaimFile {
    code: String,
}

impl Claim {
    /// That of a state directory; there need not be one.
    pub fn in_dir(state_dir: &Path) -> Claim {
        Claim { path: state_dir.join("claim.json") }
    }

    /// Sets the code, when the box is made.
    ///
    /// # Errors
    /// If the code is too short or the file cannot be written.
    pub fn set(&self, code: &str) -> Result<(), AccountsError> {
        let code = fold(code);
        if code.len() < SHORTEST_CODE {
            return Err(AccountsError::BadPassword);
        }
        let file = ClaimFile { code: accounts::hash(&code)? };
        let text = serde_json::to_vec(&file)
            .map_err(|source| AccountsError::Damaged { path: self.path.clone(), source })?;
        state_dir::replace_file(&self.path, &text)
            .map_err(|source| AccountsError::File { path: self.path.clone(), source })
    }

    /// Whether there is a code that was not used yet.
    pub fn is_open(&self) -> bool {
        self.path.exists()
    }

    /// Whether this is the code. As slow as a password.
    pub fn is_right(&self, code: &str) -> bool {
        let file =
            std::fs::read(&self.path).ok().and_then(|text| serde_json::from_slice::<ClaimFile>(&text).ok());
        file.is_some_and(|file| accounts::is_hash_of(&file.code, &fold(code)))
    }

    /// Uses it up.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn use_up(&self) -> std::io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

/// Letters and digits only, in capitals: what stands on a label is typed in many ways.
fn fold(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).take(64).collect::<String>().to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed_and_used_once() {
        let dir = tempfile::tempdir().unwrap();
        let claim = Claim::in_dir(dir.path());
        assert!(!claim.is_open() && !claim.is_right(""));
        assert!(claim.set("short").is_err());
        claim.set("K7QM-2XWD-9PRT").unwrap();
        assert!(claim.is_open() && claim.is_right("k7qm 2xwd 9prt") && !claim.is_right("K7QM-2XWD-9PRS"));
        claim.use_up().unwrap();
        assert!(!claim.is_open() && !claim.is_right("K7QM-2XWD-9PRT"));
    }
}
