//! Accounts: who may sign in. Kept in `accounts.json`, passwords as argon2id hashes (RFC 9106).
//!
//! The file is read again when it has changed, so that an account made while the pages run works at once. A name that
//! does not exist costs the same time as a wrong password.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

use crate::state_dir;

/// Memory of one hash in KiB. 19 MiB with two passes is the OWASP minimum for argon2id; a small box has room for it.
const HASH_MEMORY_KIB: u32 = 19 * 1024;
/// Passes of one hash.
const HASH_PASSES: u32 = 2;
/// Shortest password that is accepted for a new account.
const SHORTEST_PASSWORD: usize = 10;
/// Longest password that is looked at: nobody needs more, and hashing a megabyte would be a gift to an attacker.
pub const LONGEST_PASSWORD: usize = 256;

/// Why an account could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The name cannot be used.
    #[error("account name: use 1 to 40 letters, digits, dots, hyphens or underscores")]
    BadName,
    /// The password cannot be used.
    #[error("password: use {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")]
    BadPassword,
    /// The file cannot be read or written.
    #[error("{path}: cannot be used", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is damaged.
    #[error("{path}: is not a list of accounts", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The password could not be hashed.
    #[error("password: cannot be hashed")]
    Hash(#[source] argon2::password_hash::Error),
}

/// The accounts of one state directory.
#[derive(Debug, Clone)]
pub struct Accounts {
    path: PathBuf,
}

impl Accounts {
    /// Those in a state directory; the file need not exist yet.
    pub fn in_dir(state_dir: &Path) -> Accounts {
        Accounts { path: state_dir.join("accounts.json") }
    }

    /// Makes an account, or gives an existing one a new password.
    ///
    /// # Errors
    /// If name or password cannot be used, or the file cannot be read or written.
    ///
    /// # Durability
    /// When this returns, the account survives a power cut.
    pub fn add(&self, name: &str, password: &str) -> Result<(), AccountsError> {
        if !is_account_name(name) {
            return Err(AccountsError::BadName);
        }
        if password.chars().count() < SHORTEST_PASSWORD || password.len() > LONGEST_PASSWORD {
            return Err(AccountsError::BadPassword);
        }
        let hash = hasher().hash_password(password.as_bytes()).map_err(AccountsError::Hash)?;
        let mut file = self.read()?;
        file.accounts.insert(name.to_owned(), Account { password: hash.to_string() });
        let text = serde_json::to_vec_pretty(&file)
            .map_err(|source| AccountsError::Damaged { path: self.path.clone(), source })?;
        state_dir::replace_file(&self.path, &text)
            .map_err(|source| AccountsError::File { path: self.path.clone(), source })
    }

    /// Whether name and password belong together. Takes tens of milliseconds and much memory: call it off the
    /// runtime's threads, and not often at once.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn verify(&self, name: &str, password: &str) -> Result<bool, AccountsError> {
        let file = self.read()?;
        let account = file.accounts.get(name);
        let stored = account.map_or(NOBODY.as_str(), |account| account.password.as_str());
        let is_right = PasswordHash::new(stored)
            .is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok());
        Ok(is_right && account.is_some() && password.len() <= LONGEST_PASSWORD)
    }

    fn read(&self) -> Result<AccountsFile, AccountsError> {
        match std::fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| AccountsError::Damaged { path: self.path.clone(), source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(AccountsFile::default()),
            Err(source) => Err(AccountsError::File { path: self.path.clone(), source }),
        }
    }
}

/// Names are shown, logged and kept in the audit trail, so they are plain.
fn is_account_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

fn hasher() -> Argon2<'static> {
    let params =
        Params::new(HASH_MEMORY_KIB, HASH_PASSES, 1, None).expect("the constants above are in range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The hash that stands in for an account that does not exist.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    let hash =
        hasher().hash_password(&crate::random::bytes::<32>()).expect("a password of 32 bytes can be hashed");
    hash.to_string()
});

#[derive(Default, Serialize, Deserialize)]
struct AccountsFile {
    accounts: BTreeMap<String, Account>,
}

#[derive(Serialize, Deserialize)]
struct Account {
    password: String,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_account_is_verified_and_its_file_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::in_dir(dir.path());
        accounts.add("j.smit", "correct horse").unwrap();
        assert!(accounts.verify("j.smit", "correct horse").unwrap());
        assert!(!accounts.verify("j.smit", "correct hors").unwrap());
        assert!(!accounts.verify("nobody", "correct horse").unwrap());
        let path = dir.path().join("accounts.json");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains("$argon2id$") && !text.contains("correct"));
    }

    #[test]
    fn weak_passwords_and_odd_names_are_refused() {
        let accounts = Accounts::in_dir(Path::new("/nowhere"));
        assert!(matches!(accounts.add("j.smit", "short"), Err(AccountsError::BadPassword)));
        assert!(matches!(accounts.add("j smit", "correct horse"), Err(AccountsError::BadName)));
        assert!(matches!(accounts.add("", "correct horse"), Err(AccountsError::BadName)));
    }
}
