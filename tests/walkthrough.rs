//! `docs/integrator.md`, done step by step: its broker, its subscriber, its pipeline, and what it says of each.
#![cfg(feature = "line")]

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

/// Bounds waiting on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The port the page uses.
const PORT: &str = "1883";

fn page() -> String {
    fs::read_to_string(root().join("docs/integrator.md")).expect("the page")
}

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// The first block of the page in `language`, at another port.
fn block(language: &str, port: u16) -> String {
    let page = page();
    let (_, from) = page.split_once(&format!("```{language}\n")).expect("a block");
    let (block, _) = from.split_once("```").expect("its end");
    assert!(block.contains(PORT), "the port of the page");
    block.replace(PORT, &port.to_string())
}

/// A process that does not outlive the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = (self.0.kill(), self.0.wait());
    }
}

impl Started {
    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status().expect("kill").success());
    }

    /// Ends it in order.
    fn stop(mut self) {
        self.signal("TERM");
        self.0.wait().expect("ends");
    }
}

fn broker(folder: &Path, port: u16) -> Started {
    let mut command = Command::new("/usr/sbin/mosquitto");
    command.args(["-c", "mosquitto.conf"]).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
    let broker = Started(command.spawn().expect("mosquitto, from scripts/packages-test.txt"));
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < PATIENCE, "no broker");
        thread::sleep(Duration::from_millis(20));
    }
    broker
}

/// The lines a process prints.
fn lines(child: &mut Child) -> Receiver<String> {
    let (to, lines) = channel();
    let out = BufReader::new(child.stdout.take().expect("its output"));
    // The test may have seen enough.
    thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| to.send(line.trim_end().to_owned())));
    lines
}

/// Lines until one that `is`, that one included.
fn until(lines: &Receiver<String>, what: &str, is: impl Fn(&str) -> bool) -> Vec<String> {
    let mut heard = Vec::new();
    let end = Instant::now() + PATIENCE;
    while !heard.last().is_some_and(|line: &String| is(line)) {
        let left = end.saturating_duration_since(Instant::now());
        heard.push(lines.recv_timeout(left).unwrap_or_else(|_| panic!("no {what} in {heard:#?}")));
    }
    heard
}

#[test]
fn an_integrator_gets_what_the_page_promises() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    fs::write(folder.path().join("mosquitto.conf"), block("conf", port) + "user root\n").expect("writes");
    fs::write(folder.path().join("subscriber.py"), block("python", port)).expect("writes");
    assert!(page().contains("\ntarget/release/eyeline run pipelines/events.yml\n"));

    let running = broker(folder.path(), port);
    // Debian's own Python, which sees Debian's packages.
    let mut command = Command::new("/usr/bin/python3");
    command.arg("subscriber.py").current_dir(folder.path()).stdout(Stdio::piped());
    let mut subscriber = Started(command.spawn().expect("python3"));
    let heard = lines(&mut subscriber.0);

    let mut command = Command::new(env!("CARGO_BIN_EXE_eyeline"));
    command.args(["run", "pipelines/events.yml", "--quiet"]).current_dir(root()).stdin(Stdio::null());
    command.env("MQTT_PORT", port.to_string()).env("OUT", folder.path().join("out"));
    let mut eyeline = Started(command.spawn().expect("eyeline"));
    let mut told = until(&heard, "track", |line| line.contains("track.started person"));
    assert_eq!(told[..2], ["eyeline is online", "vtest/0 stream.started"]);

    // Stopped, and there again once something has happened meanwhile.
    running.stop();
    let kept = || fs::read_to_string(folder.path().join("out/all.jsonl")).unwrap_or_default().lines().count();
    let (before, began) = (kept(), Instant::now());
    while kept() < before + 2 {
        assert!(began.elapsed() < PATIENCE, "nothing happens");
        thread::sleep(Duration::from_millis(50));
    }
    let _running = broker(folder.path(), port);
    let newest = format!("vtest/{} ", kept() - 1);
    told.extend(until(&heard, "what happened meanwhile", |line| line.starts_with(&newest)));

    eyeline.signal("INT");
    told.extend(until(&heard, "goodbye", |line| line == "eyeline is offline"));
    let status = eyeline.0.wait().expect("ends");
    assert_eq!((status.code(), status.signal()), (Some(130), None));

    let numbers: Vec<u64> =
        told.iter().filter_map(|line| line.strip_prefix("vtest/")?.split(' ').next()?.parse().ok()).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "{told:#?}");
    assert!(told.iter().any(|line| line.contains("stream.ended")), "{told:#?}");
    assert_eq!(kept(), numbers.len(), "as many in the file as were heard");
}
