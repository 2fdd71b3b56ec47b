//! `eyeline process` as a user meets it: real decoding, real inference, real files, faults of every kind.
#![cfg(feature = "line")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod json_schema;
mod support;

use eyeline::event::payload::Format;
use json_schema::Checker;
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};
use support::{Clip, H264, decode, people, sample_video, temp_dir};

/// Small and quick: what is tested is the program, not the model.
const QUICK: [&str; 4] = ["--input-px", "320", "--threads", "2"];

fn eyeline(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eyeline"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).env_remove("EYELINE_LOG");
    command
}

fn process(inputs: &[&Path], out: &Path, more: &[&str]) -> Output {
    let mut command = eyeline(&["process"]);
    command.args(inputs).arg("--out").arg(out).args(QUICK).args(more);
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The lines of stderr that name `name`.
fn lines_about<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.contains(name)).collect()
}

fn json_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{} ends in half a line", path.display());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn summary(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("summary.json")).unwrap()).unwrap()
}

fn kind(event: &Value) -> &str {
    event["type"].as_str().unwrap()
}

#[test]
fn every_promised_file_is_written_and_agrees_with_the_others() {
    let folder = temp_dir();
    let clip = people(folder.path(), "people.mp4", 40);
    let out = folder.path().join("out");
    let output = process(&[&clip], &out, &["--classes", "person", "--detections"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let dir = out.join("people");

    let summary = summary(&dir);
    assert_eq!((summary["frames"].as_u64(), summary["drops"].as_u64()), (Some(40), Some(0)));
    assert_eq!(summary["result"], "end_of_stream");
    assert!(summary["fps"].as_f64().unwrap() > 0.0);
    for stage in ["decode", "detect", "embed", "track", "analyze", "record", "video"] {
        assert!(summary["stages"][stage]["busy"]["p99_ms"].as_f64().is_some(), "{stage} is timed");
    }
    assert_eq!(summary["models"].as_array().unwrap().len(), 2);
    assert_eq!(summary["models"][0]["sha256"].as_str().unwrap().len(), 64);

    let events = json_lines(&dir.join("events.jsonl"));
    let checker = Checker::of(Format::Compact);
    events.iter().for_each(|event| assert_eq!(checker.faults(event), [""; 0]));
    assert_eq!(kind(&events[0]), "stream.started");
    assert_eq!(kind(events.last().unwrap()), "stream.ended");
    let of = |wanted: &str| events.iter().filter(|e| kind(e) == wanted).count();
    assert!(of("track.started") > 0, "people are tracked");
    assert_eq!(of("track.started"), of("track.ended"));
    assert_eq!(summary["tracks"].as_u64().unwrap() as usize, of("track.started"));
    assert_eq!(summary["events"].as_u64().unwrap() as usize, events.len());

    let tracks = fs::read_to_string(dir.join("tracks.txt")).unwrap();
    let frames = tracks.lines().map(|row| row.split(',').next().unwrap().parse::<u64>().unwrap());
    assert!(frames.clone().all(|frame| (1..=40).contains(&frame)) && frames.count() > 20);
    let detections = fs::read_to_string(dir.join("detections.txt")).unwrap();
    assert!(detections.lines().all(|row| row.split(',').nth(1) == Some("-1")));
    assert!(detections.lines().count() >= tracks.lines().count() / 2);

    assert_eq!(decode(&dir.join("annotated.mp4")).frames.len(), 40);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("annotated.mp4") && table.contains("people"), "{table}");
}

#[test]
fn two_runs_give_the_same_bytes() {
    let folder = temp_dir();
    let clips = [people(folder.path(), "a.mp4", 25), people(folder.path(), "b.mp4", 14)];
    let inputs: Vec<&Path> = clips.iter().map(PathBuf::as_path).collect();
    let run = |name: &str| {
        let out = folder.path().join(name);
        assert!(process(&inputs, &out, &["--no-video", "--detections"]).status.success());
        let files = ["a/events.jsonl", "a/tracks.txt", "a/detections.txt", "b/events.jsonl", "b/tracks.txt"];
        files.map(|file| fs::read(out.join(file)).unwrap())
    };
    let first = run("first");
    assert!(first.iter().all(|bytes| !bytes.is_empty()));
    assert!(first == run("second"));
}

#[test]
fn each_bad_input_ends_in_one_line_and_the_good_ones_are_complete() {
    let folder = temp_dir();
    let good = people(folder.path(), "good.mp4", 12);
    let text = folder.path().join("text.mp4");
    fs::write(&text, "this is no video\n".repeat(50)).unwrap();
    let cut = folder.path().join("cut.mp4");
    let whole = fs::read(&good).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let audio = folder.path().join("audio.wav");
    support::launch(&format!(
        "audiotestsrc num-buffers=20 ! audioconvert ! wavenc ! filesink location=\"{}\"",
        audio.display()
    ));
    let missing = folder.path().join("missing.mp4");
    let bad = [&text, &cut, &audio, &missing];
    let out = folder.path().join("out");
    let inputs = [text.as_path(), &good, &cut, &audio, &missing];
    let output = process(&inputs, &out, &["--no-video"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    for path in bad {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(lines_about(&said, name).len(), 1, "one line about {name} in:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    assert_eq!(summary(&out.join("good"))["frames"], 12);
    assert_eq!(kind(json_lines(&out.join("good/events.jsonl")).last().unwrap()), "stream.ended");
}

#[test]
fn a_folder_without_videos_is_refused_in_one_line() {
    let folder = temp_dir();
    fs::write(folder.path().join("notes.txt"), "x").unwrap();
    let output = process(&[folder.path()], &folder.path().join("out"), &[]);
    assert!(!output.status.success());
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
}

#[test]
fn a_wrong_model_is_refused_before_the_first_frame() {
    let folder = temp_dir();
    let clip = Clip::SMALL.record(folder.path(), "clip.mp4", &format!("{H264} ! mp4mux"));
    let nonsense = folder.path().join("model.weights");
    fs::write(&nonsense, "no weights").unwrap();
    for detector in [nonsense.to_str().unwrap(), "yolov3-tinny", "nowhere.weights"] {
        let out = folder.path().join("out");
        let output = process(&[&clip], &out, &["--detector", detector]);
        assert!(!output.status.success(), "{detector}");
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
        assert!(!out.join("clip").exists(), "nothing was processed");
    }
    let output = process(&[&clip], &folder.path().join("out"), &["--classes", "persn"]);
    assert!(stderr(&output).contains("person"), "names the nearest class: {}", stderr(&output));
}

/// A full disk under each of the files in turn: `/dev/full` takes nothing and says so.
#[test]
fn a_full_disk_fails_its_input_alone() {
    let folder = temp_dir();
    let full = people(folder.path(), "full.mp4", 20);
    let free = people(folder.path(), "free.mp4", 20);
    for file in ["events.jsonl", "tracks.txt", "annotated.mp4"] {
        let out = folder.path().join(format!("out-{file}"));
        fs::create_dir_all(out.join("full")).unwrap();
        symlink("/dev/full", out.join("full").join(file)).unwrap();
        let output = process(&[&full, &free], &out, &["--classes", "person"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{file}: {said}");
        let about = lines_about(&said, file);
        assert_eq!(about.len(), 1, "{file}: {said}");
        assert!(about[0].contains("space"), "{said}");
        assert_eq!(summary(&out.join("free"))["frames"], 20);
        assert_eq!(summary(&out.join("free"))["result"], "end_of_stream");
        assert_eq!(decode(&out.join("free/annotated.mp4")).frames.len(), 20);
    }
}

/// Starts a long run and waits until results have been written.
fn start_long_run(out: &Path) -> Child {
    let mut command = eyeline(&["process"]);
    command.arg(sample_video()).arg("--out").arg(out).args(QUICK).args(["--classes", "person", "-vv"]);
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let tracks = out.join("vtest/tracks.txt");
    while fs::metadata(&tracks).map_or(0, |file| file.len()) < 4_000 {
        assert!(child.try_wait().unwrap().is_none(), "the run ended early");
        std::thread::yield_now();
    }
    // Nobody may block on a full pipe.
    let said = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || said.lines().for_each(drop));
    child
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn an_interrupted_run_leaves_whole_files() {
    for name in ["-INT", "-TERM"] {
        let folder = temp_dir();
        let mut child = start_long_run(folder.path());
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let dir = folder.path().join("vtest");
        let summary = summary(&dir);
        assert_eq!((summary["result"].as_str(), summary["drops"].as_u64()), (Some("interrupted"), Some(0)));
        let frames = summary["frames"].as_u64().unwrap();
        assert!((1..795).contains(&frames));
        let events = json_lines(&dir.join("events.jsonl"));
        let last = events.last().unwrap();
        assert_eq!((kind(last), last["reason"].as_str()), ("stream.ended", Some("interrupted")));
        assert_eq!(decode(&dir.join("annotated.mp4")).frames.len() as u64, frames);
    }
}

#[test]
fn a_killed_run_leaves_whole_lines_and_a_video_that_plays() {
    let folder = temp_dir();
    let mut child = start_long_run(folder.path());
    let video = folder.path().join("vtest/annotated.mp4");
    while fs::metadata(&video).map_or(0, |file| file.len()) < 200_000 {
        assert!(child.try_wait().unwrap().is_none(), "the run ended early");
        std::thread::yield_now();
    }
    signal(&child, "-KILL");
    child.wait().unwrap();
    json_lines(&folder.path().join("vtest/events.jsonl"));
    let tracks = fs::read_to_string(folder.path().join("vtest/tracks.txt")).unwrap();
    assert!(tracks.ends_with('\n') && tracks.lines().all(|row| row.split(',').count() == 10));
    assert!(!decode(&video).frames.is_empty());
}

#[test]
fn help_and_usage_errors_are_the_shells_kind() {
    for args in [&["--help"][..], &["process", "--help"], &["run", "--help"], &["man"], &["completions", "bash"]] {
        let output = eyeline(args).output().unwrap();
        assert!(output.status.success() && output.stdout.len() > 500, "{args:?}");
    }
    for args in [&["process"][..], &["process", "a.mp4", "--min-score", "7"], &["run", "nowhere.yml"], &["frobnicate"]]
    {
        let output = eyeline(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn quiet_says_nothing_when_all_is_well() {
    let folder = temp_dir();
    let clip = Clip::SMALL.record(folder.path(), "clip.mkv", &format!("{H264} ! matroskamux"));
    let output = process(&[&clip], &folder.path().join("out"), &["--quiet"]);
    assert!(output.status.success());
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{}", stderr(&output));
}
