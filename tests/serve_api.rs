//! The HTTP interface before a line that is none: every answer, refusal, endless answer and the way it stops.
#![cfg(feature = "serve")]

use eyeline::{
    config::raw::Stream,
    event::{Event, What},
    frame::ImageSize,
    serve::{
        Gate, Listen, Server,
        fake::FakeLine,
        operate::{FrameTracks, LineStatus, News, Operate},
    },
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::Arc,
    thread,
    time::Duration,
};

const PICTURE: ImageSize = ImageSize { width: 64, height: 48 };

/// Bounds waiting for what must come at once.
const SOON: Duration = Duration::from_secs(30);

fn serve(gate: Gate) -> (FakeLine, Server) {
    let line = FakeLine::default();
    let listen = Listen { address: ([127, 0, 0, 1], 0).into(), tls: None };
    let server = Server::start(&listen, gate, Arc::new(line.clone())).unwrap();
    (line, server)
}

fn named(name: &str) -> Stream {
    Stream { name: Some(name.into()), file: "gate.mp4".into(), ..Stream::default() }
}

/// One answer, read to its end.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request and leaves the answer to be read.
fn send(server: &Server, request: &str, headers: &str, body: &str) -> BufReader<TcpStream> {
    let mut socket = TcpStream::connect(server.address()).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!("{request} HTTP/1.1\r\nHost: {}\r\n{length}{headers}\r\n", server.address());
    socket.write_all((head + body).as_bytes()).unwrap();
    BufReader::new(socket)
}

fn read_head(reader: &mut impl BufRead) -> (u16, String) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "cut off after {head:?}");
    }
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase())
}

fn ask_with(server: &Server, request: &str, headers: &str, body: &str) -> Answer {
    let mut reader = send(server, request, &format!("Connection: close\r\n{headers}"), body);
    let (status, head) = read_head(&mut reader);
    let mut body = Vec::new();
    reader.read_to_end(&mut body).unwrap();
    Answer { status, head, body }
}

fn ask(server: &Server, request: &str) -> Answer {
    ask_with(server, request, "", "")
}

fn ask_json(server: &Server, request: &str, body: &Value) -> Answer {
    ask_with(server, request, "Content-Type: application/json\r\n", &body.to_string())
}

#[test]
fn a_stream_is_added_changed_paused_and_removed() {
    let (line, server) = serve(Gate::ThisMachine);
    let added = ask_json(&server, "POST /api/v1/streams", &json!({ "name": "Tor 1", "file": "a.mp4" }));
    assert_eq!((added.status, added.json()["state"].as_str()), (201, Some("connecting")));
    assert!(added.head.contains("location: /api/v1/streams/tor%201\r\n"), "{}", added.head);
    let again = ask_json(&server, "POST /api/v1/streams", &json!({ "name": "TOR 1", "file": "a.mp4" }));
    assert_eq!((again.status, again.json()["type"].as_str()), (409, Some("urn:eyeline:name-taken")));

    let change = json!({ "classes": ["person"], "min_score": 0.4, "zones": [
        { "name": "door", "polygon": [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]] },
    ]});
    let changed = ask_json(&server, "PATCH /api/v1/streams/Tor%201", &change);
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!((&changed.json()["zones"], &changed.json()["classes"]), (&json!(["door"]), &json!(["person"])));
    for (action, state) in [("pause", "paused"), ("resume", "live"), ("restart", "connecting")] {
        let answer = ask(&server, &format!("POST /api/v1/streams/Tor%201/{action}"));
        assert_eq!((answer.status, answer.json()["state"].as_str()), (200, Some(state)), "{action}");
    }
    line.track(FrameTracks { stream: "Tor 1".into(), frame: Some(3), ..FrameTracks::default() });
    assert_eq!(ask(&server, "GET /api/v1/streams/Tor%201/tracks").json()["frame"], 3);
    assert_eq!(ask(&server, "GET /api/v1/streams").json()["streams"][0]["min_score"], 0.4);

    let removed = ask(&server, "DELETE /api/v1/streams/Tor%201");
    assert_eq!((removed.status, removed.body.len()), (204, 0));
    assert_eq!(ask(&server, "GET /api/v1/streams/Tor%201").status, 404);
    assert!(line.streams().is_empty());
}

#[test]
fn refusals_say_what_where_expected_and_got() {
    let (line, server) = serve(Gate::ThisMachine);
    line.add(&named("gate")).unwrap();
    let unsound = json!({ "file": "a.mp4", "repeat": 0, "fps": 3, "zones": [{ "name": "z", "polygon": [[0, 0], [2, 0], [1, 1]] }] });
    let answer = ask_json(&server, "POST /api/v1/streams", &unsound);
    assert_eq!(answer.status, 422);
    assert!(answer.head.contains("content-type: application/problem+json\r\n"), "{}", answer.head);
    let told = answer.json();
    let places: Vec<_> = told["faults"].as_array().unwrap().iter().map(|f| f["where"].as_str().unwrap()).collect();
    assert!(places.contains(&"repeat") && places.contains(&"fps") && places.len() == 3, "{told:#}");
    let repeat = &told["faults"][places.iter().position(|place| *place == "repeat").unwrap()];
    assert_eq!(repeat["got"], "0");
    assert!(repeat["expected"].as_str().unwrap().contains('1'), "{repeat}");
    // What only the line's own check sees is told in the same way, without the list it stands in.
    let crossing = json!({ "file": "a.mp4", "zones": [{ "name": "z", "polygon": [[0, 0], [1, 1], [1, 0], [0, 1]] }] });
    let told = ask_json(&server, "POST /api/v1/streams", &crossing).json();
    assert_eq!(told["faults"][0]["where"], "zones[0].polygon", "{told}");

    let json_type = "Content-Type: application/json\r\n";
    let cases = [
        ("POST /api/v1/streams", "", "{}", 415),
        ("POST /api/v1/streams", "Content-Type: text/plain\r\n", "{}", 415),
        ("POST /api/v1/streams", json_type, "{", 400),
        ("POST /api/v1/streams", json_type, "[]", 422),
        ("PATCH /api/v1/streams/yard", json_type, "{}", 404),
        ("PATCH /api/v1/streams/%FF", json_type, "{}", 400),
        ("PATCH /api/v1/streams/gate", json_type, "{\"classes\":[\"cow\"]}", 422),
        ("GET /api/v1/streams/gate/snapshot.jpg?size=huge", "", "", 400),
        ("GET /api/v1/streams/gate/live.mjpeg?fps=0", "", "", 400),
        ("GET /api/v1/streams/yard/live.mjpeg", "", "", 404),
        ("GET /api/v1/events?kind=all", "", "", 400),
        ("GET /api/v2/streams", "", "", 404),
        ("PUT /api/v1/streams", "", "", 405),
    ];
    for (request, headers, body, status) in cases {
        let answer = ask_with(&server, request, headers, body);
        assert_eq!(answer.status, status, "{request} {body}: {}", answer.text());
        assert_eq!(answer.json()["status"], status, "{request}");
    }
    let large = format!("{{\"file\": \"{}\"}}", "x".repeat(2 << 20));
    let head = format!("Connection: close\r\n{json_type}Content-Length: {}\r\n", large.len());
    let mut refused = send(&server, "POST /api/v1/streams", &head, "");
    assert_eq!(read_head(&mut refused).0, 413);
}

#[test]
fn without_the_token_only_health_and_the_empty_page_answer() {
    let (line, server) = serve(Gate::token("correct horse battery"));
    line.add(&named("gate-of-secrets")).unwrap();
    let paths = [
        "GET /api/v1/streams",
        "POST /api/v1/streams",
        "GET /api/v1/streams/gate-of-secrets",
        "DELETE /api/v1/streams/gate-of-secrets",
        "GET /api/v1/streams/gate-of-secrets/snapshot.jpg",
        "GET /api/v1/streams/gate-of-secrets/live.mjpeg",
        "GET /api/v1/wall?stream=gate-of-secrets",
        "GET /api/v1/events",
        "GET /api/v1/line",
        "GET /metrics",
        "GET /openapi.json",
        "GET /nothing",
        "OPTIONS /api/v1/streams",
        "PUT /metrics",
    ];
    for path in paths {
        for headers in ["", "Authorization: Bearer correct horse batterx\r\n", "Authorization: Basic Og==\r\n"] {
            let answer = ask_with(&server, path, headers, "");
            assert_eq!(answer.status, 401, "{path} {headers}");
            assert!(answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
            assert!(!answer.text().contains("gate-of-secrets"), "{}", answer.text());
        }
    }
    for path in ["GET /healthz", "GET /readyz", "GET /", "GET /app.js", "GET /style.css"] {
        let answer = ask(&server, path);
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.text().contains("gate-of-secrets"), "{path}");
    }
    let known = ask_with(&server, "GET /api/v1/streams", "Authorization: Bearer correct horse battery\r\n", "");
    assert_eq!(known.json()["streams"][0]["name"], "gate-of-secrets");
}

#[test]
fn other_sites_cannot_use_a_browser_on_this_machine() {
    let (line, server) = serve(Gate::ThisMachine);
    line.add(&named("gate")).unwrap();
    let foreign = ask_with(&server, "POST /api/v1/streams/gate/pause", "Origin: http://example.org\r\n", "");
    assert_eq!((foreign.status, foreign.json()["type"].as_str()), (403, Some("urn:eyeline:forbidden")));
    let own = format!("Origin: http://{}\r\n", server.address());
    assert_eq!(ask_with(&server, "POST /api/v1/streams/gate/pause", &own, "").status, 200);
    let mut rebound = TcpStream::connect(server.address()).unwrap();
    rebound.write_all(b"GET /api/v1/streams HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(read_head(&mut BufReader::new(rebound)).0, 403);
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let (_line, server) = serve(Gate::ThisMachine);
    let page = ask(&server, "GET /");
    assert!(page.head.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{}", page.head);
    assert!(page.head.contains("x-content-type-options: nosniff"), "{}", page.head);
    for text in [page.text(), ask(&server, "GET /app.js").text(), ask(&server, "GET /style.css").text()] {
        let outside = ["http://", "https://", "//cdn", "@import"].iter().find(|mark| text.contains(**mark));
        assert_eq!(outside, None);
    }
}

#[test]
fn readiness_and_metrics_tell_what_the_line_tells() {
    let (line, server) = serve(Gate::ThisMachine);
    line.add(&named("gate")).unwrap();
    line.set("gate", |status| status.received = 41);
    let metrics = ask(&server, "GET /metrics");
    assert!(metrics.head.contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    assert!(metrics.text().contains("eyeline_frames_received_total{stream=\"gate\"} 41\n"), "{}", metrics.text());
    assert_eq!(ask(&server, "GET /readyz").status, 200);
    line.set_line(LineStatus { not_ready: Some("models are loading".into()), ..LineStatus::default() });
    assert_eq!((ask(&server, "GET /readyz").status, ask(&server, "GET /healthz").status), (503, 200));
    assert_eq!(ask(&server, "GET /api/v1/line").json()["not_ready"], "models are loading");
}

/// Reads parts of a multipart answer: the headers of each and its picture.
fn next_part(reader: &mut impl BufRead) -> (String, Vec<u8>) {
    let mut line = String::new();
    while !line.contains("eyeline-picture") {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "the answer ended");
    }
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        // Sizes of chunks stand between the lines of a chunked answer; none looks like a header.
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "cut off in {head:?}");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
    let mut jpeg = vec![0; length];
    reader.read_exact(&mut jpeg).unwrap();
    (head, jpeg)
}

fn until(mut condition: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < SOON, "it never came to that");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn pictures_come_while_somebody_looks_and_not_after() {
    let (line, server) = serve(Gate::ThisMachine);
    line.add(&named("gate")).unwrap();
    line.add(&named("yard 2")).unwrap();
    let mut single = send(&server, "GET /api/v1/streams/gate/live.mjpeg?fps=60", "", "");
    let (status, head) = read_head(&mut single);
    assert_eq!(status, 200);
    assert!(head.contains("content-type: multipart/x-mixed-replace; boundary=eyeline-picture"), "{head}");
    let mut wall = send(&server, "GET /api/v1/wall?stream=gate&stream=yard+2&stream=none&fps=60", "", "");
    read_head(&mut wall);
    until(|| line.is_watched("gate") && line.is_watched("yard 2"));
    for frame in 1..4 {
        line.show("gate", frame, PICTURE);
        let (head, jpeg) = next_part(&mut single);
        assert!(head.contains(&format!("X-Frame: {frame}\r\n")) && head.contains("X-Stream: gate\r\n"), "{head}");
        assert_eq!((&jpeg[..2], &jpeg[jpeg.len() - 2..]), (&[0xFF, 0xD8][..], &[0xFF, 0xD9][..]));
        assert!(next_part(&mut wall).0.contains("X-Stream: gate\r\n"));
        line.show("yard 2", frame, PICTURE);
        assert!(next_part(&mut wall).0.contains("X-Stream: yard%202\r\n"));
    }
    drop((single, wall));
    until(|| !line.is_watched("gate") && !line.is_watched("yard 2"));
}

#[test]
fn a_snapshot_is_the_next_picture_or_says_why_there_is_none() {
    let (line, server) = serve(Gate::ThisMachine);
    line.add(&named("gate")).unwrap();
    thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&server, "GET /api/v1/streams/gate/snapshot.jpg"));
        until(|| line.is_watched("gate"));
        line.show("gate", 7, PICTURE);
        let answer = asked.join().unwrap();
        assert_eq!((answer.status, &answer.body[..2]), (200, &[0xFF, 0xD8][..]));
        assert!(answer.head.contains("x-frame: 7\r\n") && answer.head.contains("content-type: image/jpeg"));
    });
    let none = ask(&server, "GET /api/v1/streams/gate/snapshot.jpg");
    assert_eq!((none.status, none.json()["type"].as_str()), (409, Some("urn:eyeline:no-picture")));
    assert!(none.json()["detail"].as_str().unwrap().contains("connecting"));
}

#[test]
fn news_are_told_as_they_come() {
    let (line, server) = serve(Gate::ThisMachine);
    let mut reader = send(&server, "GET /api/v1/events?stream=gate&kind=event&kind=stream", "", "");
    let (status, head) = read_head(&mut reader);
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    let mut next = |wanted: &str| {
        let mut line = String::new();
        while !line.starts_with(wanted) {
            line.clear();
            assert_ne!(reader.read_line(&mut line).unwrap(), 0, "ended before {wanted}");
        }
        line.trim_end().to_owned()
    };
    next(": listening");
    line.add(&named("yard")).unwrap();
    line.add(&named("gate")).unwrap();
    assert_eq!(next("event:"), "event: stream");
    let what = What::StreamStarted { width: 64, height: 48, fps: None, models: Vec::new() };
    let event = Event {
        id: "gate/0".into(),
        stream: "gate".into(),
        sequence: 0,
        frame: 0,
        time_seconds: 0.0,
        captured_at: None,
        clock: eyeline::event::Clock::File,
        what,
    };
    line.tell(News::Event(Arc::new(event)));
    let (data, id) = (next("data: {\"id\""), next("id:"));
    assert_eq!(id, "id: gate/0");
    let told: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(told["type"], "stream.started");
    line.remove("gate").unwrap();
    assert_eq!(next("event:"), "event: removed");
}

#[test]
fn endless_answers_end_when_the_server_stops() {
    let (line, mut server) = serve(Gate::ThisMachine);
    line.add(&named("gate")).unwrap();
    let mut news = send(&server, "GET /api/v1/events", "", "");
    let mut view = send(&server, "GET /api/v1/streams/gate/live.mjpeg", "", "");
    read_head(&mut news);
    read_head(&mut view);
    until(|| line.is_watched("gate"));
    server.stop();
    assert!(!line.is_watched("gate"));
    let mut rest = Vec::new();
    news.read_to_end(&mut rest).unwrap();
    view.read_to_end(&mut rest).unwrap();
    assert!(TcpStream::connect(server.address()).is_err());
}

#[test]
fn a_taken_port_is_named() {
    let (line, server) = serve(Gate::ThisMachine);
    let listen = Listen { address: server.address(), tls: None };
    let refused = Server::start(&listen, Gate::ThisMachine, Arc::new(line)).unwrap_err().to_string();
    assert!(refused.contains(&server.address().to_string()) && refused.contains("--api"), "{refused}");
}
