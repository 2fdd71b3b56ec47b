//! A live source's last seconds as the camera encoded them, taken before the decoder, so that a clip needs no encoding and
//! may begin before what it is about. What no file can hold as it comes is encoded first (`gst_reencode`).

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// A clip begins with a picture that needs no other; cameras send one this often at the least.
const BETWEEN_KEYS: Duration = Duration::from_secs(12);

/// A picture comes out of the decoder this long after it went in, at most: more would be half a second of delay.
const DECODING: Duration = Duration::from_millis(500);

/// Most bytes kept of one stream: 20 s at 25 Mbit/s.
const MAX_BYTES: usize = 64 << 20;

/// Longest wait for a clip to be written.
const WRITE_PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(30);

/// Why a clip could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("clip: {0}")]
pub struct ClipError(String);

/// The encoded pictures of a stream's last seconds. Sources put them in, one connection after the other.
#[derive(Debug)]
pub struct PacketRing {
    span: Duration,
    kept: Mutex<Kept>,
    /// It was told that there are no clips, and why.
    is_told: AtomicBool,
}

/// Who puts encoded pictures into a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feed {
    /// The camera: what goes into the decoder.
    Source,
    /// An encoder of ours, behind the decoder.
    Encoder,
}

#[derive(Debug, Default)]
struct Kept {
    /// Whose pictures are kept; `None` as long as nothing came of this connection that a file can hold.
    feed: Option<Feed>,
    /// Connections so far: time stamps of different ones have nothing in common.
    run: u64,
    caps: Option<gst::Caps>,
    packets: VecDeque<Packet>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Packet {
    run: u64,
    arrived: Instant,
    is_key: bool,
    buffer: gst::Buffer,
}

/// Encoded pictures in a row, the first of which needs no other.
#[derive(Clone, Debug)]
pub struct Footage {
    caps: gst::Caps,
    packets: Vec<Packet>,
}

impl PacketRing {
    /// Keeps enough for clips of `span`.
    pub fn new(span: Duration) -> Self {
        Self { span: span + DECODING + BETWEEN_KEYS, kept: Mutex::default(), is_told: AtomicBool::new(false) }
    }

    /// A connection begins.
    pub(super) fn connect(&self) {
        let mut kept = self.kept();
        kept.run += 1;
        kept.feed = None;
    }

    /// Who begins to give pictures now says so with each.
    pub(super) fn run(&self) -> u64 {
        self.kept().run
    }

    /// Whether what the source of this connection sends is kept as it comes.
    pub(super) fn is_fed_by_source(&self) -> bool {
        self.kept().feed == Some(Feed::Source)
    }

    /// There are no clips of `source`; told once.
    pub(super) fn has_no_clips(&self, source: &str, problem: &str) {
        if !self.is_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(source, problem, "no clips: its pictures come in a form that no file of ours can hold");
        }
        let mut kept = self.kept();
        if kept.feed != Some(Feed::Source) {
            (kept.feed, kept.caps) = (None, None);
        }
    }

    /// Keeps what goes into a decoder through `pad`.
    pub(super) fn watch(self: &Arc<Self>, pad: &gst::Pad) {
        let run = {
            let mut kept = self.kept();
            kept.run += 1;
            kept.run
        };
        let ring = Arc::clone(self);
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
        pad.add_probe(kinds, move |_, info| {
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => ring.keep(buffer, Feed::Source, run, Instant::now()),
                Some(gst::PadProbeData::Event(event)) => {
                    if let gst::EventView::Caps(caps) = event.view() {
                        ring.begin(caps.caps_owned(), Feed::Source, run);
                    }
                }
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Extension of a file that can hold what comes now; `None` before anything came.
    pub fn extension(&self) -> Option<&'static str> {
        self.kept().caps.as_ref().and_then(container)
    }

    /// What arrived from `from` to `until`, from the last picture before that needs no other; of the connection that gave
    /// the picture shown at `at`. `None` if there is nothing.
    pub fn cut(&self, from: Instant, at: Instant, until: Instant) -> Option<Footage> {
        let kept = self.kept();
        let run = kept.packets.iter().rev().find(|packet| packet.arrived <= at)?.run;
        // What was seen at `from` went into the decoder before.
        let from = from.checked_sub(DECODING).unwrap_or(from);
        let of_run: Vec<&Packet> = kept.packets.iter().filter(|packet| packet.run == run).collect();
        let is_before = |packet: &&&Packet| packet.is_key && packet.arrived <= from;
        let first = of_run.iter().rposition(|packet| is_before(&packet));
        let first = first.or_else(|| of_run.iter().position(|packet| packet.is_key))?;
        let packets = of_run[first..].iter().take_while(|packet| packet.arrived <= until);
        let packets: Vec<Packet> = packets.map(|packet| (*packet).clone()).collect();
        let caps = kept.caps.clone()?;
        (!packets.is_empty()).then_some(Footage { caps, packets })
    }

    /// Pictures encoded so come from now on. Nothing of an earlier run is taken: it may end while the next begins.
    pub(super) fn begin(&self, caps: gst::Caps, feed: Feed, run: u64) {
        let mut kept = self.kept();
        if run != kept.run || (feed == Feed::Encoder && kept.feed == Some(Feed::Source)) {
            return;
        }
        if container(&caps).is_none() {
            kept.feed = None;
            return;
        }
        kept.feed = Some(feed);
        if kept.caps.as_ref().is_some_and(|known| *known != caps) {
            // No file holds both.
            kept.packets.clear();
            kept.bytes = 0;
        }
        kept.caps = Some(caps);
    }

    /// Keeps a picture that arrived at `arrived`, if it is the turn of those who give it.
    pub(super) fn keep(&self, buffer: &gst::BufferRef, feed: Feed, run: u64, arrived: Instant) {
        let is_wanted = |kept: &Kept| kept.feed == Some(feed) && kept.run == run;
        if !is_wanted(&self.kept()) {
            return;
        }
        // A copy: the source's own memory may be one of a few that a device fills in turn.
        let Ok(buffer) = buffer.copy_deep() else { return };
        let is_key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let mut kept = self.kept();
        if !is_wanted(&kept) {
            return;
        }
        kept.bytes += buffer.size();
        kept.packets.push_back(Packet { run, arrived, is_key, buffer });
        while kept.bytes > MAX_BYTES || kept.packets.front().is_some_and(|old| arrived - old.arrived > self.span) {
            let Some(old) = kept.packets.pop_front() else { break };
            kept.bytes -= old.buffer.size();
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Footage {
    /// Time from the first picture to the last.
    pub fn duration(&self) -> Duration {
        let ends = self.packets.first().zip(self.packets.last());
        ends.map_or(Duration::ZERO, |(first, last)| last.arrived - first.arrived)
    }

    /// Writes the pictures, as they are, to a video file; its extension is that of `PacketRing::extension`.
    ///
    /// Errors: GStreamer lacks an element, cannot hold this codec, or the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ClipError> {
        let lacks = |error: gst::glib::BoolError| ClipError(error.message.to_string());
        let source = AppSrc::builder().caps(&self.caps).format(gst::Format::Time).max_bytes(0).build();
        let mut elements = vec![source.clone().upcast::<gst::Element>()];
        for name in between(&self.caps) {
            elements.push(gst::ElementFactory::make(name).build().map_err(lacks)?);
        }
        elements.push(gst::ElementFactory::make("filesink").property("location", path).build().map_err(lacks)?);
        let pipeline = gst::Pipeline::new();
        pipeline.add_many(&elements).map_err(lacks)?;
        gst::Element::link_many(&elements).map_err(lacks)?;
        // Why it does not start stands on the bus, which `end_of` reads.
        let _ = pipeline.set_state(gst::State::Playing);
        let fed = self.feed(&source);
        // Where it was not taken, the bus knows why.
        let written = end_of(&pipeline).and(fed);
        // What is left of a pipeline that failed goes with it.
        let _ = pipeline.set_state(gst::State::Null);
        written
    }

    /// Hands the pictures over with times from 0.
    fn feed(&self, source: &AppSrc) -> Result<(), ClipError> {
        let times = |packet: &Packet| packet.buffer.dts().into_iter().chain(packet.buffer.pts()).min();
        let zero = self.packets.iter().filter_map(times).min().unwrap_or(gst::ClockTime::ZERO);
        for packet in &self.packets {
            let mut buffer = packet.buffer.clone();
            let about = buffer.make_mut();
            about.set_pts(about.pts().map(|pts| pts.saturating_sub(zero)));
            about.set_dts(about.dts().map(|dts| dts.saturating_sub(zero)));
            source.push_buffer(buffer).map_err(|flow| ClipError(format!("not taken: {flow}")))?;
        }
        source.end_of_stream().map(|_| ()).map_err(|flow| ClipError(format!("not taken: {flow}")))
    }
}

/// Waits for the end of a pipeline.
fn end_of(pipeline: &gst::Pipeline) -> Result<(), ClipError> {
    let bus = pipeline.bus().ok_or_else(|| ClipError("a pipeline without a bus".into()))?;
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let Some(last) = bus.timed_pop_filtered(WRITE_PATIENCE, &kinds) else {
        return Err(ClipError("not written in time".into()));
    };
    match last.view() {
        gst::MessageView::Error(error) => Err(ClipError(error.error().message().to_owned())),
        _ => Ok(()),
    }
}

/// Extension of a file that can hold pictures encoded so; `None` if none of ours can.
fn container(caps: &gst::Caps) -> Option<&'static str> {
    let name = caps.structure(0).map(|structure| structure.name().as_str())?;
    match name {
        "video/x-h264" | "video/x-h265" => Some("mp4"),
        // It would hold raw pictures too, hundreds of MB of them.
        "video/x-raw" => None,
        _ => {
            let matroska = gst::ElementFactory::find("matroskamux")?;
            let mut pads = matroska.static_pad_templates().into_iter();
            pads.any(|pad| pad.name_template().starts_with("video") && pad.caps().can_intersect(caps)).then_some("mkv")
        }
    }
}

/// What brings encoded pictures into a container. Time stampers: RTP carries no decoding times, which MP4 needs.
fn between(caps: &gst::Caps) -> &'static [&'static str] {
    match caps.structure(0).map(|structure| structure.name().as_str()) {
        Some("video/x-h264") => &["h264parse", "h264timestamper", "mp4mux"],
        Some("video/x-h265") => &["h265parse", "h265timestamper", "mp4mux"],
        Some("image/jpeg") => &["jpegparse", "matroskamux"],
        _ => &["matroskamux"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_for_every_usual_codec_and_none_for_others() {
        gst::init().unwrap();
        for (name, expected) in [
            ("video/x-h264", Some("mp4")),
            ("video/x-h265", Some("mp4")),
            ("image/jpeg", Some("mkv")),
            ("video/x-vp8", Some("mkv")),
            ("video/x-vp9", Some("mkv")),
            ("video/x-raw", None),
            ("video/x-flash-video", None),
            ("image/png", None),
        ] {
            assert_eq!(container(&gst::Caps::new_empty_simple(name)), expected, "{name}");
        }
    }
}
