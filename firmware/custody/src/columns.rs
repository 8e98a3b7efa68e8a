//! Between columns and types. Whatever does not parse is named; nothing panics.

use std::str::FromStr;

use beeldbox_protocol::envelope::pack::PackId;
use beeldbox_protocol::ident::Digest;
use jiff::Timestamp;
use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::CustodyError;

/// A time as the ledger keeps it.
pub(crate) fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// A time of the ledger.
pub(crate) fn time(micros: i64) -> Result<Timestamp, CustodyError> {
    Timestamp::from_microsecond(micros).map_err(|_| CustodyError::unreadable("time"))
}

/// A time column.
pub(crate) fn time_at(row: &Row<'_>, column: &str) -> Result<Timestamp, CustodyError> {
    time(row.get(column)?)
}

/// A time column that may be empty.
pub(crate) fn time_maybe(row: &Row<'_>, column: &str) -> Result<Option<Timestamp>, CustodyError> {
    row.get::<_, Option<i64>>(column)?.map(time).transpose()
}

/// A column of checked text.
pub(crate) fn text_at<T: FromStr>(row: &Row<'_>, column: &'static str) -> Result<T, CustodyError> {
    row.get::<_, String>(column)?.parse().map_err(|_| CustodyError::unreadable(column))
}

/// A column of checked text that may be empty.
pub(crate) fn text_maybe<T: FromStr>(row: &Row<'_>, column: &'static str) -> Result<Option<T>, CustodyError> {
    let text = row.get::<_, Option<String>>(column)?;
    text.map(|text| text.parse().map_err(|_| CustodyError::unreadable(column))).transpose()
}

/// A digest column.
pub(crate) fn digest_at(row: &Row<'_>, column: &str) -> Result<Digest, CustodyError> {
    Ok(Digest::from(row.get::<_, [u8; 32]>(column)?))
}

/// A pack id column.
pub(crate) fn pack_at(row: &Row<'_>, column: &str) -> Result<PackId, CustodyError> {
    Ok(PackId::from_random(row.get::<_, [u8; 16]>(column)?))
}

/// A column of JSON that may be empty.
pub(crate) fn json_maybe<T: DeserializeOwned>(
    row: &Row<'_>,
    column: &'static str,
) -> Result<Option<T>, CustodyError> {
    let json = row.get::<_, Option<String>>(column)?;
    json.map(|json| serde_json::from_str(&json).map_err(|_| CustodyError::unreadable(column))).transpose()
}

/// A value as JSON.
pub(crate) fn to_json<T: Serialize>(value: &T, what: &'static str) -> Result<String, CustodyError> {
    serde_json::to_string(value).map_err(|_| CustodyError::Unreadable { what })
}
