//! No input, however odd, brings the program down: each gives a sound plan, or faults in the check's own words.

use super::{MadeUp, read};
use eyeline::config::{
    self, Checked, Faults, check,
    raw::{InputPx, Raw, Stream},
};
use proptest::prelude::*;
use serde_json::Value;

/// Any tree, made of the schema's own words and of others.
fn any_tree() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        "version|streams|detect|embed|track|output|runtime|name|file|repeat|zones|polygon|model|input_px|classes",
        "min_score|max_iou|max_batch|algorithm|max_lost|high_score|dir|video|trail|threads|shutdown|none|auto",
        "\\PC{0,6}",
        r"\$\{[A-Z:}-]{0,8}",
        "[0-9]{1,3}(ms|s|m|h)",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u32..5000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0.0f64..1.0).prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// A sound file in which one key, anywhere, has any value.
fn any_change() -> impl Strategy<Value = Value> {
    let sound = serde_json::json!({
        "version": 1,
        "streams": [{ "name": "a", "file": "a.mp4", "repeat": 1,
            "zones": [{ "name": "z", "polygon": [[0, 0], [1, 0], [0, 1]] }] }],
        "detect": serde_json::to_value(config::defaults().detect).expect("JSON"),
        "embed": serde_json::to_value(config::defaults().embed).expect("JSON"),
        "track": { "algorithm": "sort", "max_lost": "1s", "confirm_hits": 2, "high_score": 0.5 },
        "output": serde_json::to_value(config::defaults().output).expect("JSON"),
        "runtime": serde_json::to_value(config::defaults().runtime).expect("JSON"),
    });
    let mut paths = Vec::new();
    pointers(&sound, String::new(), &mut paths);
    (prop::sample::select(paths), any_tree()).prop_map(move |(path, value)| {
        let mut changed = sound.clone();
        *changed.pointer_mut(&path).expect("a path of it") = value;
        changed
    })
}

fn pointers(tree: &Value, at: String, paths: &mut Vec<String>) {
    match tree {
        Value::Object(entries) => entries.iter().for_each(|(key, value)| pointers(value, format!("{at}/{key}"), paths)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| pointers(item, format!("{at}/{i}"), paths))
        }
        _ => {}
    }
    paths.push(at);
}

/// What holds of every answer: a sound plan, or faults that each say something of a place.
fn answer_is_sound(answer: Result<Checked, Faults>) -> Result<(), TestCaseError> {
    match answer {
        Ok(Checked { plan, .. }) => {
            prop_assert!(!plan.streams.is_empty());
            prop_assert!((0.0..=1.0).contains(&plan.detect.min_score) && plan.detect.max_batch >= 1);
            prop_assert!(plan.detect.input_px.is_none_or(|side_px| side_px % 32 == 0 && side_px > 0));
            prop_assert!(plan.streams.iter().all(|stream| !stream.name.contains('/') && stream.repeat >= 1));
            let zones = plan.streams.iter().flat_map(|stream| &stream.zones);
            let mut corners = zones.flat_map(|zone| &zone.polygon);
            prop_assert!(corners.all(|c| (0.0..=1.0).contains(&c.x_norm) && (0.0..=1.0).contains(&c.y_norm)));
        }
        Err(Faults(faults)) => {
            prop_assert!(!faults.is_empty());
            for fault in &faults {
                prop_assert!(!fault.problem.is_empty() && fault.to_string().chars().count() < 1000, "{}", fault);
                prop_assert!(!fault.problem.contains("invalid type"), "serde spoke instead of the check: {}", fault);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn any_tree_gives_a_plan_or_faults(tree in any_tree()) {
        answer_is_sound(read(&serde_yaml::to_string(&tree).expect("YAML")))?;
    }

    #[test]
    fn any_change_of_a_sound_file_gives_a_plan_or_faults(tree in any_change()) {
        answer_is_sound(read(&serde_yaml::to_string(&tree).expect("YAML")))?;
    }

    #[test]
    fn any_text_gives_a_plan_or_faults(text in "\\PC{0,60}|([-?:,&*!|>'\"%@`{}\\[\\] \n\ta1<~.#]){0,60}") {
        answer_is_sound(read(&text))?;
    }

    /// What is read from a `Raw` and what is read from the same as YAML is the same.
    #[test]
    fn yaml_and_arguments_mean_the_same(min_score in 0.0f64..1.0, side in 1u32..128, batch in 1u32..256, video: bool) {
        let mut raw: Raw = config::defaults();
        raw.streams = vec![Stream { file: "a.mp4".into(), ..Stream::default() }];
        raw.detect.min_score = min_score;
        raw.detect.input_px = InputPx::Px(side * 32);
        raw.detect.max_batch = batch;
        raw.output.video = video;
        let text = serde_yaml::to_string(&raw).expect("YAML");
        prop_assert_eq!(read(&text).map_err(|e| e.to_string()), check::plan(&raw, &MadeUp).map_err(|e| e.to_string()));
    }
}
