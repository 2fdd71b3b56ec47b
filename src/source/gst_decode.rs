//! One GStreamer pipeline from a file to RGB pictures: filesrc ! decodebin ! videoconvert ! videoflip ! appsink.
//!
//! Knows nothing of epochs, media time or frames of the line; `gst` makes those of what comes out here.

use super::{
    gst_faults::{Faults, Tally},
    gst_hardware,
    gst_packets::PacketRing,
    gst_reencode,
};
use gstreamer as gst;
use gstreamer::{glib, prelude::*};
use gstreamer_app::AppSink;
use gstreamer_video::VideoInfo;
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Pictures ready between decoder and line: one being fetched, one finished, so that decoding goes on meanwhile.
const READY_PICTURES: u32 = 2;

/// How often a waiting pull looks for errors, which do not wake it.
const LOOK_AROUND: Duration = Duration::from_millis(50);

/// After an error, how long the rest of the pipeline may take to hand out what it still holds.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Containers whose header states how long the video is. Guesses of the others would raise false alarms.
const CONTAINERS_WITH_LENGTH: [&str; 4] = ["video/quicktime", "video/x-matroska", "video/webm", "video/x-msvideo"];

/// Headers round, and the last frame's duration is often unknown.
const LENGTH_SLACK: Duration = Duration::from_secs(1);

/// A decoded picture, still in GStreamer's hands.
pub(super) struct Picture {
    pub buffer: gst::Buffer,
    pub info: VideoInfo,
    /// Running time, ns: presentation time without the container's edit lists and offsets.
    pub source_nanos: Option<i64>,
}

/// What a pull gave.
pub(super) enum Decoded {
    Picture(Picture),
    Nothing,
    End,
    /// The pipeline gave up; nothing follows.
    Failed(Failure),
}

/// Why a pipeline gave up.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// There is nothing in it that is, or can be decoded to, a picture.
    NoVideo(String),
    /// The data make no sense.
    Broken(String),
    /// The data cannot be had, or GStreamer itself does not work.
    Unusable(String),
}

/// What was learnt of the streams in the file, filled in by signals on GStreamer's threads.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Media types of the elementary streams, as far as they were looked at.
    media: Vec<String>,
    /// What GStreamer calls the decoders it lacks.
    missing: Vec<String>,
    /// Name of the codec, once the decoder was given its format.
    pub codec: Option<String>,
}

/// A running pipeline. Dropping it stops it and frees everything.
pub(super) struct Decode {
    pipeline: gst::Pipeline,
    sink: AppSink,
    /// Linked once decodebin has found a video stream.
    entry: gst::Pad,
    bus: gst::Bus,
    seen: Arc<Mutex<Seen>>,
    faults: Arc<Faults>,
    format: Option<(gst::Caps, VideoInfo)>,
    failure: Option<(Failure, Instant)>,
}

impl Decode {
    /// Starts decoding `file` with at most `threads` threads in the decoder; what it is given goes into `packets` too.
    pub fn start(file: &Path, threads: u32, packets: Option<&Arc<PacketRing>>) -> Result<Self, Failure> {
        let build = |error: glib::BoolError| Failure::Unusable(format!("GStreamer lacks a plug-in: {}", error.message));
        let pipeline = gst::Pipeline::new();
        // Nothing is played to a clock: pictures come as fast as they are fetched.
        pipeline.use_clock(None::<&gst::Clock>);
        let filesrc = gst::ElementFactory::make("filesrc").property("location", file).build().map_err(build)?;
        // Only video is decoded. Any features: decodebin wants every format a decoder offers to be among these.
        let pictures = gst::Caps::builder("video/x-raw").any_features().build();
        let decodebin = gst::ElementFactory::make("decodebin")
            .property("caps", pictures)
            .property("expose-all-streams", false)
            .build()
            .map_err(build)?;
        let convert = gst::ElementFactory::make("videoconvert").build().map_err(build)?;
        // Telephones film sideways and say so in a tag; without one this passes buffers through untouched.
        let flip = gst::ElementFactory::make("videoflip")
            .property_from_str("video-direction", "auto")
            .build()
            .map_err(build)?;
        let sink = appsink();
        pipeline
            .add_many([&filesrc, &decodebin, &convert, &flip, sink.upcast_ref()])
            .and_then(|()| filesrc.link(&decodebin))
            .and_then(|()| gst::Element::link_many([&convert, &flip, sink.upcast_ref()]))
            .map_err(build)?;
        let faults = Arc::new(Faults::default());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let bus = pipeline.bus().ok_or_else(|| Failure::Unusable("pipeline without a bus".into()))?;
        if let Some(packets) = packets {
            gst_reencode::watch(&sink, packets, &file.display().to_string());
        }
        connect_set_up(&pipeline, &bus, threads, &faults, &seen, packets);
        let entry =
            convert.static_pad("sink").ok_or_else(|| Failure::Unusable("videoconvert without a sink".into()))?;
        connect_stream_choice(&decodebin, &entry, &seen);
        let mut decode = Self { pipeline, sink, entry, bus, seen, faults, format: None, failure: None };
        if decode.pipeline.set_state(gst::State::Playing).is_err() {
            decode.watch_bus();
            let failure = decode.failure.take().map(|(failure, _)| failure);
            return Err(failure.unwrap_or_else(|| Failure::Unusable("the pipeline does not start".into())));
        }
        Ok(decode)
    }

    /// The next picture, waiting at most `wait`.
    pub fn pull(&mut self, wait: Duration) -> Decoded {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(sample) = self.sink.try_pull_sample(clock_time(left.min(LOOK_AROUND))) {
                return self.picture(&sample);
            }
            let ended = self.sink.is_eos();
            self.watch_bus();
            let nothing_left = ended || !self.entry.is_linked();
            match &self.failure {
                Some((failure, at)) if nothing_left || at.elapsed() > LAST_WORDS => {
                    return Decoded::Failed(failure.clone());
                }
                None if ended => return Decoded::End,
                _ => {}
            }
            if left.is_zero() {
                return Decoded::Nothing;
            }
        }
    }

    /// Counts of coded pictures and of what was wrong with them.
    pub fn tally(&self) -> Tally {
        self.faults.tally()
    }

    /// Name of the codec, once the decoder was given its format.
    pub fn codec(&self) -> Option<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).codec.clone()
    }

    /// Length of the video: told by the container, or guessed from its first bytes by the parser of a raw stream.
    pub fn duration(&self) -> Option<Duration> {
        self.pipeline.query_duration::<gst::ClockTime>().map(Into::into)
    }

    /// How much of the length a container tells must have been pictures for it to be whole; `None` if it tells none.
    ///
    /// Sound may be longer than the pictures, so a tenth is forgiven where there is some.
    pub fn least_length(&self) -> Option<Duration> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let tells = seen.media.iter().any(|media| CONTAINERS_WITH_LENGTH.contains(&media.as_str()));
        let share = if seen.media.iter().any(|media| media.starts_with("audio/")) { 0.9 } else { 1.0 };
        tells.then(|| self.duration())?.map(|length| length.mul_f64(share).saturating_sub(LENGTH_SLACK))
    }

    fn picture(&mut self, sample: &gst::Sample) -> Decoded {
        let (Some(caps), Some(buffer)) = (sample.caps(), sample.buffer_owned()) else {
            return Decoded::Failed(Failure::Broken("the decoder gave a picture without a format".into()));
        };
        let known = self.format.as_ref().filter(|(known, _)| known.as_ptr() == caps.as_ptr());
        let info = match known {
            Some((_, info)) => info.clone(),
            None => match VideoInfo::from_caps(caps) {
                Ok(info) => {
                    self.format = Some((caps.to_owned(), info.clone()));
                    info
                }
                Err(_) => return Decoded::Failed(Failure::Broken(format!("unknown picture format {caps}"))),
            },
        };
        let segment = sample.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
        let running = buffer.pts().and_then(|pts| segment.map_or(Some(pts), |segment| segment.to_running_time(pts)));
        let source_nanos = running.and_then(|time| i64::try_from(time.nseconds()).ok());
        Decoded::Picture(Picture { buffer, info, source_nanos })
    }

    /// Takes in what elements have reported; the first error counts, the rest are its consequences.
    fn watch_bus(&mut self) {
        let kinds = [gst::MessageType::Error, gst::MessageType::Warning, gst::MessageType::Element];
        while let Some(message) = self.bus.pop_filtered(&kinds) {
            match message.view() {
                gst::MessageView::Error(error) if self.failure.is_none() => {
                    let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                    self.failure = Some((failure_of(&error.error(), &seen), Instant::now()));
                }
                gst::MessageView::Warning(warning) => {
                    let error = warning.error();
                    if error.is::<gst::ResourceError>() || error.matches(gst::StreamError::Demux) {
                        self.faults.note(error.message());
                    }
                }
                gst::MessageView::Element(element) => {
                    let missing = element.structure().filter(|s| s.name() == "missing-plugin");
                    if let Some(Ok(name)) = missing.map(|s| s.get::<String>("name")) {
                        self.seen.lock().unwrap_or_else(PoisonError::into_inner).missing.push(name);
                    }
                }
                _ => {}
            }
        }
    }
}

impl Drop for Decode {
    fn drop(&mut self) {
        // Without this GStreamer's threads live on and hold file and memory.
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!("a decoder did not stop; its threads and memory stay");
        }
        self.bus.set_flushing(true);
    }
}

fn appsink() -> AppSink {
    let sink = AppSink::builder()
        .caps(&gst::Caps::builder("video/x-raw").field("format", "RGB").build())
        .sync(false)
        .max_buffers(READY_PICTURES)
        .drop(false)
        .build();
    // Otherwise it keeps the last picture alive beside the frame made of it.
    sink.set_property("enable-last-sample", false);
    sink
}

/// Sets up elements as decodebin plugs them in. Decoders: few threads, no giving up, watched for faults.
pub(super) fn connect_set_up(
    pipeline: &gst::Pipeline,
    bus: &gst::Bus,
    threads: u32,
    faults: &Arc<Faults>,
    seen: &Arc<Mutex<Seen>>,
    packets: Option<&Arc<PacketRing>>,
) {
    let (faults, seen, bus) = (faults.clone(), seen.clone(), bus.downgrade());
    let packets = packets.cloned();
    pipeline.connect_deep_element_added(move |_, _, element| {
        let Some(factory) = element.factory() else { return };
        let class = factory.metadata("klass").unwrap_or_default();
        // A demuxer of playlists is a bin with elements of its own, which speak through it.
        let speaks_itself = (class.contains("Demux") || class.contains("Parser")) && !class.contains("Adaptive");
        if speaks_itself {
            // decodebin swallows what an element says while it is plugged in, and a demuxer that reads for itself may
            // fail just then: nothing would ever come. So it speaks to us directly.
            element.set_bus(bus.upgrade().as_ref());
        }
        if !class.contains("Decoder") || !(class.contains("Video") || class.contains("Image")) {
            return;
        }
        tracing::info!(decoder = %factory.name(), hardware = class.contains("Hardware"), "decoder chosen");
        set_numbers(element, &["max-threads", "threads", "n-threads"], i64::from(threads));
        set_numbers(element, &["max-errors"], -1);
        faults.watch(element);
        let seen = seen.clone();
        if let Some(pad) = element.static_pad("sink") {
            packets.iter().for_each(|packets| packets.watch(&pad));
            pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
                if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view()) {
                    let codec = caps.caps().structure(0).map(codec_name);
                    seen.lock().unwrap_or_else(PoisonError::into_inner).codec = codec;
                }
                gst::PadProbeReturn::Ok
            });
        }
    });
}

/// Links the first video stream on, and remembers the kinds of all.
pub(super) fn connect_stream_choice(decodebin: &gst::Element, entry: &gst::Pad, seen: &Arc<Mutex<Seen>>) {
    let seen = seen.clone();
    decodebin.connect("autoplug-continue", false, move |values| {
        if let Some(Ok(caps)) = values.get(2).map(|value| value.get::<gst::Caps>())
            && let Some(structure) = caps.structure(0)
        {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let media = structure.name().to_string();
            if !seen.media.contains(&media) {
                seen.media.push(media);
            }
        }
        Some(true.to_value())
    });
    let entry = entry.downgrade();
    decodebin.connect_pad_added(move |decodebin, pad| {
        if let Some(entry) = entry.upgrade().filter(|entry| !entry.is_linked())
            && let Err(problem) = link_pictures(decodebin, pad, &entry)
        {
            tracing::warn!(problem, "a decoded stream cannot be used");
        }
    });
}

/// Links a decoder's pictures on, by way of what fetches them from a GPU where they are there.
fn link_pictures(decodebin: &gst::Element, pad: &gst::Pad, entry: &gst::Pad) -> Result<(), String> {
    let download = pad.current_caps().and_then(|caps| gst_hardware::download_for(&caps));
    let Some(name) = download else { return pad.link(entry).map(drop).map_err(|error| error.to_string()) };
    let fault = |error: glib::BoolError| format!("{name}: {}", error.message);
    let element = gst::ElementFactory::make(name).build().map_err(fault)?;
    let bin = decodebin.parent().and_downcast::<gst::Bin>().ok_or("the decoder stands in no pipeline")?;
    bin.add(&element).map_err(fault)?;
    element.sync_state_with_parent().map_err(fault)?;
    let (Some(input), Some(output)) = (element.static_pad("sink"), element.static_pad("src")) else {
        return Err(format!("{name}: no pads"));
    };
    output.link(entry).and_then(|_| pad.link(&input)).map(drop).map_err(|error| format!("{name}: {error}"))
}

/// Sets those of the integer properties `names` that the element has; decoders disagree on name and width.
fn set_numbers(element: &gst::Element, names: &[&str], value: i64) {
    for name in names {
        let Some(spec) = element.find_property(name) else { continue };
        if [glib::Type::I32, glib::Type::U32, glib::Type::I64, glib::Type::U64].contains(&spec.value_type()) {
            element.set_property_from_str(name, &value.to_string());
        }
    }
}

/// "H.264" and the like for a media type.
fn codec_name(caps: &gst::StructureRef) -> String {
    let name = caps.name().as_str();
    let known = match name {
        "video/x-h264" => "H.264",
        "video/x-h265" => "H.265",
        "video/x-vp8" => "VP8",
        "video/x-vp9" => "VP9",
        "video/x-av1" => "AV1",
        "video/x-theora" => "Theora",
        // FourCC DIV3 is Microsoft's early MPEG-4; from DivX 4 on it is the standard's.
        "video/x-divx" if caps.get::<i32>("divxversion").is_ok_and(|version| version >= 4) => "MPEG-4",
        "video/x-divx" | "video/x-msmpeg" => "MS-MPEG4",
        "video/x-xvid" => "MPEG-4",
        "video/mpeg" => match caps.get::<i32>("mpegversion") {
            Ok(1) => "MPEG-1",
            Ok(2) => "MPEG-2",
            _ => "MPEG-4",
        },
        "image/jpeg" => "JPEG",
        "image/png" => "PNG",
        other => other.rsplit('/').next().map_or(other, |name| name.trim_start_matches("x-")),
    };
    known.to_owned()
}

/// What an error message on the bus means to the person who gave the file.
fn failure_of(error: &glib::Error, seen: &Seen) -> Failure {
    use gst::{ResourceError, StreamError};
    let lacks_decoder = error.matches(StreamError::CodecNotFound) || error.matches(gst::CoreError::MissingPlugin);
    if lacks_decoder || error.matches(StreamError::NotImplemented) {
        return Failure::NoVideo(undecodable(seen));
    }
    if error.matches(StreamError::TypeNotFound) || error.matches(StreamError::WrongType) {
        return Failure::NoVideo("this is no video file, or of a kind that GStreamer does not know".into());
    }
    if error.is::<ResourceError>() {
        return Failure::Unusable(format!("reading failed: {}", error.message()));
    }
    Failure::Broken(error.message().to_owned())
}

/// Why nothing in a file could be decoded to pictures.
fn undecodable(seen: &Seen) -> String {
    let is_video = |media: &&String| media.starts_with("video/") || media.starts_with("image/");
    let containers = ["video/quicktime", "video/x-matroska", "video/webm", "video/x-msvideo", "video/mpegts"];
    let video = seen.media.iter().filter(is_video).rfind(|media| !containers.contains(&media.as_str()));
    match video {
        Some(media) => {
            let name = seen.missing.first().map_or(media.as_str(), String::as_str);
            format!(
                "its codec is {media} and GStreamer has no plug-in for it ({name}); install gstreamer1.0-libav, \
                 gstreamer1.0-plugins-bad or gstreamer1.0-plugins-ugly"
            )
        }
        None if seen.media.iter().any(|media| media.starts_with("audio/")) => "it holds only sound".into(),
        None => "nothing in it can be decoded to pictures".into(),
    }
}

pub(super) fn clock_time(duration: Duration) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}
