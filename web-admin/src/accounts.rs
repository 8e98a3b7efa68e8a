//! Accounts: who may sign in, and as what. Kept in `accounts.json`, passwords as argon2id hashes (RFC 9106).
//!
//! The file is read again when it has changed, so that an account made while the pages run works at once and one that
//! was taken away ends at once. A name that does not exist costs the same time as a wrong password.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

use crate::roles::{Role, Roles};
use crate::second_factor::SharedSecret;
use crate::state_dir;

/// Memory of one hash in KiB. 19 MiB with two passes is the OWASP minimum for argon2id; a small box has room for it.
const HASH_MEMORY_KIB: u32 = 19 * 1024;
/// Passes of one hash.
const HASH_PASSES: u32 = 2;
/// Shortest password that is accepted for a new account.
pub const SHORTEST_PASSWORD: usize = 10;
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
    /// There is no such account.
    #[error("there is no such account")]
    Unknown,
    /// There is one of that name already.
    #[error("there is an account of that name already")]
    Taken,
    /// Nobody could look after the box any more.
    #[error("one administrator must remain")]
    LastAdministrator,
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

/// Somebody with an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The name of the account.
    pub name: String,
    /// What he or she may do.
    pub roles: Roles,
    /// Whether signing in asks for a code as well.
    pub has_second_factor: bool,
    /// Whether nobody can sign in with it.
    pub is_locked: bool,
    /// Whether the password was given by somebody else and must be changed first.
    pub must_change: bool,
}

/// The accounts of one state directory. A clone is the same one.
#[derive(Clone)]
pub struct Accounts {
    path: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    writing: Mutex<()>,
    cached: Mutex<Option<(Stamp, Arc<AccountsFile>)>>,
    /// The last time step of which a code was used, by account: a code is good for one sign-in.
    used_steps: Mutex<HashMap<String, u64>>,
}

/// Tells one state of the file from another: it is replaced as a whole, so its inode differs.
type Stamp = (u64, i64, i64, u64);

impl Accounts {
    /// Those in a state directory; the file need not exist yet.
    pub fn in_dir(state_dir: &Path) -> Accounts {
        Accounts { path: state_dir.join("accounts.json"), shared: Arc::default() }
    }

    /// Makes an account that may do all the work, or gives an existing one a new password and lets it in again.
    ///
    /// # Errors
    /// If name or password cannot be used, or the file cannot be read or written.
    ///
    /// # Durability
    /// When this returns, the account survives a power cut.
    pub fn add(&self, name: &str, password: &str) -> Result<(), AccountsError> {
        self.add_as(name, password, None)
    }

    /// The same with these roles; without them a new account may do all the work, and another keeps what it has.
    ///
    /// # Errors
    /// As [`Accounts::add`], and if no administrator would remain.
    ///
    /// # Durability
    /// As [`Accounts::add`].
    pub fn add_as(&self, name: &str, password: &str, roles: Option<Roles>) -> Result<(), AccountsError> {
        let hash = usable(name, password)?;
        self.change(|file| {
            let account = file
                .accounts
                .entry(name.to_owned())
                .or_insert_with(|| Account { roles: Roles::working(), ..Account::default() });
            (account.password, account.locked, account.must_change) = (hash, false, false);
            if let Some(roles) = roles {
                account.roles = roles;
            }
            Ok(())
        })
    }

    /// Makes an account whose password must be changed at the first sign-in.
    ///
    /// # Errors
    /// As [`Accounts::add`], and if there is one of that name.
    ///
    /// # Durability
    /// As [`Accounts::add`].
    pub fn make(&self, name: &str, password: &str, roles: Roles) -> Result<(), AccountsError> {
        let hash = usable(name, password)?;
        self.change(|file| {
            if file.accounts.contains_key(name) {
                return Err(AccountsError::Taken);
            }
            let account = Account { password: hash, roles, must_change: true, ..Account::default() };
            file.accounts.insert(name.to_owned(), account);
            Ok(())
        })
    }

    /// Gives an account another password: its owner for good, somebody else for one sign-in.
    ///
    /// # Errors
    /// If there is no such account, the password cannot be used, or the file cannot be written.
    pub fn set_password(&self, name: &str, password: &str, must_change: bool) -> Result<(), AccountsError> {
        let hash = usable(name, password)?;
        self.change(|file| {
            let account = file.account(name)?;
            (account.password, account.must_change) = (hash, must_change);
            Ok(())
        })
    }

    /// Sets what an account may do.
    ///
    /// # Errors
    /// If there is no such account, it is the last administrator, or the file cannot be written.
    pub fn set_roles(&self, name: &str, roles: Roles) -> Result<(), AccountsError> {
        self.change(|file| {
            file.account(name)?.roles = roles;
            Ok(())
        })
    }

    /// Locks an account or lets it in again.
    ///
    /// # Errors
    /// As [`Accounts::set_roles`].
    pub fn set_locked(&self, name: &str, is_locked: bool) -> Result<(), AccountsError> {
        self.change(|file| {
            file.account(name)?.locked = is_locked;
            Ok(())
        })
    }

    /// Sets the second factor, or takes it away.
    ///
    /// # Errors
    /// If there is no such account or the file cannot be written.
    pub fn set_second_factor(&self, name: &str, secret: Option<SharedSecret>) -> Result<(), AccountsError> {
        self.change(|file| {
            file.account(name)?.second_factor = secret;
            Ok(())
        })
    }

    /// Takes an account away.
    ///
    /// # Errors
    /// As [`Accounts::set_roles`].
    pub fn remove(&self, name: &str) -> Result<(), AccountsError> {
        self.change(|file| file.accounts.remove(name).map(|_| ()).ok_or(AccountsError::Unknown))
    }

    /// Whether name and password belong together, and the account is not locked. Takes tens of milliseconds and much
    /// memory: call it off the runtime's threads, and not often at once.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn verify(&self, name: &str, password: &str) -> Result<bool, AccountsError> {
        let file = self.read()?;
        let account = file.accounts.get(name);
        let stored = account.map_or(NOBODY.as_str(), |account| account.password.as_str());
        let is_right = PasswordHash::new(stored)
            .is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok());
        Ok(is_right && account.is_some_and(|account| !account.locked) && password.len() <= LONGEST_PASSWORD)
    }

    /// Whether this is the account's code now, and was not used before.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn verify_code(&self, name: &str, code: &str, now_secs: u64) -> Result<bool, AccountsError> {
        let file = self.read()?;
        let secret = file.accounts.get(name).and_then(|account| account.second_factor.as_ref());
        let Some(step) = secret.and_then(|secret| secret.step_of(code, now_secs)) else { return Ok(false) };
        let mut used = self.shared.used_steps.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = used.get(name).is_none_or(|last| step > *last);
        if is_new {
            used.insert(name.to_owned(), step);
        }
        Ok(is_new)
    }

    /// Somebody by name.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn person(&self, name: &str) -> Result<Option<Person>, AccountsError> {
        Ok(self.read()?.accounts.get(name).map(|account| account.person(name)))
    }

    /// Everybody, by name.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn everybody(&self) -> Result<Vec<Person>, AccountsError> {
        Ok(self.read()?.accounts.iter().map(|(name, account)| account.person(name)).collect())
    }

    /// Changes the file as a whole, one change after the other.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut AccountsFile) -> Result<T, AccountsError>,
    ) -> Result<T, AccountsError> {
        let _writing = self.shared.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.read()?;
        let mut file = AccountsFile::clone(&before);
        let done = change(&mut file)?;
        if before.has_administrator() && !file.has_administrator() {
            return Err(AccountsError::LastAdministrator);
        }
        let text = serde_json::to_vec_pretty(&file)
            .map_err(|source| AccountsError::Damaged { path: self.path.clone(), source })?;
        state_dir::replace_file(&self.path, &text)
            .map_err(|source| AccountsError::File { path: self.path.clone(), source })?;
        Ok(done)
    }

    fn read(&self) -> Result<Arc<AccountsFile>, AccountsError> {
        let failed = |source| AccountsError::File { path: self.path.clone(), source };
        let stamp = match std::fs::metadata(&self.path) {
            Ok(data) => (data.ino(), data.mtime(), data.mtime_nsec(), data.len()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Arc::default()),
            Err(source) => return Err(failed(source)),
        };
        let mut cached = self.shared.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, file)) = &*cached
            && *known == stamp
        {
            return Ok(Arc::clone(file));
        }
        let bytes = std::fs::read(&self.path).map_err(failed)?;
        let file: AccountsFile = serde_json::from_slice(&bytes)
            .map_err(|source| AccountsError::Damaged { path: self.path.clone(), source })?;
        let file = Arc::new(file);
        *cached = Some((stamp, Arc::clone(&file)));
        Ok(file)
    }
}

/// The hash, if name and password can be used.
fn usable(name: &str, password: &str) -> Result<String, AccountsError> {
    if !is_account_name(name) {
        return Err(AccountsError::BadName);
    }
    if password.chars().count() < SHORTEST_PASSWORD || password.len() > LONGEST_PASSWORD {
        return Err(AccountsError::BadPassword);
    }
    hash(password)
}

/// A hash to keep.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn hash(secret: &str) -> Result<String, AccountsError> {
    Ok(hasher().hash_password(secret.as_bytes()).map_err(AccountsError::Hash)?.to_string())
}

/// Whether this is what was hashed.
pub(crate) fn is_hash_of(stored: &str, secret: &str) -> bool {
    PasswordHash::new(stored).is_ok_and(|hash| hasher().verify_password(secret.as_bytes(), &hash).is_ok())
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

#[derive(Default, Clone, Serialize, Deserialize)]
struct AccountsFile {
    accounts: BTreeMap<String, Account>,
}

impl AccountsFile {
    fn account(&mut self, name: &str) -> Result<&mut Account, AccountsError> {
        self.accounts.get_mut(name).ok_or(AccountsError::Unknown)
    }

    fn has_administrator(&self) -> bool {
        self.accounts.values().any(|account| !account.locked && account.roles.has(Role::Administrator))
    }
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Account {
    password: String,
    /// Absent in a file from before there were roles.
    #[serde(default = "Roles::working")]
    roles: Roles,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    second_factor: Option<SharedSecret>,
    #[serde(default)]
    locked: bool,
    #[serde(default)]
    must_change: bool,
}

impl Account {
    fn person(&self, name: &str) -> Person {
        Person {
            name: name.to_owned(),
            roles: self.roles.clone(),
            has_second_factor: self.second_factor.is_some(),
            is_locked: self.locked,
            must_change: self.must_change,
        }
    }
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

    #[test]
    fn one_administrator_remains() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::in_dir(dir.path());
        accounts.add("a.beheer", "correct horse").unwrap();
        let technician = Roles::from_iter([Role::Technician]);
        accounts.make("j.smit", "correct horse", technician.clone()).unwrap();
        assert!(matches!(
            accounts.make("j.smit", "correct horse", Roles::default()),
            Err(AccountsError::Taken)
        ));
        let refused = [
            accounts.set_roles("a.beheer", technician),
            accounts.set_locked("a.beheer", true),
            accounts.remove("a.beheer"),
        ];
        assert!(refused.iter().all(|outcome| matches!(outcome, Err(AccountsError::LastAdministrator))));
        accounts.set_roles("j.smit", Roles::working()).unwrap();
        accounts.set_locked("a.beheer", true).unwrap();
        assert!(!accounts.verify("a.beheer", "correct horse").unwrap(), "a locked account");
        assert!(accounts.person("j.smit").unwrap().unwrap().must_change);
    }

    #[test]
    fn a_code_is_good_for_one_sign_in() {
        let dir = tempfile::tempdir().unwrap();
        let accounts = Accounts::in_dir(dir.path());
        accounts.add("j.smit", "correct horse").unwrap();
        assert!(
            !accounts.verify_code("j.smit", "287082", 59).unwrap(),
            "without a second factor no code is right"
        );
        let secret = SharedSecret::from_text("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        accounts.set_second_factor("j.smit", Some(secret)).unwrap();
        assert!(accounts.verify_code("j.smit", "287082", 59).unwrap());
        assert!(!accounts.verify_code("j.smit", "287082", 59).unwrap());
        assert!(!accounts.verify_code("nobody", "287082", 59).unwrap());
    }

    #[test]
    fn accounts_from_before_there_were_roles_keep_working() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"accounts":{"demo":{"password":"$argon2id$"}}}"#;
        std::fs::write(dir.path().join("accounts.json"), text).unwrap();
        let person = Accounts::in_dir(dir.path()).person("demo").unwrap().unwrap();
        assert_eq!((person.roles, person.has_second_factor), (Roles::working(), false));
    }
}
