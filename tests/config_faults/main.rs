//! What a user hears of a pipeline file that is wrong: everything at once, where, why and what to do.

mod any_input;
mod media;

use eyeline::config::{
    self, Checked, Fault, Faults, Host, check,
    raw::{Embed, InputPx, Off, Stream},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A made-up machine: `missing…` is not there, `folder` holds two videos, `DIR`, `SCORE` and `EMPTY` are set.
struct MadeUp;

impl Host for MadeUp {
    fn videos(&self, input: &str) -> Result<Vec<PathBuf>, String> {
        match input {
            "folder" => Ok(vec!["folder/a.mp4".into(), "folder/b.mp4".into()]),
            "other" => Ok(vec!["other/a.mp4".into()]),
            _ if input.starts_with("missing") => Err(format!("{input}: no such file")),
            _ => Ok(vec![input.into()]),
        }
    }

    fn is_file(&self, path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension == "onnx")
    }

    fn cpus(&self) -> usize {
        6
    }

    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "DIR" => Some("/srv".into()),
            "SCORE" => Some("0.5".into()),
            "SECRET" => Some("hunter2".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }
}

fn read(text: &str) -> Result<Checked, Faults> {
    config::read(text, &MadeUp)
}

/// Faults as a user sees them, without the file's name.
fn faults(text: &str) -> Vec<String> {
    let shown = |fault: &Fault| fault.in_file(Path::new("f")).split_once(':').map(|(_, rest)| rest.trim().to_owned());
    match read(text) {
        Ok(checked) => checked.unusable.iter().filter_map(shown).collect(),
        Err(Faults(faults)) => faults.iter().filter_map(shown).collect(),
    }
}

/// A sound file with these lines more.
fn with(lines: &str) -> String {
    format!("version: 1\nstreams: [{{file: a.mp4}}]\n{lines}\n")
}

#[test]
fn each_fault_says_where_what_and_what_to_do() {
    let cases = [
        ("detect: {min_score: high}", r#"3:10: detect.min_score: "high", expected a number 0..=1"#),
        ("detect: {min_score: 1.5}", "3:10: detect.min_score: 1.5, expected a number 0..=1"),
        ("detect: {min_score: -0.1}", "3:10: detect.min_score: -0.1, expected a number 0..=1"),
        ("detect: {min_score: .nan}", r#"3:10: detect.min_score: ".nan", expected a number 0..=1"#),
        ("detect: {min_score: -.inf}", r#"3:10: detect.min_score: "-.inf", expected a number 0..=1"#),
        ("detect: {min_score: 1e999}", r#"3:10: detect.min_score: "1e999", expected a number 0..=1"#),
        (
            "detect: {min_score: '0.5'}",
            r#"3:10: detect.min_score: "0.5", expected a number 0..=1; write it without quotes"#,
        ),
        (
            "detect:\n  min_score:",
            "4:3: detect.min_score: no value, expected a number 0..=1; leave the key out to get its default",
        ),
        (
            "detect: {input_px: 600}",
            "3:10: detect.input_px: 600, expected auto or a whole number 32..=4096, a multiple of 32; 608 is the nearest",
        ),
        (
            "detect: {input_px: 99999999999999999999}",
            "3:10: detect.input_px: 1e+20, expected auto or a whole number 32..=4096, a multiple of 32; 4096 is the nearest",
        ),
        (
            "detect: {input_px: atuo}",
            r#"3:10: detect.input_px: "atuo", expected auto or a whole number 32..=4096, a multiple of 32; did you mean auto?"#,
        ),
        ("detect: {max_batch: 0}", "3:10: detect.max_batch: 0, expected a whole number 1..=256"),
        ("detect: {max_batch: 2.5}", "3:10: detect.max_batch: 2.5, expected a whole number 1..=256"),
        ("detect: {min_scor: 0.5}", "3:10: detect.min_scor: unknown key; did you mean min_score?"),
        (
            "detect: {threshold: 0.5}",
            "3:10: detect.threshold: unknown key; known keys: model, input_px, classes, min_score, min_score_by_class, max_iou, suppress, soft_nms, max_detections, max_batch, every, min_motion, recheck, tiles, tile_overlap, also",
        ),
        (
            "detect: {1: 2}",
            "3:10: detect.1: unknown key; known keys: model, input_px, classes, min_score, min_score_by_class, max_iou, suppress, soft_nms, max_detections, max_batch, every, min_motion, recheck, tiles, tile_overlap, also",
        ),
        (
            "min_score: 0.5",
            "3:1: min_score: unknown key; min_score belongs under streams[] or under detect or under embed",
        ),
        (
            "detect: [1, 2]",
            "3:1: detect: [1,2], expected a mapping with model, input_px, classes, min_score, min_score_by_class, max_iou, suppress, soft_nms, max_detections, max_batch, every, min_motion, recheck, tiles, tile_overlap, also",
        ),
        (
            "detect: {classes: person}",
            "3:10: detect.classes: \"person\", expected a list of at most 1024 items; write it as a list: [person]",
        ),
        ("detect: {classes: [5]}", "3:20: detect.classes[0]: 5, expected text, not empty; write it in quotes: \"5\""),
        (
            "detect: {classes: [persn]}",
            r#"3:20: detect.classes[0]: "persn", which yolov3-tiny does not know; did you mean person?"#,
        ),
        ("detect: {every: 0}", "3:10: detect.every: 0, expected a whole number 1..=100"),
        ("detect: {recheck: 5}", "3:10: detect.recheck: 5, expected a duration 0s..=1h; write 5s if seconds are meant"),
        ("detect: {tiles: [2, 0]}", "3:21: detect.tiles[1]: 0, expected a whole number 1..=16"),
        (
            "detect: {soft_nms: gausian}",
            r#"3:10: detect.soft_nms: "gausian", expected one of off, linear, gaussian; did you mean gaussian?"#,
        ),
        (
            "preprocess: {light: on}",
            r#"3:14: preprocess.light: "on", expected one of auto, off or a list of 1 to 4 items"#,
        ),
        ("embed: {settled_after: 0}", "3:9: embed.settled_after: 0, expected a whole number 1..=1000"),
        ("detect: {classes: [cat, cat]}", r#"3:25: detect.classes[1]: "cat" is already classes[0]"#),
        (
            "detect: {model: yolov3tiny}",
            r#"3:10: detect.model: "yolov3tiny", expected the detector yolov3-tiny, yolox-nano, yolox-tiny, yolox-s, nanodet-m, nanodet-m-320, ssd-mobilenet-v1, ssdlite-mobilenet-v2 or a model file; did you mean yolov3-tiny?"#,
        ),
        (
            "embed: {model: yolov3-tiny}",
            r#"3:9: embed.model: "yolov3-tiny", expected the embedder mobilenet-v2, osnet-x0.25, osnet-x1.0 or a model file; yolov3-tiny is no embedder"#,
        ),
        (
            "embed: off",
            r#"3:1: embed: "off", expected none or a mapping with model, by_class, min_score, settled_after, interval, max_batch"#,
        ),
        (
            "track: {algorithm: bytrack}",
            r#"3:9: track.algorithm: "bytrack", expected one of eyeline, bytetrack, ocsort, sort; did you mean bytetrack?"#,
        ),
        ("track: {max_lost: 2}", "3:9: track.max_lost: 2, expected a duration 0s..=10m; write 2s if seconds are meant"),
        ("track: {max_lost: 11m}", r#"3:9: track.max_lost: "11m", expected a duration 0s..=10m"#),
        (
            "track: {max_absent_by_class: {person: 2}}",
            "3:31: track.max_absent_by_class.person: 2, expected a duration 0s..=24h; write 2s if seconds are meant",
        ),
        (
            "track: {max_absent_by_class: {persn: 2s}}",
            r#"3:31: track.max_absent_by_class.persn: "persn", which yolov3-tiny does not know; did you mean person?"#,
        ),
        (
            "track: {max_absent_by_class: [1]}",
            "3:9: track.max_absent_by_class: [1], expected a mapping of names, each to a duration 0s..=24h",
        ),
        ("output: {trail: 2 seconds}", r#"3:10: output.trail: "2 seconds", expected a duration 0s..=1m"#),
        ("output: {video: yes}", r#"3:10: output.video: "yes", expected true or false"#),
        ("output: {dir: ''}", r#"3:10: output.dir: "", expected text, not empty"#),
        ("runtime: {threads: 0}", "3:11: runtime.threads: 0, expected auto or a whole number 1..=1024"),
        (
            "runtime: {precision: fp8}",
            r#"3:11: runtime.precision: "fp8", expected one of auto, fp32, bf16, fp16, int8"#,
        ),
        ("runtime: {shutdown: 0s}", r#"3:11: runtime.shutdown: "0s", expected a duration 1s..=10m"#),
    ];
    for (lines, expected) in cases {
        assert_eq!(faults(&with(lines)), [expected], "{lines}");
    }
}

#[test]
fn faults_of_streams_and_zones() {
    let zone = |zone: &str| format!("streams: [{{file: a.mp4, zones: [{zone}]}}]");
    let named = |polygon: &str| zone(&format!("{{name: z, polygon: {polygon}}}"));
    let cases = [
        ("streams: []".into(), vec!["2:1: streams: 0 streams, need at least 1"]),
        ("streams: {}".into(), vec!["2:1: streams: {}, expected a list of 1 to 1024 streams"]),
        ("detect: {}".into(), vec!["1:1: streams: missing, expected a list of 1 to 1024 streams"]),
        (
            "streams: [5]".into(),
            vec![
                "2:11: streams[0]: 5, expected a mapping with name, file, url, repeat, live, enabled, max_fps, priority, active, classes, min_score, camera, zones, lines, ground, regions, crop_to_regions, light",
            ],
        ),
        (
            "streams: [{repeat: 2}]".into(),
            vec!["2:11: streams[0].file: missing, expected a video here or a camera in url"],
        ),
        (
            "streams: [{file: a.mp4, repeat: 0}]".into(),
            vec!["2:25: streams[0].repeat: 0, expected a whole number 1..=1000000"],
        ),
        (
            "streams: [{name: a, file: a.mp4}, {name: A, file: b.mp4}]".into(),
            vec![r#"2:36: streams[1].name: "A" is already the name of streams[0]"#],
        ),
        (
            "streams: [{name: ../a, file: a.mp4}]".into(),
            vec![
                r#"2:12: streams[0].name: "../a" cannot be a folder's name, expected at most 200 bytes, no / or \; for example ".._a""#,
            ],
        ),
        (
            "streams: [{name: gate, file: a.mp4, live: true}]\noutput: {refine: true}".into(),
            vec![
                r#"3:10: output.refine: true, expected false: stream "gate" is live and has no end to look back from"#,
            ],
        ),
        (
            "streams: [{file: a.mp4}]\nevents: {update_on: change}".into(),
            vec![
                "3:10: events.update_on: change, but updates is 0s and nothing is told; give updates how often at most, as 1s",
            ],
        ),
        ("streams: [{file: missing.mp4}]".into(), vec!["2:12: streams[0].file: missing.mp4: no such file"]),
        (
            "streams: [{file: a.mp4, crop_to_regions: true}]".into(),
            vec!["2:25: streams[0].crop_to_regions: there are no regions to crop to; give them under regions"],
        ),
        (
            "streams: [{file: a.mp4, regions: [[[0, 0], [1, 1], [1, 0], [0, 1]]]}]".into(),
            vec![
                "2:35: streams[0].regions[0]: the edges from corners 0 and 2 cross or touch; \
                 give the corners in order around the zone",
            ],
        ),
        (named("[[0, 0], [1, 1]]"), vec!["2:43: streams[0].zones[0].polygon: 2 points, need at least 3"]),
        (
            named("[[0, 0], [1, 0], [1.2, 1]]"),
            vec!["2:70: streams[0].zones[0].polygon[2][0]: 1.2, expected a number 0..=1"],
        ),
        (named("[[0, 0], [1, 0], [1]]"), vec!["2:69: streams[0].zones[0].polygon[2]: 1 number, expected 2"]),
        (
            named("[[0, 0], [1, 0], 5]"),
            vec!["2:69: streams[0].zones[0].polygon[2]: 5, expected a list of 2, each a number 0..=1"],
        ),
        (
            named("[[0, 0], [1, 1], [1, 0], [0, 1]]"),
            vec![
                "2:43: streams[0].zones[0].polygon: the edges from corners 0 and 2 cross or touch; \
                 give the corners in order around the zone",
            ],
        ),
        (
            named("[[0, 0], [1, 0], [0, 1], [0, 0]]"),
            vec![
                "2:43: streams[0].zones[0].polygon: corners 3 and 0 are the same point; \
                 leave the last one out, a polygon closes itself",
            ],
        ),
        (
            zone("{name: z, polygon: [[0, 0], [1, 0], [0, 1]]}, {name: z, polygon: [[0, 0], [1, 0], [0, 1]]}"),
            vec![r#"2:80: streams[0].zones[1].name: "z" is already the name of zones[0]"#],
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(faults(&format!("version: 1\n{lines}")), expected, "{lines}");
    }
}

#[test]
fn every_fault_is_told_at_once_in_the_order_of_the_file() {
    let text = "\
version: 2
streams:
  - name: gate
    file: ${NOWHERE}/a.mp4
    zones:
      - name: door
        polygon: [[0.1, 0.1], [0.9, 0.9]]
      - polygon: [[0, 0], [1, 1], [1, 0], [0, 1]]
  - name: gate
    fiel: b.mp4
output: {trial: 2s}
detect:
  min_score: high
  classes: [person, dgo]
";
    let expected = [
        "1:1: version: 2, expected 1",
        "4:5: streams[0].file: variable NOWHERE is not set, set it or write ${NOWHERE:-default}",
        "7:9: streams[0].zones[0].polygon: 2 points, need at least 3",
        "8:9: streams[0].zones[1].name: missing, expected text of 1 to 200 characters",
        "8:9: streams[0].zones[1].polygon: the edges from corners 0 and 2 cross or touch; \
         give the corners in order around the zone",
        r#"9:5: streams[1].name: "gate" is already the name of streams[0]"#,
        "9:5: streams[1].file: missing, expected a video here or a camera in url",
        "10:5: streams[1].fiel: unknown key; did you mean file?",
        "11:10: output.trial: unknown key; did you mean trail?",
        r#"13:3: detect.min_score: "high", expected a number 0..=1"#,
        r#"14:21: detect.classes[1]: "dgo", which yolov3-tiny does not know; did you mean dog?"#,
    ];
    assert_eq!(faults(text), expected);
}

#[test]
fn files_that_are_no_pipeline_at_all() {
    let mapping = "version, streams, preprocess, detect, embed, track, events, output, media, sinks, api, runtime";
    let cases = [
        ("", format!("1:1: no value, expected a mapping with {mapping}")),
        ("just text", format!("1:1: \"just text\", expected a mapping with {mapping}")),
        ("- 1\n- 2", format!("1:1: [1,2], expected a mapping with {mapping}")),
    ];
    for (text, expected) in cases {
        assert_eq!(faults(text), [expected], "{text:?}");
    }
    let folder = tempfile::tempdir().expect("temporary directory");
    let file = folder.path().join("f.yml");
    let loaded = |path: &Path| config::load(path, &MadeUp).expect_err("unsound").to_string();
    assert!(loaded(&file).starts_with("cannot be read: No such file"), "{}", loaded(&file));
    assert!(loaded(folder.path()).starts_with("cannot be read: Is a directory"), "{}", loaded(folder.path()));
    fs::write(&file, b"version: \xff1").expect("written");
    assert!(loaded(&file).starts_with("not UTF-8 text: "), "{}", loaded(&file));
    assert_eq!(loaded(Path::new("/dev/zero")), "more than 1048576 bytes");
}

#[test]
fn variables_are_put_in_and_never_told() {
    let text = "{version: 1, streams: [{file: '${DIR}/a.mp4'}], detect: {min_score: '${SCORE}', \
                max_iou: '${NONE:-0.7}'}, output: {dir: '$${DIR}'}}";
    let plan = read(text).expect("sound").plan;
    assert_eq!(plan.streams[0].file, Path::new("/srv/a.mp4"));
    assert_eq!((plan.detect.min_score, plan.detect.max_iou), (0.5, 0.7));
    assert_eq!(plan.output.dir, Path::new("${DIR}"));
    let cases = [
        ("detect: {min_score: '${SECRET}'}", r#"3:10: detect.min_score: "${SECRET}", expected a number 0..=1"#),
        ("output: {trail: '${SECRET}'}", r#"3:10: output.trail: "${SECRET}", expected a duration 0s..=1m"#),
        ("output: {dir: '${EMPTY}'}", r#"3:10: output.dir: "${EMPTY}", expected text, not empty"#),
        ("output: {dir: '${'}", "3:10: output.dir: ${ without }, write $${ for a literal ${"),
    ];
    for (lines, expected) in cases {
        assert_eq!(faults(&with(lines)), [expected], "{lines}");
    }
}

#[test]
fn one_entry_may_name_many_videos() {
    let names = |streams: &str| {
        let plan = read(&format!("{{version: 1, streams: [{streams}]}}")).expect("sound").plan;
        plan.streams.into_iter().map(|stream| stream.name).collect::<Vec<_>>()
    };
    assert_eq!(names("{file: folder}"), ["a", "b"]);
    assert_eq!(names("{file: folder, name: gate}"), ["gate-a", "gate-b"]);
    assert_eq!(names("{file: other, name: gate}"), ["gate-a"]);
    assert_eq!(names("{file: a.mp4, name: gate}"), ["gate"]);
    assert_eq!(names("{file: folder}, {file: other}"), ["folder-a", "b", "other-a"]);
    assert_eq!(names("{file: a.mp4}, {file: a.mp4}, {file: A.mkv}"), ["a", "a-2", "A-3"]);
    assert_eq!(names("{file: a.mp4}, {file: b.mp4, name: a}"), ["a-2", "a"]);
    assert_eq!(names("{file: ...mp4}"), ["__"]);
}

#[test]
fn a_missing_video_leaves_the_other_streams() {
    let checked = read("{version: 1, streams: [{file: missing}, {file: a.mp4}]}").expect("one is there");
    assert_eq!((checked.plan.streams.len(), checked.unusable.len()), (1, 1));
    assert_eq!(checked.unusable[0].to_string(), "streams[0].file: missing: no such file");
    assert!(read("{version: 1, streams: [{file: missing}]}").is_err(), "none is there");
}

#[test]
fn settings_put_together_by_a_program_hear_the_same_faults() {
    let mut raw = config::defaults();
    raw.streams = vec![Stream { file: "${DIR}.mp4".into(), ..Stream::default() }];
    raw.embed = Embed::Off(Off::None);
    let plan = check::plan(&raw, &MadeUp).expect("sound").plan;
    assert_eq!(plan.streams[0].file, Path::new("${DIR}.mp4"), "an argument is no place for variables");
    assert_eq!((plan.embed, plan.runtime.threads), (None, 6));
    raw.detect.min_score = f64::NAN;
    raw.detect.input_px = InputPx::Px(100);
    raw.track.algorithm = "deepsort".into();
    let Err(Faults(faults)) = check::plan(&raw, &MadeUp) else { panic!("unsound") };
    let paths: Vec<_> = faults.iter().map(|fault| fault.path.to_string()).collect();
    assert_eq!(paths, ["detect.input_px", "detect.min_score", "track.algorithm"]);
}

#[test]
fn an_algorithm_brings_its_own_settings() {
    use eyeline::track::settings::{Algorithm, TrackSettings};
    let track = |lines: &str| read(&with(lines)).expect("sound").plan.track;
    for algorithm in Algorithm::ALL {
        let settings = track(&format!("track: {{algorithm: {algorithm}}}"));
        assert_eq!(settings, TrackSettings::of(algorithm));
    }
    let by_class = track("track: {max_absent_by_class: {person: 1m, dog: 5s}}").max_absent_by_class;
    let by_class: Vec<_> = by_class.into_iter().map(|(class, span)| (class.0, span.as_secs())).collect();
    assert_eq!(by_class, [(16, 5), (0, 60)]);
    let changed = track("track: {algorithm: sort, max_lost: 2s, confirm_hits: 5}");
    assert_eq!((changed.max_lost.as_millis(), changed.confirm_hits), (2000, 5));
    assert_eq!(changed.high_score, TrackSettings::of(Algorithm::Sort).high_score);
}

#[test]
fn anchors_and_merge_keys_work() {
    let text = "
version: 1
streams:
  - &gate
    name: gate
    file: a.mp4
    zones: &zones [{name: door, polygon: [[0, 0], [1, 0], [0, 1]]}]
  - {<<: *gate, name: yard}
  - {file: b.mp4, zones: *zones}
";
    let plan = read(text).expect("sound").plan;
    let streams: Vec<_> = plan.streams.iter().map(|stream| (stream.name.as_str(), stream.zones.len())).collect();
    assert_eq!(streams, [("gate", 1), ("yard", 1), ("b", 1)]);
}

#[test]
fn thousands_of_faults_are_told_in_time() {
    let mut text = with("detect:");
    (0..2_000).for_each(|number| text.push_str(&format!("  key{number}: 1\n")));
    assert_eq!(faults(&text).len(), 2_000);
    let corners = vec!["[0.5, 0.5]"; 5000].join(", ");
    let zones = format!("{{version: 1, streams: [{{file: a, zones: [{{name: z, polygon: [{corners}]}}]}}]}}");
    assert_eq!(faults(&zones), ["1:52: streams[0].zones[0].polygon: 5000 points, at most 256"]);
}
