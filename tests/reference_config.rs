//! `pipelines/` and the code say the same: every key, default, range and name.

use eyeline::config::{self, Host, check, plan::Plan, raw::Stream, reference::reference_text, schema};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A machine with every file there is, two CPUs and no variables.
struct Anywhere;

impl Host for Anywhere {
    fn videos(&self, input: &str) -> Result<Vec<PathBuf>, String> {
        Ok(vec![input.into()])
    }

    fn is_file(&self, _: &Path) -> bool {
        false
    }

    fn cpus(&self) -> usize {
        2
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

fn text_of(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn plan_of(file: &str) -> Plan {
    let checked = config::read(&text_of(file), &Anywhere).unwrap_or_else(|faults| panic!("{file}:\n{faults}"));
    checked.plan
}

/// Compares without printing two long texts: the first line that differs is enough.
fn assert_written_by(command: &str, file: &str, expected: &str) {
    let text = text_of(file);
    let mut lines = text.lines().zip(expected.lines()).enumerate();
    let differing = lines.find(|(_, (is, should))| is != should);
    assert!(
        text == expected,
        "pipelines/{file} is not what the code says, first at {differing:?}; write it anew: {command}"
    );
}

#[test]
fn the_schema_is_the_one_of_the_code() {
    let command = "cargo run -- schema > pipelines/eyeline.schema.json";
    assert_written_by(command, "eyeline.schema.json", &schema::schema_text());
}

#[test]
fn the_reference_is_the_one_of_the_code() {
    let command = "cargo run -- schema --reference > pipelines/reference.yml";
    assert_written_by(command, "reference.yml", &reference_text());
}

#[test]
fn the_reference_means_the_defaults() {
    let mut raw = config::defaults();
    raw.streams = vec![Stream { file: "recording.mp4".into(), ..Stream::default() }];
    let defaults = check::plan(&raw, &Anywhere).expect("defaults are sound").plan;
    let mut reference = plan_of("reference.yml");
    // The one entry of a list that is empty by default: an example, without which its keys could not be shown.
    assert_eq!(reference.streams[0].zones.drain(..).count(), 1);
    assert_eq!(reference.streams[0].lines.drain(..).count(), 1);
    assert_eq!(reference.sinks.sinks.drain(..).count(), 8, "one sink of each kind");
    assert!(reference.events.log.take().is_some(), "sinks follow a log");
    assert_eq!(reference, defaults);
}

#[test]
fn a_file_without_optional_keys_means_the_defaults() {
    let checked = config::read("{version: 1, streams: [file: recording.mp4]}", &Anywhere).expect("sound");
    let mut reference = plan_of("reference.yml");
    reference.streams[0].zones.clear();
    reference.streams[0].lines.clear();
    reference.sinks.sinks.clear();
    reference.events.log = None;
    assert_eq!(checked.plan, reference);
}

#[test]
fn the_reference_has_every_key_of_the_schema_and_no_other() {
    let reference: Value = serde_yaml::from_str(&text_of("reference.yml")).expect("YAML");
    let (mut written, mut known) = (BTreeSet::new(), BTreeSet::new());
    keys_of_tree(&reference, "", &mut written);
    keys_of_schema(schema::schema(), "", &mut known);
    assert_eq!(written, known);
    assert!(known.contains("streams[].zones[].polygon") && known.contains("embed.model"), "{known:?}");
}

#[test]
fn every_key_of_the_reference_is_explained() {
    let text = text_of("reference.yml");
    let lines: Vec<_> = text.lines().map(|line| line.trim_start().trim_start_matches("- ")).collect();
    for pair in lines.windows(2).filter(|pair| !pair[1].starts_with('#') && !pair[1].is_empty()) {
        assert!(pair[0].starts_with("# ") && (pair[0].ends_with(']') || pair[0].ends_with('.')), "{pair:?}");
    }
}

#[test]
fn shipped_pipelines_are_sound_and_name_their_schema() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let files = fs::read_dir(folder).expect("pipelines/").map(|entry| entry.expect("entry").file_name());
    let files: Vec<_> =
        files.filter_map(|name| name.into_string().ok()).filter(|name| name.ends_with(".yml")).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        plan_of(&file);
        assert!(text_of(&file).starts_with("# yaml-language-server: $schema=eyeline.schema.json\n"), "{file}");
    }
}

#[test]
fn the_demo_watches_people_on_the_sample_video() {
    let plan = plan_of("demo.yml");
    assert_eq!(plan.streams[0].file, Path::new(".eyeline/video/vtest.avi"));
    assert_eq!((plan.streams[0].name.as_str(), plan.streams[0].zones[0].name.as_str()), ("vtest", "walkway"));
    assert_eq!((plan.detect.model.as_str(), plan.detect.input_px), ("yolov3-tiny", Some(608)));
    assert_eq!(plan.detect.classes, ["person"]);
    assert_eq!(plan.embed.expect("an embedder").model, "mobilenet-v2");
    assert_eq!(plan.output.dir, Path::new("out/demo"));
}

fn keys_of_tree(tree: &Value, at: &str, keys: &mut BTreeSet<String>) {
    match tree {
        Value::Object(entries) => entries.iter().for_each(|(key, value)| {
            let path = format!("{at}{key}");
            keys_of_tree(value, &format!("{path}."), keys);
            keys.insert(path);
        }),
        Value::Array(items) => {
            let below = format!("{}[].", at.trim_end_matches('.'));
            items.iter().for_each(|item| keys_of_tree(item, &below, keys));
        }
        _ => {}
    }
}

fn keys_of_schema(schema: &Value, at: &str, keys: &mut BTreeSet<String>) {
    for (key, value) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{at}{key}");
        keys_of_schema(value, &format!("{path}."), keys);
        keys.insert(path);
    }
    if let Some(items) = schema.get("items") {
        keys_of_schema(items, &format!("{}[].", at.trim_end_matches('.')), keys);
    }
    for branch in ["anyOf", "oneOf"].iter().filter_map(|word| schema[word].as_array()).flatten() {
        keys_of_schema(branch, at, keys);
    }
}
