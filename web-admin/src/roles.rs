//! What somebody may do: an account has one or more roles, and a page asks for one of some.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sends studies and asks for images.
    Technician,
    /// Imports what was received.
    Importer,
    /// Looks after the box and its accounts; sees no patients.
    Administrator,
    /// Reads the audit log, and nothing else.
    Auditor,
}

impl Role {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Role; 4] = [Role::Technician, Role::Importer, Role::Administrator, Role::Auditor];

    /// Its name in forms, files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Role::Technician => "technician",
            Role::Importer => "importer",
            Role::Administrator => "administrator",
            Role::Auditor => "auditor",
        }
    }

    /// Reads a name.
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Key of its word.
    pub fn key(self) -> &'static str {
        match self {
            Role::Technician => "account.technician",
            Role::Importer => "account.importer",
            Role::Administrator => "account.administrator",
            Role::Auditor => "account.auditor",
        }
    }

    /// Key of what it may do.
    pub fn line(self) -> &'static str {
        match self {
            Role::Technician => "account.technician-may",
            Role::Importer => "account.importer-may",
            Role::Administrator => "account.administrator-may",
            Role::Auditor => "account.auditor-may",
        }
    }
}

/// The roles of one account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Roles(BTreeSet<Role>);

impl Roles {
    /// Of an account that was made where somebody is administrator anyway, or before there were roles.
    pub fn working() -> Roles {
        Roles::from_iter([Role::Technician, Role::Importer, Role::Administrator])
    }

    /// Whether this is one of them.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether one of these is among them.
    pub fn has_one(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.has(*role))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Role> {
        self.0.iter().copied()
    }

    /// The first page of somebody with these roles.
    pub fn home(&self) -> &'static str {
        match self.0.first() {
            Some(Role::Technician) => "/send",
            Some(Role::Importer) => "/inbox",
            Some(Role::Administrator) => "/admin",
            Some(Role::Auditor) => "/admin/audit",
            None => "/profile",
        }
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Roles {
        Roles(roles.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_have_names_and_a_first_page() {
        for role in Role::ALL {
            assert_eq!(Role::from_name(role.name()), Some(role));
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
        assert_eq!(Roles::from_iter([Role::Auditor, Role::Importer]).home(), "/inbox");
        assert_eq!(Roles::default().home(), "/profile");
        assert!(!Roles::working().has(Role::Auditor));
    }
}
