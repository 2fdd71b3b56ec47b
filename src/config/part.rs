//! Parts of a pipeline that are sent alone, as JSON: held against the same schema as a file and reported in the same words.

use super::{
    conform::conform,
    fault::{Fault, Faults, KeyPath},
    raw::Stream,
    schema::{schema, schema_of},
};
use crate::serve::operate::Change;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::LazyLock;

/// Something that can be sent alone.
pub trait Part: DeserializeOwned {
    /// What it must look like: JSON Schema, every type written out where it is used.
    fn schema() -> &'static Value;
}

impl Part for Stream {
    fn schema() -> &'static Value {
        &schema()["properties"]["streams"]["items"]
    }
}

impl Part for Change {
    fn schema() -> &'static Value {
        static SCHEMA: LazyLock<Value> = LazyLock::new(schema_of::<Change>);
        &SCHEMA
    }
}

/// Reads a part. Text is taken as it is: who sends it shall not reach this machine's variables.
///
/// Errors: every fault the schema can see.
pub fn read_part<T: Part>(mut tree: Value) -> Result<T, Faults> {
    let root = KeyPath::root;
    if !tree.is_object() {
        return Err(Faults(vec![Fault::new(root(), "expected an object")]));
    }
    let faults = conform(&mut tree, T::schema(), None);
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    serde_json::from_value(tree).map_err(|error| Faults(vec![Fault::new(root(), error.to_string())]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults<T: Part>(tree: Value) -> Vec<String> {
        let refused = read_part::<T>(tree).err();
        refused.map(|Faults(faults)| faults.iter().map(ToString::to_string).collect()).unwrap_or_default()
    }

    #[test]
    fn faults_are_told_at_once_from_the_part_down() {
        let told = faults::<Change>(json!({ "min_score": 2, "clases": [], "zones": [{ "name": "a" }] }));
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told.iter().any(|fault| fault.starts_with("min_score: 2, expected")), "{told:?}");
        assert!(told.iter().any(|fault| fault.contains("did you mean") && fault.contains("classes")), "{told:?}");
        assert!(told.iter().any(|fault| fault.starts_with("zones[0].polygon: missing")), "{told:?}");
        assert_eq!(faults::<Change>(json!([1])), ["expected an object"]);
        assert_eq!(faults::<Change>(json!({})), [""; 0]);
    }

    #[test]
    fn variables_are_not_put_in() {
        let stream: Stream = read_part(json!({ "file": "${HOME}/a.mp4" })).unwrap();
        assert_eq!(stream.file, "${HOME}/a.mp4");
    }
}
