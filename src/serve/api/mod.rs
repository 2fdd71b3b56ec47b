//! The HTTP interface: routes, and what holds for all of them. Knows the line as `Operate` and nothing of sockets.

mod body;
mod gate;
mod live;
mod metrics;
mod news;
mod openapi;
mod page;
mod problem;
mod streams;

pub use gate::Gate;
pub(super) use streams::percent_encoded;

use super::operate::{LineStatus, Operate, OperateError};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use problem::Problem;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// Most bytes of a request's body: a stream with 64 zones of 256 corners fits.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// Longest time until an answer begins. Opening and closing streams may take up to the line's own deadline.
const MAX_ANSWER_TIME: Duration = Duration::from_secs(30);

/// What every route can reach.
#[derive(Clone)]
pub(super) struct Api {
    operate: Arc<dyn Operate>,
    /// True once the server shuts down: endless answers end then.
    stopping: watch::Receiver<bool>,
}

impl Api {
    /// Ends when the server shuts down.
    async fn stopped(mut self) {
        // An error means that the server is gone.
        let _ = self.stopping.wait_for(|stopping| *stopping).await;
    }

    /// Calls the line where it may take its time.
    async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn Operate) -> Result<T, OperateError> + Send + 'static,
    ) -> Result<T, Problem> {
        let operate = Arc::clone(&self.operate);
        let called = tokio::task::spawn_blocking(move || call(&*operate)).await;
        Ok(called.map_err(|_| internal("the operation panicked"))??)
    }
}

fn internal(detail: &str) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error", detail)
}

/// Every route, behind `gate`. Endless answers end when `stopping` turns true.
pub fn router(operate: Arc<dyn Operate>, gate: Gate, stopping: watch::Receiver<bool>) -> Router {
    let api = Api { operate, stopping };
    let streams = Router::new()
        .route("/streams", get(streams::list).post(streams::add))
        .route("/streams/{name}", get(streams::get).patch(streams::change).delete(streams::remove))
        .route("/streams/{name}/pause", post(streams::pause))
        .route("/streams/{name}/resume", post(streams::resume))
        .route("/streams/{name}/restart", post(streams::restart))
        .route("/streams/{name}/tracks", get(streams::tracks))
        .route("/streams/{name}/snapshot.jpg", get(live::snapshot))
        .route("/streams/{name}/live.mjpeg", get(live::mjpeg))
        .route("/wall", get(live::wall))
        .route("/events", get(news::events))
        .route("/line", get(line));
    Router::new()
        .nest("/api/v1", streams)
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi::document))
        .merge(page::routes())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(gate, gate::guard))
        .layer(middleware::from_fn(with_headers))
        .with_state(api)
}

/// Refuses what takes too long to answer: a body that trickles in, a line that hangs.
async fn in_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(MAX_ANSWER_TIME, next.run(request)).await.unwrap_or_else(|_| {
        let detail = format!("no answer within {} s", MAX_ANSWER_TIME.as_secs());
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "slow", "Too slow", detail).into_response()
    })
}

/// Headers that every answer carries: nothing is cached, guessed, framed or embedded by other sites.
async fn with_headers(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn no_such_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown-path", "Unknown path", "see /openapi.json for what there is")
}

async fn no_such_method() -> Problem {
    let detail = "see the Allow header for what this path takes";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "unknown-method", "Method not allowed", detail)
}

/// Whether the process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, description = "It does", body = String, content_type = "text/plain", example = "ok")))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the line works.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses(
        (status = 200, description = "It does", body = String, content_type = "text/plain", example = "ready"),
        (status = 503, description = "It does not", body = String, content_type = "text/plain", example = "not ready"),
    ))]
async fn readyz(State(api): State<Api>) -> (StatusCode, &'static str) {
    // Why it is not ready is told on /api/v1/line, to those who hold the token.
    match api.operate.line().not_ready {
        None => (StatusCode::OK, "ready\n"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}

/// The line as a whole: stages and sinks.
#[utoipa::path(get, path = "/api/v1/line", tag = "line",
    responses((status = 200, description = "The line now", body = LineStatus), (status = "4XX", response = Problem)))]
async fn line(State(api): State<Api>) -> Json<LineStatus> {
    Json(api.operate.line())
}
