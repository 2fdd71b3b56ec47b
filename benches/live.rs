//! Live streams under load: are they served evenly, and how old is a frame when its tracks are told?
//!
//! `cargo bench --bench live -- load [STREAMS [SECONDS [DETECTOR [VIDEO]]]]` plays the sample video in so many streams, each
//! at its own speed. `cargo bench --bench live -- latency [SECONDS [DETECTOR]]` watches one RTSP camera whose pictures carry
//! the moment they were shown, as blocks of black and white, and compares that with the moment its tracks are told.

use eyeline::{
    analyze::AnalysisSettings,
    cli::execute,
    config::{
        self,
        host::ThisMachine,
        plan::Plan,
        raw::{Address, Embed, Off, Raw, Stream},
    },
    detect,
    frame::{Frame, StreamId},
    pipeline::{
        self, Camera, Lifetime, Parts, Roster,
        flow::{Analyzed, Flow},
        stats::{DropReason, Stretch},
    },
    sink::{Recorder, SinkError},
    torch::runtime,
    track::{self, TrackIds},
};
use gstreamer as gst;
use gstreamer_rtsp_server::{RTSPMediaFactory, RTSPServer, prelude::*};
use std::{
    net::TcpListener,
    process::Command,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant, SystemTime},
};

const SAMPLE: &str = ".eyeline/video/vtest.avi";
/// Set in the camera's own process: its port.
const CAMERA: &str = "EYELINE_BENCH_CAMERA";
/// Side of a block, pixels: survives the codec.
const BLOCK: usize = 16;
/// Bits of a stamp: milliseconds, wrapping after 17 minutes.
const BITS: usize = 20;

fn main() -> anyhow::Result<()> {
    if let Ok(port) = std::env::var(CAMERA) {
        return be_a_camera(&port);
    }
    // Cargo passes flags of its own (`--bench`).
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let arg = |index: usize, default: &str| args.get(index).cloned().unwrap_or_else(|| default.to_owned());
    match arg(0, "load").as_str() {
        "latency" => latency(arg(1, "60").parse()?, &arg(2, "yolov3-tiny")),
        _ => load(arg(1, "8").parse()?, arg(2, "60").parse()?, &arg(3, "yolov3-tiny"), &arg(4, SAMPLE)),
    }
}

fn plan(streams: Vec<Stream>, detector: &str, out: &std::path::Path) -> anyhow::Result<Plan> {
    let mut raw = Raw { streams, embed: Embed::Off(Off::None), ..config::defaults() };
    raw.output.dir = out.display().to_string();
    raw.output.video = false;
    raw.detect.model = detector.to_owned();
    raw.detect.max_batch = 2;
    Ok(config::check::plan(&raw, &ThisMachine)?.plan)
}

/// Streams side by side.
fn load(streams: usize, seconds: u64, detector: &str, video: &str) -> anyhow::Result<()> {
    let out = tempfile::tempdir()?;
    let name = |index: usize| Some(format!("s{index}"));
    let stream = |index| Stream { name: name(index), file: video.to_owned(), live: true, ..Stream::default() };
    let plan = Arc::new(plan((0..streams).map(stream).collect(), detector, out.path())?);
    let execute::Started { running, .. } = execute::start(&plan)?;
    let began = Instant::now();
    let stopped = running.faults.clone();
    let ended = running.wait(Duration::from_millis(50), Duration::from_secs(10), |_| {
        if began.elapsed() > Duration::from_secs(seconds) {
            stopped.stop();
        }
    });
    anyhow::ensure!(ended, "the line hangs");
    println!("{streams} streams, {seconds} s, {detector}, {} threads", plan.runtime.threads);
    println!(
        "{:>6} {:>9} {:>9} {:>9} {:>8} {:>14} {:>8} {:>8}",
        "stream", "received", "done", "overload", "other", "fps", "p50 ms", "p99 ms"
    );
    for index in 0..streams {
        let counters = running.stats.stream(StreamId(index as u16));
        let (received, done) = (counters.decoded.load(Ordering::Relaxed), counters.done.load(Ordering::Relaxed));
        let overload = counters.dropped_for(DropReason::Overload);
        let other = counters.dropped_live() - overload;
        anyhow::ensure!(
            received == done + overload + other,
            "{received} received, {done} done, {overload} + {other} dropped"
        );
        let age = counters.age(Stretch::Record);
        let (p50, p99) = age.map_or((0.0, 0.0), |age| (age.p50_ms, age.p99_ms));
        let fps = done as f64 / counters.elapsed().as_secs_f64();
        println!("{index:6} {received:9} {done:9} {overload:9} {other:8} {fps:14.2} {p50:8.1} {p99:8.1}");
    }
    Ok(())
}

/// One camera, from showing a picture to its tracks.
fn latency(seconds: u64, detector: &str) -> anyhow::Result<()> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut camera = Command::new(std::env::current_exe()?).env(CAMERA, port.to_string()).spawn()?;
    let measured = watch(port, seconds, detector);
    camera.kill()?;
    camera.wait()?;
    let mut times = measured?;
    anyhow::ensure!(!times.is_empty(), "no frame came");
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{} frames, {detector}: shown to tracks p50 {} ms, p99 {} ms", times.len(), at(0.5), at(0.99));
    Ok(())
}

fn watch(port: u16, seconds: u64, detector: &str) -> anyhow::Result<Vec<u64>> {
    let out = tempfile::tempdir()?;
    let mut stream = Stream { url: Address(format!("rtsp://127.0.0.1:{port}/cam")), ..Stream::default() };
    stream.camera.jitter = "0s".into();
    let plan = plan(vec![stream], detector, out.path())?;
    runtime::set_threads(plan.runtime.threads);
    let (detector, _) = detect::torch::open(&plan.detect)?;
    let times: Arc<Mutex<Vec<u64>>> = Arc::default();
    let (kept, settings) = (Arc::clone(&times), plan.track.clone());
    let cameras = plan.streams.iter().filter_map(|stream| {
        let opener = execute::live_opener(StreamId(0), stream);
        Some(Camera { stream: StreamId(0), opener, live: stream.live.clone()? })
    });
    let parts = Parts {
        cameras: cameras.collect(),
        roster: Roster::new(plan.streams.iter().cloned()),
        feeds: Vec::new(),
        lifetime: Lifetime::Streams,
        detector,
        max_batch: 1,
        max_wait: plan.runtime.max_wait,
        embed: None,
        tracker: Box::new(move |_, info| track::build(&settings, info.fps.unwrap_or(25.0), TrackIds::default())),
        camera: None,
        analyze: Box::new(AnalysisSettings::of),
        records: Box::new(move |_, _| Ok(vec![Box::new(Measure(Arc::clone(&kept))) as Box<dyn Recorder>])),
        video: None,
    };
    let running = pipeline::start(parts)?;
    let (began, stopped) = (Instant::now(), running.faults.clone());
    running.wait(Duration::from_millis(50), Duration::from_secs(10), |_| {
        if began.elapsed() > Duration::from_secs(seconds) {
            stopped.stop();
        }
    });
    let times = times.lock().map_err(|_| anyhow::anyhow!("the recorder panicked"))?;
    Ok(times.clone())
}

struct Measure(Arc<Mutex<Vec<u64>>>);

impl Recorder for Measure {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        if let (Flow::Data(tracked), Ok(mut times)) = (&item.flow, self.0.lock()) {
            times.push(now_millis().wrapping_sub(stamp_in(&tracked.frame)) % (1 << BITS));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// The moment a picture was shown.
fn stamp_in(frame: &Frame) -> u64 {
    let plane = frame.pixels.plane(0);
    let row = plane.row(BLOCK / 2, BLOCK * BITS * 3);
    (0..BITS).fold(0, |stamp, bit| stamp << 1 | u64::from(row[(bit * BLOCK + BLOCK / 2) * 3] > 127))
}

fn now_millis() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_millis() as u64 % (1 << BITS)
}

/// The camera's own process: a moving picture with the moment it is shown in its first rows.
fn be_a_camera(port: &str) -> anyhow::Result<()> {
    gst::init()?;
    let server = RTSPServer::new();
    server.set_address("127.0.0.1");
    server.set_service(port);
    let factory = RTSPMediaFactory::new();
    factory.set_launch(
        "( videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=768,height=576,framerate=10/1 \
         ! identity name=stamp ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 \
         ! rtph264pay config-interval=1 name=pay0 pt=96 )",
    );
    factory.set_shared(true);
    factory.set_latency(0);
    factory.connect_media_configure(|_, media| {
        let bin = media.element().downcast::<gst::Bin>().ok();
        let Some(pad) = bin.and_then(|bin| bin.by_name("stamp")?.static_pad("src")) else { return };
        pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
            if let Some(buffer) = info.buffer_mut()
                && let Ok(mut pixels) = buffer.make_mut().map_writable()
            {
                stamp_onto(&mut pixels);
            }
            gst::PadProbeReturn::Ok
        });
    });
    server.mount_points().ok_or_else(|| anyhow::anyhow!("no mount points"))?.add_factory("/cam", factory);
    server.attach(None)?;
    gst::glib::MainLoop::new(None, false).run();
    Ok(())
}

/// Writes now into the first rows of an I420 picture, 768 bytes a row.
fn stamp_onto(pixels: &mut [u8]) {
    let now = now_millis();
    for (y, x) in (0..BLOCK).flat_map(|y| (0..BLOCK * BITS).map(move |x| (y, x))) {
        let bit = now >> (BITS - 1 - x / BLOCK) & 1;
        pixels[y * 768 + x] = if bit == 1 { 235 } else { 16 };
    }
}
