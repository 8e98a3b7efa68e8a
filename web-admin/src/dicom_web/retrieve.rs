//! WADO-RS (PS3.18 §10.4): instances as files, what they say of themselves, and pictures.
//!
//! Files stream from the daemon through this process; nothing is held but a piece. If one breaks in the middle the connection
//! breaks with it: a client must never take a part for the whole.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use beeldbox_protocol::admin::{Question, Reply, StoredInstance};
use beeldbox_protocol::clinical::Confidential;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{Caller, Failure, instances_of, lines_of};
use crate::box_client::BoxError;
use crate::random;
use crate::site::Site;

/// Pieces between the daemon and the client.
const QUEUED: usize = 4;
/// Edge of a picture if nobody says another, and of a thumbnail, in pixels.
const EDGE: u32 = 1024;
const THUMBNAIL_EDGE: u32 = 160;
/// Longest picture, in bytes.
const LONGEST_PICTURE: usize = 16 * 1024 * 1024;

/// What is retrieved.
struct Target {
    series: Option<String>,
    instance: Option<String>,
}

/// `GET /studies/{study}`.
pub(super) async fn study(
    state: State<Arc<Site>>,
    caller: Extension<Caller>,
    Path(study): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    files(state, caller, study, Target { series: None, instance: None }, &headers).await
}

/// `GET /studies/{study}/series/{series}`.
pub(super) async fn series(
    state: State<Arc<Site>>,
    caller: Extension<Caller>,
    Path((study, series)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    files(state, caller, study, Target { series: Some(series), instance: None }, &headers).await
}

/// `GET /studies/{study}/series/{series}/instances/{instance}`.
pub(super) async fn instance(
    state: State<Arc<Site>>,
    caller: Extension<Caller>,
    Path((study, series, instance)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let target = Target { series: Some(series), instance: Some(instance) };
    files(state, caller, study, target, &headers).await
}

/// `GET /studies/{study}/metadata`.
pub(super) async fn study_metadata(
    state: State<Arc<Site>>,
    caller: Extension<Caller>,
    Path(study): Path<String>,
) -> Result<Response, Failure> {
    metadata(state, caller, study, Target { series: None, instance: None }).await
}

/// `GET /studies/{study}/series/{series}/metadata`.
pub(super) async fn series_metadata(
    state: State<Arc<Site>>,
    caller: Extension<Caller>,
    Path((study, series)): Path<(String, String)>,
) -> Result<Response, Failure> {
    metadata(state, caller, study, Target { series: Some(series), instance: None }).await
}

/// `GET /studies/{study}/series/{series}/instances/{instance}/metadata`.
pub(super) async fn instance_metadata(
    state: State<Arc<Site>>,
    caller: Extension<Caller>,
    Path((study, series, instance)): Path<(String, String, String)>,
) -> Result<Response, Failure> {
    metadata(state, caller, study, Target { series: Some(series), instance: Some(instance) }).await
}

/// How a picture is wanted.
#[derive(Deserialize)]
pub(super) struct Viewing {
    /// `width,height`.
    viewport: Option<String>,
    /// `centre,width,function`.
    window: Option<String>,
}

/// `GET …/rendered`.
pub(super) async fn rendered(
    state: State<Arc<Site>>,
    caller: Extension<Caller>,
    Path((study, series, instance)): Path<(String, String, String)>,
    Query(viewing): Query<Viewing>,
) -> Result<Response, Failure> {
    picture(state, caller, (study, series, instance), 0, viewing, EDGE).await
}

/// `GET …/frames/{frame}/rendered`. Frames count from one.
pub(super) async fn rendered_frame(
    state: State<Arc<Site>>,
    caller: Extension<Caller>,
    Path((study, series, instance, frame)): Path<(String, String, String, u32)>,
    Query(viewing): Query<Viewing>,
) -> Result<Response, Failure> {
    let frame = frame.checked_sub(1).ok_or(Failure::bad("frames count from one"))?;
    picture(state, caller, (study, series, instance), frame, viewing, EDGE).await
}

/// `GET …/thumbnail`.
pub(super) async fn thumbnail(
    state: State<Arc<Site>>,
    caller: Extension<Caller>,
    Path((study, series, instance)): Path<(String, String, String)>,
    Query(viewing): Query<Viewing>,
) -> Result<Response, Failure> {
    picture(state, caller, (study, series, instance), 0, viewing, THUMBNAIL_EDGE).await
}

async fn wanted(
    site: &Site,
    caller: &Caller,
    study: &str,
    target: &Target,
) -> Result<Vec<StoredInstance>, Failure> {
    let mut instances = instances_of(site, caller, &lines_of(site, caller, study).await?).await?;
    let is_series = |own: &StoredInstance, wanted: &String| {
        own.series.as_ref().is_some_and(|series| series.as_str() == wanted)
    };
    instances.retain(|own| {
        target.series.as_ref().is_none_or(|wanted| is_series(own, wanted))
            && target.instance.as_ref().is_none_or(|wanted| own.sop_instance.as_str() == wanted)
    });
    if instances.is_empty() { Err(Failure::not_found()) } else { Ok(instances) }
}

async fn files(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    study: String,
    target: Target,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let accepted = Accepted::read(headers)?;
    let instances = wanted(&site, &caller, &study, &target).await?;
    if instances.iter().any(|instance| !accepted.takes(instance.transfer_syntax.as_str())) {
        return Err(Failure::not_acceptable());
    }
    let boundary = random::name::<18>();
    let (sender, receiver) = mpsc::channel(QUEUED);
    let kind = format!("multipart/related; type=\"application/dicom\"; boundary={boundary}");
    tokio::spawn(async move {
        if let Err(error) = send_files(&site, &caller, &instances, &boundary, &sender).await {
            tracing::warn!(%error, "a study broke while it was retrieved");
            // Nobody may want it any more.
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(([(header::CONTENT_TYPE, kind)], body(receiver)).into_response())
}

type Sender = mpsc::Sender<std::io::Result<Bytes>>;

async fn send_files(
    site: &Site,
    caller: &Caller,
    instances: &[StoredInstance],
    boundary: &str,
    sender: &Sender,
) -> std::io::Result<()> {
    for instance in instances {
        let syntax = instance.transfer_syntax.as_str();
        let head =
            format!("--{boundary}\r\nContent-Type: application/dicom; transfer-syntax={syntax}\r\n\r\n");
        send(sender, head.into()).await?;
        let question = Question::Instance { instance: instance.instance };
        let (_, mut content) =
            site.client.content(&caller.0, question).await.map_err(std::io::Error::other)?;
        while let Some(piece) = content.next().await? {
            send(sender, piece.into()).await?;
        }
        send(sender, Bytes::from_static(b"\r\n")).await?;
    }
    send(sender, format!("--{boundary}--\r\n").into()).await
}

async fn send(sender: &Sender, piece: Bytes) -> std::io::Result<()> {
    sender.send(Ok(piece)).await.map_err(|_| std::io::ErrorKind::BrokenPipe.into())
}

fn body(receiver: mpsc::Receiver<std::io::Result<Bytes>>) -> Body {
    Body::from_stream(stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    }))
}

async fn metadata(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    study: String,
    target: Target,
) -> Result<Response, Failure> {
    let instances = wanted(&site, &caller, &study, &target).await?;
    // The first is asked before anything is promised.
    let mut rest = instances.into_iter();
    let Some(first) = rest.next() else { return Err(Failure::not_found()) };
    let first = header_of(&site, &caller, &first).await?;
    let (sender, receiver) = mpsc::channel(QUEUED);
    tokio::spawn(async move {
        let sending = async {
            send(&sender, format!("[{}", first.reveal()).into()).await?;
            for instance in rest {
                let header = header_of(&site, &caller, &instance).await;
                let header = header.map_err(|failure| std::io::Error::other(failure.why))?;
                send(&sender, format!(",{}", header.reveal()).into()).await?;
            }
            send(&sender, Bytes::from_static(b"]")).await
        };
        if let Err(error) = sending.await {
            tracing::warn!(%error, "what a study says of itself broke while it was retrieved");
            // Nobody may want it any more.
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(([(header::CONTENT_TYPE, "application/dicom+json")], body(receiver)).into_response())
}

async fn header_of(site: &Site, caller: &Caller, instance: &StoredInstance) -> Result<Confidential, Failure> {
    let question = Question::Header { instance: instance.instance };
    let Reply::Header(json) = site.client.ask(&caller.0, question).await? else {
        return Err(BoxError::Odd.into());
    };
    Ok(json)
}

async fn picture(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    (study, series, instance): (String, String, String),
    frame: u32,
    viewing: Viewing,
    edge: u32,
) -> Result<Response, Failure> {
    let target = Target { series: Some(series), instance: Some(instance) };
    let instances = wanted(&site, &caller, &study, &target).await?;
    let Some(instance) = instances.first() else { return Err(Failure::not_found()) };
    let edge = match &viewing.viewport {
        Some(viewport) => viewport_edge(viewport)?.min(EDGE),
        None => edge,
    };
    let window = viewing.window.as_deref().map(window_of).transpose()?;
    let question = Question::Picture { instance: instance.instance, frame, edge, window };
    let (_, content) = site.client.content(&caller.0, question).await?;
    let broken = |_| Failure::new(StatusCode::BAD_GATEWAY, "the picture broke on its way");
    let png = content.all(LONGEST_PICTURE).await.map_err(broken)?;
    Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response())
}

fn viewport_edge(text: &str) -> Result<u32, Failure> {
    let bad = || Failure::bad("a viewport is width,height in pixels");
    let (width, height) = text.split_once(',').ok_or_else(bad)?;
    let edges: [u32; 2] = [width.parse().map_err(|_| bad())?, height.parse().map_err(|_| bad())?];
    let edge = edges.into_iter().min().unwrap_or_default();
    if edge == 0 { Err(bad()) } else { Ok(edge) }
}

fn window_of(text: &str) -> Result<(f64, f64), Failure> {
    let bad = || Failure::bad("a window is centre,width,linear");
    let mut words = text.split(',');
    let mut number = || {
        let number: f64 = words.next().and_then(|word| word.trim().parse().ok()).ok_or_else(bad)?;
        if number.is_finite() { Ok(number) } else { Err(bad()) }
    };
    let window = (number()?, number()?);
    if window.1 >= 1.0 { Ok(window) } else { Err(bad()) }
}

/// The forms in which a client takes files.
enum Accepted {
    /// In the transfer syntax in which they lie here.
    AsStored,
    /// In these only.
    Only(Vec<String>),
}

impl Accepted {
    fn read(headers: &HeaderMap) -> Result<Self, Failure> {
        let mut only = Vec::new();
        let mut is_any = false;
        let texts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<String> =
            texts.flat_map(split_ranges).map(|range| range.to_ascii_lowercase()).collect();
        is_any |= ranges.is_empty();
        for range in &ranges {
            let mut words = range.split(';').map(str::trim);
            let kind = words.next().unwrap_or_default();
            let parameters: Vec<(&str, &str)> = words
                .filter_map(|word| word.split_once('='))
                .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
                .collect();
            let value = |key: &str| parameters.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
            let is_dicom = match kind {
                "*/*" | "multipart/*" => true,
                "multipart/related" => value("type").is_none_or(|kind| kind == "application/dicom"),
                _ => false,
            };
            match value("transfer-syntax") {
                Some(syntax) if is_dicom && syntax != "*" => only.push(syntax.to_owned()),
                Some(_) | None => is_any |= is_dicom,
            }
        }
        match (is_any, only.is_empty()) {
            (true, _) => Ok(Accepted::AsStored),
            (false, false) => Ok(Accepted::Only(only)),
            (false, true) => Err(Failure::not_acceptable()),
        }
    }

    fn takes(&self, syntax: &str) -> bool {
        match self {
            Accepted::AsStored => true,
            Accepted::Only(syntaxes) => syntaxes.iter().any(|accepted| accepted == syntax),
        }
    }
}

/// Media ranges; commas inside quotes do not separate.
fn split_ranges(text: &str) -> Vec<&str> {
    let mut is_quoted = false;
    text.split(move |letter| {
        if letter == '"' {
            is_quoted = !is_quoted;
        }
        letter == ',' && !is_quoted
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn accepts(text: &'static str, syntax: &str) -> Option<bool> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(text));
        Accepted::read(&headers).ok().map(|accepted| accepted.takes(syntax))
    }

    #[test]
    fn what_a_client_accepts_is_read() {
        let explicit = "1.2.840.10008.1.2.1";
        for text in [
            "*/*",
            "multipart/related; type=\"application/dicom\"",
            "multipart/related; type=\"application/dicom\"; transfer-syntax=*",
            "multipart/related; type=application/dicom; transfer-syntax=1.2.840.10008.1.2.1",
            "text/html, multipart/related; type=\"application/dicom\"",
        ] {
            assert_eq!(accepts(text, explicit), Some(true), "{text}");
        }
        let implicit = "multipart/related; type=\"application/dicom\"; transfer-syntax=1.2.840.10008.1.2";
        assert_eq!(accepts(implicit, explicit), Some(false));
        assert_eq!(accepts("application/dicom+json", explicit), None);
        assert_eq!(accepts("multipart/related; type=\"application/octet-stream\"", explicit), None);
    }

    #[test]
    fn viewports_and_windows_are_checked() {
        assert_eq!(viewport_edge("512,256").ok(), Some(256));
        assert!(viewport_edge("0,256").is_err());
        assert!(viewport_edge("big").is_err());
        assert_eq!(window_of("40,400,linear").ok(), Some((40.0, 400.0)));
        for bad in ["40", "40,0", "NaN,400", "40,inf"] {
            assert!(window_of(bad).is_err(), "{bad}");
        }
    }
}
