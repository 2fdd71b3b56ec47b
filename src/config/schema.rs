//! The JSON Schema of a pipeline file, derived from `raw`: editors complete and validate by it, `conform` checks by it.

use super::{constraint::is, raw::Raw};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The schema by which values are checked once their variables are in: draft 2020-12, every type written out where it is
/// used.
pub fn schema() -> &'static Value {
    static SCHEMA: LazyLock<Value> = LazyLock::new(derived);
    &SCHEMA
}

fn derived() -> Value {
    let mut schema = schema_of::<Raw>();
    schema["title"] = "eyeline pipeline".into();
    schema
}

/// The schema of any such type, every type written out where it is used.
pub(super) fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    each_node(&mut schema, &mut tidy);
    schema
}

/// The schema for editors, as `eyeline schema` prints it: indented, with a newline at the end. It also takes `${NAME}`
/// where something other than plain text is asked for.
pub fn schema_text() -> String {
    let mut schema = schema().clone();
    each_node(&mut schema, &mut allow_variables);
    format!("{schema:#}\n")
}

/// Calls `change` for a node and, before that, for every node below it.
fn each_node(schema: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    let Some(node) = schema.as_object_mut() else { return };
    for (word, below) in node.iter_mut() {
        match (word.as_str(), below) {
            ("properties", Value::Object(properties)) => {
                properties.values_mut().for_each(|below| each_node(below, change))
            }
            ("anyOf" | "oneOf", Value::Array(branches)) => {
                branches.iter_mut().for_each(|below| each_node(below, change))
            }
            ("items" | "additionalProperties", below) => each_node(below, change),
            _ => {}
        }
    }
    change(node);
}

/// Takes away what schemars adds and a reader does not need: Rust's number formats, line breaks of the source, defaults
/// of keys that must be written.
fn tidy(node: &mut Map<String, Value>) {
    node.remove("format");
    if let Some(Value::String(description)) = node.get_mut("description") {
        *description = description.replace('\n', " ");
    }
    let required: Vec<String> = node
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    for key in required {
        if let Some(property) = node["properties"].get_mut(&key).and_then(Value::as_object_mut) {
            property.remove("default");
        }
    }
}

/// Lets the values below a node be `${NAME}`, where they are scalars and not any text already.
fn allow_variables(node: &mut Map<String, Value>) {
    for (word, below) in node.iter_mut() {
        match (word.as_str(), below) {
            ("properties", Value::Object(properties)) => properties.values_mut().for_each(allow_variable),
            ("items" | "additionalProperties", below) => allow_variable(below),
            _ => {}
        }
    }
}

fn allow_variable(value: &mut Value) {
    let is_scalar = ["integer", "number", "boolean"].iter().any(|name| is(value, name));
    let is_some_text = is(value, "string") && value.get("pattern").is_some();
    let Some(node) = value.as_object_mut().filter(|node| !node.contains_key("const")) else { return };
    let variable = json!({ "type": "string", "pattern": r"\$\{" });
    let alternatives = node.remove("anyOf").or_else(|| node.remove("oneOf"));
    if let Some(Value::Array(mut alternatives)) = alternatives {
        alternatives.push(variable);
        node.insert("anyOf".into(), alternatives.into());
    } else if is_scalar || is_some_text {
        let is_note = |word: &str| matches!(word, "description" | "default" | "title");
        let (notes, rest): (Map<_, _>, Map<_, _>) =
            std::mem::take(node).into_iter().partition(|(word, _)| is_note(word));
        *node = notes;
        node.insert("anyOf".into(), json!([rest, variable]));
    }
}
