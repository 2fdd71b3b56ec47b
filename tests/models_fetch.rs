//! `eyeline models`: what is fetched arrives whole or not at all, goes on where it stopped, and works without a network after.
#![cfg(feature = "line")]

use sha2::{Digest, Sha256};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
};
use tempfile::TempDir;

/// What the server does with a request.
#[derive(Clone, Copy)]
enum Manner {
    /// Serves the file, or the part asked for.
    Serve,
    /// Ends the connection after so many bytes of the body.
    CutAfter(usize),
    /// Serves all of it whatever part is asked for.
    IgnoreRange,
    /// Has no such file.
    Missing,
}

/// A web server on a free port of this machine that serves one file. It lives as long as the test program.
struct Server {
    url: String,
    manner: Arc<Mutex<Manner>>,
    /// The `Range` of each request, empty for none.
    ranges: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn of(content: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/some/m.onnx", listener.local_addr().unwrap());
        let manner = Arc::new(Mutex::new(Manner::Serve));
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let (how, asked) = (Arc::clone(&manner), Arc::clone(&ranges));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut range = String::new();
                for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                    let line = line.unwrap().to_lowercase();
                    match line.strip_prefix("range: bytes=") {
                        Some(wanted) => range = wanted.to_owned(),
                        None if line.is_empty() => break,
                        None => {}
                    }
                }
                asked.lock().unwrap().push(range.clone());
                let manner = *how.lock().unwrap();
                // A client that has seen enough hangs up.
                let _ = stream.write_all(&answer(&content, &range, manner));
            }
        });
        Self { url, manner, ranges }
    }

    fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn ranges(&self) -> Vec<String> {
        self.ranges.lock().unwrap().clone()
    }
}

fn answer(content: &[u8], range: &str, manner: Manner) -> Vec<u8> {
    let from: usize = range.trim_end_matches('-').parse().unwrap_or(0);
    let (status, body) = match manner {
        Manner::Missing => return b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
        Manner::IgnoreRange => ("200 OK", content),
        _ if from >= content.len() => ("416 Range Not Satisfiable", &[][..]),
        _ if from > 0 => ("206 Partial Content", &content[from..]),
        _ => ("200 OK", content),
    };
    let sent = if let Manner::CutAfter(bytes) = manner { &body[..bytes.min(body.len())] } else { body };
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), sent].concat()
}

fn content() -> Vec<u8> {
    (0..300_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs `eyeline models` with its files under `home` and gives whether it succeeded, and what it said.
fn models(home: &Path, args: &[&str]) -> (bool, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_eyeline"));
    let Output { status, stdout, stderr } =
        program.arg("models").args(args).env("EYELINE_HOME", home).env_remove("http_proxy").output().unwrap();
    (status.success(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_file_arrives_and_is_not_fetched_twice() {
    let (server, home) = (Server::of(content()), home());
    let sum = sha256(&content());
    let args = ["fetch", &server.url, "--sha256", &sum];
    let (done, said) = models(home.path(), &args);
    assert!(done && said.contains(&sum), "{said}");
    assert_eq!(fs::read(home.path().join("models/m.onnx")).unwrap(), content());
    server.behave(Manner::Missing);
    let (done, said) = models(home.path(), &args);
    assert!(done && said.contains("already here"), "{said}");
    assert_eq!(server.ranges().len(), 1);
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let (server, home) = (Server::of(content()), home());
    let sum = sha256(&content());
    let args = ["fetch", &server.url, "--sha256", &sum];
    server.behave(Manner::CutAfter(100_000));
    let (done, said) = models(home.path(), &args);
    assert!(!done && said.contains("run the command again to go on"), "{said}");
    let part = home.path().join("models/m.onnx.part");
    let there = fs::metadata(&part).unwrap().len();
    assert!(there > 0 && !home.path().join("models/m.onnx").exists());
    server.behave(Manner::Serve);
    let (done, said) = models(home.path(), &args);
    assert!(done, "{said}");
    assert_eq!(server.ranges(), [String::new(), format!("{there}-")]);
    assert_eq!(fs::read(home.path().join("models/m.onnx")).unwrap(), content());
    assert!(!part.exists());
}

#[test]
fn a_part_of_another_file_is_dropped_and_a_whole_part_is_taken() {
    let (server, home) = (Server::of(content()), home());
    let sum = sha256(&content());
    let args = ["fetch", &server.url, "--sha256", &sum];
    let part = home.path().join("models/m.onnx.part");
    fs::create_dir(home.path().join("models")).unwrap();
    for (before, manner) in [
        (vec![7; 1000], Manner::Serve),
        (vec![7; 1000], Manner::IgnoreRange),
        (content(), Manner::Serve),
        (vec![7; 400_000], Manner::Serve),
    ] {
        server.behave(manner);
        fs::write(&part, before).unwrap();
        let (done, said) = models(home.path(), &args);
        assert!(done, "{said}");
        assert_eq!(fs::read(home.path().join("models/m.onnx")).unwrap(), content());
        fs::remove_file(home.path().join("models/m.onnx")).unwrap();
    }
}

#[test]
fn what_is_wrong_is_told_and_nothing_is_kept_of_it() {
    let (server, home) = (Server::of(content()), home());
    let file = home.path().join("models/m.onnx");
    let (done, said) = models(home.path(), &["fetch", &server.url, "--sha256", "00ff"]);
    assert!(!done && said.contains(&format!("has sha256 {}, expected 00ff", sha256(&content()))), "{said}");
    assert!(!file.exists() && !home.path().join("models/m.onnx.part").exists());
    server.behave(Manner::Missing);
    let (done, said) = models(home.path(), &["fetch", &server.url]);
    assert!(!done && said.contains("the server answers 404"), "{said}");
    let (done, said) = models(home.path(), &["fetch", "http://127.0.0.1:9/m.onnx"]);
    assert!(!done && said.contains("http://127.0.0.1:9/m.onnx: "), "{said}");
    let (done, said) = models(home.path(), &["fetch", "yolox-nona"]);
    assert!(!done && said.contains("did you mean yolox-nano?"), "{said}");
    assert!(!file.exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let (server, home) = (Server::of(content()), home());
    fs::write(home.path().join("models"), "a file").unwrap();
    let (done, said) = models(home.path(), &["fetch", &server.url]);
    assert!(!done && said.contains(&format!("{}: ", home.path().join("models").display())), "{said}");
    let (done, said) = models(home.path(), &["import", env!("CARGO_BIN_EXE_eyeline")]);
    assert!(!done && said.contains("cannot be made"), "{said}");
}

#[test]
fn a_mirror_that_gives_another_file_is_refused_with_the_licence_shown() {
    let (server, home) = (Server::of(content()), home());
    let mirror = server.url.trim_end_matches("/m.onnx");
    let (done, said) = models(home.path(), &["fetch", "yolox-nano", "--from", mirror]);
    assert!(!done && said.contains("licence: Apache-2.0") && said.contains("expected c789161e"), "{said}");
    let (done, said) = models(home.path(), &["fetch", "osnet-x1.0"]);
    assert!(!done && said.contains("cannot be fetched, it is made"), "{said}");
}

#[test]
fn the_list_and_its_check_know_what_is_here() {
    let home = home();
    let (done, said) = models(home.path(), &["list"]);
    assert!(done && said.contains("yolox-nano") && said.contains("Apache-2.0"), "{said}");
    let (done, said) = models(home.path(), &["verify"]);
    assert!(done && said.is_empty(), "{said}");
    let (done, said) = models(home.path(), &["verify", "yolox-nano"]);
    assert!(!done && said.contains("eyeline models fetch yolox-nano"), "{said}");
    fs::create_dir(home.path().join("models")).unwrap();
    fs::write(home.path().join("models/yolox_nano.onnx"), "x").unwrap();
    let (done, said) = models(home.path(), &["verify"]);
    assert!(!done && said.contains("yolox-nano: ") && said.contains("damaged"), "{said}");
    let (done, said) = models(home.path(), &["inspect", "no.onnx"]);
    assert!(!done && said.contains("no.onnx is not there"), "{said}");
}
