//! Style sheet, scripts and drawing of the product: compiled in, named after their content, kept by browsers for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use beeldbox_protocol::ident::Digest;

/// One file.
pub struct Asset {
    /// Where it is asked for.
    pub path: String,
    name: String,
    kind: &'static str,
    content: String,
}

/// All files.
pub struct Assets {
    /// The style sheet.
    pub style: Asset,
    /// Live lists and keys.
    pub app: Asset,
    /// Choosing an addressee.
    pub combobox: Asset,
    /// The drawing of the product.
    pub mark: Asset,
}

/// The files of this build.
pub static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let script = "text/javascript; charset=utf-8";
    Assets {
        style: Asset::new("style", "css", "text/css; charset=utf-8", include_str!("../assets/css/style.css")),
        app: Asset::new("app", "js", script, include_str!("../assets/js/app.js")),
        combobox: Asset::new("combobox", "js", script, include_str!("../assets/js/combobox.js")),
        mark: Asset::new("mark", "svg", "image/svg+xml", include_str!("../assets/mark.svg")),
    }
});

impl Asset {
    fn new(stem: &str, ending: &str, kind: &'static str, content: &'static str) -> Asset {
        let digest = Digest::of(content.as_bytes()).to_string();
        let name = format!("{stem}.{}.{ending}", digest.get(..16).unwrap_or_default());
        Asset { path: format!("/a/{name}"), name, kind, content: shorten(content) }
    }
}

/// Leaves out what only people read: indentation, empty lines, and lines that are a comment as a whole.
fn shorten(text: &str) -> String {
    let lines = text.lines().map(str::trim);
    let is_for_machines = |line: &&str| {
        !(line.is_empty() || line.starts_with("//") || (line.starts_with("/*") && line.ends_with("*/")))
    };
    lines.filter(is_for_machines).fold(String::with_capacity(text.len()), |out, line| out + line + "\n")
}

/// `GET /a/{name}`.
pub async fn serve(Path(name): Path<String>) -> Response {
    let all = [&ASSETS.style, &ASSETS.app, &ASSETS.combobox, &ASSETS.mark];
    let Some(asset) = all.into_iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    (headers, asset.content.as_str()).into_response()
}
