//! `eyeline check` and `eyeline schema` as a user meets them.

use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

/// A sound file with a video beside it, and one with two faults.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("temporary directory");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write("gate.mp4", "");
    write("good.yml", "version: 1\nstreams: [{file: '${VIDEO:-gate.mp4}'}]\ndetect: {input_px: 416}\nembed: none\n");
    write("bad.yml", "version: 1\nstreams:\n  - file: gaet.mp4\ndetect:\n    min_score: high\n");
    folder
}

fn eyeline(dir: &Path, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_eyeline"));
    program.current_dir(dir).env_remove("VIDEO").args(arguments).output().expect("runs")
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn a_sound_file_is_summed_up_in_a_line() {
    let folder = folder();
    let output = eyeline(folder.path(), &["check", "good.yml"]);
    let expected = "good.yml: ok: 1 stream, detector yolov3-tiny 416 px, embedder none, tracker eyeline\n";
    assert_eq!((text_of(&output.stdout).as_str(), output.status.code()), (expected, Some(0)));
}

#[test]
fn every_fault_of_every_file_is_a_line_and_the_exit_code_is_2() {
    let folder = folder();
    let output = eyeline(folder.path(), &["check", "bad.yml", "good.yml", "none.yml"]);
    let stdout = text_of(&output.stdout);
    let lines: Vec<_> = stdout.lines().collect();
    let beginnings = [
        "bad.yml:3:5: streams[0].file: gaet.mp4: no such file or directory; did you mean gate.mp4?",
        "bad.yml:5:5: detect.min_score: \"high\", expected a number 0..=1",
        "good.yml: ok: ",
        "none.yml: cannot be read: No such file or directory",
    ];
    assert_eq!(lines.len(), beginnings.len(), "{stdout}");
    assert!(lines.iter().zip(beginnings).all(|(line, begins)| line.starts_with(begins)), "{stdout}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_missing_video_is_a_fault_of_its_file() {
    let folder = folder();
    fs::write(folder.path().join("bad.yml"), "{version: 1, streams: [{file: gaet.mp4}, {file: gate.mp4}]}")
        .expect("written");
    let output = eyeline(folder.path(), &["check", "bad.yml"]);
    assert!(text_of(&output.stdout).starts_with("bad.yml:1:25: streams[0].file: gaet.mp4: no such file"));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_folder_and_a_glob_are_as_many_streams_as_they_hold_videos() {
    let folder = folder();
    fs::write(folder.path().join("yard.MKV"), "").expect("written");
    for (file, count) in [(".", 2), ("'*a*.m*'", 1), ("'*'", 5)] {
        let text = format!("{{version: 1, streams: [{{file: {file}}}]}}");
        fs::write(folder.path().join("many.yml"), text).expect("written");
        let stdout = text_of(&eyeline(folder.path(), &["check", "many.yml"]).stdout);
        assert!(stdout.starts_with(&format!("many.yml: ok: {count} stream")), "{file}: {stdout}");
    }
}

#[test]
fn programs_read_the_verdict_as_json() {
    let folder = folder();
    let output = eyeline(folder.path(), &["check", "--json", "good.yml", "bad.yml"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report[0]["file"], &report[0]["ok"]), (&"good.yml".into(), &true.into()));
    let fault = &report[1]["faults"][1];
    assert_eq!((&fault["path"], &fault["line"], &fault["column"]), (&"detect.min_score".into(), &5.into(), &5.into()));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn schema_and_reference_are_printed() {
    let folder = folder();
    let schema: Value = serde_json::from_slice(&eyeline(folder.path(), &["schema"]).stdout).expect("JSON");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let reference = eyeline(folder.path(), &["schema", "--reference"]).stdout;
    fs::write(folder.path().join("recording.mp4"), "").expect("written");
    fs::write(folder.path().join("reference.yml"), reference).expect("written");
    let output = eyeline(folder.path(), &["check", "reference.yml"]);
    assert_eq!(output.status.code(), Some(0), "{}", text_of(&output.stdout));
}
