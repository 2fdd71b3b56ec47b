//! One GStreamer pipeline from RGB pictures to an MP4: appsrc ! videoconvert ! H.264 encoder ! h264parse ! mp4mux ! filesink.
//!
//! The file is a row of self-contained fragments while it is written, so that it plays whenever the process dies, and an
//! ordinary MP4 once it is finished. Knows nothing of frames, tracks or drawing.

use crate::{
    frame::ImageSize,
    source::{
        gst::{InitError, init},
        gst_h264::{ENCODER, PACKAGE, encoder},
    },
};
use gstreamer as gst;
use gstreamer::{glib, prelude::*};
use gstreamer_app::AppSrc;
use gstreamer_video::{VideoFormat, VideoFrameFlags, VideoMeta};
use std::{
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Pictures waiting for the encoder: one, so that the next is drawn while this one is encoded.
const WAITING_PICTURES: usize = 1;

/// Length of a fragment: what a killed process loses at most, and the distance of key frames, which seeking needs.
const FRAGMENT: Duration = Duration::from_secs(2);

/// Ticks a second of the file's clock; that of MPEG, which 24, 25, 30 and 29.97 frames a second divide.
const TIMESCALE_HZ: u32 = 90_000;

/// Why a picture could not be encoded or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum EncodeError {
    #[error("{0}")]
    Init(#[from] InitError),
    #[error("GStreamer's {ENCODER} is missing; install {PACKAGE} or run with --no-video")]
    NoEncoder,
    #[error("no space left on the disk; free some space, choose another --out or run with --no-video")]
    DiskFull,
    #[error("{0}")]
    Failed(String),
    #[error("the encoder took no picture for {} s", .0.as_secs())]
    Stalled(Duration),
}

impl From<glib::BoolError> for EncodeError {
    fn from(error: glib::BoolError) -> Self {
        Self::Failed(format!("GStreamer: {}", error.message))
    }
}

/// A running pipeline. Dropped before `finish`, it leaves the fragments written so far.
#[derive(Debug)]
pub(super) struct Encoding {
    pipeline: gst::Pipeline,
    appsrc: AppSrc,
    pool: gst::BufferPool,
    gate: Arc<Gate>,
    size: ImageSize,
}

impl Encoding {
    /// Starts writing `file`, which must exist, with pictures of `size` (even) at about `fps` a second.
    pub fn start(file: &Path, size: ImageSize, fps: f64) -> Result<Self, EncodeError> {
        init()?;
        let encode = encoder(fps, FRAGMENT).map_err(|_| EncodeError::NoEncoder)?;
        let (appsrc, caps) = appsrc(size, fps);
        let mux = gst::ElementFactory::make("mp4mux")
            .property("fragment-duration", FRAGMENT.as_millis() as u32)
            .property_from_str("fragment-mode", "first-moov-then-finalise")
            .property("trak-timescale", TIMESCALE_HZ)
            .build()?;
        let filesink = gst::ElementFactory::make("filesink")
            .property("location", file)
            .property("async", false)
            // A fragment is on its way to the disk when it is complete, not some fragments later.
            .property_from_str("buffer-mode", "unbuffered")
            .build()?;
        let convert = gst::ElementFactory::make("videoconvert").build()?;
        let parse = gst::ElementFactory::make("h264parse").build()?;
        let pipeline = gst::Pipeline::new();
        let line = [appsrc.upcast_ref(), &convert, &encode, &parse, &mux, &filesink];
        pipeline.add_many(line)?;
        gst::Element::link_many(line)?;
        pass_end_by(&encode);

        let gate = Arc::new(Gate::default());
        gate.watch(&pipeline, &appsrc);
        let pool = gst::BufferPool::new();
        let mut config = pool.config();
        config.set_params(Some(&caps), byte_len(size) as u32, WAITING_PICTURES as u32 + 2, 0);
        pool.set_config(config)?;
        pool.set_active(true)?;
        let encoding = Self { pipeline, appsrc, pool, gate, size };
        if encoding.pipeline.set_state(gst::State::Playing).is_err() {
            let failed = encoding.gate.lock().failed.clone();
            return Err(failed.unwrap_or_else(|| EncodeError::Failed("the encoder does not start".into())));
        }
        Ok(encoding)
    }

    /// Lets `paint` fill a picture (packed 8-bit RGB rows) and hands it to the encoder, waiting at most `patience` for it
    /// to take the one before. `pts` must grow from picture to picture.
    pub fn push<E>(
        &self,
        pts: Duration,
        duration: Duration,
        patience: Duration,
        paint: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Result<(), E>, EncodeError> {
        let refused = |_| self.gate.failure().unwrap_or_else(|| EncodeError::Failed("the encoder was stopped".into()));
        let mut buffer = self.pool.acquire_buffer(None).map_err(refused)?;
        let writable = buffer.get_mut().ok_or_else(|| EncodeError::Failed("a picture is still in use".into()))?;
        writable.set_pts(clock_time(pts));
        writable.set_duration(clock_time(duration));
        let ImageSize { width, height } = self.size;
        let stride = i32::try_from(width * 3).map_err(|_| EncodeError::Failed("picture too wide".into()))?;
        VideoMeta::add_full(writable, VideoFrameFlags::empty(), VideoFormat::Rgb, width, height, &[0], &[stride])?;
        let mut pixels = writable.map_writable()?;
        if let Err(error) = paint(&mut pixels) {
            return Ok(Err(error));
        }
        drop(pixels);
        self.gate.enter(patience)?;
        self.appsrc.push_buffer(buffer).map_err(refused)?;
        Ok(Ok(()))
    }

    /// Completes the file, waiting at most `patience` for what is still to be encoded and written.
    pub fn finish(self, patience: Duration) -> Result<(), EncodeError> {
        if self.appsrc.end_of_stream().is_err() {
            let failed = self.gate.failure();
            return Err(failed.unwrap_or_else(|| EncodeError::Failed("the encoder was stopped".into())));
        }
        self.gate.wait_for_end(patience)
    }
}

impl Drop for Encoding {
    fn drop(&mut self) {
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!("a video encoder did not stop; its threads and memory stay");
        }
        // A pool that is not active frees its pictures.
        let _ = self.pool.set_active(false);
    }
}

fn appsrc(size: ImageSize, fps: f64) -> (AppSrc, gst::Caps) {
    let rate = gst::Fraction::approximate_f64(fps).unwrap_or_else(|| gst::Fraction::new(25, 1));
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "RGB")
        .field("width", size.width as i32)
        .field("height", size.height as i32)
        .field("framerate", rate)
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .build();
    // It never refuses or blocks: a push that blocks would never learn that the pipeline broke. `Gate` keeps it short.
    let appsrc = AppSrc::builder().caps(&caps).format(gst::Format::Time).max_bytes(0).max_buffers(0).build();
    (appsrc, caps)
}

/// Leads the end of the stream around the encoder, which holds nothing back but would print a complaint to the terminal:
/// OpenH264 takes the flush GStreamer sends it for a faulty picture.
fn pass_end_by(encode: &gst::Element) {
    let (Some(sink), Some(src)) = (encode.static_pad("sink"), encode.static_pad("src")) else { return };
    let src = src.downgrade();
    sink.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let ends = info.event().is_some_and(|event| event.type_() == gst::EventType::Eos);
        match src.upgrade().filter(|_| ends) {
            Some(src) => {
                src.push_event(gst::event::Eos::new());
                gst::PadProbeReturn::Drop
            }
            None => gst::PadProbeReturn::Ok,
        }
    });
}

/// Where the writing thread and GStreamer's threads meet: how many pictures wait, and how it all ended.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    waiting: usize,
    ended: bool,
    failed: Option<EncodeError>,
}

impl Gate {
    /// Connects the gate to a pipeline. Messages end here; nobody else reads its bus.
    fn watch(self: &Arc<Self>, pipeline: &gst::Pipeline, appsrc: &AppSrc) {
        let gate = Arc::clone(self);
        if let Some(pad) = appsrc.static_pad("src") {
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                gate.change(|state| state.waiting = state.waiting.saturating_sub(1));
                gst::PadProbeReturn::Ok
            });
        }
        let gate = Arc::clone(self);
        if let Some(bus) = pipeline.bus() {
            bus.set_sync_handler(move |_, message| {
                match message.view() {
                    gst::MessageView::Eos(_) => gate.change(|state| state.ended = true),
                    gst::MessageView::Error(error) => {
                        let failure = failure_of(&error.error());
                        gate.change(|state| {
                            state.failed.get_or_insert(failure);
                        });
                    }
                    _ => {}
                }
                gst::BusSyncReply::Drop
            });
        }
    }

    /// Waits until there is room for one more picture and takes it.
    fn enter(&self, patience: Duration) -> Result<(), EncodeError> {
        let mut state = self.wait(patience, |state| state.waiting < WAITING_PICTURES)?;
        state.waiting += 1;
        Ok(())
    }

    fn wait_for_end(&self, patience: Duration) -> Result<(), EncodeError> {
        self.wait(patience, |state| state.ended).map(drop)
    }

    fn failure(&self) -> Option<EncodeError> {
        self.lock().failed.clone()
    }

    fn wait(
        &self,
        patience: Duration,
        is_reached: impl Fn(&GateState) -> bool,
    ) -> Result<MutexGuard<'_, GateState>, EncodeError> {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            if let Some(failure) = &state.failed {
                return Err(failure.clone());
            }
            if is_reached(&state) {
                return Ok(state);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(EncodeError::Stalled(patience));
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn change(&self, change: impl FnOnce(&mut GateState)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failure_of(error: &glib::Error) -> EncodeError {
    if error.matches(gst::ResourceError::NoSpaceLeft) {
        return EncodeError::DiskFull;
    }
    EncodeError::Failed(error.message().trim_end_matches('.').to_owned())
}

/// Bytes of one picture.
fn byte_len(size: ImageSize) -> usize {
    size.width as usize * size.height as usize * 3
}

fn clock_time(duration: Duration) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}
