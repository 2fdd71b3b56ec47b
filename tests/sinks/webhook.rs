//! An HTTP server of the test's own, which does as it is told.

use super::{
    certs::Certs,
    process::{ONE_A_SECOND, PASSWORD, free_port},
    proxy::throttle,
    scene::{Scene, event, server_tls},
};
use eyeline::event::{Event, What};
use hmac::{Hmac, KeyInit, Mac};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

/// What the server does with a request.
#[derive(Clone, Debug)]
enum Act {
    /// Answers this status line and header lines.
    Answer(&'static str),
    /// The same, once it has waited.
    Late(Duration),
    /// Hangs up without a word.
    HangUp,
    /// Takes it.
    Take,
}

#[derive(Clone, Default)]
struct Hook {
    taken: Arc<Mutex<Vec<String>>>,
    paths: Arc<Mutex<Vec<String>>>,
    acts: Arc<Mutex<Vec<Act>>>,
    tls: Option<Arc<ServerConfig>>,
}

impl Hook {
    fn listen(&self, port: u16) {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port");
        let (ready, is_ready) = mpsc::channel();
        let hook = self.clone();
        thread::spawn(move || {
            ready.send(()).expect("awaited");
            for stream in listener.incoming().map_while(Result::ok) {
                let hook = hook.clone();
                thread::spawn(move || match hook.tls.clone() {
                    None => hook.serve(stream),
                    Some(tls) => hook.serve(StreamOwned::new(ServerConnection::new(tls).expect("a session"), stream)),
                });
            }
        });
        is_ready.recv().expect("started");
    }

    fn serve(&self, stream: impl Read + Write) {
        let mut reader = BufReader::new(stream);
        loop {
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                if line.trim_end().is_empty() {
                    break;
                }
                head.push(line.trim_end().to_owned());
            }
            let header = |name: &str| {
                head.iter().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)))
            };
            let length: usize = header("content-length").expect("a length").1.parse().expect("a number");
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            assert_signed(header("eyeline-signature").expect("a signature").1, &body);
            assert_eq!(header("authorization").expect("a token").1, format!("Bearer {PASSWORD}"));
            self.paths.lock().expect("sound").push(head[0].clone());
            let events: Vec<serde_json::Value> = serde_json::from_slice(&body).expect("a JSON array");
            let is_large = body.len() > 25_000;
            let act = self.acts.lock().expect("sound").pop().unwrap_or(Act::Take);
            let status = match act {
                Act::HangUp => return,
                Act::Answer(status) => status,
                Act::Late(wait) => {
                    thread::sleep(wait);
                    return;
                }
                Act::Take if is_large => "413 Payload Too Large",
                Act::Take => {
                    let ids = events.iter().map(|event| event["id"].as_str().expect("an id").to_owned());
                    self.taken.lock().expect("sound").extend(ids);
                    "204 No Content"
                }
            };
            let length = if status.starts_with("204") { "" } else { "Content-Length: 0\r\n" };
            if write!(reader.get_mut(), "HTTP/1.1 {status}\r\n{length}\r\n").is_err() {
                return;
            }
        }
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().expect("sound").clone()
    }
}

fn assert_signed(signature: &str, body: &[u8]) {
    let (seconds, hex) = signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).expect("its form");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(PASSWORD.as_bytes()).expect("any length");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected);
}

fn sink(port: u16) -> String {
    format!(
        "  webhook: [{{name: w, url: \"http://127.0.0.1:{port}/T0KEN\", secret: \"${{PASSWORD}}\", token: \"${{PASSWORD}}\"}}]\n"
    )
}

#[test]
fn a_webhook_survives_every_misfortune() {
    let (hook, port) = (Hook::default(), free_port());
    let mut scene = Scene::new(&sink(port));
    scene.append();
    let trouble = scene.wait_trouble();
    assert!(!trouble.contains("T0KEN") && !trouble.contains(PASSWORD), "{trouble}");
    *hook.acts.lock().expect("sound") = vec![
        Act::Take,
        Act::HangUp,
        Act::Answer("503 Service Unavailable\r\nRetry-After: 1"),
        Act::Answer("429 Too Many Requests"),
        Act::Late(Duration::from_millis(1300)),
        Act::Answer("401 Unauthorized"),
        Act::Answer("500 Internal Server Error"),
    ];
    hook.listen(port);
    scene.wait_delivered();
    scene.append();
    let large = What::StreamLost { reason: "x".repeat(30_000) };
    scene.log.append(&[Event { what: large, ..event("large", 0) }]);
    scene.append();
    scene.wait_delivered();
    scene.assert_arrived(&hook.taken());
    assert_eq!(scene.report().skipped, 1);
}

#[test]
fn redirections_are_followed_within_the_host_only() {
    let (hook, port) = (Hook::default(), free_port());
    hook.listen(port);
    *hook.acts.lock().expect("sound") = vec![
        Act::Answer("307 Temporary Redirect\r\nLocation: /here"),
        Act::Answer("307 Temporary Redirect\r\nLocation: //127.0.0.1/there"),
        Act::Answer("308 Permanent Redirect\r\nLocation: http://example.org/T0KEN"),
        Act::Answer("302 Found\r\nLocation: /elsewhere"),
    ];
    let mut scene = Scene::new(&sink(port));
    scene.append();
    assert!(scene.wait_trouble().contains("302") || scene.report().trouble.is_some());
    scene.wait_delivered();
    scene.assert_arrived(&hook.taken());
    let paths = hook.paths.lock().expect("sound").clone();
    assert!(paths.contains(&"POST /here HTTP/1.1".to_owned()), "{paths:?}");
    assert!(paths.iter().all(|path| !path.contains("there") && !path.contains("elsewhere")), "{paths:?}");
}

#[test]
fn a_webhook_over_tls() {
    let certs = Certs::new();
    let (hook, port) = (Hook { tls: Some(server_tls(&certs)), ..Hook::default() }, free_port());
    hook.listen(port);
    let secure = sink(port).replace("http://127.0.0.1", "https://localhost");
    let mut scene = Scene::new(&secure.replace("}]", &format!(", tls: {{ca: {}}}}}]", certs.ca().display())));
    scene.append();
    scene.wait_delivered();
    scene.assert_arrived(&hook.taken());
    let mut distrustful = Scene::new(&secure);
    distrustful.append();
    assert!(distrustful.wait_trouble().contains("certificate"), "{}", distrustful.wait_trouble());
}

#[test]
fn a_webhook_that_takes_one_a_second_gets_everything_once() {
    let (hook, port) = (Hook::default(), free_port());
    hook.listen(port);
    let mut scene = Scene::slow(&sink(throttle(port, ONE_A_SECOND)), 50);
    scene.trickle(|| hook.taken());
}
