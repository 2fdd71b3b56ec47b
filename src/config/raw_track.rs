//! The tracker's part of a pipeline file. Its keys are the knobs of `track::settings`: a new knob is a key at once.

use super::{raw::Span, span};
use crate::{
    preprocess::camera_motion::CameraMotion,
    track::settings::{Algorithm, KNOBS, Kind, Knob, TrackSettings},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{borrow::Cow, collections::BTreeMap, time::Duration};

/// Tracker settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Track {
    /// Name of the tracker.
    pub algorithm: String,
    /// Whether the camera's motion is measured: off, auto or on.
    pub camera_motion: String,
    /// Where it differs from `max_absent`: how long objects of a class may be found again.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub max_absent_by_class: BTreeMap<String, Span>,
    /// Settings that differ from the algorithm's own, by the name of their knob.
    #[serde(flatten)]
    pub knobs: BTreeMap<String, KnobValue>,
}

/// Value of a knob as written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KnobValue {
    /// A number.
    Number(f64),
    /// A duration.
    Span(Span),
}

impl Default for Track {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::ALL[0].name().into(),
            camera_motion: CameraMotion::default().name().into(),
            max_absent_by_class: BTreeMap::new(),
            knobs: BTreeMap::new(),
        }
    }
}

impl JsonSchema for Track {
    fn schema_name() -> Cow<'static, str> {
        "Track".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let names = Algorithm::ALL.iter().map(|algorithm| json!({ "const": algorithm.name(), "type": "string" }));
        let algorithm = json!({
            "description": "Which tracker: ours, or as in Zhang et al. 2022, Cao et al. 2023, Bewley et al. 2016.",
            "default": Algorithm::ALL[0].name(),
            "oneOf": names.collect::<Vec<_>>(),
        });
        let switches = CameraMotion::ALL.iter().map(|switch| json!({ "const": switch.name(), "type": "string" }));
        let camera_motion = json!({
            "description": "Whether motion of the camera is measured, so that boxes move with the picture: off, auto (while it moves; a still camera is only glanced at), on (every frame). Trackers to compare with do not use it.",
            "default": CameraMotion::default().name(),
            "oneOf": switches.collect::<Vec<_>>(),
        });
        let knobs = KNOBS.iter().map(|knob| (knob.name.to_owned(), knob_schema(knob, generator)));
        let mut properties: Map<_, _> =
            [("algorithm".to_owned(), algorithm), ("camera_motion".to_owned(), camera_motion)]
                .into_iter()
                .chain(knobs)
                .collect();
        properties.insert("max_absent_by_class".into(), by_class_schema(&properties["max_absent"]));
        json_schema!({ "type": "object", "properties": properties, "additionalProperties": false })
    }
}

/// A knob as a key. Its default is that of our own algorithm.
fn knob_schema(knob: &Knob, generator: &mut SchemaGenerator) -> Value {
    let default = knob.get(&TrackSettings::default());
    let (min, max) = (knob.min, knob.max);
    let mut schema = match knob.kind {
        Kind::Number => json!({ "type": "number", "minimum": min, "maximum": max, "default": shortest(default) }),
        Kind::Count => {
            json!({ "type": "integer", "minimum": min as u64, "maximum": max as u64, "default": default as u64 })
        }
        Kind::Seconds => {
            let text = |seconds| span::text(Duration::from_secs_f64(seconds));
            let mut schema = Span::json_schema(generator).to_value();
            schema["x-duration"] = json!([text(min), text(max)]);
            schema["default"] = text(default).into();
            schema
        }
    };
    schema["description"] = knob.about.into();
    schema
}

/// Class names to durations that are as `of_one`, the key for all classes.
fn by_class_schema(of_one: &Value) -> Value {
    let mut each = of_one.clone();
    each["description"] = "How long objects of this class may be found again.".into();
    if let Some(each) = each.as_object_mut() {
        each.remove("default");
    }
    json!({
        "description": "Where it differs from max_absent, by class: {person: 30s}. Needs a detector of models/zoo.yml.",
        "type": "object",
        "additionalProperties": each,
        "default": {},
    })
}

/// The shortest decimal that means the same f32, which the settings are: 0.6, not 0.6000000238418579.
fn shortest(value: f64) -> f64 {
    (value as f32).to_string().parse().unwrap_or(value)
}
