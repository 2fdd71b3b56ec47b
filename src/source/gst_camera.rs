//! Cameras through GStreamer: RTSP, MJPEG and HLS over HTTP, and devices of this machine, as 8-bit RGB frames, the newest
//! only.
//!
//! GStreamer says nothing when a server hangs, so waiting is the caller's business (`pipeline::camera`): `pull` returns in
//! time whatever the camera does, and dropping the source frees everything of it. How a camera is reached: `gst_reach`.

use super::{
    OpenSource, Pull, Source, SourceError, SourceInfo,
    address::Login,
    gst_decode::{Seen, clock_time, connect_set_up, connect_stream_choice},
    gst_faults::{Faults, init},
    gst_frame::GstPixels,
    gst_ntp::NtpOffset,
    gst_packets::PacketRing,
    gst_reach::{lacks, login, make, source},
    gst_reencode,
    redact::{Secrets, redacted},
    timeline::Timeline,
};
use crate::{
    config::plan::CameraPlan,
    frame::{Frame, FrameMeta, ImageSize, StreamId},
};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use gstreamer_video::VideoInfo;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// One thread: frame threads of a decoder hold back a frame each, which is latency.
const DECODER_THREADS: u32 = 1;
/// How often the bus is looked at while no frame comes.
const LOOK_AROUND: Duration = Duration::from_millis(20);
/// A camera's clock may run this far from arrival before its stamps count as a jump.
const MAX_DRIFT: Duration = Duration::from_secs(10);

/// Opens a camera.
#[derive(Clone, Debug)]
pub struct CameraOpener {
    /// Where it is and how it is reached.
    pub plan: CameraPlan,
    /// Stream its frames belong to.
    pub stream: StreamId,
    /// How long GStreamer may wait for an answer of the network.
    pub connect_timeout: Duration,
    /// Gets what the camera sends, as it encoded it where a file can hold that, for clips.
    pub packets: Option<Arc<PacketRing>>,
}

impl OpenSource for CameraOpener {
    fn open(&self, epoch: u32, first_seq: u64) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(CameraSource::connect(self, epoch, first_seq)?))
    }
}

/// A camera that is being connected to, or gives frames.
pub struct CameraSource {
    name: String,
    stream: StreamId,
    pipeline: Pipeline,
    info: SourceInfo,
    format: Option<(gst::Caps, VideoInfo)>,
    timeline: Timeline,
    first_seq: u64,
    began: Instant,
    /// Source time and arrival of the last frame.
    last: Option<(i64, Instant)>,
    /// Goes after everything that might log it.
    _secrets: Secrets,
}

/// What runs in GStreamer. Dropping it stops it.
struct Pipeline {
    bin: gst::Pipeline,
    bus: gst::Bus,
    sink: AppSink,
    seen: Arc<Mutex<Seen>>,
    ntp: Arc<NtpOffset>,
    _faults: Arc<Faults>,
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if self.bin.set_state(gst::State::Null).is_err() {
            tracing::warn!("a camera's pipeline did not stop; its threads and memory stay");
        }
        self.bus.set_flushing(true);
    }
}

impl CameraSource {
    fn connect(opener: &CameraOpener, epoch: u32, first_seq: u64) -> Result<Self, SourceError> {
        let name = opener.plan.address.to_string();
        let fault = |problem: String| {
            let problem = redacted(&problem).into_owned();
            SourceError::Open { source_name: name.clone(), problem }
        };
        init().map_err(|error| fault(error.to_string()))?;
        let login = login(&opener.plan).map_err(fault)?;
        let secrets = Secrets::new(&login.user, &login.password, &opener.plan.address.secrets());
        let pipeline = Pipeline::start(opener, &login).map_err(fault)?;
        let size = ImageSize { width: 0, height: 0 };
        Ok(Self {
            name,
            stream: opener.stream,
            pipeline,
            info: SourceInfo { size, fps: None, frames: None, codec: None },
            format: None,
            timeline: Timeline::new(epoch),
            first_seq,
            began: Instant::now(),
            last: None,
            _secrets: secrets,
        })
    }

    fn frame(&mut self, sample: &gst::Sample) -> Result<Pull, SourceError> {
        let arrived = Instant::now();
        let (Some(caps), Some(buffer)) = (sample.caps(), sample.buffer_owned()) else {
            return Err(self.broken("the decoder gave a picture without a format"));
        };
        let info = self.format_of(caps)?;
        let running = sample
            .segment()
            .and_then(|segment| segment.downcast_ref::<gst::ClockTime>())
            .and_then(|segment| segment.to_running_time(buffer.pts()?))
            .or(buffer.pts());
        // Without a stamp a frame was made when it came.
        let source_nanos = running
            .and_then(|time| i64::try_from(time.nseconds()).ok())
            .unwrap_or_else(|| i64::try_from(arrived.duration_since(self.began).as_nanos()).unwrap_or(i64::MAX));
        self.watch_jumps(source_nanos, arrived);
        let stamp = self.timeline.stamp(Some(source_nanos));
        let captured = buffer.pts().and_then(|pts| self.pipeline.ntp.captured(pts));
        let size = self.info.size;
        let seq = self.first_seq + buffer.offset();
        let Some(pixels) = GstPixels::map(buffer, &info) else {
            return Err(self.broken("a decoded picture does not hold its RGB pixels"));
        };
        let meta = FrameMeta { stream: self.stream, epoch: stamp.epoch, seq, pts: stamp.pts, captured, arrived, size };
        Ok(Pull::Frame(Frame { meta, pixels: Arc::new(pixels) }))
    }

    /// The format of a picture; a new size begins a new epoch.
    fn format_of(&mut self, caps: &gst::CapsRef) -> Result<VideoInfo, SourceError> {
        if let Some((_, info)) = self.format.as_ref().filter(|(known, _)| known.as_ptr() == caps.as_ptr()) {
            return Ok(info.clone());
        }
        let Ok(info) = VideoInfo::from_caps(caps) else {
            return Err(self.broken("the decoder gave pictures of an unknown format"));
        };
        let size = ImageSize { width: info.width(), height: info.height() };
        if self.format.is_some() && size != self.info.size {
            self.timeline.begin_epoch();
        }
        let fps = info.fps();
        let fps = f64::from(fps.numer()) / f64::from(fps.denom().max(1));
        let fps = (0.05..=240.0).contains(&fps).then_some(fps);
        if let Some(fps) = fps {
            self.timeline.set_interval(Duration::from_secs_f64(1.0 / fps));
        }
        let codec = self.pipeline.seen.lock().unwrap_or_else(PoisonError::into_inner).codec.clone();
        self.info = SourceInfo { size, fps, frames: None, codec };
        self.format = Some((caps.to_owned(), info.clone()));
        Ok(info)
    }

    /// Stamps that leap ahead of time begin a new epoch, as those that leap back do in the timeline.
    fn watch_jumps(&mut self, source_nanos: i64, arrived: Instant) {
        if let Some((before, at)) = self.last {
            let by_source = source_nanos.saturating_sub(before);
            let by_arrival = i64::try_from(arrived.duration_since(at).as_nanos()).unwrap_or(i64::MAX);
            if by_source.saturating_sub(by_arrival) > MAX_DRIFT.as_nanos() as i64 {
                self.timeline.begin_epoch();
            }
        }
        self.last = Some((source_nanos, arrived));
    }

    /// What an error on the bus means; `None` if there is none.
    fn failure(&self) -> Option<SourceError> {
        let message = self.pipeline.bus.pop_filtered(&[gst::MessageType::Error])?;
        let gst::MessageView::Error(error) = message.view() else { return None };
        let (error, debug) = (error.error(), error.debug());
        let text = redacted(error.message().trim_end_matches('.')).into_owned();
        let source_name = self.name.clone();
        let told = |word: &str| text.contains(word) || debug.as_ref().is_some_and(|debug| debug.contains(word));
        if error.matches(gst::ResourceError::NotAuthorized) || told("Unauthorized") || told("(401)") {
            let problem = "check user and password".to_owned();
            return Some(SourceError::Refused { source_name, problem });
        }
        let details = debug.as_ref().map(|debug| redacted(debug)).unwrap_or_default();
        tracing::debug!(camera = %self.name, %details, "{text}");
        Some(SourceError::Open { source_name, problem: text })
    }

    fn broken(&self, problem: &str) -> SourceError {
        SourceError::Open { source_name: self.name.clone(), problem: problem.to_owned() }
    }
}

impl Source for CameraSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    fn pull(&mut self, wait: Duration) -> Result<Pull, SourceError> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(sample) = self.pipeline.sink.try_pull_sample(clock_time(left.min(LOOK_AROUND))) {
                return self.frame(&sample);
            }
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            if self.pipeline.sink.is_eos() {
                return Ok(Pull::End { damage: None });
            }
            if left.is_zero() {
                return Ok(Pull::Pending);
            }
        }
    }
}

impl Pipeline {
    fn start(opener: &CameraOpener, login: &Login) -> Result<Self, String> {
        let bin = gst::Pipeline::new();
        let bus = bin.bus().ok_or("GStreamer gave a pipeline without a bus")?;
        let source = source(opener, login)?;
        let pictures = gst::Caps::builder("video/x-raw").any_features().build();
        let decodebin = make("decodebin")?.property("caps", pictures).property("expose-all-streams", false);
        let decodebin = decodebin.build().map_err(lacks)?;
        let convert = make("videoconvert")?.build().map_err(lacks)?;
        let sink = newest_picture();
        bin.add_many([&source, &decodebin, &convert, sink.upcast_ref()]).map_err(lacks)?;
        convert.link(&sink).map_err(lacks)?;
        let (faults, seen) = (Arc::new(Faults::default()), Arc::new(Mutex::new(Seen::default())));
        if let Some(packets) = &opener.packets {
            gst_reencode::watch(&sink, packets, &opener.plan.address.to_string());
        }
        connect_set_up(&bin, &bus, DECODER_THREADS, &faults, &seen, opener.packets.as_ref());
        set_up_demuxers(&bin, &sink);
        let entry = convert.static_pad("sink").ok_or("videoconvert has no input")?;
        connect_stream_choice(&decodebin, &entry, &seen);
        let ntp = Arc::new(NtpOffset::default());
        if source.static_pad("src").is_some() {
            source.link(&decodebin).map_err(lacks)?;
        } else {
            link_video(&source, &decodebin, &ntp);
        }
        let pipeline = Self { bin, bus, sink, seen, ntp, _faults: faults };
        // Why it does not start stands on the bus, which `pull` reads.
        if pipeline.bin.set_state(gst::State::Playing).is_err() {
            tracing::debug!("the pipeline does not start");
        }
        Ok(pipeline)
    }
}

/// Keeps the newest picture only, and counts those it had to let go: a picture's `offset` is its number.
fn newest_picture() -> AppSink {
    let sink = AppSink::builder()
        .caps(&gst::Caps::builder("video/x-raw").field("format", "RGB").build())
        .sync(false)
        .max_buffers(1)
        .drop(true)
        .build();
    sink.set_property("enable-last-sample", false);
    let count = AtomicU64::new(0);
    if let Some(pad) = sink.static_pad("sink") {
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(buffer) = info.buffer_mut() {
                buffer.make_mut().set_offset(count.fetch_add(1, Ordering::Relaxed));
            }
            gst::PadProbeReturn::Ok
        });
    }
    sink
}

/// Sets up what decodebin plugs in for HTTP.
///
/// A playlist (HLS) gives seconds of video at once: those are played at their own speed, or all but the newest frame of
/// each piece would be dropped. MJPEG holds one stream and never says that no other follows, so decodebin is told.
fn set_up_demuxers(bin: &gst::Pipeline, sink: &AppSink) {
    let sink = sink.downgrade();
    bin.connect_deep_element_added(move |_, _, element| {
        let Some(factory) = element.factory() else { return };
        match (factory.name().as_str(), sink.upgrade()) {
            ("multipartdemux", _) => element.set_property("single-stream", true),
            ("hlsdemux" | "hlsdemux2", Some(sink)) => sink.set_sync(true),
            _ => {}
        }
    });
}

/// Links the first video stream of an RTSP session on, and listens to its sender reports.
fn link_video(source: &gst::Element, decodebin: &gst::Element, ntp: &Arc<NtpOffset>) {
    let (entry, ntp) = (decodebin.static_pad("sink").map(|pad| pad.downgrade()), ntp.clone());
    source.connect_pad_added(move |_, pad| {
        let Some(entry) = entry.as_ref().and_then(|pad| pad.upgrade()).filter(|entry| !entry.is_linked()) else {
            return;
        };
        let ntp = ntp.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            info.buffer().inspect(|buffer| ntp.note(buffer));
            gst::PadProbeReturn::Ok
        });
        if let Err(error) = pad.link(&entry) {
            tracing::debug!(%error, "camera's stream not linked");
        }
    });
}
