//! What tests of several promises share: clips made on the spot, and everything a source gives.

#![allow(dead_code, reason = "each test program uses its part of this")]

use eyeline::{
    frame::{Frame, ImageSize, StreamId},
    source::{
        OpenSource, Pull, Source, SourceError,
        gst::{FileOpener, init},
    },
};
use gstreamer as gst;
use gstreamer::prelude::*;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// Long enough for any clip here, so that a hang becomes a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The sample video `make setup` installs: 795 frames, 768x576, 10 frames a second, MS-MPEG4 in AVI.
pub fn sample_video() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".eyeline/video/vtest.avi");
    assert!(path.is_file(), "{} is missing: run `make setup`", path.display());
    path
}

/// A folder that is gone after the test.
pub fn temp_dir() -> TempDir {
    TempDir::new().expect("temporary directory")
}

/// Runs a pipeline in gst-launch's notation to its end.
pub fn launch(description: &str) {
    init().expect("GStreamer starts");
    let pipeline = gst::parse::launch(description).unwrap_or_else(|error| panic!("{description}: {error}"));
    let bus = pipeline.bus().expect("pipelines have a bus");
    let started = pipeline.set_state(gst::State::Playing);
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let patience = gst::ClockTime::try_from(PATIENCE).expect("short");
    let last = bus.timed_pop_filtered(patience, &kinds).expect("pipeline ends in time");
    pipeline.set_state(gst::State::Null).expect("pipeline stops");
    if let gst::MessageView::Error(error) = last.view() {
        panic!("{description}: {started:?}, {}", error.error());
    }
}

/// `frames` frames of the sample video as H.264 in MP4.
pub fn people(folder: &Path, name: &str, frames: u32) -> PathBuf {
    let path = folder.join(name);
    launch(&format!(
        "filesrc location=\"{}\" ! avidemux ! avdec_msmpeg4 ! identity eos-after={} ! videoconvert \
         ! x264enc speed-preset=veryfast threads=1 ! h264parse ! mp4mux ! filesink location=\"{}\"",
        sample_video().display(),
        frames + 1,
        path.display()
    ));
    path
}

/// A moving test picture.
#[derive(Clone, Copy)]
pub struct Clip {
    pub size: ImageSize,
    pub fps: u32,
    pub frames: u32,
}

impl Clip {
    pub const SMALL: Self = Self { size: ImageSize { width: 160, height: 120 }, fps: 25, frames: 40 };

    /// Records the clip; `encode` is what stands between raw I420 video and the file, in gst-launch's notation.
    pub fn record(self, folder: &Path, name: &str, encode: &str) -> PathBuf {
        let path = folder.join(name);
        let Self { size, fps, frames } = self;
        launch(&format!(
            "videotestsrc num-buffers={frames} pattern=ball \
             ! video/x-raw,format=I420,width={},height={},framerate={fps}/1 \
             ! {encode} ! filesink location=\"{}\"",
            size.width,
            size.height,
            path.display(),
        ));
        path
    }
}

/// Small H.264 with a key frame every ten frames and B-frames.
pub const H264: &str = "x264enc speed-preset=veryfast key-int-max=10 threads=1 ! h264parse";

/// Everything a source gives.
#[derive(Debug)]
pub struct Everything {
    pub frames: Vec<Frame>,
    /// What came after the last frame.
    pub end: Result<Option<SourceError>, SourceError>,
}

/// Pulls a source until its end.
pub fn drain(source: &mut dyn Source) -> Everything {
    let mut frames = Vec::new();
    loop {
        match source.pull(PATIENCE) {
            Ok(Pull::Frame(frame)) => frames.push(frame),
            Ok(Pull::Pending) => panic!("nothing for {PATIENCE:?} after {} frames", frames.len()),
            Ok(Pull::End { damage }) => return Everything { frames, end: Ok(damage) },
            Err(error) => return Everything { frames, end: Err(error) },
        }
    }
}

/// Opens a file and pulls everything.
pub fn decode(path: &Path) -> Everything {
    drain(open(path).as_mut())
}

/// Opens a file as stream 0.
pub fn open(path: &Path) -> Box<dyn Source> {
    FileOpener::new(path, StreamId(0)).open(0, 0).unwrap_or_else(|error| panic!("{error}"))
}

/// The line a file that cannot be opened ends in.
pub fn refusal(path: &Path) -> SourceError {
    match FileOpener::new(path, StreamId(0)).open(0, 0) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
}

/// Writes `length` bytes of noise over a file, from `share` (0..=1) of its length on.
pub fn overwrite(path: &Path, share: f64, length: usize) {
    let mut bytes = fs::read(path).expect("reads");
    let from = (bytes.len() as f64 * share) as usize;
    let mut state = 0x2545_f491_u32;
    for byte in bytes.iter_mut().skip(from).take(length) {
        // xorshift32: the same noise in every run.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *byte = state as u8;
    }
    fs::write(path, bytes).expect("writes");
}

/// Keeps the first `share` (0..=1) of a file.
pub fn cut(path: &Path, share: f64) {
    let length = fs::metadata(path).expect("is there").len();
    let file = fs::OpenOptions::new().write(true).open(path).expect("opens");
    file.set_len((length as f64 * share) as u64).expect("cuts");
}
