//! `/api/v1/streams`: see, add, remove, change, pause, resume and restart streams.

use super::{Api, body::Sent, problem::Problem};
use crate::{
    config::{
        fault::{Fault, Faults},
        raw::Stream,
    },
    serve::operate::{Change, FrameTracks, Operate, OperateError, StreamStatus},
};
use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderName, StatusCode, header},
};
use serde::Serialize;
use utoipa::ToSchema;

/// Every stream.
#[derive(Serialize, ToSchema)]
pub(super) struct StreamList {
    /// In the order they were added.
    streams: Vec<StreamStatus>,
}

/// The stream named in a path.
pub(super) type Name = Result<Path<String>, PathRejection>;

/// The name itself. Errors: it is no UTF-8 text.
pub(super) fn given(name: Name) -> Result<String, Problem> {
    name.map(|Path(name)| name).map_err(|_| Problem::unreadable("the name in the path is not UTF-8 text"))
}

/// Every stream and what it is doing.
#[utoipa::path(get, path = "/api/v1/streams", tag = "streams",
    responses((status = 200, description = "Every stream", body = StreamList), (status = "4XX", response = Problem)))]
pub(super) async fn list(State(api): State<Api>) -> Json<StreamList> {
    Json(StreamList { streams: api.operate.streams() })
}

/// Watch one more stream. Answers before its first frame: a camera that is down now is tried again.
#[utoipa::path(post, path = "/api/v1/streams", tag = "streams",
    request_body(content = ref("#/components/schemas/Stream"), content_type = "application/json"),
    responses(
        (status = 201, description = "It is being connected", body = StreamStatus,
            headers(("Location" = String, description = "Where the stream is found"))),
        (status = "4XX", response = Problem),
        (status = 503, response = Problem),
    ))]
pub(super) async fn add(
    State(api): State<Api>,
    Sent(stream): Sent<Stream>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<StreamStatus>), Problem> {
    let status = api.call(move |operate| operate.add(&stream).map_err(without_list)).await?;
    let location = format!("/api/v1/streams/{}", percent_encoded(&status.name));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(status)))
}

/// One stream and what it is doing.
#[utoipa::path(get, path = "/api/v1/streams/{name}", tag = "streams",
    params(("name" = String, Path, description = "Name of the stream")),
    responses((status = 200, description = "The stream", body = StreamStatus), (status = "4XX", response = Problem)))]
pub(super) async fn get(State(api): State<Api>, name: Name) -> Result<Json<StreamStatus>, Problem> {
    Ok(Json(api.operate.stream(&given(name)?)?))
}

/// Change what a stream looks for, from its next frame on.
#[utoipa::path(patch, path = "/api/v1/streams/{name}", tag = "streams",
    params(("name" = String, Path, description = "Name of the stream")),
    request_body(content = ref("#/components/schemas/Change"), content_type = "application/json"),
    responses(
        (status = 200, description = "As it is now", body = StreamStatus),
        (status = "4XX", response = Problem),
        (status = 503, response = Problem),
    ))]
pub(super) async fn change(
    State(api): State<Api>,
    name: Name,
    Sent(change): Sent<Change>,
) -> Result<Json<StreamStatus>, Problem> {
    let name = given(name)?;
    api.call(move |operate| operate.change(&name, &change).map_err(without_list)).await.map(Json)
}

/// End a stream and forget it. Its tracks end by events.
#[utoipa::path(delete, path = "/api/v1/streams/{name}", tag = "streams",
    params(("name" = String, Path, description = "Name of the stream")),
    responses(
        (status = 204, description = "It is gone"),
        (status = "4XX", response = Problem),
        (status = 503, response = Problem),
    ))]
pub(super) async fn remove(State(api): State<Api>, name: Name) -> Result<StatusCode, Problem> {
    let name = given(name)?;
    api.call(move |operate| operate.remove(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Close the connection and keep the stream.
#[utoipa::path(post, path = "/api/v1/streams/{name}/pause", tag = "streams",
    params(("name" = String, Path, description = "Name of the stream")),
    responses(
        (status = 200, description = "As it is now", body = StreamStatus),
        (status = "4XX", response = Problem),
        (status = 503, response = Problem),
    ))]
pub(super) async fn pause(State(api): State<Api>, name: Name) -> Result<Json<StreamStatus>, Problem> {
    act(&api, name, |operate, name| operate.pause(name)).await
}

/// Connect a paused stream again.
#[utoipa::path(post, path = "/api/v1/streams/{name}/resume", tag = "streams",
    params(("name" = String, Path, description = "Name of the stream")),
    responses(
        (status = 200, description = "As it is now", body = StreamStatus),
        (status = "4XX", response = Problem),
        (status = 503, response = Problem),
    ))]
pub(super) async fn resume(State(api): State<Api>, name: Name) -> Result<Json<StreamStatus>, Problem> {
    act(&api, name, |operate, name| operate.resume(name)).await
}

/// Close the connection and open a new one now.
#[utoipa::path(post, path = "/api/v1/streams/{name}/restart", tag = "streams",
    params(("name" = String, Path, description = "Name of the stream")),
    responses(
        (status = 200, description = "As it is now", body = StreamStatus),
        (status = "4XX", response = Problem),
        (status = 503, response = Problem),
    ))]
pub(super) async fn restart(State(api): State<Api>, name: Name) -> Result<Json<StreamStatus>, Problem> {
    act(&api, name, |operate, name| operate.restart(name)).await
}

/// The tracks after a stream's newest frame.
#[utoipa::path(get, path = "/api/v1/streams/{name}/tracks", tag = "streams",
    params(("name" = String, Path, description = "Name of the stream")),
    responses((status = 200, description = "Its tracks", body = FrameTracks), (status = "4XX", response = Problem)))]
pub(super) async fn tracks(State(api): State<Api>, name: Name) -> Result<Json<FrameTracks>, Problem> {
    Ok(Json(api.operate.tracks(&given(name)?)?))
}

async fn act(
    api: &Api,
    name: Name,
    act: impl FnOnce(&dyn Operate, &str) -> Result<StreamStatus, OperateError> + Send + 'static,
) -> Result<Json<StreamStatus>, Problem> {
    let name = given(name)?;
    api.call(move |operate| act(operate, &name)).await.map(Json)
}

/// The line checks a stream as an entry of `streams`; who sent it alone knows of no list.
fn without_list(error: OperateError) -> OperateError {
    let OperateError::Invalid(Faults(faults)) = error else { return error };
    let shortened = |fault: Fault| Fault { path: fault.path.below_entry("streams"), ..fault };
    OperateError::Invalid(Faults(faults.into_iter().map(shortened).collect()))
}

/// `text` as one segment of a path.
pub(in crate::serve) fn percent_encoded(text: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fault::KeyPath;

    #[test]
    fn names_become_one_segment_of_a_path() {
        assert_eq!(percent_encoded("gate-1 Süd/%"), "gate-1%20S%C3%BCd%2F%25");
    }

    #[test]
    fn faults_of_one_stream_name_no_list() {
        let entry = KeyPath::root().key("streams").index(3);
        let faults = [entry.key("zones").index(0), entry, KeyPath::root().key("classes").index(1)];
        let faults = faults.map(|path| Fault::new(path, "wrong")).into();
        let told = without_list(OperateError::Invalid(Faults(faults))).to_string();
        assert_eq!(told, "zones[0]: wrong\nwrong\nclasses[1]: wrong");
    }
}
