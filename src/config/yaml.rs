//! YAML text -> a tree of JSON values, bounded, merge keys applied.
//!
//! A tree of JSON values, because the schema is JSON and knows neither tags nor keys that are not text. YAML's numbers
//! `.nan` and `.inf` have no counterpart there and stay what they look like: text.

use super::fault::{Fault, KeyPath, Location, shortened, shown_key};
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::{cell::Cell, fmt};

/// Largest file that is read, bytes. The reference file has a hundredth of it.
pub const MAX_BYTES: usize = 1 << 20;

/// Most brackets that may be open at one time: libyaml looks through all of them at every token, and a megabyte of `[` would
/// keep it busy for minutes. Those in comments and quotes count too, so this is well above what can be nested.
const MAX_OPEN: usize = 1024;

/// Most memory the tree may take, bytes: aliases of aliases can say gigabytes in a few lines.
const MAX_TREE_BYTES: usize = 16 << 20;

/// About what a node takes besides its text, bytes.
const NODE_BYTES: usize = 64;

/// The tree of `text`; an empty text is null.
///
/// Errors: what YAML does not allow (syntax, a key given twice, an unknown alias, tags, several documents), nesting
/// beyond 128 levels, more than the bounds above. Only the first is found.
pub fn tree(text: &str) -> Result<Value, Fault> {
    if text.len() > MAX_BYTES {
        let problem = format!("more than {MAX_BYTES} bytes");
        return Err(Fault::new(KeyPath::root(), problem));
    }
    if let Some(at) = too_deep(text) {
        let problem = format!("not valid YAML: more than {MAX_OPEN} brackets are open here");
        return Err(Fault { at: Some(at), ..Fault::new(KeyPath::root(), problem) });
    }
    let budget = Cell::new(MAX_TREE_BYTES);
    let result = Tree { budget: &budget }.deserialize(serde_yaml::Deserializer::from_str(text));
    result.map_err(|error| syntax_fault(&error, text))
}

/// Where the one bracket too many is opened.
fn too_deep(text: &str) -> Option<Location> {
    let mut open = 0usize;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MAX_OPEN {
            let before = &text[..index];
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            let (line, column) = (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1);
            return Some(Location { line, column });
        }
    }
    None
}

/// Where serde_yaml saw an error.
pub(super) fn location(error: &serde_yaml::Error) -> Option<Location> {
    error.location().map(|at| Location { line: at.line(), column: at.column() })
}

/// serde_yaml's error as a fault: its message without the position, which the fault has already, with the line's text.
fn syntax_fault(error: &serde_yaml::Error, text: &str) -> Fault {
    let at = location(error);
    let message = error.to_string();
    let message = match (at, message.split_once(" at line ")) {
        (Some(_), Some((head, tail))) => {
            format!("{head}{}", tail.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ' || c.is_alphabetic()))
        }
        (None, _) if message.contains("more than one document") => "more than one document, expected one".into(),
        (None, _) if message.contains("repetition limit") => "its aliases repeat too much".into(),
        _ => message,
    };
    let message = message.replace("invalid type: ", "");
    let line = at.and_then(|at| text.lines().nth(at.line - 1)).map(str::trim).filter(|line| !line.is_empty());
    let near = line.map(|line| format!(", in the line `{}`", shortened(line))).unwrap_or_default();
    Fault { at, ..Fault::new(KeyPath::root(), format!("not valid YAML: {message}{near}")) }
}

/// Builds the tree as long as the budget (bytes) lasts.
#[derive(Clone, Copy)]
struct Tree<'a> {
    budget: &'a Cell<usize>,
}

impl Tree<'_> {
    fn spend<E: de::Error>(self, text_bytes: usize) -> Result<(), E> {
        let left = self.budget.get().checked_sub(text_bytes + NODE_BYTES);
        self.budget.set(left.ok_or_else(|| E::custom(format!("aliases make more than {MAX_TREE_BYTES} bytes of it")))?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plain YAML")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        self.spend(0).map(|()| Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        self.spend(0).map(|()| value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        self.spend(0).map(|()| value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        self.spend(0).map(|()| value.into())
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        let unlike_json = if value.is_nan() {
            ".nan"
        } else if value > 0.0 {
            ".inf"
        } else {
            "-.inf"
        };
        self.spend(0)?;
        Ok(Number::from_f64(value).map_or_else(|| unlike_json.into(), Value::Number))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.spend(value.len()).map(|()| value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        self.spend(0)?;
        let mut list = Vec::new();
        while let Some(value) = seq.next_element_seed(self)? {
            list.push(value);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        self.spend(0)?;
        let mut mapping = Map::new();
        let mut merged = Vec::new();
        while let Some(key) = map.next_key_seed(Key { taken: &mapping })? {
            self.spend(key.len())?;
            if key == "<<" {
                merged.push(map.next_value_seed(self)?);
            } else {
                mapping.insert(key, map.next_value_seed(self)?);
            }
        }
        merged.into_iter().try_for_each(|from| merge(&mut mapping, from))?;
        Ok(mapping.into())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(de::Error::custom("tags such as !name have no meaning here"))
    }
}

/// Adds the entries of `from` (a mapping or a list of mappings, the first wins) that `into` does not have.
/// Source: <https://yaml.org/type/merge.html>.
fn merge<E: de::Error>(into: &mut Map<String, Value>, from: Value) -> Result<(), E> {
    match from {
        Value::Object(from) => {
            from.into_iter().for_each(|(key, value)| {
                into.entry(key).or_insert(value);
            });
            Ok(())
        }
        Value::Array(list) if list.iter().all(Value::is_object) => {
            list.into_iter().try_for_each(|from| merge(into, from))
        }
        _ => Err(E::custom("<< takes a mapping or a list of mappings")),
    }
}

/// Reads a key as text, whatever it looks like, and refuses those that are taken.
struct Key<'a> {
    taken: &'a Map<String, Value>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key of text")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<String, E> {
        if self.taken.contains_key(key) {
            return Err(E::custom(format!("key {} is given twice", shown_key(key))));
        }
        Ok(key.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problem(text: &str) -> String {
        let fault = tree(text).expect_err(text);
        let at = fault.at.map(|at| format!("{}:{}: ", at.line, at.column)).unwrap_or_default();
        format!("{at}{fault}")
    }

    #[test]
    fn yaml_becomes_json() {
        let cases = [
            ("", json!(null)),
            ("# nothing", json!(null)),
            ("a: 1\nb: [1.5, yes, true, ~, '1']", json!({ "a": 1, "b": [1.5, "yes", true, null, "1"] })),
            ("1: x\ntrue: y", json!({ "1": "x", "true": "y" })),
            ("[.nan, .inf, -.inf, 1e999]", json!([".nan", ".inf", "-.inf", "1e999"])),
            ("x: &a {k: 1}\ny: *a", json!({ "x": { "k": 1 }, "y": { "k": 1 } })),
            ("x: &a {k: 1, l: 1}\ny: {<<: *a, k: 2}", json!({ "x": { "k": 1, "l": 1 }, "y": { "k": 2, "l": 1 } })),
            ("{<<: [{k: 1}, {k: 2, l: 2}]}", json!({ "k": 1, "l": 2 })),
        ];
        for (text, expected) in cases {
            assert_eq!(tree(text), Ok(expected), "{text}");
        }
        assert_eq!(tree("99999999999999999999"), Ok(json!(99999999999999999999.0)));
    }

    #[test]
    fn what_yaml_forbids_is_located_and_quoted() {
        let cases = [
            ("a: 1\nb: [1, 2\nc: 3", "3:2: not valid YAML: did not find expected ',' or ']'"),
            ("a: 1\n\tb: 2", "2:1: not valid YAML: found a tab character"),
            ("a: {b: 1, b: 2}", "1:11: not valid YAML: a: key b is given twice, in the line `a: {b: 1, b: 2}`"),
            ("a: *nothing", "1:4: not valid YAML: unknown anchor, in the line `a: *nothing`"),
            ("a: !secret b", "1:4: not valid YAML: a: tags such as !name have no meaning here"),
            ("a: 1\n---\nb: 2", "not valid YAML: more than one document, expected one"),
            ("{<<: 5}", "1:1: not valid YAML: << takes a mapping or a list of mappings"),
            ("? [1]\n: 2", "1:3: not valid YAML: sequence, expected a key of text"),
        ];
        for (text, expected) in cases {
            let problem = problem(text);
            assert!(problem.starts_with(expected), "{text:?}: {problem}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error() {
        for text in ["[".repeat(10_000), "{a: ".repeat(10_000), "- ".repeat(10_000), "? ".repeat(10_000)] {
            assert!(tree(&text).is_err(), "{}", &text[..8]);
        }
        let nested = |levels: usize| format!("a:\n {}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(problem(&nested(200)).contains("recursion limit exceeded"));
        assert_eq!(problem(&nested(10_000)), "2:1026: not valid YAML: more than 1024 brackets are open here");
        assert!(tree(&nested(100)).is_ok());
    }

    #[test]
    fn aliases_of_aliases_are_bounded() {
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(problem(&laughs).contains("its aliases repeat too much"));
        let long = format!("a: &a {}\nb: [{}]", "x".repeat(400_000), "*a, ".repeat(100_000));
        assert!(problem(&long).contains("aliases make more than"));
        assert!(tree("a: &a [*a, *a]").is_err());
        assert!(problem(&" ".repeat(MAX_BYTES + 1)).contains("more than 1048576 bytes"));
    }
}
