//! Where a portal of these tests keeps its things: a PostgreSQL database of its own, and a folder.

use beeldbox_portal::{Database, PortalOptions};

use crate::server;

/// A database.
pub struct Place(String);

/// A place that nobody used yet.
pub fn new() -> Place {
    Place(server::a_database())
}

impl Place {
    /// For a portal in this process.
    pub fn set(&self, options: PortalOptions) -> PortalOptions {
        PortalOptions { database: Database::Postgres(Box::new(self.0.parse().unwrap())), ..options }
    }

    /// For a portal as a program.
    pub fn arguments(&self) -> Vec<String> {
        vec!["--database".to_owned(), self.0.clone()]
    }
}
