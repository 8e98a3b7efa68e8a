//! Looking at requests for images: one, a page of them, those under way, and what is not believed.

use beeldbox_protocol::ident::TransferId;
use beeldbox_protocol::imaging_request::RequestRefusal;
use rusqlite::{Connection, Params, Row, params};

use crate::Custody;
use crate::columns::{json_maybe, text_at, time_at};
use crate::error::CustodyError;
use crate::records::Cursor;
use crate::request_state::RequestState;
use crate::requests::{NewRequest, RequestRow, UnbelievedRequest};
use crate::state::Direction;
use crate::vault::{Place, Vault};

impl Custody {
    /// The request with this Task.
    ///
    /// # Errors
    /// If the ledger cannot be read or its sealed words do not open.
    pub async fn request(&self, id: TransferId) -> Result<Option<RequestRow>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                let end = "WHERE id = ?1";
                Ok(read(connection, &vault, end, [id.to_string()])?.pop())
            })
            .await
    }

    /// A page of requests, ours and those of others, newest first.
    ///
    /// # Errors
    /// As [`Custody::request`].
    pub async fn requests(
        &self,
        before: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<RequestRow>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                let before = before.map_or(i64::MAX, |cursor| cursor.0);
                let end = "WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2";
                read(connection, &vault, end, params![before, limit])
            })
            .await
    }

    /// Requests of ours that nobody has answered or ended yet, newest first.
    ///
    /// # Errors
    /// As [`Custody::request`].
    pub async fn requests_of_ours_under_way(&self) -> Result<Vec<RequestRow>, CustodyError> {
        let vault = self.vault();
        self.ledger()
            .ask(move |connection| {
                let end = "WHERE state IN ('asking', 'asked', 'seen', 'promised') ORDER BY seq DESC";
                read(connection, &vault, end, [])
            })
            .await
    }

    /// How many requests wait for a person here, and how many are not believed.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn open_requests(&self) -> Result<(u32, u32), CustodyError> {
        self.ledger()
            .ask(|connection| {
                let counts = connection
                    .prepare_cached(
                        "SELECT (SELECT count(*) FROM request WHERE state = 'open'),
                                (SELECT count(*) FROM unbelieved_request)",
                    )?
                    .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
                Ok(counts)
            })
            .await
    }

    /// What came as a request and is not believed, newest first.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub async fn unbelieved_requests(&self, limit: u32) -> Result<Vec<UnbelievedRequest>, CustodyError> {
        self.ledger()
            .ask(move |connection| {
                let mut statement = connection
                    .prepare_cached("SELECT * FROM unbelieved_request ORDER BY at DESC, id LIMIT ?1")?;
                let mut rows = statement.query([limit])?;
                let mut found = Vec::new();
                while let Some(row) = rows.next()? {
                    found.push(UnbelievedRequest {
                        id: text_at(row, "id")?,
                        claimed_sender: row.get("claimed_sender")?,
                        why: row.get("why")?,
                        at: time_at(row, "at")?,
                    });
                }
                Ok(found)
            })
            .await
    }
}

fn read(
    connection: &Connection,
    vault: &Vault,
    end: &'static str,
    values: impl Params,
) -> Result<Vec<RequestRow>, CustodyError> {
    let mut statement = connection.prepare_cached(&format!("SELECT * FROM request {end}"))?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read_row(connection, row, vault)?);
    }
    Ok(found)
}

fn read_row(connection: &Connection, row: &Row<'_>, vault: &Vault) -> Result<RequestRow, CustodyError> {
    let id: String = row.get("id")?;
    let seq: i64 = row.get("seq")?;
    let sealed: Option<Vec<u8>> = row.get("sealed_words")?;
    let (direction, state): (String, String) = (row.get("direction")?, row.get("state")?);
    let words = sealed
        .map(|sealed| vault.open_json(Place::Request(&id), &sealed, "words of a request"))
        .transpose()?;
    let request = NewRequest {
        id: text_at(row, "id")?,
        direction: Direction::from_word(&direction).ok_or(CustodyError::unreadable("direction"))?,
        state: RequestState::from_word(&state).ok_or(CustodyError::unreadable("state"))?,
        partner: json_maybe(row, "partner")?.ok_or(CustodyError::unreadable("partner"))?,
        urgent: row.get("urgent")?,
        words,
        letter: row.get("letter")?,
        valid_until: time_at(row, "valid_until")?,
    };
    let refusal: Option<String> = row.get("refusal")?;
    Ok(RequestRow {
        request,
        refusal: refusal.as_deref().map(RequestRefusal::from_code),
        answers: answers(connection, seq)?,
        created_at: time_at(row, "created_at")?,
        changed_at: time_at(row, "changed_at")?,
        cursor: Cursor(seq),
    })
}

fn answers(connection: &Connection, seq: i64) -> Result<Vec<TransferId>, CustodyError> {
    let mut statement = connection
        .prepare_cached("SELECT transfer FROM request_answer WHERE request = ?1 ORDER BY at, transfer")?;
    let mut rows = statement.query([seq])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(text_at(row, "transfer")?);
    }
    Ok(found)
}
