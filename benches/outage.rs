//! Does a broker that is not there, dies or crawls slow the line down, or fill memory? Runs the program over a file in pairs,
//! one with a sound broker and one without, in turn, and prints frames a second of both, their ratio, and memory.
//!
//! `cargo bench --bench outage [-- VIDEO [ROUNDS]]`; the sample video and two rounds unless told otherwise. Needs Mosquitto.
//! Frames a second are the summary's: from the first frame to the last result, loading and the wait at the end left out.

#[path = "../tests/footprint/mod.rs"]
mod footprint;
#[path = "../tests/sinks/proxy.rs"]
mod proxy;

use anyhow::{Context, ensure};
use footprint::Footprint;
use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const SAMPLE: &str = ".eyeline/video/vtest.avi";

/// About one event in compact form with its topic: one message a second.
const SLOW_BYTES_PER_SECOND: usize = 450;

/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What befalls the broker.
#[derive(Clone, Copy, Debug)]
enum Broker {
    Sound,
    Absent,
    Killed,
    Slow,
}

/// What a run came to.
struct Measured {
    fps: f64,
    /// Resident memory a third into the frames, and at most after that, MiB.
    early_mib: u64,
    most_mib: u64,
    events: u64,
}

/// Ends with this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = (self.0.kill(), self.0.wait());
    }
}

fn main() -> anyhow::Result<()> {
    // Cargo passes flags of its own (`--bench`).
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let video = PathBuf::from(args.next().unwrap_or_else(|| SAMPLE.to_owned()));
    let rounds: usize = args.next().map_or(Ok(2), |text| text.parse())?;
    println!(
        "{:>8}  {:>10}  {:>10}  {:>6}  {:>22}  {:>22}  {:>6}",
        "broker", "sound", "this", "ratio", "sound: MiB, then most", "this: MiB, then most", "events"
    );
    for broker in [Broker::Absent, Broker::Killed, Broker::Slow] {
        let mut ratios = Vec::new();
        for round in 0..rounds {
            // Whoever goes second finds a warmer machine: they take turns.
            let (sound, other) = if round % 2 == 0 {
                let sound = run(&video, Broker::Sound)?;
                (sound, run(&video, broker)?)
            } else {
                let other = run(&video, broker)?;
                (run(&video, Broker::Sound)?, other)
            };
            let ratio = other.fps / sound.fps;
            ratios.push(ratio);
            println!(
                "{:>8}  {:6.2} fps  {:6.2} fps  {ratio:6.3}  {:>13}, then {:>3}  {:>13}, then {:>3}  {:6}",
                format!("{broker:?}").to_lowercase(),
                sound.fps,
                other.fps,
                sound.early_mib,
                sound.most_mib,
                other.early_mib,
                other.most_mib,
                other.events
            );
        }
        println!("{:>8}  mean ratio {:.3}", "", ratios.iter().sum::<f64>() / ratios.len() as f64);
    }
    Ok(())
}

/// One run of the program over `video`.
fn run(video: &Path, broker: Broker) -> anyhow::Result<Measured> {
    let folder = tempfile::tempdir()?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut server = match broker {
        Broker::Absent => None,
        _ => Some(mosquitto(port)?),
    };
    let sink_port = if matches!(broker, Broker::Slow) { proxy::throttle(port, SLOW_BYTES_PER_SECOND) } else { port };
    let pipeline = folder.path().join("pipeline.yml");
    fs::write(&pipeline, pipeline_text(video, folder.path(), sink_port))?;
    let tracks = folder.path().join("street/tracks.txt");
    let mut command = Command::new(env!("CARGO_BIN_EXE_eyeline"));
    command.args(["run", "--quiet"]).arg(&pipeline).stdin(Stdio::null()).stderr(Stdio::null());
    let mut child = Process(command.spawn().context("eyeline does not start")?);
    let (mut early_mib, mut most_mib, began) = (0, 0, Instant::now());
    while child.0.try_wait()?.is_none() {
        ensure!(began.elapsed() < Duration::from_secs(600), "the run does not end");
        // Rows of some ten tracks a frame, 60 bytes each: a third of the sample video.
        let is_early = fs::metadata(&tracks).map_or(0, |file| file.len()) < 90_000;
        let memory_mib = Footprint::of(&child.0.id().to_string()).map(|seen| seen.resident_kib / 1024);
        if is_early {
            early_mib = memory_mib.unwrap_or(early_mib);
        } else {
            most_mib = most_mib.max(memory_mib.unwrap_or(0));
            if matches!(broker, Broker::Killed) {
                server = None;
            }
        }
        thread::sleep(LOOK);
    }
    drop(server);
    let text = fs::read_to_string(folder.path().join("street/summary.json")).context("the run failed")?;
    let summary: serde_json::Value = serde_json::from_str(&text)?;
    let fps = summary["fps"].as_f64().context("no fps in the summary")?;
    Ok(Measured { fps, early_mib, most_mib, events: summary["events"].as_u64().unwrap_or(0) })
}

/// Many events: several a second of each track.
fn pipeline_text(video: &Path, folder: &Path, port: u16) -> String {
    format!(
        "version: 1
streams:
  - name: street
    file: {}
    lines: [{{name: middle, points: [[0.5, 0.0], [0.5, 1.0]]}}]
    zones: [{{name: left, polygon: [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}}]
detect: {{input_px: 320, classes: [person]}}
embed: none
events: {{updates: 200ms}}
sinks: {{mqtt: [{{name: broker, url: \"mqtt://127.0.0.1:{port}\"}}]}}
output: {{dir: \"{}\", video: false}}
runtime: {{shutdown: 1s}}
",
        video.display(),
        folder.display()
    )
}

fn mosquitto(port: u16) -> anyhow::Result<Process> {
    let mut command = Command::new("/usr/sbin/mosquitto");
    command.args(["-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let process = Process(command.spawn().context("mosquitto")?);
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        ensure!(began.elapsed() < Duration::from_secs(20), "mosquitto does not answer");
        thread::sleep(Duration::from_millis(10));
    }
    Ok(process)
}
