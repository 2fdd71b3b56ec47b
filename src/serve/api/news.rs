//! `/api/v1/events`: what happens, as server-sent events.

use super::{Api, problem::Problem};
use crate::serve::{
    broadcast::{Heard, Subscription},
    operate::News,
};
use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::sse::{Event, KeepAlive, Sse},
};
use serde::Serialize;
use serde_json::json;
use std::{convert::Infallible, future::poll_fn, pin::pin, time::Duration};
use tokio::sync::mpsc;
use tokio_stream::{Stream, wrappers::ReceiverStream};

/// A comment is sent so often where nothing happens, so that both ends notice when the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Messages on their way to one reader, beyond which the subscription's own ring holds them.
const MESSAGES_AHEAD: usize = 16;

/// What a reader wants to hear: `?stream=gate&kind=event`, each as often as wanted; all where not given.
#[derive(Debug, Default)]
struct Wanted {
    streams: Vec<String>,
    kinds: Vec<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Event,
    Tracks,
    Stream,
}

impl Wanted {
    fn parse(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut wanted = Self::default();
        for (key, value) in pairs {
            match (&*key, &*value) {
                ("stream", _) => wanted.streams.push(value),
                ("kind", "event") => wanted.kinds.push(Kind::Event),
                ("kind", "tracks") => wanted.kinds.push(Kind::Tracks),
                ("kind", "stream") => wanted.kinds.push(Kind::Stream),
                ("kind", _) => {
                    return Err(Problem::unreadable(format!("kind: {value:?}, expected event, tracks or stream")));
                }
                _ => return Err(Problem::unreadable(format!("{key}: unknown, expected stream or kind"))),
            }
        }
        Ok(wanted)
    }

    fn wants(&self, news: &News) -> bool {
        let kind = match news {
            News::Event(_) => Kind::Event,
            News::Tracks(_) => Kind::Tracks,
            News::Stream(_) | News::Removed(_) => Kind::Stream,
        };
        let all_or = |list_is_empty: bool, found: bool| list_is_empty || found;
        all_or(self.kinds.is_empty(), self.kinds.contains(&kind))
            && all_or(self.streams.is_empty(), self.streams.iter().any(|name| name == news.stream()))
    }
}

/// What happens from now on, until the reader goes.
pub(super) async fn events(
    State(api): State<Api>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let Query(pairs) = query.map_err(|error| Problem::unreadable(error.body_text()))?;
    let wanted = Wanted::parse(pairs)?;
    let subscription = api.operate.subscribe();
    let (to_client, messages) = mpsc::channel(MESSAGES_AHEAD);
    // The first bytes go out at once: a reader then knows that nothing it does from here on is missed.
    let _ = to_client.try_send(Ok(Event::default().comment("listening")));
    tokio::spawn(async move {
        tokio::select! {
            () = tell(subscription, &wanted, &to_client) => {}
            () = to_client.closed() => {}
            () = api.stopped() => {}
        }
    });
    Ok(Sse::new(ReceiverStream::new(messages)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

async fn tell(
    mut subscription: Subscription<News>,
    wanted: &Wanted,
    to_client: &mpsc::Sender<Result<Event, Infallible>>,
) {
    loop {
        let heard = pin!(poll_fn(|context| subscription.poll(context))).await;
        let message = match heard {
            Heard::Item(news) if wanted.wants(&news) => message(&news),
            Heard::Item(_) => continue,
            Heard::Missed(count) => named("missed", &json!({ "messages": count })),
            Heard::Closed => return,
        };
        if to_client.send(Ok(message)).await.is_err() {
            return;
        }
    }
}

fn message(news: &News) -> Event {
    match news {
        News::Event(event) => {
            // A line break in an id would end the field; names of streams may hold anything.
            let id = event.id.replace(['\r', '\n', '\0'], " ");
            named("event", &**event).id(id)
        }
        News::Tracks(tracks) => named("tracks", &**tracks),
        News::Stream(status) => named("stream", &**status),
        News::Removed(name) => named("removed", &json!({ "name": &**name })),
    }
}

fn named<T: Serialize>(name: &str, data: &T) -> Event {
    // Plain data always serializes; should it not, the reader hears that something came.
    Event::default().event(name).data(serde_json::to_string(data).unwrap_or_else(|_| "null".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::operate::FrameTracks;
    use std::sync::Arc;

    #[test]
    fn readers_hear_what_they_asked_for() {
        let tracks = News::Tracks(Arc::new(FrameTracks { stream: "gate".into(), ..FrameTracks::default() }));
        let removed = News::Removed("yard".into());
        let cases: [(&[(&str, &str)], bool, bool); 5] = [
            (&[], true, true),
            (&[("kind", "tracks")], true, false),
            (&[("kind", "tracks"), ("kind", "stream")], true, true),
            (&[("stream", "yard")], false, true),
            (&[("stream", "yard"), ("kind", "event")], false, false),
        ];
        for (pairs, hears_tracks, hears_removed) in cases {
            let owned = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            let Ok(wanted) = Wanted::parse(owned) else { panic!("{pairs:?} refused") };
            assert_eq!((wanted.wants(&tracks), wanted.wants(&removed)), (hears_tracks, hears_removed), "{pairs:?}");
        }
        assert!(Wanted::parse(vec![("kind".into(), "all".into())]).is_err());
    }
}
