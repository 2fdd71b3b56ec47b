//! Names of a detector's classes: from the zoo, from files beside the model, from the file itself, else COCO's.

use super::{Model, beside};
use crate::config::zoo::Zoo;
use std::{collections::BTreeMap, fs};

/// Names and who gave them.
pub(super) struct Names {
    pub names: Vec<String>,
    pub whence: &'static str,
}

/// What is known of the names before the number of classes is. `in_file`: what the exporter wrote.
pub(super) fn known(model: &Model, in_file: Option<Vec<String>>) -> Option<Names> {
    let found = |names: Vec<String>, whence| Some(Names { names, whence });
    if let Some(names) = &model.notes.classes {
        return found(names.clone(), "the .model.yml beside it");
    }
    let listed = model.entry.and_then(|entry| Zoo::builtin().classes(entry.classes.as_deref()?));
    if let Some(listed) = listed {
        return found(listed.to_vec(), "models/zoo.yml");
    }
    if let Ok(text) = fs::read_to_string(beside(&model.file.path, "names")) {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        return found(lines.map(str::to_owned).collect(), "the .names file beside it");
    }
    in_file.and_then(|names| found(names, "the file itself"))
}

/// Names for `count` classes where nobody gives any.
pub(super) fn usual(count: usize) -> Names {
    let zoo = Zoo::builtin();
    let list = ["coco80", "coco91"].into_iter().filter_map(|list| zoo.classes(list)).find(|list| list.len() == count);
    match list {
        Some(list) => Names { names: list.to_vec(), whence: "COCO, by their number" },
        None => Names { names: (0..count).map(|index| format!("class{index}")).collect(), whence: "nobody: numbered" },
    }
}

/// Checks that there are as many names as classes.
pub(super) fn fitting(known: Option<Names>, count: usize) -> Result<Names, String> {
    if count > usize::from(u16::MAX) {
        return Err(format!("{count} classes, at most {} can be numbered", u16::MAX));
    }
    let names = known.unwrap_or_else(|| usual(count));
    if names.names.len() == count {
        return Ok(names);
    }
    Err(format!("its heads have {count} classes, but {} names are listed for it", names.names.len()))
}

/// Most classes a file is believed to name; ImageNet-21k has the most that is in use.
const MAX_NAMES: usize = 30_000;

/// Names as Ultralytics writes them, a Python dictionary: `{0: 'person', 1: 'bicycle'}`. `None` for anything else, and for
/// numbers that leave gaps.
pub(super) fn from_dictionary(text: &str) -> Option<Vec<String>> {
    // Such a dictionary is a flow mapping of YAML, but for backslashes, which Python writes in neither of its quotes here.
    let names: BTreeMap<usize, String> = serde_yaml::from_str(text).ok()?;
    let whole = !names.is_empty() && names.len() <= MAX_NAMES && names.keys().copied().eq(0..names.len());
    whole.then(|| names.into_values().collect())
}

/// Numbers as Ultralytics writes them: `[640, 640]`.
pub(super) fn numbers(text: &str) -> Option<Vec<u32>> {
    serde_yaml::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_of_python_is_read() {
        let names = from_dictionary("{0: 'person', 1: \"driver's cab\", 2: 'traffic light'}").unwrap();
        assert_eq!(names, ["person", "driver's cab", "traffic light"]);
        for bad in ["", "{}", "{1: 'a'}", "{0: 'a', 2: 'b'}", "['a']", "{0: [1]}", "\u{0}", "{0: 'a'"] {
            assert!(from_dictionary(bad).is_none(), "{bad:?}");
        }
        assert_eq!(numbers("[640, 480]"), Some(vec![640, 480]));
        assert_eq!(numbers("640"), None);
    }
}
