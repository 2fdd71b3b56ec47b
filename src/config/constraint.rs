//! One node of the JSON Schema: what it accepts, how a message says so, and what was probably meant instead.

use super::{span, suggest::nearest};
use serde_json::{Map, Value};
use std::{ops::RangeInclusive, time::Duration};

/// Every word of JSON Schema that `accepts` and `conform` heed, or that restricts nothing. A test holds the schema to it.
/// `pattern` is heeded by editors only; `check` reports what it means in words.
#[cfg(test)]
const WORDS: [&str; 25] = [
    "$schema",
    "additionalProperties",
    "anyOf",
    "const",
    "default",
    "description",
    "enum",
    "examples",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "multipleOf",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "title",
    "type",
    "writeOnly",
    "x-duration",
    "x-secret",
];

/// The alternatives of a node; the node itself if it has none.
pub(super) fn alternatives(schema: &Value) -> Vec<&Value> {
    match schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        Some(branches) => branches.iter().flat_map(alternatives).collect(),
        None => vec![schema],
    }
}

/// Whether a node takes values of one type alone, by the schema's word for it.
pub(super) fn is(schema: &Value, type_name: &str) -> bool {
    schema["type"] == type_name
}

/// Whether a scalar is what a node asks for. Lists and mappings never are: `conform` walks into those.
pub(super) fn accepts(schema: &Value, value: &Value) -> bool {
    alternatives(schema).into_iter().any(|branch| {
        let as_const = branch.get("const").is_none_or(|only| only == value);
        let among = branch.get("enum").and_then(Value::as_array).is_none_or(|words| words.contains(value));
        as_const
            && among
            && match value {
                Value::String(text) => is(branch, "string") && accepts_text(branch, text),
                Value::Bool(_) => is(branch, "boolean"),
                Value::Number(number) => {
                    let of_type = is(branch, "number") || (is(branch, "integer") && !number.is_f64());
                    of_type && number.as_f64().is_some_and(|number| in_range(branch, number))
                }
                Value::Null | Value::Array(_) | Value::Object(_) => false,
            }
    })
}

fn accepts_text(schema: &Value, text: &str) -> bool {
    match (duration_range(schema), span::parse(text)) {
        (None, _) => within(schema, "Length", text.chars().count() as f64),
        (Some(range), parsed) => parsed.is_some_and(|duration| range.contains(&duration)),
    }
}

/// The range of a node that asks for a duration: its word `x-duration`, which is ours.
fn duration_range(schema: &Value) -> Option<RangeInclusive<Duration>> {
    let bound = |index: usize| schema["x-duration"][index].as_str().and_then(span::parse);
    Some(bound(0)?..=bound(1)?)
}

fn in_range(schema: &Value, number: f64) -> bool {
    let step = schema["multipleOf"].as_f64();
    within(schema, "imum", number) && step.is_none_or(|step| number % step == 0.0)
}

fn within(schema: &Value, of: &str, number: f64) -> bool {
    let bound = |which: &str| schema[format!("{which}{of}")].as_f64();
    bound("min").is_none_or(|min| number >= min) && bound("max").is_none_or(|max| number <= max)
}

/// What is wrong with the length of a list: "2 points, need at least 3".
pub(super) fn length_problem(items: &[Value], schema: &Value) -> Option<String> {
    let (min, max) = (schema["minItems"].as_u64(), schema["maxItems"].as_u64());
    let count = items.len() as u64;
    let wanted = match (min, max) {
        (Some(min), Some(max)) if min == max && count != min => format!("expected {min}"),
        (Some(min), _) if count < min => format!("need at least {min}"),
        (_, Some(max)) if count > max => format!("at most {max}"),
        _ => return None,
    };
    Some(format!("{}, {wanted}", counted(count, schema)))
}

/// A number of entries of a list by their name: "1 point", "2 numbers".
fn counted(count: u64, schema: &Value) -> String {
    let noun = match schema["items"]["title"].as_str() {
        Some(title) => title,
        None if is(&schema["items"], "number") => "number",
        None => "item",
    };
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// What a node asks for: "a number 0..=1", "one of eyeline, bytetrack, ocsort, sort".
pub(super) fn expected(schema: &Value) -> String {
    let consts = consts(schema);
    let is_open = |branch: &&Value| branch.get("const").or_else(|| branch.get("enum")).is_none();
    let others = alternatives(schema).into_iter().filter(is_open).map(expected_kind);
    let words = match consts.len() {
        0 => None,
        1 => consts.first().cloned(),
        _ => Some(format!("one of {}", consts.join(", "))),
    };
    words.into_iter().chain(others).collect::<Vec<_>>().join(" or ")
}

fn expected_kind(schema: &Value) -> String {
    let range = match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        (Some(min), Some(max)) => format!(" {min}..={max}"),
        (Some(min), None) => format!(" >= {min}"),
        (None, Some(max)) => format!(" <= {max}"),
        (None, None) => String::new(),
    };
    let multiple = schema["multipleOf"].as_f64().map(|step| format!(", a multiple of {step}")).unwrap_or_default();
    match schema["type"].as_str() {
        Some("string") => expected_text(schema),
        Some("boolean") => "true or false".into(),
        Some("integer") => format!("a whole number{range}{multiple}"),
        Some("number") => format!("a number{range}{multiple}"),
        Some("array") => match (schema["minItems"].as_u64(), schema["maxItems"].as_u64()) {
            (Some(min), Some(max)) if min == max => format!("a list of {min}, each {}", expected(&schema["items"])),
            (Some(min), Some(max)) => format!("a list of {min} to {}", counted(max, schema)),
            (None, Some(max)) => format!("a list of at most {}", counted(max, schema)),
            (_, None) => "a list".into(),
        },
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("a mapping of names, each to {}", expected(&schema["additionalProperties"]))
        }
        Some("object") => format!("a mapping with {}", keys(schema).join(", ")),
        _ => "something else".into(),
    }
}

fn expected_text(schema: &Value) -> String {
    if let Some(range) = duration_range(schema) {
        return format!("a duration {}..={}", span::text(*range.start()), span::text(*range.end()));
    }
    match (schema["minLength"].as_u64(), schema["maxLength"].as_u64()) {
        (min, Some(max)) => format!("text of {} to {max} characters", min.unwrap_or(0)),
        (Some(_), None) => "text, not empty".into(),
        (None, None) => "text".into(),
    }
}

/// The words a node takes, as they are written in YAML.
fn consts(schema: &Value) -> Vec<String> {
    let enumerated = |branch: &'_ Value| branch.get("enum").and_then(Value::as_array).cloned().unwrap_or_default();
    let words = alternatives(schema)
        .into_iter()
        .flat_map(|branch| branch.get("const").cloned().into_iter().chain(enumerated(branch)).collect::<Vec<_>>());
    words.map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned)).collect()
}

/// Keys of a mapping.
pub(super) fn keys(schema: &Value) -> Vec<&str> {
    schema["properties"].as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect()
}

/// What was probably meant by an unknown key among `known` ones.
pub(super) fn unknown_key_hint(key: &str, known: &[&str], root: &Value) -> String {
    let mut homes = Vec::new();
    find_key(root, key, "", &mut homes);
    if !homes.is_empty() {
        return format!("{key} belongs {}", homes.join(" or "));
    }
    match nearest(key, known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("known keys: {}", known.join(", ")),
    }
}

/// Collects where a key lives: "under detect", "at the top".
fn find_key(schema: &Value, key: &str, at: &str, homes: &mut Vec<String>) {
    for branch in alternatives(schema) {
        for (name, property) in branch["properties"].as_object().into_iter().flatten() {
            if name == key {
                homes.push(if at.is_empty() { "at the top".into() } else { format!("under {at}") });
            }
            let below = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            find_key(property, key, &below, homes);
        }
        if let Some(items) = branch.get("items") {
            find_key(items, key, &format!("{at}[]"), homes);
        }
    }
}

/// What was probably meant by a value that is not accepted.
pub(super) fn value_hint(written: &Value, schema: &Value) -> Option<String> {
    match written {
        Value::Null => schema.get("default").map(|_| "leave the key out to get its default".into()),
        Value::String(text) if *written != plain_scalar(text) && accepts(schema, &plain_scalar(text)) => {
            Some("write it without quotes".into())
        }
        _ if is(schema, "array") && accepts(&schema["items"], written) => {
            Some(format!("write it as a list: [{}]", written.as_str().map_or(written.to_string(), str::to_owned)))
        }
        Value::String(text) => {
            let words = consts(schema);
            nearest(text, words.iter().map(String::as_str)).map(|near| format!("did you mean {near}?"))
        }
        Value::Number(_) | Value::Bool(_) if accepts(schema, &Value::String(written.to_string())) => {
            Some(format!("write it in quotes: \"{written}\""))
        }
        Value::Number(number) if accepts(schema, &Value::String(format!("{number}s"))) => {
            Some(format!("write {number}s if seconds are meant"))
        }
        Value::Number(number) => nearest_multiple(number.as_f64()?, schema),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The number nearest to `number` that a node with `multipleOf` takes.
fn nearest_multiple(number: f64, schema: &Value) -> Option<String> {
    let branch = alternatives(schema).into_iter().find(|branch| branch.get("multipleOf").is_some())?;
    let step = branch["multipleOf"].as_f64()?;
    let (min, max) = (branch["minimum"].as_f64()?, branch["maximum"].as_f64()?);
    Some(format!("{} is the nearest", ((number / step).round() * step).clamp(min, max)))
}

/// Text of a scalar that stood without quotes, read as YAML reads it: a number, true or false, else text.
pub(super) fn plain_scalar(text: &str) -> Value {
    let whole = text.parse::<i64>().ok().map(Value::from);
    let number = || text.parse::<f64>().ok().filter(|n| n.is_finite()).map(Value::from);
    match text {
        "true" => true.into(),
        "false" => false.into(),
        _ => whole.or_else(number).unwrap_or_else(|| text.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::schema;
    use serde_json::json;

    /// Everything below a node that is a node itself.
    fn below(node: &Map<String, Value>) -> Vec<&Value> {
        let inside = |word: &str| node.get(word).and_then(Value::as_array).into_iter().flatten();
        let properties = node.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::values);
        let any_key = node.get("additionalProperties").filter(|schema| schema.is_object());
        properties.chain(any_key).chain(node.get("items")).chain(inside("anyOf")).chain(inside("oneOf")).collect()
    }

    #[test]
    fn every_word_of_the_schema_is_heeded() {
        let mut nodes = vec![schema()];
        while let Some(node) = nodes.pop() {
            let node = node.as_object().expect("a node is an object");
            for word in node.keys() {
                assert!(WORDS.contains(&word.as_str()), "{word} restricts nothing: teach it to `accepts` or `conform`");
            }
            nodes.extend(below(node));
        }
    }

    #[test]
    fn table_of_what_is_accepted() {
        let score = json!({ "type": "number", "minimum": 0.0, "maximum": 1.0 });
        let side = json!({ "anyOf": [{ "const": "auto", "type": "string" },
            { "type": "integer", "minimum": 32, "maximum": 4096, "multipleOf": 32 }] });
        let trail = json!({ "type": "string", "x-duration": ["0s", "1m"] });
        let cases = [
            (&score, json!(0.5), true),
            (&score, json!(0), true),
            (&score, json!(1.0000001), false),
            (&score, json!(-0.0), true),
            (&score, json!(1e300), false),
            (&score, json!("0.5"), false),
            (&score, json!(true), false),
            (&score, json!(null), false),
            (&side, json!("auto"), true),
            (&side, json!("Auto"), false),
            (&side, json!(608), true),
            (&side, json!(608.0), false),
            (&side, json!(600), false),
            (&side, json!(0), false),
            (&side, json!(4128), false),
            (&side, json!(u64::MAX), false),
            (&trail, json!("1m"), true),
            (&trail, json!("1m1ms"), false),
            (&trail, json!("60"), false),
            (&trail, json!(60), false),
        ];
        for (schema, value, expected) in cases {
            assert_eq!(accepts(schema, &value), expected, "{value} by {schema}");
        }
    }

    #[test]
    fn scalars_of_variables_read_as_in_yaml() {
        let cases = [
            ("4", json!(4)),
            ("-4", json!(-4)),
            ("0.5", json!(0.5)),
            ("true", json!(true)),
            ("yes", json!("yes")),
            ("nan", json!("nan")),
            ("inf", json!("inf")),
            ("", json!("")),
            ("yolov3-tiny", json!("yolov3-tiny")),
        ];
        for (text, expected) in cases {
            assert_eq!(plain_scalar(text), expected, "{text}");
        }
    }
}
