//! Cameras for tests: real RTSP servers in processes of their own, which can be killed and stopped, and a line that
//! watches them with a scripted detector.

#![allow(dead_code, reason = "each test program uses its part of this")]

use eyeline::{
    analyze::AnalysisSettings,
    config::plan::{CameraPlan, LivePlan, Secret, StreamPlan, Transport, Trust},
    detect::{ClassId, Detection, scripted::ScriptedDetector},
    frame::{ImageSize, StreamId},
    geometry::BBox,
    pipeline::{
        self, Camera, Lifetime, Parts, Roster, Running,
        flow::{Analyzed, Flow},
        stats::{Liveness, StreamStats},
    },
    sink::{Recorder, SinkError},
    source::{OpenSource, address::Address, gst::init, gst_camera::CameraOpener},
    time::MediaTime,
    track::{self, TrackId, TrackIds, settings::TrackSettings},
};
use gstreamer as gst;
use gstreamer::glib;
use gstreamer_rtsp_server::{RTSPAuth, RTSPMediaFactory, RTSPServer, RTSPToken, gio, prelude::*};
use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    str::FromStr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Long enough on a loaded machine, so that a hang becomes a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

const SPEC: &str = "EYELINE_TEST_CAMERA";

/// What a camera does after a while, without hanging up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    None,
    /// Its timestamps jump back by so much.
    ClockBack(Duration),
    /// Its pictures have another size.
    Size(ImageSize),
}

/// Frames before the twist.
pub const BEFORE_TWIST: u64 = 20;

/// What a camera shows and who may see it.
#[derive(Clone, Debug)]
pub struct Spec {
    pub size: ImageSize,
    pub fps: u32,
    /// `h264`, `h265` or `jpeg`.
    pub codec: &'static str,
    /// `user:password`, if one is asked for.
    pub login: Option<&'static str>,
    /// Certificate and key (PEM), for TLS.
    pub certificate: Option<(PathBuf, PathBuf)>,
    pub twist: Twist,
}

impl Default for Spec {
    fn default() -> Self {
        let size = ImageSize { width: 160, height: 120 };
        Self { size, fps: 10, codec: "h264", login: None, certificate: None, twist: Twist::None }
    }
}

impl Spec {
    fn launch(&self) -> String {
        let encode = match self.codec {
            "h264" => {
                "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 threads=1 ! rtph264pay config-interval=1"
            }
            "h265" => {
                "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! h265parse ! rtph265pay config-interval=1"
            }
            "jpeg" => "jpegenc ! rtpjpegpay",
            other => panic!("codec {other}"),
        };
        let Self { size, fps, .. } = self;
        format!(
            "( videotestsrc is-live=true pattern=ball ! capsfilter name=picture caps=\"{}\" ! {encode} name=pay0 pt=96 )",
            raw_caps(*size, *fps)
        )
    }

    /// The twist as words.
    fn twist(&self) -> String {
        match self.twist {
            Twist::None => String::new(),
            Twist::ClockBack(by) => format!("back {}", by.as_secs()),
            Twist::Size(size) => format!("size {}", raw_caps(size, self.fps)),
        }
    }
}

fn raw_caps(size: ImageSize, fps: u32) -> String {
    format!("video/x-raw,format=I420,width={},height={},framerate={fps}/1", size.width, size.height)
}

/// A camera in a process of its own, gone with this.
pub struct Server {
    child: Child,
    pub port: u16,
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound").port()
}

impl Server {
    /// Starts a camera and waits until it answers.
    pub fn start(port: u16, spec: &Spec) -> Self {
        let program = std::env::current_exe().expect("this program");
        let files =
            spec.certificate.as_ref().map(|(certificate, key)| format!("{} {}", certificate.display(), key.display()));
        let login = spec.login.unwrap_or("");
        let text = format!("{port}\n{}\n{login}\n{}\n{}", spec.launch(), files.unwrap_or_default(), spec.twist());
        let child = Command::new(program)
            .args(["camera_process", "--exact", "--nocapture", "--test-threads=1"])
            .env(SPEC, text)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.expect("a second process");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let ready = out.lines().map_while(Result::ok).any(|line| line.contains("camera ready"));
        assert!(ready, "the camera does not start");
        Self { child, port }
    }

    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// Stops the process in its tracks: connections stay open and nothing comes.
    pub fn hang(&self) {
        self.signal("STOP");
    }

    pub fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone after `kill`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The camera's process: to be called by a test named `camera_process`, which does nothing in the tests' own process.
pub fn be_a_camera() {
    let Ok(spec) = std::env::var(SPEC) else { return };
    let [port, launch, login, files, twist] = spec.split('\n').collect::<Vec<_>>()[..] else { panic!("{spec}") };
    init().expect("GStreamer starts");
    let server = RTSPServer::new();
    server.set_address("127.0.0.1");
    server.set_service(port);
    let factory = RTSPMediaFactory::new();
    factory.set_launch(launch);
    factory.set_shared(true);
    factory.set_latency(0);
    let twist = twist.to_owned();
    factory.connect_media_configure(move |_, media| {
        let bin = media.element().downcast::<gst::Bin>().expect("a bin");
        match twist.split_once(' ') {
            Some(("back", by)) => turn_clock_back(&bin, Duration::from_secs(by.parse().expect("seconds"))),
            Some(("size", caps)) => resize(&bin, caps),
            _ => {}
        }
    });
    if let Some((user, password)) = login.split_once(':') {
        let auth = RTSPAuth::new();
        let token = RTSPToken::builder().field("media.factory.role", "viewer").build();
        auth.add_basic(&RTSPAuth::make_basic(user, password), &token);
        server.set_auth(Some(&auth));
        factory.add_role_from_structure(&viewer());
    }
    if let Some((certificate, key)) = files.split_once(' ') {
        let auth = RTSPAuth::new();
        auth.set_tls_certificate(Some(&gio::TlsCertificate::from_files(certificate, key).expect("a certificate")));
        let mut anyone = RTSPToken::builder().field("media.factory.role", "viewer").build();
        auth.set_default_token(Some(&mut anyone));
        server.set_auth(Some(&auth));
        factory.add_role_from_structure(&viewer());
    }
    server.mount_points().expect("mount points").add_factory("/cam", factory);
    server.attach(None).expect("the port is free");
    println!("camera ready");
    glib::MainLoop::new(None, false).run();
}

/// RTP stamps are later by so much, until they no longer are.
fn turn_clock_back(bin: &gst::Bin, by: Duration) {
    const TICKS_A_SECOND: u64 = 90_000;
    let ticks = (by.as_secs() * TICKS_A_SECOND) as u32;
    let pad = bin.by_name("pay0").and_then(|pay| pay.static_pad("src")).expect("a payloader");
    let pictures = AtomicU64::new(0);
    let stamp = move |buffer: &mut gst::BufferRef| {
        let mut packet = buffer.map_writable().expect("a packet");
        if pictures.load(Ordering::SeqCst) < BEFORE_TWIST {
            let stamped = u32::from_be_bytes(packet[4..8].try_into().expect("a header")).wrapping_add(ticks);
            packet[4..8].copy_from_slice(&stamped.to_be_bytes());
        }
        // The marker ends a picture.
        pictures.fetch_add(u64::from(packet[1] >> 7), Ordering::SeqCst);
    };
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, info| {
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => stamp(buffer.make_mut()),
            Some(gst::PadProbeData::BufferList(list)) => {
                let stamped = list.iter_owned().map(|mut buffer| {
                    stamp(buffer.make_mut());
                    buffer
                });
                *list = stamped.collect();
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// Pictures have other caps after a while.
fn resize(bin: &gst::Bin, caps: &str) {
    let picture = bin.by_name("picture").expect("a filter");
    let pad = picture.static_pad("src").expect("an output");
    let (count, caps) = (AtomicU64::new(0), gst::Caps::from_str(caps).expect("caps"));
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        if count.fetch_add(1, Ordering::SeqCst) == BEFORE_TWIST {
            picture.set_property("caps", &caps);
        }
        gst::PadProbeReturn::Ok
    });
}

/// May see everything.
fn viewer() -> gst::Structure {
    let allowed = gst::Structure::builder("viewer").field("media.factory.access", true);
    allowed.field("media.factory.construct", true).build()
}

/// A live stream with the patience of a test.
pub fn stream(name: &str, url: &str, transport: Transport) -> StreamPlan {
    let camera = CameraPlan {
        address: Address::parse(url).expect("an address"),
        user: String::new(),
        password: None,
        transport,
        jitter: Duration::from_millis(50),
        trust: Trust::System,
    };
    let live = LivePlan {
        camera: Some(camera),
        enabled: true,
        max_fps: None,
        priority: 1,
        schedule: Default::default(),
        connect_timeout: Duration::from_secs(5),
        stall_timeout: Some(Duration::from_millis(1500)),
        max_backoff: Duration::from_millis(400),
    };
    StreamPlan { live: Some(live), ..StreamPlan::recording(name, "") }
}

/// The stream of a camera on this machine.
pub fn on_port(name: &str, port: u16, transport: Transport) -> StreamPlan {
    stream(name, &format!("rtsp://127.0.0.1:{port}/cam"), transport)
}

/// The same with a login.
pub fn with_login(mut plan: StreamPlan, user: &str, password: &str) -> StreamPlan {
    let camera = plan.live.as_mut().and_then(|live| live.camera.as_mut()).expect("a camera");
    camera.user = user.into();
    camera.password = Some(Secret::Text(password.into()));
    plan
}

pub fn opener(stream: StreamId, plan: &StreamPlan) -> Box<dyn OpenSource> {
    let live = plan.live.as_ref().expect("live");
    let camera = live.camera.clone().expect("a camera");
    Box::new(CameraOpener { plan: camera, stream, connect_timeout: live.connect_timeout, packets: None })
}

/// One frame at the end of the line.
#[derive(Clone, Debug)]
pub struct Seen {
    pub epoch: u32,
    pub seq: u64,
    pub size: ImageSize,
    pub codec: Option<String>,
    pub captured: bool,
    pub pts: MediaTime,
    pub at: Instant,
    /// Tracks that are shown: identity and box, source pixels, rounded to tenths.
    pub tracks: Vec<(TrackId, [i32; 4])>,
}

/// What came out of the line, by stream.
#[derive(Default)]
pub struct Report {
    pub frames: Vec<Seen>,
    /// Type and content of each event.
    pub events: Vec<serde_json::Value>,
    codec: Option<String>,
}

fn tenths(bbox: &BBox) -> [i32; 4] {
    [bbox.left, bbox.top, bbox.right, bbox.bottom].map(|edge| (edge * 10.0).round() as i32)
}

struct Keep(Arc<Mutex<Report>>);

impl Recorder for Keep {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        let mut report = self.0.lock().expect("no panic");
        report.events.extend(item.events.iter().map(|event| serde_json::to_value(event).expect("serializes")));
        match &item.flow {
            Flow::Data(tracked) => {
                let meta = &tracked.frame.meta;
                let (codec, captured) = (report.codec.clone(), meta.captured.is_some());
                let at = Instant::now();
                let (epoch, seq, size, pts) = (meta.epoch, meta.seq, meta.size, meta.pts);
                let tracks =
                    tracked.tracks.iter().filter(|track| track.shown).map(|track| (track.id, tenths(&track.bbox)));
                report.frames.push(Seen { epoch, seq, size, codec, captured, pts, at, tracks: tracks.collect() });
            }
            Flow::Epoch { info, .. } => report.codec.clone_from(&info.codec),
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// A line that watches cameras.
pub struct Watch {
    pub running: Running,
    pub reports: Vec<Arc<Mutex<Report>>>,
    neighbour: Option<Server>,
}

/// Frames a second of the stream beside those that a test is about.
const NEIGHBOUR_FPS: u32 = 5;

/// The longest time between two frames of a stream beside one in trouble.
pub fn longest_gap(fps: u32) -> Duration {
    Duration::from_secs(3) / fps
}

impl Watch {
    /// A line that watches these cameras and one more, of which nobody does anything bad: when the line is stopped, it must
    /// have noticed nothing.
    pub fn start_beside_another(mut streams: Vec<StreamPlan>) -> Self {
        let neighbour = Server::start(free_port(), &Spec { fps: NEIGHBOUR_FPS, ..Spec::default() });
        streams.push(on_port("neighbour", neighbour.port, Transport::Tcp));
        let watch = Self { neighbour: Some(neighbour), ..Self::start(streams) };
        watch.wait_frames(watch.last(), 2);
        watch
    }

    fn last(&self) -> u16 {
        (self.reports.len() - 1) as u16
    }

    /// The other streams: no connection lost, no gap longer than three nominal intervals since `since`.
    pub fn assert_undisturbed(&self, stream: u16, fps: u32, since: Option<Instant>) {
        let times: Vec<Instant> = self.frames(stream).iter().map(|frame| frame.at).collect();
        let times: Vec<Instant> = times.into_iter().filter(|at| since.is_none_or(|since| *at > since)).collect();
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max().expect("frames");
        assert!(longest <= longest_gap(fps), "stream {stream}: {longest:?} without a frame");
        assert_eq!(self.counters(stream).connection().losses, 0, "stream {stream}");
    }

    pub fn start(streams: Vec<StreamPlan>) -> Self {
        let reports: Vec<Arc<Mutex<Report>>> = (0..streams.len().max(1)).map(|_| Arc::default()).collect();
        let kept = reports.clone();
        let ids = TrackIds::default();
        let cameras = streams.iter().enumerate().map(|(index, plan)| {
            let stream = StreamId(index as u16);
            Camera { stream, opener: opener(stream, plan), live: plan.live.clone().expect("live") }
        });
        let parts = Parts {
            cameras: cameras.collect(),
            roster: Roster::new(streams),
            feeds: Vec::new(),
            lifetime: Lifetime::Operated,
            detector: Box::new(ScriptedDetector::new(
                &["thing"],
                Box::new(|_| {
                    vec![Detection { bbox: BBox::new(10.0, 10.0, 60.0, 90.0), class: ClassId(0), score: 0.99 }]
                }),
            )),
            max_batch: 4,
            max_wait: Duration::from_millis(5),
            embed: None,
            tracker: Box::new(move |_, info| {
                track::build(&TrackSettings::default(), info.fps.unwrap_or(10.0), ids.clone())
            }),
            camera: None,
            analyze: Box::new(AnalysisSettings::of),
            records: Box::new(move |stream, _| {
                // Streams that a test adds share the last report.
                let report = kept.get(stream.index()).or(kept.last()).expect("at least one");
                Ok(vec![Box::new(Keep(Arc::clone(report))) as Box<dyn Recorder>])
            }),
            video: None,
        };
        Self { running: pipeline::start(parts).expect("starts"), reports, neighbour: None }
    }

    pub fn frames(&self, stream: u16) -> Vec<Seen> {
        self.reports[usize::from(stream)].lock().expect("no panic").frames.clone()
    }

    pub fn count(&self, stream: u16) -> usize {
        self.reports[usize::from(stream)].lock().expect("no panic").frames.len()
    }

    pub fn counters(&self, stream: u16) -> Arc<StreamStats> {
        self.running.stats.stream(StreamId(stream))
    }

    /// Forgets all but the last frame, for tests that count memory.
    pub fn forget(&self) {
        for report in &self.reports {
            let mut report = report.lock().expect("no panic");
            report.events = Vec::new();
            report.frames = report.frames.pop().into_iter().collect();
        }
    }

    /// Waits for `more` frames beyond those there are.
    pub fn wait_frames(&self, stream: u16, more: usize) {
        let wanted = self.count(stream) + more;
        wait_until(&format!("{more} frames of stream {stream}"), || self.count(stream) >= wanted);
    }

    pub fn wait_state(&self, stream: u16, state: Liveness) {
        let counters = self.counters(stream);
        wait_until(&format!("stream {stream} {state:?}"), || counters.connection().state == state);
    }

    pub fn events(&self, stream: u16) -> Vec<String> {
        let report = self.reports[usize::from(stream)].lock().expect("no panic");
        report.events.iter().map(|event| event["type"].as_str().expect("typed").to_owned()).collect()
    }

    /// Stops the line; everything that was received was processed or dropped, and every event has its number.
    pub fn stop(self) {
        if self.neighbour.is_some() {
            self.assert_undisturbed(self.last(), NEIGHBOUR_FPS, None);
        }
        self.running.faults.stop();
        assert!(self.running.wait(Duration::from_millis(2), PATIENCE, |_| {}), "the line hangs");
        assert_eq!(self.running.faults.broken(), None);
        for stream in 0..self.reports.len() as u16 {
            let counters = self.counters(stream);
            let received = counters.decoded.load(Ordering::SeqCst);
            let done = counters.done.load(Ordering::SeqCst);
            assert_eq!(received, done + counters.dropped_live(), "stream {stream}");
        }
    }
}

pub fn wait_until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
