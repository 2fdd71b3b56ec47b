//! The page at `/`: three files that are part of the program and the same for everybody; what it shows it asks the API for.

use super::Api;
use axum::{
    Router,
    http::{HeaderName, header},
    routing::get,
};

const HTML: &str = include_str!("../page/index.html");
const STYLE: &str = include_str!("../page/style.css");
const SCRIPT: &str = include_str!("../page/app.js");

/// Own files only; pictures are made from what the API sends (blob:).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page's files.
pub(super) fn routes() -> Router<Api> {
    let file = |kind: &'static str, text: &'static str| get(move || async move { answer(kind, text) });
    Router::new()
        .route("/", file("text/html; charset=utf-8", HTML))
        .route("/style.css", file("text/css; charset=utf-8", STYLE))
        .route("/app.js", file("text/javascript; charset=utf-8", SCRIPT))
}

fn answer(kind: &'static str, text: &'static str) -> ([(HeaderName, &'static str); 3], &'static str) {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Kept, but asked for anew each time: a new version of the program is a new page.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}
