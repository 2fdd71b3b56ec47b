//! The reference file: every key of a pipeline at its default, with its meaning, unit and range as a comment. Written
//! from the schema, so it cannot fall behind the code.

use super::{
    constraint::{alternatives, expected, is, plain_scalar},
    schema::schema,
};
use serde_json::Value;

/// What the file says before its first key.
const HEADER: &str = "\
# yaml-language-server: $schema=eyeline.schema.json
#
# Every key of a pipeline file, each at its default: leave out what you do not change. The streams are examples.
# `eyeline check FILE` reports everything that is wrong with a file; `eyeline schema --reference` prints this one.
#
# Paths are relative to the working directory. In any value, ${NAME} stands for an environment variable,
# ${NAME:-text} for text where the variable is not set or empty, and $${ for a plain ${.
# Durations are numbers with h, m, s and ms: 500ms, 2s, 1.5s, 1m30s.
# YAML's anchors, aliases and merge keys (<<) work.
";

/// Longest line of a comment, characters.
const LINE: usize = 110;

/// The text of `pipelines/reference.yml`.
pub fn reference_text() -> String {
    let mut out = HEADER.to_owned();
    mapping(schema(), "", "", &mut out);
    out
}

/// Writes the keys of a mapping, each under its comment. The first line begins with `first`, the others with `indent`.
fn mapping(schema: &Value, first: &str, indent: &str, out: &mut String) {
    let required = |key: &str| schema["required"].as_array().is_some_and(|keys| keys.iter().any(|k| k == key));
    let mut lead = first;
    for (key, value) in schema["properties"].as_object().into_iter().flatten() {
        if indent.is_empty() {
            out.push('\n');
        }
        for line in comment(value, required(key)) {
            out.push_str(&format!("{lead}# {line}\n"));
            lead = indent;
        }
        out.push_str(&format!("{lead}{key}:"));
        lead = indent;
        entry(value, indent, out);
    }
}

/// Writes what stands behind a key's colon.
fn entry(schema: &Value, indent: &str, out: &mut String) {
    let inner = format!("{indent}  ");
    let is_section = |schema: &&Value| is(schema, "object") && schema.get("properties").is_some();
    if let Some(section) = alternatives(schema).into_iter().find(is_section) {
        out.push('\n');
        mapping(section, &inner, &inner, out);
    } else if is(&schema["items"], "object") {
        out.push('\n');
        mapping(&schema["items"], &format!("{inner}- "), &format!("{inner}  "), out);
    } else {
        let example = || schema["examples"].get(0).or_else(|| schema.get("const"));
        let value = schema.get("default").or_else(example).unwrap_or(&Value::Null);
        out.push_str(&format!(" {}\n", flow(value)));
    }
}

/// Lines of the comment above a key: what it means, and in brackets what it takes and its default.
fn comment(schema: &Value, is_required: bool) -> Vec<String> {
    let section = alternatives(schema).into_iter().any(|branch| branch.get("properties").is_some());
    let takes = (!section).then(|| expected(schema));
    let default = schema.get("default").filter(|_| !section).map(|default| format!("default {}", flow(default)));
    let required = is_required.then(|| "required".to_owned());
    let notes: Vec<_> = [takes, required, default].into_iter().flatten().collect();
    let notes = if notes.is_empty() { String::new() } else { format!(" [{}]", notes.join("; ")) };
    wrapped(&format!("{}{notes}", schema["description"].as_str().unwrap_or_default()))
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= LINE => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

/// A value as YAML on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/'));
            let is_text = plain_scalar(text).is_string() && !text.starts_with('-') && !text.is_empty();
            if plain && is_text { text.clone() } else { format!("{text:?}") }
        }
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| format!("{key}: {}", flow(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
