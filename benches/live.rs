//! Live streams under load: are they served evenly, and how old is a frame when its tracks are told?
//!
//! `cargo bench --bench live -- load [STREAMS [SECONDS [DETECTOR [VIDEO]]]]` plays the sample video in so many streams, each
//! at its own speed. `cargo bench --bench live -- latency [SECONDS [DETECTOR]]` watches one RTSP camera whose pictures carry
//! the moment they were shown, as blocks of black and white, and compares that with the moment a reader of the server-sent
//! events hears of the picture's tracks.

#[path = "../tests/footprint/mod.rs"]
mod footprint;

use eyeline::{
    cli::execute::{self, Extras},
    config::{
        self,
        host::ThisMachine,
        plan::Plan,
        raw::{Address, Embed, Off, Raw, Stream},
    },
    frame::{Frame, StreamId},
    pipeline::{
        Running,
        flow::{Analyzed, Flow},
        stats::{DropReason, Stretch},
    },
    sink::{Recorder, SinkError},
};
use footprint::Footprint;
use gstreamer as gst;
use gstreamer_rtsp_server::{RTSPMediaFactory, RTSPServer, prelude::*};
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{Arc, Mutex, atomic::Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

const SAMPLE: &str = ".eyeline/video/vtest.avi";
/// Set in the camera's own process: its port.
const CAMERA: &str = "EYELINE_BENCH_CAMERA";
/// Side of a block, pixels: survives the codec.
const BLOCK: usize = 16;
/// Bits of a stamp: milliseconds, wrapping after 17 minutes.
const BITS: usize = 20;
/// A frame is this old at most when its tracks are told, 99 of 100 times.
const MAX_AGE_MILLIS: f64 = 250.0;
/// Streams are served within this share of the same rate.
const MAX_UNEVENNESS: f64 = 0.10;
/// From one picture of the camera to the next.
const INTERVAL_NANOS: i64 = 100_000_000;
/// What is measured of the first seconds is thrown away: networks warm up, players start.
const WARM_UP: Duration = Duration::from_secs(3);

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

/// A plan without an embedder; its API listens at `listen`, if that names a place.
fn plan(streams: Vec<Stream>, detector: &str, out: &Path, listen: &str) -> anyhow::Result<Plan> {
    let mut raw = Raw { streams, embed: Embed::Off(Off::None), ..config::defaults() };
    raw.output.dir = out.display().to_string();
    raw.output.video = false;
    raw.detect.model = detector.to_owned();
    raw.detect.max_batch = 2;
    raw.api.listen = listen.to_owned();
    Ok(config::check::plan(&raw, &ThisMachine)?.plan)
}

/// Streams side by side.
fn load(streams: usize, seconds: u64, detector: &str, video: &str) -> anyhow::Result<()> {
    let out = tempfile::tempdir()?;
    let name = |index: usize| Some(format!("s{index}"));
    let stream = |index| Stream { name: name(index), file: video.to_owned(), live: true, ..Stream::default() };
    let plan = Arc::new(plan((0..streams).map(stream).collect(), detector, out.path(), "")?);
    let execute::Started { running, .. } = execute::start(&plan)?;
    println!("{streams} streams, {seconds} s, {detector}, {} threads", plan.runtime.threads);
    let (mut memory, began) = (Vec::new(), Instant::now());
    run_for(&running, seconds, || {
        // A fifth of the time fills queues and pools.
        if began.elapsed().as_secs() * 5 > seconds {
            memory.push(Footprint::here().resident_mib());
        }
    })?;
    report(&running, streams)?;
    let (least, most) = memory.iter().fold((f64::MAX, 0.0_f64), |(a, b), mib| (a.min(*mib), b.max(*mib)));
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let (early, late) = memory.split_at(memory.len() / 2);
    println!(
        "memory after the first fifth: {least:.0} to {most:.0} MiB, {:.0} in the mean of the first half, {:.0} of the second",
        mean(early),
        mean(late)
    );
    Ok(())
}

/// Lets a line work for so long, looking around now and then, and stops it.
fn run_for(running: &Running, seconds: u64, mut look: impl FnMut()) -> anyhow::Result<()> {
    let (began, stopped) = (Instant::now(), running.faults.clone());
    let ended = running.wait(Duration::from_millis(200), Duration::from_secs(10), |_| {
        look();
        if began.elapsed() > Duration::from_secs(seconds) {
            stopped.stop();
        }
    });
    anyhow::ensure!(ended, "the line hangs");
    anyhow::ensure!(running.faults.broken().is_none(), "the line broke: {:?}", running.faults.broken());
    Ok(())
}

/// A row a stream, and whether the promises held.
fn report(running: &Running, streams: usize) -> anyhow::Result<()> {
    println!(
        "{:>6} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8}",
        "stream", "received", "done", "overload", "other", "fps", "p50 ms", "p99 ms"
    );
    let (mut rates, mut oldest) = (Vec::new(), 0.0_f64);
    for index in 0..streams {
        let counters = running.stats.stream(StreamId(index as u16));
        let (received, done) = (counters.decoded.load(Ordering::Relaxed), counters.done.load(Ordering::Relaxed));
        let overload = counters.dropped_for(DropReason::Overload);
        let other = counters.dropped_live() - overload;
        anyhow::ensure!(
            received == done + overload + other,
            "stream {index}: {received} received, {done} done, {overload} + {other} dropped"
        );
        let age = counters.age(Stretch::Record);
        let (p50, p99) = age.map_or((0.0, 0.0), |age| (age.p50_ms, age.p99_ms));
        let fps = done as f64 / counters.elapsed().as_secs_f64();
        println!("{index:6} {received:9} {done:9} {overload:9} {other:8} {fps:8.2} {p50:8.1} {p99:8.1}");
        rates.push(fps);
        oldest = oldest.max(p99);
    }
    let (least, most) = rates.iter().fold((f64::MAX, 0.0_f64), |(a, b), rate| (a.min(*rate), b.max(*rate)));
    let uneven = (most - least) / most;
    let kept = |is_kept: bool| if is_kept { "kept" } else { "MISSED" };
    println!("received = processed + dropped in every stream: kept");
    println!(
        "rates from {least:.2} to {most:.2} fps, {:.1} % apart: {}",
        uneven * 100.0,
        kept(uneven <= MAX_UNEVENNESS)
    );
    println!("p99 age at the event at most {oldest:.0} ms: {}", kept(oldest <= MAX_AGE_MILLIS));
    Ok(())
}

/// One camera, from showing a picture to whoever reads the server-sent events.
fn latency(seconds: u64, detector: &str) -> anyhow::Result<()> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut camera = Command::new(std::env::current_exe()?).env(CAMERA, port.to_string()).spawn()?;
    let measured = watch(port, seconds, detector);
    camera.kill()?;
    camera.wait()?;
    measured
}

/// When the pictures of a stream were shown, and when their tracks were recorded, by frame number.
type Moments = Arc<Mutex<HashMap<u64, (u64, u64)>>>;

fn watch(port: u16, seconds: u64, detector: &str) -> anyhow::Result<()> {
    let out = tempfile::tempdir()?;
    let stream = Stream { url: Address(format!("rtsp://127.0.0.1:{port}/cam")), ..Stream::default() };
    let plan = Arc::new(plan(vec![stream], detector, out.path(), "127.0.0.1:0")?);
    let moments = Moments::default();
    let kept = Arc::clone(&moments);
    let recorder: execute::MakeRecorder = Arc::new(move |_| Box::new(Measure(Arc::clone(&kept))) as Box<dyn Recorder>);
    let extras = Extras { recorder: Some(recorder), ..Extras::default() };
    let (execute::Started { running, .. }, served) = execute::start_served(&plan, &extras)?;
    let http = served.as_ref().and_then(|served| served.http.as_ref());
    let address = http.ok_or_else(|| anyhow::anyhow!("no API"))?.address();
    let reader = thread::spawn(move || read_news(address));
    run_for(&running, seconds, || {})?;
    // The answer ends with the server.
    drop(served);
    let heard = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    let moments = moments.lock().map_err(|_| anyhow::anyhow!("the recorder panicked"))?;
    let counters = running.stats.stream(StreamId(0));
    for stretch in Stretch::ALL {
        if let (Some(age), Some(busy)) = (counters.age(stretch), counters.busy(stretch)) {
            let (name, age50, age99) = (stretch.name(), age.p50_ms, age.p99_ms);
            println!(
                "{name:>8}: age p50 {age50:.1} p99 {age99:.1} ms, busy p50 {:.1} p99 {:.1} ms",
                busy.p50_ms, busy.p99_ms
            );
        }
    }
    let since = |shown: u64, then: u64| then.wrapping_sub(shown) % (1 << BITS);
    let heard = heard.iter().filter_map(|(frame, at)| Some(since(moments.get(frame)?.0, *at)));
    let recorded = moments.values().map(|(shown, at)| since(*shown, *at));
    println!("{} frames received, {} dropped", counters.decoded.load(Ordering::Relaxed), counters.dropped_live());
    print_times(&format!("{detector}: shown to recorded"), recorded.collect())?;
    print_times(&format!("{detector}: shown to tracks on the event stream"), heard.collect())
}

fn print_times(what: &str, mut times: Vec<u64>) -> anyhow::Result<()> {
    anyhow::ensure!(!times.is_empty(), "{what}: nothing came");
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("{what}: {} frames, p50 {} ms, p99 {} ms, max {} ms", times.len(), at(0.5), at(0.99), at(1.0));
    Ok(())
}

/// Frame number and moment of every message about tracks, after the warm-up, until the answer ends.
fn read_news(address: SocketAddr) -> anyhow::Result<Vec<(u64, u64)>> {
    let mut socket = TcpStream::connect(address)?;
    socket.write_all(format!("GET /api/v1/events?kind=tracks HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let (mut heard, mut began) = (Vec::new(), None);
    for line in BufReader::new(socket).lines() {
        let at = now_millis();
        // The server stops in the middle of a line where it likes.
        let Ok(line) = line else { break };
        let Some(data) = line.strip_prefix("data: ") else { continue };
        if began.get_or_insert_with(Instant::now).elapsed() < WARM_UP {
            continue;
        }
        let tracks: serde_json::Value = serde_json::from_str(data)?;
        heard.extend(tracks["frame"].as_u64().map(|frame| (frame, at)));
    }
    Ok(heard)
}

struct Measure(Moments);

impl Recorder for Measure {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        if let (Flow::Data(tracked), Ok(mut moments)) = (&item.flow, self.0.lock()) {
            moments.insert(tracked.frame.meta.seq, (stamp_in(&tracked.frame), now_millis()));
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
        let pad_of = |element: &str, pad: &str| bin.as_ref().and_then(|bin| bin.by_name(element)?.static_pad(pad));
        let (Some(pad), Some(coded)) = (pad_of("stamp", "src"), pad_of("pay0", "sink")) else { return };
        // Sent as soon as it is coded, as cameras do: else the server holds every picture back for the interval of one, which is
        // the latency that videotestsrc tells of itself.
        coded.set_offset(-INTERVAL_NANOS);
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
