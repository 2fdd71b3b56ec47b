//! H.264 in MP4 through GStreamer, in fragments behind a header, so that the file plays at any moment; made an ordinary,
//! indexed file at the end.

use super::SinkError;
use crate::{frame::ImageSize, source::gst::init, time::MediaTime};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSrc;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Encoders in the order they are taken. OpenH264 is BSD-licensed; x264 (GPL) only stands in where it is all there is.
const ENCODERS: [&str; 2] = ["openh264enc", "x264enc"];
/// Pictures waiting for the encoder: hides its jitter, and no more, because each is a whole uncompressed picture.
const PICTURES_AHEAD: u64 = 2;
/// Longest a whole file may take to be completed.
const FINISH_PATIENCE: Duration = Duration::from_secs(30);
/// Bits a pixel of every frame gets: text stays readable, 768x576 at 10 fps takes 0.9 Mbit/s.
const BITS_PER_PIXEL: f64 = 0.2;
/// Least and most bits a second.
const BITRATES: (f64, f64) = (200e3, 20e6);

/// Writes one video file.
pub struct Encoder {
    path: PathBuf,
    pipeline: gst::Pipeline,
    source: AppSrc,
    frame_interval: Duration,
}

impl Encoder {
    /// Creates the file, and its folder where missing, for packed RGB pictures of `size` (even sides).
    pub fn create(path: &Path, size: ImageSize, fps: f64) -> Result<Self, SinkError> {
        let video_error = |problem: String| SinkError::Video { path: path.to_owned(), problem };
        init().map_err(|error| video_error(error.to_string()))?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|source| SinkError::File { path: folder.to_owned(), source })?;
        }
        let encoder = encoder(size, fps).ok_or_else(|| {
            let plugins = "install gstreamer1.0-plugins-bad (openh264enc), or run with --no-video";
            video_error(format!("GStreamer has no H.264 encoder; {plugins}"))
        })?;
        let (pipeline, source) = assemble(path, size, fps, encoder).map_err(|error| {
            video_error(format!("{error}; is a GStreamer plug-in missing? See scripts/packages.txt"))
        })?;
        let encoder = Self { path: path.to_owned(), pipeline, source, frame_interval: interval(fps) };
        if encoder.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(encoder.fault());
        }
        Ok(encoder)
    }

    /// Hands over one picture to be shown from `at` on; blocks while the encoder is busy.
    pub fn push(&mut self, pixels: Vec<u8>, at: MediaTime) -> Result<(), SinkError> {
        let mut buffer = gst::Buffer::from_mut_slice(pixels);
        let duration = gst::ClockTime::try_from(self.frame_interval).ok();
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_nseconds(u64::try_from(at.0).unwrap_or(0)));
            buffer.set_duration(duration);
        }
        let pushed = self.source.push_buffer(buffer);
        if pushed.is_err() || self.has_failed() {
            return Err(self.fault());
        }
        Ok(())
    }

    /// Completes the file.
    pub fn finish(&mut self) -> Result<(), SinkError> {
        if self.source.end_of_stream().is_err() {
            return Err(self.fault());
        }
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let patience = gst::ClockTime::try_from(FINISH_PATIENCE).ok();
        let last = self.pipeline.bus().and_then(|bus| bus.timed_pop_filtered(patience, &kinds));
        match last.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Eos(_)) => Ok(()),
            Some(gst::MessageView::Error(error)) => Err(self.describe(error)),
            _ => Err(self.error(format!("could not be completed within {} s", FINISH_PATIENCE.as_secs()))),
        }
    }

    fn has_failed(&self) -> bool {
        self.pipeline.bus().is_some_and(|bus| bus.peek().is_some_and(|m| m.type_() == gst::MessageType::Error))
    }

    /// What the pipeline says went wrong.
    fn fault(&self) -> SinkError {
        let patience = gst::ClockTime::from_seconds(1);
        let bus = self.pipeline.bus();
        match bus.and_then(|bus| bus.timed_pop_filtered(patience, &[gst::MessageType::Error])) {
            Some(message) => match message.view() {
                gst::MessageView::Error(error) => self.describe(error),
                _ => self.error("the encoder stopped".to_owned()),
            },
            None => self.error("the encoder stopped without a word".to_owned()),
        }
    }

    fn describe(&self, error: &gst::message::Error) -> SinkError {
        let what = error.error();
        let remedy = if what.matches(gst::ResourceError::NoSpaceLeft) {
            "no space left on the disk; free some space, choose another --out, or run with --no-video"
        } else if what.matches(gst::ResourceError::OpenWrite) {
            "cannot be created; choose another --out, or run with --no-video"
        } else {
            return self.error(format!("{what}; run with --no-video to do without"));
        };
        self.error(remedy.to_owned())
    }

    fn error(&self, problem: String) -> SinkError {
        SinkError::Video { path: self.path.clone(), problem }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Fails for a pipeline that has failed before; it is freed all the same.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// The first encoder there is, set to a quality that keeps text readable.
fn encoder(size: ImageSize, fps: f64) -> Option<gst::Element> {
    let name = ENCODERS.into_iter().find(|name| gst::ElementFactory::find(name).is_some())?;
    let bits = f64::from(size.width) * f64::from(size.height) * fps * BITS_PER_PIXEL;
    let bits = bits.clamp(BITRATES.0, BITRATES.1) as u32;
    tracing::info!(encoder = name, bits_per_second = bits, "annotated video");
    let element = gst::ElementFactory::make(name);
    let element = match name {
        "openh264enc" => element
            .property("bitrate", bits)
            .property_from_str("complexity", "low")
            .property_from_str("rate-control", "quality")
            .property("gop-size", (fps.round() as u32).clamp(1, 60) * 2)
            .property("multi-thread", 1u32),
        _ => element
            .property("bitrate", bits / 1000)
            .property_from_str("speed-preset", "veryfast")
            .property("threads", 1u32),
    };
    element.build().ok()
}

fn assemble(
    path: &Path,
    size: ImageSize,
    fps: f64,
    encoder: gst::Element,
) -> Result<(gst::Pipeline, AppSrc), gst::glib::BoolError> {
    let rate = gst::Fraction::approximate_f64(fps).unwrap_or_else(|| gst::Fraction::new(25, 1));
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "RGB")
        .field("width", size.width as i32)
        .field("height", size.height as i32)
        .field("framerate", rate)
        .build();
    let source = AppSrc::builder()
        .caps(&caps)
        .format(gst::Format::Time)
        .block(true)
        .max_bytes(0)
        .max_buffers(PICTURES_AHEAD)
        .build();
    let make = gst::ElementFactory::make;
    let mux = make("mp4mux")
        .property("fragment-duration", 1000u32)
        .property_from_str("fragment-mode", "first-moov-then-finalise")
        .build()?;
    let sink = make("filesink").property("location", path).property("sync", false).build()?;
    let (convert, parse) = (make("videoconvert").build()?, make("h264parse").build()?);
    let pipeline = gst::Pipeline::new();
    let elements = [source.upcast_ref(), &convert, &encoder, &parse, &mux, &sink];
    pipeline.add_many(elements)?;
    gst::Element::link_many(elements)?;
    Ok((pipeline, source))
}

fn interval(fps: f64) -> Duration {
    Duration::from_secs_f64(1.0 / fps.clamp(0.01, 1000.0))
}
