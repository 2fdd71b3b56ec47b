//! Every way a camera is reached: RTSP within HTTP and TLS, MJPEG, HLS, a file played as live; and `eyeline watch` itself,
//! which must not tell a password whatever is logged.

use super::cameras::{PATIENCE, Server, Spec, Watch, free_port, on_port, stream, wait_until};
use eyeline::{
    config::plan::{StreamPlan, Transport, Trust},
    frame::ImageSize,
    pipeline::stats::Liveness,
    source::gst::init,
};
use gstreamer as gst;
use gstreamer::prelude::*;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

fn trusting(mut plan: StreamPlan, trust: Trust) -> StreamPlan {
    plan.live.as_mut().and_then(|live| live.camera.as_mut()).expect("a camera").trust = trust;
    plan
}

#[test]
fn rtsp_goes_through_http() {
    let port = free_port();
    let _server = Server::start(port, &Spec::default());
    let watch = Watch::start(vec![on_port("gate", port, Transport::Http)]);
    watch.wait_frames(0, 5);
    watch.stop();
}

#[test]
fn a_certificate_is_checked() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"])
        .args([&key, Path::new("-out"), &certificate])
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl runs").success());
    let port = free_port();
    let spec = Spec { certificate: Some((certificate.clone(), key)), ..Spec::default() };
    let _server = Server::start(port, &spec);
    let url = format!("rtsps://127.0.0.1:{port}/cam");
    let plan = |name: &str, trust| trusting(stream(name, &url, Transport::Tcp), trust);
    let watch = Watch::start(vec![
        plan("own authority", Trust::File(certificate)),
        plan("any certificate", Trust::Anything),
        plan("system", Trust::System),
    ]);
    watch.wait_frames(0, 3);
    watch.wait_frames(1, 3);
    watch.wait_state(2, Liveness::Lost);
    assert_eq!(watch.count(2), 0, "a certificate nobody vouches for is refused");
    watch.stop();
}

#[test]
fn mjpeg_over_http_gives_frames() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let file = folder.path().join("picture.jpg");
    play(&format!(
        "videotestsrc num-buffers=1 ! video/x-raw,width=160,height=120 ! jpegenc ! filesink location={}",
        file.display()
    ));
    let picture = fs::read(file).expect("written");
    let port = serve(move |_, mut client| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n";
        let part = format!("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.len());
        let mut sound = client.write_all(head.as_bytes()).is_ok();
        while sound {
            sound = [part.as_bytes(), &picture, b"\r\n"].iter().all(|bytes| client.write_all(bytes).is_ok());
            // A camera's pace; nothing waits for it.
            thread::sleep(Duration::from_millis(50));
        }
    });
    let watch = Watch::start(vec![stream("mjpeg", &format!("http://127.0.0.1:{port}/video"), Transport::Tcp)]);
    watch.wait_frames(0, 10);
    assert_eq!(watch.frames(0)[0].size, ImageSize { width: 160, height: 120 });
    watch.stop();
}

#[test]
fn hls_gives_frames_at_their_own_speed() {
    let folder = tempfile::tempdir().expect("temporary directory");
    let at = folder.path().display().to_string();
    play(&format!(
        "videotestsrc num-buffers=80 ! video/x-raw,width=160,height=120,framerate=10/1 \
         ! x264enc tune=zerolatency key-int-max=10 ! h264parse ! mpegtsmux \
         ! hlssink location={at}/part%03d.ts playlist-location={at}/live.m3u8 target-duration=2 max-files=20 playlist-length=20"
    ));
    let port = serve(move |path, mut client| {
        let body = fs::read(PathBuf::from(&at).join(path.trim_start_matches('/'))).unwrap_or_default();
        let status = if body.is_empty() { "404 Not Found" } else { "200 OK" };
        let kind = if path.ends_with("m3u8") { "application/vnd.apple.mpegurl" } else { "video/mp2t" };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        // Who hangs up early has seen enough.
        let _ = client.write_all(head.as_bytes()).and_then(|()| client.write_all(&body));
    });
    let mut plan = stream("hls", &format!("http://127.0.0.1:{port}/live.m3u8"), Transport::Tcp);
    plan.live.as_mut().expect("live").stall_timeout = None;
    let watch = Watch::start(vec![plan]);
    watch.wait_frames(0, 20);
    let frames = watch.frames(0);
    let gaps = frames.windows(2).filter(|pair| pair[1].epoch == pair[0].epoch && pair[1].seq > pair[0].seq + 1).count();
    assert!(gaps <= 4, "{gaps} gaps: pieces are not played at their own speed");
    watch.stop();
}

/// Answers HTTP requests, each connection with `answer`: the path that was asked for, and the connection.
fn serve(answer: impl Fn(&str, TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let answer = std::sync::Arc::new(answer);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let answer = std::sync::Arc::clone(&answer);
            thread::spawn(move || {
                let mut lines = BufReader::new(client.try_clone().expect("clones")).lines().map_while(Result::ok);
                let asked = lines.next().unwrap_or_default();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                answer(asked.split(' ').nth(1).unwrap_or("/"), client);
            });
        }
    });
    port
}

fn play(description: &str) {
    init().expect("GStreamer starts");
    let pipeline = gst::parse::launch(description).unwrap_or_else(|error| panic!("{description}: {error}"));
    pipeline.set_state(gst::State::Playing).expect("starts");
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let last =
        pipeline.bus().expect("a bus").timed_pop_filtered(gst::ClockTime::try_from(PATIENCE).expect("short"), &kinds);
    assert!(matches!(last.expect("ends").view(), gst::MessageView::Eos(_)), "{description}");
    pipeline.set_state(gst::State::Null).expect("stops");
}

#[test]
fn watch_runs_until_it_is_interrupted_and_tells_no_password() {
    let spec = Spec { login: Some("gatekeeper:s3cr3t/@pw"), ..Spec::default() };
    let port = free_port();
    let _server = Server::start(port, &spec);
    let folder = tempfile::tempdir().expect("temporary directory");
    let events = folder.path().join("events.jsonl");
    let mut program = Command::new(env!("CARGO_BIN_EXE_eyeline"))
        .args(["watch", "--embedder", "none", "--user", "gatekeeper", "-vvv", "--max-fps", "2", "--out"])
        .arg(folder.path())
        .args([Path::new("--events"), &events])
        .args([
            format!("rtsp://127.0.0.1:{port}/cam"),
            format!("rtsp://gatekeeper:wr0ng%2Fpw@127.0.0.1:{port}/cam?pwd=t0ken"),
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("EYELINE_LOG")
        .env("EYELINE_CAMERA_PASSWORD", "s3cr3t/@pw")
        .env("GST_DEBUG", "rtsp*:9,*sink*:5,basesrc:5,GST_ELEMENT*:5,GST_PROPS:6,default:5")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut log = program.stderr.take().expect("piped");
    let reading = thread::spawn(move || {
        let mut text = Vec::new();
        log.read_to_end(&mut text).map(|_| String::from_utf8_lossy(&text).into_owned())
    });
    let told = |what: &str| fs::read_to_string(&events).is_ok_and(|text| text.contains(what));
    wait_until("one camera starts, the other is refused", || told("stream.started") && told("login refused"));
    let stopped = Command::new("kill").args(["-INT", &program.id().to_string()]).status();
    assert!(stopped.expect("kill runs").success());
    let output = program.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(130));
    let log = reading.join().expect("no panic").expect("reads");
    assert!(log.contains("rtspsrc"), "GStreamer's own log was on");
    assert!(log.contains("decoder chosen"), "the choice of decoder is told");
    let all = [log, String::from_utf8_lossy(&output.stdout).into_owned(), fs::read_to_string(&events).expect("events")];
    let secrets = ["s3cr3t", "wr0ng", "t0ken", "Z2F0ZWtlZXBlcj", "gatekeeper"];
    for (text, secret) in all.iter().flat_map(|text| secrets.map(|secret| (text, secret))) {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret}: {line:?}");
    }
}
