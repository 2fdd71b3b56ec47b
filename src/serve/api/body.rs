//! Bodies of requests: JSON held against the schema of a pipeline file, so that every fault is told at once, in the same
//! words as for a file.

use super::{MAX_BODY_BYTES, problem::Problem};
use crate::config::part::{Part, read_part};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::{StatusCode, header},
};

/// A part of a pipeline file that was sent as JSON.
pub struct Sent<T>(pub T);

impl<T: Part, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        check_type(&request)?;
        check_length(&request)?;
        let bytes = Bytes::from_request(request, state).await.map_err(unreadable)?;
        let tree = serde_json::from_slice(&bytes).map_err(|error| Problem::unreadable(format!("not JSON: {error}")))?;
        read_part(tree).map(Self).map_err(|faults| Problem::invalid(&faults))
    }
}

fn check_type(request: &Request) -> Result<(), Problem> {
    let given = request.headers().get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = format!("Content-Type is {given:?}, expected application/json");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type", "Unsupported media type", detail))
}

/// Refuses what says that it is too large before any of it is read.
fn check_length(request: &Request) -> Result<(), Problem> {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > MAX_BODY_BYTES) { Err(too_large()) } else { Ok(()) }
}

fn unreadable(rejection: BytesRejection) -> Problem {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        _ => Problem::unreadable("the body could not be read to its end"),
    }
}

fn too_large() -> Problem {
    let detail = format!("a body may have at most {MAX_BODY_BYTES} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Request too large", detail)
}
