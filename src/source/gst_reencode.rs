//! Clips of live sources whose pictures no file can hold as they come: raw ones of a device, odd codecs. They are encoded as
//! they pass, so that the last seconds are held in H.264 and never as pixels. A pipeline of its own does it: one that is slow
//! or breaks leaves out pictures of clips and nothing else.

use super::{
    gst_h264::{ENCODER, PACKAGE, encoder},
    gst_packets::{Feed, PacketRing},
};
use gstreamer as gst;
use gstreamer::{glib, prelude::*};
use gstreamer_app::{AppLeakyType, AppSink, AppSinkCallbacks, AppSrc};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Pictures that wait for the encoder; those that come while they do are left out. Each holds its pixels.
const WAITING: u64 = 2;

/// A clip begins at most so much earlier than it need.
const BETWEEN_KEYS: Duration = Duration::from_secs(2);

/// Taken for the rate of a source that does not tell it, frames a second: decides how often a picture needs no other.
const USUAL_FPS: f64 = 25.0;

/// Encodes the RGB pictures that come to `sink` into `ring` for as long as the ring does not get what they were decoded
/// from. `source` is named where that cannot be done. Called once a connection, before its first picture.
pub(super) fn watch(sink: &AppSink, ring: &Arc<PacketRing>, source: &str) {
    ring.connect();
    let Some(pad) = sink.static_pad("sink") else { return };
    let encoding = Mutex::new(Encoding {
        ring: Arc::clone(ring),
        source: source.to_owned(),
        encoder: None,
        is_given_up: false,
        began: Instant::now(),
    });
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(buffer) = info.buffer() {
            encoding.lock().unwrap_or_else(PoisonError::into_inner).see(pad, buffer);
        }
        gst::PadProbeReturn::Ok
    });
}

/// One connection's pictures.
struct Encoding {
    ring: Arc<PacketRing>,
    source: String,
    encoder: Option<Encoder>,
    is_given_up: bool,
    began: Instant,
}

impl Encoding {
    fn see(&mut self, pad: &gst::Pad, picture: &gst::BufferRef) {
        if self.ring.is_fed_by_source() {
            self.encoder = None;
            return;
        }
        let run = self.ring.run();
        if self.encoder.as_ref().is_some_and(|encoder| encoder.failed.load(Ordering::Acquire)) {
            self.encoder = None;
            self.is_given_up = true;
        }
        let Some(caps) = pad.current_caps().filter(|_| !self.is_given_up) else { return };
        if self.encoder.as_ref().is_none_or(|encoder| encoder.caps != caps || encoder.run != run) {
            // One of another size ends before the next begins.
            self.encoder = None;
            match Encoder::start(&caps, &self.ring, run, &self.source) {
                Ok(encoder) => self.encoder = Some(encoder),
                Err(problem) => {
                    self.is_given_up = true;
                    self.ring.has_no_clips(&self.source, &problem);
                }
            }
        }
        if let Some(encoder) = &self.encoder {
            encoder.push(picture, self.began.elapsed());
        }
    }
}

/// A running pipeline: appsrc ! videocrop ! videoconvert ! H.264 encoder ! h264parse ! appsink. Dropping it stops it.
struct Encoder {
    pipeline: gst::Pipeline,
    entry: AppSrc,
    /// What it is given.
    caps: gst::Caps,
    run: u64,
    failed: Arc<AtomicBool>,
    passed: Arc<Passed>,
}

/// When the pictures passed that are not encoded yet, by their time stamps, in order: a clip begins by that.
#[derive(Default)]
struct Passed(Mutex<VecDeque<(Option<gst::ClockTime>, Instant)>>);

/// Pictures within the encoder, at most; those it leaves out say nothing.
const UNDER_WAY: usize = 64;

impl Passed {
    fn note(&self, stamp: Option<gst::ClockTime>) {
        let mut passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        passed.push_back((stamp, Instant::now()));
        if passed.len() > UNDER_WAY {
            passed.pop_front();
        }
    }

    /// When the picture of this stamp passed; those before it were left out.
    fn take(&self, stamp: Option<gst::ClockTime>) -> Instant {
        let mut passed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = passed.iter().position(|(of, _)| *of == stamp);
        place.and_then(|place| passed.drain(..=place).next_back()).map_or_else(Instant::now, |(_, at)| at)
    }
}

impl Encoder {
    fn start(caps: &gst::Caps, ring: &Arc<PacketRing>, run: u64, source: &str) -> Result<Self, String> {
        let lacks = |error: glib::BoolError| error.message.to_string();
        let number = |name| caps.structure(0).and_then(|about| about.get::<i32>(name).ok()).unwrap_or(0);
        let fps = caps.structure(0).and_then(|about| about.get::<gst::Fraction>("framerate").ok());
        let fps =
            fps.filter(|fps| fps.numer() > 0).map_or(USUAL_FPS, |fps| f64::from(fps.numer()) / f64::from(fps.denom()));
        let missing = |_| format!("GStreamer's {ENCODER}, which would encode them, is missing; install {PACKAGE}");
        let encode = encoder(fps, BETWEEN_KEYS).map_err(missing)?;
        let entry = AppSrc::builder().caps(caps).format(gst::Format::Time).max_bytes(0).max_buffers(WAITING);
        let entry = entry.leaky_type(AppLeakyType::Upstream).build();
        // The encoder takes even sizes only.
        let crop = gst::ElementFactory::make("videocrop")
            .property("right", number("width") % 2)
            .property("bottom", number("height") % 2)
            .build()
            .map_err(lacks)?;
        let convert = gst::ElementFactory::make("videoconvert").build().map_err(lacks)?;
        let parse = gst::ElementFactory::make("h264parse").build().map_err(lacks)?;
        let passed = Arc::new(Passed::default());
        let exit = exit(ring, run, &passed);
        let pipeline = gst::Pipeline::new();
        let line = [entry.upcast_ref(), &crop, &convert, &encode, &parse, exit.upcast_ref()];
        pipeline.add_many(line).and_then(|()| gst::Element::link_many(line)).map_err(lacks)?;
        let failed = Arc::new(AtomicBool::new(false));
        watch_bus(&pipeline, ring, &failed, source);
        // Why it does not start comes by the bus.
        let _ = pipeline.set_state(gst::State::Playing);
        tracing::info!(source, "no file can hold what comes as it is: its clips are encoded");
        Ok(Self { pipeline, entry, caps: caps.clone(), run, failed, passed })
    }

    /// Hands a picture over, or leaves it out if others wait. `since_began` is its time where it has none of its own.
    fn push(&self, picture: &gst::BufferRef, since_began: Duration) {
        // Another buffer around the same pixels.
        let Ok(mut buffer) = picture.copy_region(gst::BUFFER_COPY_ALL, ..) else { return };
        if let Some(about) = buffer.get_mut().filter(|about| about.pts().is_none()) {
            about.set_pts(gst::ClockTime::try_from(since_began).ok());
        }
        self.passed.note(buffer.pts());
        // Refused by one that has failed, of which the bus tells.
        let _ = self.entry.push_buffer(buffer);
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!("an encoder of clips did not stop; its thread and memory stay");
        }
    }
}

/// Where encoded pictures go into the ring.
fn exit(ring: &Arc<PacketRing>, run: u64, passed: &Arc<Passed>) -> AppSink {
    let caps = gst::Caps::builder("video/x-h264").field("stream-format", "avc").field("alignment", "au").build();
    let (ring, passed) = (Arc::clone(ring), Arc::clone(passed));
    let take = move |sink: &AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        if let (Some(caps), Some(buffer)) = (sample.caps_owned(), sample.buffer()) {
            ring.begin(caps, Feed::Encoder, run);
            ring.keep(buffer, Feed::Encoder, run, passed.take(buffer.pts()));
        }
        Ok(gst::FlowSuccess::Ok)
    };
    AppSink::builder().caps(&caps).sync(false).callbacks(AppSinkCallbacks::builder().new_sample(take).build()).build()
}

/// Messages end here; nobody else reads this bus.
fn watch_bus(pipeline: &gst::Pipeline, ring: &Arc<PacketRing>, failed: &Arc<AtomicBool>, source: &str) {
    let (ring, failed, source) = (Arc::clone(ring), Arc::clone(failed), source.to_owned());
    let Some(bus) = pipeline.bus() else { return };
    bus.set_sync_handler(move |_, message| {
        if let gst::MessageView::Error(error) = message.view()
            && !failed.swap(true, Ordering::AcqRel)
        {
            ring.has_no_clips(&source, error.error().message());
        }
        gst::BusSyncReply::Drop
    });
}
