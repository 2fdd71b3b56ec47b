//! Holds values against the JSON Schemas of `docs/schema`. Knows just the words those files use and panics at any other, so
//! that nothing a schema says is passed over. Stricter than the standard in one thing: a key that no branch of the schema
//! names is a fault, or else what is sent and not described would go unnoticed.

#![allow(dead_code, reason = "each test program uses its part of this")]

use eyeline::event::{
    Timestamp,
    payload::{Format, schema},
};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Words that say nothing of the value.
const NOTES: [&str; 6] = ["$schema", "$id", "$defs", "title", "description", "default"];

/// One schema.
pub struct Checker(Value);

impl Checker {
    /// The schema of a form of event.
    pub fn of(format: Format) -> Self {
        Self(schema(format))
    }

    /// Everything that is wrong with `value`; nothing if it is sound.
    pub fn faults(&self, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        let named = self.value(&self.0, value, "", &mut faults);
        faults.extend(unnamed(value, &named, ""));
        faults
    }

    /// Panics unless `payload` is sound JSON of this schema.
    pub fn assert_sound(&self, payload: &[u8]) {
        let value: Value = serde_json::from_slice(payload).expect("JSON");
        let faults = self.faults(&value);
        assert!(faults.is_empty(), "{faults:#?}\n{value:#}");
    }

    /// Checks one value. Gives the keys of it that the schema names; keys further down are checked on the way.
    fn value(&self, schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) -> BTreeSet<String> {
        let node = schema.as_object().unwrap_or_else(|| panic!("no schema at {path}: {schema}"));
        let mut named = BTreeSet::new();
        for (word, says) in node {
            match word.as_str() {
                word if NOTES.contains(&word) => {}
                "$ref" => named.extend(self.value(self.referred(says), value, path, faults)),
                "allOf" => {
                    for branch in list(says) {
                        named.extend(self.value(branch, value, path, faults));
                    }
                }
                "oneOf" | "anyOf" => named.extend(self.branch(word, list(says), value, path, faults)),
                "properties" => named.extend(self.properties(says, value, path, faults)),
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        let path = format!("{path}/{index}");
                        let known = self.value(says, item, &path, faults);
                        faults.extend(unnamed(item, &known, &path));
                    }
                }
                word => faults.extend(problem(word, says, value).map(|problem| format!("{path}: {problem}"))),
            }
        }
        named
    }

    fn properties(&self, says: &Value, value: &Value, path: &str, faults: &mut Vec<String>) -> BTreeSet<String> {
        let Some(entries) = value.as_object() else { return BTreeSet::new() };
        let properties = says.as_object().expect("properties");
        for (key, below) in properties {
            let Some(value) = entries.get(key) else { continue };
            let path = format!("{path}/{key}");
            let known = self.value(below, value, &path, faults);
            faults.extend(unnamed(value, &known, &path));
        }
        properties.keys().cloned().collect()
    }

    /// Of `oneOf` exactly one branch must fit, of `anyOf` at least one.
    fn branch(
        &self,
        word: &str,
        branches: &[Value],
        value: &Value,
        path: &str,
        faults: &mut Vec<String>,
    ) -> BTreeSet<String> {
        let (mut fitting, mut named) = (0, BTreeSet::new());
        for branch in branches {
            let mut problems = Vec::new();
            let keys = self.value(branch, value, path, &mut problems);
            if problems.is_empty() {
                fitting += 1;
                named.extend(keys);
            }
        }
        if fitting == 0 || (word == "oneOf" && fitting > 1) {
            faults.push(format!("{path}: fits {fitting} of {} branches of {word}", branches.len()));
        }
        named
    }

    fn referred(&self, to: &Value) -> &Value {
        let name = to.as_str().and_then(|to| to.strip_prefix("#/$defs/")).expect("a reference into this file");
        &self.0["$defs"][name]
    }
}

/// What is wrong with a value by one word of a schema.
fn problem(word: &str, says: &Value, value: &Value) -> Option<String> {
    let sound = match word {
        "type" => match says {
            Value::Array(types) => types.iter().any(|one| is(one, value)),
            one => is(one, value),
        },
        "const" => value == says,
        "enum" => list(says).contains(value),
        "minimum" => value.as_f64().is_none_or(|number| Some(number) >= says.as_f64()),
        "maximum" => value.as_f64().is_none_or(|number| Some(number) <= says.as_f64()),
        "format" => says == "date-time" && value.as_str().is_none_or(|text| text.parse::<Timestamp>().is_ok()),
        "required" => {
            let has = |key: &Value| value.get(key.as_str().expect("a key")).is_some();
            !value.is_object() || list(says).iter().all(has)
        }
        other => panic!("the checker does not know {other:?}"),
    };
    (!sound).then(|| format!("{value} against {word} {says}"))
}

fn is(type_name: &Value, value: &Value) -> bool {
    match type_name.as_str().expect("a type's name") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("no type: {other:?}"),
    }
}

fn unnamed(value: &Value, named: &BTreeSet<String>, path: &str) -> Vec<String> {
    let keys = value.as_object().into_iter().flat_map(Map::keys).filter(|key| !named.contains(*key));
    keys.map(|key| format!("{path}/{key}: not in the schema")).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}
