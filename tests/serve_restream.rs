//! Annotated pictures as RTSP: players see them, the encoder runs only while one watches, and the token is asked for.
#![cfg(all(feature = "serve", feature = "gst", feature = "opencv"))]

use eyeline::{
    config::raw::Stream,
    frame::ImageSize,
    serve::{fake::FakeLine, operate::Operate, restream::Restream},
};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const PICTURE: ImageSize = ImageSize { width: 318, height: 180 };
const FRAME_INTERVAL: Duration = Duration::from_millis(40);

/// Bounds waiting for what must come at once.
const SOON: Duration = Duration::from_secs(30);

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < SOON, "it never came to that: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs `test` while a camera films.
fn with_camera(token: Option<&str>, test: impl FnOnce(&FakeLine, &Restream)) {
    let line = FakeLine::default();
    line.add(&Stream { name: Some("Front gate".into()), file: "gate.mp4".into(), ..Stream::default() }).unwrap();
    let restream = Restream::start(([127, 0, 0, 1], 0).into(), token, Arc::new(line.clone())).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for frame in (0..).take_while(|_| !done.load(Ordering::Relaxed)) {
                line.show("Front gate", frame, PICTURE);
                thread::sleep(FRAME_INTERVAL);
            }
        });
        let tested = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&line, &restream)));
        done.store(true, Ordering::Relaxed);
        tested.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

struct Player(gst::Pipeline);

impl Player {
    fn start(restream: &Restream, credentials: &str) -> Self {
        gst::init().unwrap();
        let url = format!("rtsp://{credentials}{}/Front%20gate", restream.address());
        let line = format!(
            "rtspsrc location={url} latency=0 protocols=tcp ! rtph264depay ! h264parse ! avdec_h264 ! videoconvert ! \
             video/x-raw,format=RGB ! appsink name=pictures sync=false"
        );
        let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        Self(pipeline)
    }

    /// Width, height and pixels of the next picture; `None` after an error.
    fn next(&self) -> Option<(i32, i32, Vec<u8>)> {
        let sink = self.0.by_name("pictures").unwrap().downcast::<AppSink>().unwrap();
        let start = Instant::now();
        while start.elapsed() < SOON {
            if let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_mseconds(100)) {
                let caps = sample.caps().unwrap().structure(0).unwrap().to_owned();
                let pixels = sample.buffer().unwrap().map_readable().unwrap().to_vec();
                return Some((caps.get("width").unwrap(), caps.get("height").unwrap(), pixels));
            }
            let bus = self.0.bus().unwrap();
            if bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Eos]).is_some() {
                return None;
            }
        }
        panic!("neither a picture nor an error");
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

#[test]
fn players_see_moving_pictures_and_nothing_is_drawn_when_they_are_gone() {
    with_camera(None, |line, restream| {
        assert!(!line.is_watched("Front gate"));
        let first = Player::start(restream, "");
        let (width, height, before) = first.next().expect("a picture");
        assert_eq!((width as u32, height as u32), (PICTURE.width, PICTURE.height));
        until("the picture moves", || first.next().expect("a picture").2 != before);
        let second = Player::start(restream, "");
        second.next().expect("a picture for the second player");
        drop(first);
        second.next().expect("a picture after the first player left");
        drop(second);
        until("nothing is drawn any more", || !line.is_watched("Front gate"));
        let again = Player::start(restream, "");
        again.next().expect("a picture for who comes later");
        line.remove("Front gate").unwrap();
        until("the player is told of the end", || again.next().is_none());
    });
}

#[test]
fn the_token_is_asked_for() {
    with_camera(Some("correct-horse-battery"), |line, restream| {
        for credentials in ["", "eyeline:wrong@"] {
            assert!(Player::start(restream, credentials).next().is_none(), "{credentials:?} was let in");
        }
        assert!(!line.is_watched("Front gate"));
        Player::start(restream, "eyeline:correct-horse-battery@").next().expect("a picture");
    });
}
