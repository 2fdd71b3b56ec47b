//! A pipeline file that changes while its cameras are watched: streams come, go and change, a faulty file changes nothing, and
//! no other stream notices.
#![cfg(feature = "line")]

mod cameras;
mod operated;

use cameras::{Server, Spec, free_port, wait_until};
use operated::Program;
use serde_json::Value;
use std::{fs, path::Path};

/// Not a test: the camera's own process.
#[test]
fn camera_process() {
    cameras::be_a_camera();
}

/// A pipeline with these entries of `streams`.
fn write(file: &Path, out: &Path, streams: &[String]) {
    let text = format!(
        "version: 1\nstreams:\n{}\ndetect: {{ input_px: 320 }}\nembed: none\noutput: {{ dir: \"{}\", video: false }}\n\
         api: {{ listen: \"127.0.0.1:0\" }}\n",
        streams.iter().map(|stream| format!("  - {stream}\n")).collect::<String>(),
        out.display()
    );
    fs::write(file, text).unwrap();
}

fn streams(program: &Program) -> Vec<Value> {
    let answer = program.ask("GET /api/v1/streams", "", "");
    let told: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    told["streams"].as_array().unwrap().clone()
}

fn named(program: &Program, name: &str) -> Option<Value> {
    streams(program).into_iter().find(|stream| stream["name"] == name)
}

fn is_live(program: &Program, name: &str) -> bool {
    named(program, name).is_some_and(|stream| stream["state"] == "live")
}

#[test]
fn the_file_changes_and_no_other_stream_notices() {
    let folder = tempfile::tempdir().unwrap();
    let (out, file) = (folder.path().join("out"), folder.path().join("run.yml"));
    // Slow enough that the detector never drops a frame.
    let camera = Server::start(free_port(), &Spec { fps: 2, ..Spec::default() });
    let stream =
        |name: &str, more: &str| format!("{{ name: {name}, url: \"rtsp://127.0.0.1:{}/cam\"{more} }}", camera.port);
    let zone = |name: &str| format!(", zones: [{{ name: {name}, polygon: [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]] }}]");
    write(&file, &out, &[stream("stays", ""), stream("changes", ""), stream("leaves", "")]);
    let program = Program::start(&["run", file.to_str().unwrap(), "-v", "--json-log"], &[]);
    wait_until("all are live", || ["stays", "changes", "leaves"].iter().all(|name| is_live(&program, name)));

    write(&file, &out, &[stream("stays", ""), stream("changes", &zone("door")), stream("comes", "")]);
    wait_until("one comes, one goes, one changes", || {
        let changed = named(&program, "changes").is_some_and(|stream| stream["zones"][0] == "door");
        changed && is_live(&program, "comes") && named(&program, "leaves").is_none()
    });

    write(&file, &out, &[stream("stays", ", max_fps: -1"), stream("changes", "")]);
    wait_until("the fault is told", || program.said().contains("run.yml is unsound; what ran before runs on"));
    assert!(program.said().contains("streams[0].max_fps"), "{}", program.said());
    assert_eq!(streams(&program).len(), 3);

    // As long, and as old by its date, as what was read last: nobody would look into it without being asked.
    let read_at = fs::metadata(&file).unwrap().modified().unwrap();
    write(&file, &out, &[stream("stays", ", max_fps: 0 "), stream("changes", "")]);
    fs::File::options().write(true).open(&file).unwrap().set_modified(read_at).unwrap();
    program.signal("HUP");
    wait_until("the signal has it read", || {
        let changed = named(&program, "changes").is_some_and(|stream| stream["zones"].as_array().unwrap().is_empty());
        changed && streams(&program).len() == 2
    });

    for name in ["stays", "changes"] {
        let stream = named(&program, name).unwrap();
        let dropped: u64 = stream["dropped"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!((dropped, &stream["losses"]), (0, &0.into()), "{stream:#}");
    }
    let metrics = program.ask("GET /metrics", "", "");
    let counted = |sample: &str| {
        let value = metrics.lines().find_map(|line| line.strip_prefix(sample)).unwrap_or_else(|| panic!("{metrics}"));
        value.trim().parse::<f64>().unwrap()
    };
    let decoded = counted("eyeline_stage_sent_total{stage=\"decode\"}");
    let recorded = counted("eyeline_stage_sent_total{stage=\"record\"}");
    assert!(recorded > 5.0 && decoded - recorded < 8.0, "{decoded} frames decoded, {recorded} recorded");
    program.stop();
    for name in ["stays", "changes"] {
        let events = fs::read_to_string(out.join(name).join("events.jsonl")).unwrap();
        let kinds = |kind: &str| events.matches(&format!("\"type\":\"{kind}\"")).count();
        assert_eq!((kinds("stream.started"), kinds("stream.lost"), kinds("stream.ended")), (1, 0, 1), "{events}");
    }
}
