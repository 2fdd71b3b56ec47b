//! One node of the JSON Schema: what it accepts, how a message says so, and what was probably meant instead.

use super::suggest::nearest;
use serde_json::{Map, Value};

/// Every word of JSON Schema that `accepts` and `conform` heed, or that restricts nothing. A test holds the schema to it.
/// `pattern` is heeded by editors only; `check` reports what it means in words.
#[cfg(test)]
const WORDS: [&str; 20] = [
    "$schema",
    "additionalProperties",
    "anyOf",
    "const",
    "default",
    "description",
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
        as_const
            && match value {
                Value::String(text) => is(branch, "string") && within(branch, "Length", text.chars().count() as f64),
                Value::Bool(_) => is(branch, "boolean"),
                Value::Number(number) => {
                    let of_type = is(branch, "number") || (is(branch, "integer") && !number.is_f64());
                    of_type && number.as_f64().is_some_and(|number| in_range(branch, number))
                }
                Value::Null | Value::Array(_) | Value::Object(_) => false,
            }
    })
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
    let noun = match schema["items"]["title"].as_str() {
        Some(title) => title,
        None if is(&schema["items"], "number") => "number",
        None => "item",
    };
    Some(format!("{count} {noun}{}, {wanted}", if count == 1 { "" } else { "s" }))
}

/// What a node asks for: "a number 0..=1", "one of eyeline, bytetrack, ocsort, sort".
pub(super) fn expected(schema: &Value) -> String {
    let consts = consts(schema);
    let others = alternatives(schema).into_iter().filter(|branch| branch.get("const").is_none()).map(expected_kind);
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
        Some("array") => {
            let count = schema["minItems"].as_u64().filter(|min| schema["maxItems"].as_u64() == Some(*min));
            let of = count.map(|count| format!(" of {count}, each {}", expected(&schema["items"]))).unwrap_or_default();
            format!("a list{of}")
        }
        Some("object") => format!("a mapping with {}", keys(schema).join(", ")),
        _ => "something else".into(),
    }
}

fn expected_text(schema: &Value) -> String {
    let (min, max) = (schema["minLength"].as_u64().unwrap_or(0), schema["maxLength"].as_u64());
    match (schema["title"].as_str(), max) {
        (Some(title), _) => format!("a {title}"),
        (None, Some(max)) => format!("text of {min} to {max} characters"),
        (None, None) if min > 0 => "text, not empty".into(),
        (None, None) => "text".into(),
    }
}

/// The words a node takes, as they are written in YAML.
fn consts(schema: &Value) -> Vec<String> {
    let words = alternatives(schema).into_iter().filter_map(|branch| branch.get("const"));
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
        Value::String(text) if accepts(schema, &plain_scalar(text)) => Some("write it without quotes".into()),
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
    let number = || text.parse::<f64>().ok().filter(|n| n.is_finite()).map(Value::from);
    match text {
        "true" => true.into(),
        "false" => false.into(),
        _ => text.parse::<u64>().map(Value::from).ok().or_else(number).unwrap_or_else(|| text.into()),
    }
}
