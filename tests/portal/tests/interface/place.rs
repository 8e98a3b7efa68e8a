//! Where a portal of these tests keeps its things: SQLite and a folder.

use beeldbox_portal::PortalOptions;

/// What differs from the default: nothing.
pub struct Place;

/// A place that nobody used yet.
pub fn new() -> Place {
    Place
}

impl Place {
    /// For a portal in this process.
    pub fn set(&self, options: PortalOptions) -> PortalOptions {
        options
    }

    /// For a portal as a program.
    pub fn arguments(&self) -> Vec<String> {
        Vec::new()
    }
}
