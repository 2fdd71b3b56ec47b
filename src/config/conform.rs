//! Holds a tree against the JSON Schema: unknown and missing keys, types, ranges, every fault at once.
//!
//! What is unsound is taken out of the tree after it was reported, up to the nearest key (which then has its default), so
//! that the rest can still be read and checked for its meaning. Knows no key by name, only the words of the schema that
//! `raw` uses; `pattern` is not among them: what it says, `check` says in words.

use super::{
    constraint::{
        accepts, alternatives, expected, is, keys, length_problem, plain_scalar, unknown_key_hint, value_hint,
    },
    env::{Lookup, expanded},
    fault::{Fault, KeyPath, shortened},
};
use serde_json::{Map, Value};

/// All faults of `tree`, which is left sound: serde can read it.
///
/// `variables` expands `${NAME}` in values; `None` leaves text as it is. Messages repeat what was written, never what a
/// variable holds.
pub fn conform(tree: &mut Value, schema: &Value, variables: Option<Lookup<'_>>) -> Vec<Fault> {
    let mut walk = Walk { schema, variables, faults: Vec::new() };
    if !walk.value(tree, schema, &KeyPath::root()) {
        *tree = Value::Object(Map::new());
    }
    walk.faults
}

struct Walk<'a> {
    schema: &'a Value,
    variables: Option<Lookup<'a>>,
    faults: Vec<Fault>,
}

impl Walk<'_> {
    /// Checks a value; false if it has to be taken out of what holds it.
    fn value(&mut self, value: &mut Value, schema: &Value, path: &KeyPath) -> bool {
        let branch = |type_name| alternatives(schema).into_iter().find(|branch| is(branch, type_name));
        match (&mut *value, branch("object"), branch("array")) {
            (Value::Object(entries), Some(schema), _) => self.object(entries, schema, path),
            (Value::Array(items), _, Some(schema)) => self.array(items, schema, path),
            _ => self.scalar(value, schema, path),
        }
    }

    fn object(&mut self, entries: &mut Map<String, Value>, schema: &Value, path: &KeyPath) -> bool {
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for key in required.filter(|key| !entries.contains_key(*key)) {
            let problem = format!("missing, expected {}", expected(&schema["properties"][key]));
            self.faults.push(Fault::new(path.key(key), problem));
        }
        let any_key = schema.get("additionalProperties").filter(|schema| schema.is_object());
        entries.retain(|key, value| match schema["properties"].get(key).or(any_key) {
            Some(schema) => self.value(value, schema, &path.key(key)),
            None => {
                let hint = unknown_key_hint(key, &keys(schema), self.schema);
                self.faults.push(Fault::new(path.key(key), "unknown key").with_hint(hint));
                false
            }
        });
        true
    }

    fn array(&mut self, items: &mut [Value], schema: &Value, path: &KeyPath) -> bool {
        let of = &schema["items"];
        let mut sound = true;
        for (index, item) in items.iter_mut().enumerate() {
            let item_sound = self.value(item, of, &path.index(index));
            if !item_sound && is(of, "object") {
                // The entry keeps its place, or faults of those behind it would name the wrong one.
                *item = Value::Object(Map::new());
            } else {
                sound &= item_sound;
            }
        }
        let problem = length_problem(items, schema);
        sound &= problem.is_none();
        self.faults.extend(problem.map(|problem| Fault::new(path.clone(), problem)));
        sound
    }

    fn scalar(&mut self, value: &mut Value, schema: &Value, path: &KeyPath) -> bool {
        let written = value.clone();
        if schema["x-secret"] == true {
            return self.secret(value, schema, path);
        }
        if let Err(problems) = self.expand(value, schema) {
            self.faults.extend(problems.into_iter().map(|problem| Fault::new(path.clone(), problem)));
            return false;
        }
        if accepts(schema, value) {
            return true;
        }
        let problem = match &written {
            Value::Null => format!("no value, expected {}", expected(schema)),
            // What may be a password is not repeated.
            _ if schema["writeOnly"] == true => format!("***, expected {}", expected(schema)),
            _ => format!("{}, expected {}", shortened(&written.to_string()), expected(schema)),
        };
        let hint = if schema["writeOnly"] == true { None } else { value_hint(&written, schema) };
        self.faults.push(Fault::new(path.clone(), problem).with_hint(hint));
        false
    }

    /// Checks a secret, of which no message says anything. In a file it must be a variable.
    fn secret(&mut self, value: &mut Value, schema: &Value, path: &KeyPath) -> bool {
        let is_written_out = |text: &str| !text.is_empty() && !text.contains("${");
        let problems = match &*value {
            Value::String(text) if self.variables.is_some() && is_written_out(text) => {
                let instead = "a secret does not belong in this file; write a variable, ${NAME}, or name a file";
                Err(vec![instead.to_owned()])
            }
            Value::String(_) => self.expand(value, schema),
            _ => Err(vec!["not text, expected a variable, ${NAME}".to_owned()]),
        };
        let sound = problems.is_ok();
        let problems = problems.err().into_iter().flatten();
        self.faults.extend(problems.map(|problem| Fault::new(path.clone(), problem)));
        sound
    }

    /// Puts variables in; what is no text by the schema is then read as YAML would read it.
    fn expand(&self, value: &mut Value, schema: &Value) -> Result<(), Vec<String>> {
        let (Some(lookup), Value::String(text)) = (self.variables, &*value) else {
            return Ok(());
        };
        if text.contains("${") {
            let text = expanded(text, lookup)?;
            let as_text = is(schema, "string") || !accepts(schema, &plain_scalar(&text));
            *value = if as_text { text.into() } else { plain_scalar(&text) };
        }
        Ok(())
    }
}
