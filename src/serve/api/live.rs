//! Pictures: one snapshot, one stream's live view, or a wall of many over one connection.

use super::{
    Api, internal,
    problem::Problem,
    streams::{Name, given},
};
use crate::serve::{
    jpeg,
    view::{Looked, Picture, ViewSize, Viewer},
};
use axum::{
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use std::{
    convert::Infallible,
    future::poll_fn,
    sync::Arc,
    task::Poll,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};

/// Longest wait for a snapshot's picture: a stream of one frame a second has one by then.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(3);

/// A viewer that takes nothing for so long is let go, so that nothing is drawn for it any more.
const STALLED_AFTER: Duration = Duration::from_secs(15);

/// Pictures a second of a view, where nothing else is asked for; and most.
const DEFAULT_FPS: f64 = 10.0;
const MAX_FPS: f64 = 60.0;

/// Parts between the pictures of a view. No JPEG holds it: 0xFF 0x2D is no marker.
const BOUNDARY: &str = "eyeline-picture";

/// How a view is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ViewQuery {
    size: Option<Size>,
    fps: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Size {
    Small,
    Large,
}

/// How a snapshot is asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SnapshotQuery {
    size: Option<Size>,
}

impl From<Size> for ViewSize {
    fn from(size: Size) -> Self {
        match size {
            Size::Small => Self::Small,
            Size::Large => Self::Large,
        }
    }
}

fn asked<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    query.map(|Query(query)| query).map_err(|error| Problem::unreadable(error.body_text()))
}

/// Time between two pictures.
fn pace(fps: Option<f64>) -> Result<Duration, Problem> {
    match fps.unwrap_or(DEFAULT_FPS) {
        fps if fps > 0.0 && fps <= MAX_FPS => Ok(Duration::try_from_secs_f64(1.0 / fps).unwrap_or(Duration::MAX)),
        fps => Err(Problem::unreadable(format!("fps: {fps}, expected more than 0 and at most {MAX_FPS}"))),
    }
}

/// One picture of a stream with its overlay.
#[utoipa::path(get, path = "/api/v1/streams/{name}/snapshot.jpg", tag = "live",
    params(
        ("name" = String, Path, description = "Name of the stream"),
        ("size" = inline(Option<SizeName>), Query, description = "Longer side of the picture: small at most 640 pixels, large 1280 (default large)"),
    ),
    responses(
        (status = 200, description = "The next picture", content_type = "image/jpeg"),
        (status = "4XX", response = Problem),
    ))]
pub(super) async fn snapshot(
    State(api): State<Api>,
    name: Name,
    query: Result<Query<SnapshotQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let (name, query) = (given(name)?, asked(query)?);
    let mut viewer = api.operate.view(&name, query.size.unwrap_or(Size::Large).into())?;
    let looked = tokio::select! {
        looked = timeout(SNAPSHOT_PATIENCE, next(&mut viewer)) => looked.ok(),
        () = api.clone().stopped() => Some(Looked::Closed),
    };
    match looked {
        Some(Looked::Picture(picture)) => {
            let headers = picture_headers(&picture);
            Ok((headers, Bytes::from_owner(jpeg_of(picture).await?)).into_response())
        }
        Some(Looked::Closed) | None => {
            let state = api.operate.stream(&name)?.state.as_str();
            let detail = format!("stream {name:?} is {state}: no picture within {} s", SNAPSHOT_PATIENCE.as_secs());
            Err(Problem::new(StatusCode::CONFLICT, "no-picture", "No picture", detail))
        }
    }
}

/// The schema of `size`.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes the query in the OpenAPI document")]
pub(super) enum SizeName {
    Small,
    Large,
}

fn picture_headers(picture: &Picture) -> [(HeaderName, String); 3] {
    [
        (header::CONTENT_TYPE, "image/jpeg".into()),
        (HeaderName::from_static("x-frame"), picture.frame.to_string()),
        (HeaderName::from_static("x-captured-millis"), millis(picture.captured).to_string()),
    ]
}

/// Milliseconds since 1970.
fn millis(time: SystemTime) -> u128 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis()
}

/// One stream's pictures, one after another (`multipart/x-mixed-replace`), until the viewer goes.
pub(super) async fn mjpeg(
    State(api): State<Api>,
    name: Name,
    query: Result<Query<ViewQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let (name, query) = (given(name)?, asked(query)?);
    let viewer = api.operate.view(&name, query.size.unwrap_or(Size::Large).into())?;
    Ok(endless(api, vec![(name, viewer)], pace(query.fps)?))
}

/// Pictures of many streams over one connection, each part naming its stream (percent-encoded) in `X-Stream`: browsers open six
/// connections at most. `?stream=gate&stream=yard`; unknown ones are left out.
pub(super) async fn wall(
    State(api): State<Api>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, Problem> {
    let (mut names, mut size, mut fps) = (Vec::new(), Size::Small, None);
    for (key, value) in asked(query)? {
        match &*key {
            "stream" => names.push(value),
            "size" if value == "small" => size = Size::Small,
            "size" if value == "large" => size = Size::Large,
            "fps" => fps = Some(value.parse().map_err(|_| Problem::unreadable("fps: expected a number"))?),
            _ => return Err(Problem::unreadable(format!("{key}: expected stream, size=small|large or fps"))),
        }
    }
    let viewer = |name: String| api.operate.view(&name, size.into()).ok().map(|viewer| (name, viewer));
    let viewers = names.into_iter().filter_map(viewer).collect();
    Ok(endless(api, viewers, pace(fps)?))
}

/// An answer of pictures as they come, at most one of each stream every `pace`; pictures nobody can take are skipped.
fn endless(api: Api, viewers: Vec<(String, Viewer)>, pace: Duration) -> Response {
    // One part on its way, so that what is sent next is chosen when it can be sent.
    let (to_client, parts) = mpsc::channel::<Bytes>(1);
    tokio::spawn(async move {
        tokio::select! {
            () = send_pictures(viewers, pace, &to_client) => {}
            () = to_client.closed() => {}
            () = api.stopped() => {}
        }
    });
    let body = Body::from_stream(ReceiverStream::new(parts).map(Ok::<_, Infallible>));
    let kind = format!("multipart/x-mixed-replace; boundary={BOUNDARY}");
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

/// One stream on its way to a viewer.
struct Watched {
    name: String,
    viewer: Viewer,
    not_before: Instant,
}

/// Sends pictures until every stream is gone or the client takes no more.
async fn send_pictures(viewers: Vec<(String, Viewer)>, pace: Duration, to_client: &mpsc::Sender<Bytes>) {
    let start = Instant::now();
    let watch = |(name, viewer)| Watched { name, viewer, not_before: start };
    let mut watched: Vec<Watched> = viewers.into_iter().map(watch).collect();
    let mut turn = 0;
    while !watched.is_empty() {
        let (index, looked) = next_of(&mut watched, turn).await;
        let Looked::Picture(picture) = looked else {
            watched.remove(index);
            continue;
        };
        // Every stream gets its turn, however many pictures another has.
        turn = index + 1;
        let one = &mut watched[index];
        one.not_before = Instant::now() + pace;
        let Ok(part) = part(&one.name, picture).await else { return };
        if !matches!(timeout(STALLED_AFTER, to_client.send(part)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// The next picture of any stream whose time has come, those from `turn` on first.
async fn next_of(watched: &mut [Watched], turn: usize) -> (usize, Looked) {
    loop {
        let now = Instant::now();
        let next_due = watched.iter().map(|one| one.not_before).filter(|due| *due > now).min();
        let any = poll_fn(|context| {
            for step in 0..watched.len() {
                let index = (turn + step) % watched.len();
                let one = &mut watched[index];
                if one.not_before <= now
                    && let Poll::Ready(looked) = one.viewer.poll(context)
                {
                    return Poll::Ready((index, looked));
                }
            }
            Poll::Pending
        });
        let Some(due) = next_due else { return any.await };
        tokio::select! {
            found = any => return found,
            () = sleep_until(due) => {}
        }
    }
}

async fn next(viewer: &mut Viewer) -> Looked {
    poll_fn(|context| viewer.poll(context)).await
}

async fn part(name: &str, picture: Arc<Picture>) -> Result<Bytes, Problem> {
    let (frame, captured) = (picture.frame, millis(picture.captured));
    let jpeg = jpeg_of(picture).await?;
    let name = super::streams::percent_encoded(name);
    let head = format!(
        "--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\nX-Stream: {name}\r\nX-Frame: {frame}\r\n\
         X-Captured-Millis: {captured}\r\n\r\n",
        jpeg.len()
    );
    Ok([head.as_bytes(), &jpeg, b"\r\n"].concat().into())
}

/// The picture as JPEG, encoded away from the threads that answer.
async fn jpeg_of(picture: Arc<Picture>) -> Result<Arc<[u8]>, Problem> {
    let encoded = tokio::task::spawn_blocking(move || picture.encoded(jpeg::encode)).await;
    encoded.ok().filter(|jpeg| !jpeg.is_empty()).ok_or_else(|| internal("the picture could not be encoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paces_are_bounded() {
        assert_eq!(pace(None).ok(), Some(Duration::from_millis(100)));
        assert_eq!(pace(Some(0.5)).ok(), Some(Duration::from_secs(2)));
        assert!(pace(Some(1e-300)).is_ok());
        for fps in [0.0, -1.0, 61.0, f64::NAN, f64::INFINITY] {
            assert!(pace(Some(fps)).is_err(), "{fps}");
        }
    }
}
