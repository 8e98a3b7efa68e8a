//! Forms as they come in: names and values, each name as often as it occurs.

use axum::Form;
use axum::extract::{FromRequest, Request};
use beeldbox_protocol::clinical::Confidential;

use crate::view::problem::Problem;
use crate::view::text::clean_lines;

/// A form. No `Debug`: it may hold a password or words about a patient.
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first value of a name, trimmed; empty if it is not there.
    pub fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// The same, exactly as it came: for passwords.
    pub fn raw(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// Every value of a name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Words about a patient, without control characters.
    pub fn confidential(&self, name: &str) -> Confidential {
        Confidential::new(clean_lines(self.text(name)))
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Fields, Problem> {
        let form = Form::<Vec<(String, String)>>::from_request(request, state).await;
        form.map(|Form(pairs)| Fields(pairs)).map_err(|_| Problem::form())
    }
}
