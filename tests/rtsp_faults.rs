//! The promise: whatever a camera does, its stream comes back, and no other stream notices.

#![cfg(feature = "line")]

mod cameras;
#[path = "cameras/kinds.rs"]
mod kinds;

use cameras::{BEFORE_TWIST, PATIENCE, Seen, Server, Spec, Twist, Watch, free_port, on_port, wait_until, with_login};
use eyeline::{
    config::plan::Transport,
    frame::{ImageSize, StreamId},
    pipeline::stats::Liveness,
};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// From the moment the server is back to the next frame.
const BACK_WITHIN: Duration = Duration::from_secs(2);
/// How long a camera hangs.
const HANG: Duration = Duration::from_secs(15);

/// Not a test: the camera's own process.
#[test]
fn camera_process() {
    cameras::be_a_camera();
}

/// Starts the camera again and waits for the next frame.
fn come_back(watch: &Watch, port: u16, spec: &Spec) -> Server {
    let before = watch.count(0);
    let server = Server::start(port, spec);
    is_back(watch, before, Instant::now());
    server
}

/// Waits for a frame beyond `before`, which must come soon after the camera was there again at `ready`.
fn is_back(watch: &Watch, before: usize, ready: Instant) {
    wait_until("frames after the camera is back", || watch.count(0) > before);
    let took = watch.frames(0)[before].at.saturating_duration_since(ready);
    println!("back {} ms after the server", took.as_millis());
    assert!(took < BACK_WITHIN, "back after {took:?}");
}

fn killed_and_restarted(transport: Transport) {
    let (port, spec) = (free_port(), Spec::default());
    let server = Server::start(port, &spec);
    let watch = Watch::start_beside_another(vec![on_port("gate", port, transport)]);
    watch.wait_frames(0, 8);
    server.kill();
    watch.wait_state(0, Liveness::Lost);
    let lost_at = watch.count(0);
    let _server = come_back(&watch, port, &spec);
    watch.wait_frames(0, 8);
    let frames = watch.frames(0);
    let (before, after) = (&frames[lost_at - 1], &frames[lost_at]);
    assert_eq!(after.epoch, before.epoch + 1);
    assert!(frames.windows(2).all(|pair| pair[1].seq > pair[0].seq), "frames are counted through");
    let events = watch.events(0);
    let told = |kind: &str| events.iter().filter(|event| *event == kind).count();
    assert_eq!((told("stream.started"), told("stream.lost"), told("stream.recovered")), (1, 1, 1), "{events:?}");
    let report = watch.reports[0].lock().expect("no panic");
    let started = report.events.iter().filter(|event| event["type"] == "track.started");
    let ids: Vec<u64> = started.filter_map(|event| event["track"].as_u64()).collect();
    assert!(ids.windows(2).all(|pair| pair[1] > pair[0]), "ids do not restart: {ids:?}");
    let recovered = report.events.iter().find(|event| event["type"] == "stream.recovered").expect("told");
    assert!(recovered["outage_seconds"].as_f64().is_some_and(|seconds| seconds > 0.1), "{recovered}");
    drop(report);
    watch.stop();
}

#[test]
fn a_killed_camera_comes_back_over_tcp() {
    killed_and_restarted(Transport::Tcp);
}

#[test]
fn a_killed_camera_comes_back_over_udp() {
    killed_and_restarted(Transport::Udp);
}

#[test]
fn a_hung_camera_is_noticed_and_comes_back() {
    let (port, spec) = (free_port(), Spec::default());
    let server = Server::start(port, &spec);
    let watch = Watch::start_beside_another(vec![on_port("gate", port, Transport::Tcp)]);
    watch.wait_frames(0, 8);
    server.hang();
    let hung_at = Instant::now();
    watch.wait_state(0, Liveness::Lost);
    assert!(watch.counters(0).connection().last_fault.is_some_and(|fault| fault.contains("stalled")));
    // How long it hangs is what is tested: attempts to connect pile up meanwhile.
    thread::sleep(HANG.saturating_sub(hung_at.elapsed()));
    let before = watch.count(0);
    server.go_on();
    is_back(&watch, before, Instant::now());
    watch.stop();
}

#[test]
fn a_camera_that_is_down_at_the_start_is_tried_again() {
    let (port, spec) = (free_port(), Spec::default());
    let watch = Watch::start_beside_another(vec![on_port("gate", port, Transport::Tcp)]);
    watch.wait_state(0, Liveness::Lost);
    let connection = watch.counters(0).connection();
    assert_eq!((connection.losses, connection.connects), (1, 0));
    let _server = come_back(&watch, port, &spec);
    assert_eq!(watch.frames(0)[0].seq, 0);
    watch.stop();
}

#[test]
fn a_camera_that_accepts_and_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let mut plan = on_port("gate", port, Transport::Tcp);
    plan.live.as_mut().expect("live").connect_timeout = Duration::from_millis(700);
    let watch = Watch::start_beside_another(vec![plan]);
    let _silent = listener.accept().expect("it connects");
    watch.wait_state(0, Liveness::Lost);
    drop((listener, _silent));
    let _server = come_back(&watch, port, &Spec::default());
    watch.stop();
}

#[test]
fn a_wrong_password_is_said_and_never_told() {
    let (port, spec) = (free_port(), Spec { login: Some("admin:s3cr3t/@pw"), ..Spec::default() });
    let _server = Server::start(port, &spec);
    let plan = |name: &str, password: &str| with_login(on_port(name, port, Transport::Tcp), "admin", password);
    let watch = Watch::start_beside_another(vec![plan("wrong", "hunter2%40"), plan("right", "s3cr3t/@pw")]);
    watch.wait_frames(1, 3);
    watch.wait_state(0, Liveness::Lost);
    let fault = watch.counters(0).connection().last_fault.expect("a fault");
    assert!(fault.contains("login refused") && !fault.contains("hunter2"), "{fault}");
    watch.stop();
}

#[test]
fn garbage_in_the_middle_is_survived() {
    let (port, spec) = (free_port(), Spec::default());
    let _server = Server::start(port, &spec);
    let dirty = Arc::new(AtomicBool::new(false));
    let through = proxy(port, Arc::clone(&dirty), Duration::ZERO);
    let watch = Watch::start_beside_another(vec![on_port("gate", through, Transport::Tcp)]);
    watch.wait_frames(0, 8);
    for _ in 0..3 {
        dirty.store(true, Ordering::SeqCst);
        wait_until("garbage is sent", || !dirty.load(Ordering::SeqCst));
        watch.wait_frames(0, 8);
    }
    watch.stop();
}

#[test]
fn size_and_codec_may_change() {
    let port = free_port();
    let big = ImageSize { width: 320, height: 240 };
    let mut specs = vec![
        ("H.264", Spec::default()),
        ("H.264", Spec { size: big, ..Spec::default() }),
        ("JPEG", Spec { codec: "jpeg", size: big, ..Spec::default() }),
    ];
    if gstreamer_has("x265enc") {
        specs.push(("H.265", Spec { codec: "h265", ..Spec::default() }));
    }
    let first = Server::start(port, &specs[0].1);
    let watch = Watch::start_beside_another(vec![on_port("gate", port, Transport::Tcp)]);
    watch.wait_frames(0, 4);
    let mut server = first;
    for (index, (codec, spec)) in specs.iter().enumerate().skip(1) {
        server.kill();
        watch.wait_state(0, Liveness::Lost);
        server = come_back(&watch, port, spec);
        watch.wait_frames(0, 2);
        let last = watch.frames(0).pop().expect("frames");
        assert_eq!((last.size, last.codec.as_deref(), last.epoch), (spec.size, Some(*codec), index as u32));
    }
    watch.stop();
}

/// Watches a camera for as long before its twist as after, and gives what was seen.
fn through(twist: Twist) -> Vec<Seen> {
    let (port, spec) = (free_port(), Spec { twist, ..Spec::default() });
    let _server = Server::start(port, &spec);
    let watch = Watch::start_beside_another(vec![on_port("gate", port, Transport::Tcp)]);
    watch.wait_frames(0, 2 * BEFORE_TWIST as usize);
    let frames = watch.frames(0);
    assert_eq!(watch.counters(0).connection().losses, 0, "the connection stands");
    for pair in frames.windows(2) {
        let grows = pair[1].epoch > pair[0].epoch || (pair[1].epoch == pair[0].epoch && pair[1].pts > pair[0].pts);
        assert!(grows, "{pair:?}");
        let gap = pair[1].at - pair[0].at;
        assert!(gap < BACK_WITHIN, "{gap:?} without a frame");
    }
    watch.stop();
    frames
}

#[test]
fn timestamps_may_jump_back() {
    through(Twist::ClockBack(Duration::from_secs(20)));
}

#[test]
fn timestamps_may_restart_at_zero() {
    through(Twist::ClockBack(Duration::from_secs(5 * 3600)));
}

#[test]
fn the_size_may_change_within_a_connection() {
    let other = ImageSize { width: 320, height: 240 };
    let frames = through(Twist::Size(other));
    let (first, last) = (&frames[0], frames.last().expect("frames"));
    assert_eq!((first.epoch, last.epoch), (0, 1), "a new size begins a new epoch");
    assert_eq!((first.size, last.size), (Spec::default().size, other));
}

#[test]
fn a_device_that_is_not_there_is_tried_again_and_named() {
    let watch = Watch::start_beside_another(vec![cameras::stream("lobby", "/dev/video97", Transport::Tcp)]);
    watch.wait_state(0, Liveness::Lost);
    let fault = watch.counters(0).connection().last_fault.expect("a fault");
    assert!(fault.contains("/dev/video97"), "{fault}");
    watch.stop();
}

#[test]
fn a_slow_camera_is_not_cut() {
    let (port, spec) = (free_port(), Spec { fps: 1, ..Spec::default() });
    let _server = Server::start(port, &spec);
    let mut plan = on_port("gate", port, Transport::Tcp);
    plan.live.as_mut().expect("live").stall_timeout = None;
    let watch = Watch::start(vec![plan]);
    watch.wait_frames(0, 5);
    assert_eq!(watch.counters(0).connection().losses, 0);
    watch.stop();
}

#[test]
fn a_bursty_network_loses_no_connection() {
    let (port, spec) = (free_port(), Spec::default());
    let _server = Server::start(port, &spec);
    let through = proxy(port, Arc::default(), Duration::from_millis(800));
    let mut plan = on_port("gate", through, Transport::Tcp);
    plan.live.as_mut().expect("live").stall_timeout = None;
    let watch = Watch::start_beside_another(vec![plan]);
    watch.wait_frames(0, 10);
    assert_eq!(watch.counters(0).connection().losses, 0);
    watch.stop();
}

#[test]
fn a_dead_camera_disturbs_no_other() {
    const FPS: u32 = 5;
    let spec = Spec { fps: FPS, ..Spec::default() };
    let ports: Vec<u16> = (0..2).map(|_| free_port()).collect();
    let (dying, _staying) = (Server::start(ports[0], &spec), Server::start(ports[1], &spec));
    let mut plans = vec![on_port("dead", ports[0], Transport::Tcp)];
    plans.extend((1..8).map(|n| on_port(&format!("alive {n}"), ports[1], Transport::Tcp)));
    let watch = Watch::start(plans);
    (0..8).for_each(|stream| watch.wait_frames(stream, 3));
    let died = Instant::now();
    dying.kill();
    watch.wait_state(0, Liveness::Lost);
    (1..8).for_each(|stream| watch.wait_frames(stream, 15));
    (1..8).for_each(|stream| watch.assert_undisturbed(stream, FPS, Some(died)));
    watch.stop();
}

#[test]
fn capture_time_comes_from_sender_reports() {
    let (port, spec) = (free_port(), Spec::default());
    let _server = Server::start(port, &spec);
    let watch = Watch::start(vec![on_port("gate", port, Transport::Tcp)]);
    wait_until("a sender report", || watch.frames(0).last().is_some_and(|frame| frame.captured));
    watch.stop();
}

#[test]
fn streams_come_go_pause_and_change_while_others_run() {
    let (port, spec) = (free_port(), Spec::default());
    let _server = Server::start(port, &spec);
    let watch = Watch::start(vec![on_port("stays", port, Transport::Tcp), on_port("leaves", port, Transport::Tcp)]);
    (0..2).for_each(|stream| watch.wait_frames(stream, 3));
    let control = watch.running.control.clone();
    let leaves = control.roster().find("leaves").expect("known");
    control.pause(leaves).expect("steered");
    watch.wait_state(leaves.0, Liveness::Paused);
    let paused_at = watch.count(1);
    watch.wait_frames(0, 5);
    assert!(watch.count(1) <= paused_at + 1);
    control.resume(leaves).expect("steered");
    watch.wait_frames(1, 3);
    control.change(leaves, |plan| plan.filter.min_score = 1.0).expect("steered");
    wait_until("nothing is found any more", || watch.events(1).iter().any(|event| event == "track.ended"));
    control.restart(leaves).expect("steered");
    watch.wait_frames(1, 3);
    control.remove(leaves, PATIENCE).expect("removed");
    assert_eq!(watch.events(1).last().map(String::as_str), Some("stream.ended"));
    assert!(control.pause(leaves).is_err());
    let plan = on_port("LEAVES", port, Transport::Tcp);
    let added = control.add(plan.clone(), |stream| cameras::opener(stream, &plan)).expect("added");
    assert_eq!(added, StreamId(1), "its number is used again");
    assert!(control.add(plan.clone(), |stream| cameras::opener(stream, &plan)).is_err(), "its name is taken");
    watch.wait_frames(1, 3);
    assert_eq!(watch.counters(0).connection().losses, 0);
    let seqs: Vec<u64> = watch.frames(0).iter().map(|frame| frame.seq).collect();
    assert!(watch.frames(0).iter().all(|frame| frame.epoch == 0) && !seqs.is_empty());
    watch.stop();
}

/// Passes a connection on to `port`, with noise in it where `dirty` asks for it once, and in bursts `every` so often.
fn proxy(port: u16, dirty: Arc<AtomicBool>, every: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let through = listener.local_addr().expect("bound").port();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            let (mut up_from, mut up_to) = (client.try_clone().expect("clones"), server.try_clone().expect("clones"));
            thread::spawn(move || std::io::copy(&mut up_from, &mut up_to));
            let dirty = Arc::clone(&dirty);
            thread::spawn(move || down(server, client, &dirty, every));
        }
    });
    through
}

fn down(mut server: TcpStream, mut client: TcpStream, dirty: &AtomicBool, every: Duration) {
    let (mut buffer, mut held, mut released) = ([0; 4096], Vec::new(), Instant::now());
    let mut played = false;
    loop {
        let Ok(count @ 1..) = server.read(&mut buffer) else { return };
        held.extend_from_slice(&buffer[..count]);
        // The session is set up first.
        played |= held.windows(5).any(|window| window == b"RTP-I");
        if played && !every.is_zero() && released.elapsed() < every {
            continue;
        }
        if dirty.swap(false, Ordering::SeqCst) {
            let middle = held.len() / 2;
            held.splice(middle..middle, (0..700u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8));
        }
        if client.write_all(&held).is_err() {
            return;
        }
        held.clear();
        released = Instant::now();
    }
}

fn gstreamer_has(element: &str) -> bool {
    eyeline::source::gst::init().expect("GStreamer starts");
    gstreamer::ElementFactory::find(element).is_some()
}
