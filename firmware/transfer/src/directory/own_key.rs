//! Our own entry: the recipient key that others seal to, published at the portal under our organisation's signature and
//! renewed before it runs out.

use beeldbox_custody::DirectoryMark;
use beeldbox_protocol::envelope::recipient::RecipientVerified;
use beeldbox_protocol::portal::directory::BOX_CONNECTION;
use beeldbox_protocol::portal::fhir::{
    Coding, Endpoint, Extension, Identifier, RECIPIENT_KEY_EXTENSION, Reference, URA_SYSTEM,
};
use jiff::{SignedDuration, Timestamp};
use tracing::info;

use super::sync::DirectoryError;
use crate::road::Road;

/// How long our published key statement is valid, and when it is published anew.
const STATEMENT_VALID: SignedDuration = SignedDuration::from_hours(365 * 24);
const STATEMENT_RENEW: SignedDuration = SignedDuration::from_hours(60 * 24);

/// Where we remember what we published, for sources that do not show it.
const PUBLISHED: &str = "own-key";

/// Whether the copy that we read shows what we publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is the portal's own directory.
    InTheCopy,
    /// It is another's, which learns of our entry later or never.
    Elsewhere,
}

/// Publishes our recipient key unless what stands there is as it should be. Gives whether it did.
///
/// # Errors
/// If the portal or the ledger cannot be asked.
pub(super) async fn publish(road: &Road, seen: Seen, now: Timestamp) -> Result<bool, DirectoryError> {
    let ura = road.signer.ura();
    let id = format!("box-{ura}");
    let published = match seen {
        Seen::InTheCopy => {
            let stored = road.custody.directory_resource("Endpoint", &id).await?;
            stored.and_then(|json| statement_in(&serde_json::from_str(&json).ok()?))
        }
        Seen::Elsewhere => road.custody.directory_mark(PUBLISHED).await?,
    };
    let is_current = published
        .and_then(|statement| RecipientVerified::verify(&statement, ura, &road.anchors, now).ok())
        .is_some_and(|key| {
            key.key_id() == road.identity.key_id() && key.valid_until().duration_since(now) > STATEMENT_RENEW
        });
    if is_current {
        return Ok(false);
    }
    let until = now.checked_add(STATEMENT_VALID).unwrap_or(Timestamp::MAX).min(road.signer.not_after());
    let statement = road.identity.statement(&road.signer, now, until, &*road.random);
    let managing = Identifier { system: Some(URA_SYSTEM.to_owned()), value: Some(ura.to_string()) };
    let endpoint = Endpoint {
        resource_type: "Endpoint".to_owned(),
        id,
        extension: vec![Extension {
            url: RECIPIENT_KEY_EXTENSION.to_owned(),
            value_string: Some(statement.clone()),
        }],
        status: Some("active".to_owned()),
        connection_type: Some(Coding { code: Some(BOX_CONNECTION.to_owned()), ..Coding::default() }),
        managing_organization: Some(Reference { identifier: Some(managing), ..Reference::default() }),
        ..Endpoint::default()
    };
    road.portal.put_endpoint(&endpoint).await?;
    if seen == Seen::Elsewhere {
        let mark = DirectoryMark { resource_type: PUBLISHED.to_owned(), mark: statement };
        road.custody.put_mark(mark).await?;
    }
    info!("our recipient key is published");
    Ok(true)
}

fn statement_in(endpoint: &Endpoint) -> Option<String> {
    let mut extensions = endpoint.extension.iter();
    extensions.find(|extension| extension.url == RECIPIENT_KEY_EXTENSION)?.value_string.clone()
}
