//! The models eyeline knows by name: `models/zoo.yml`, built into the program, and where their files lie.

use crate::frame::ImageSize;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// All entries.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zoo {
    /// Lists of class names that entries refer to.
    classes: BTreeMap<String, Vec<String>>,
    models: Vec<ZooEntry>,
}

/// One model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZooEntry {
    /// Unique name.
    pub name: String,
    /// What it is for.
    pub task: Task,
    /// One line for people.
    pub title: String,
    /// Licence of the weights.
    pub licence: String,
    /// Where the files come from.
    pub source: ModelSource,
    /// Which loader reads it.
    pub format: ModelFormat,
    /// Its files, the weights first.
    pub files: Vec<ZooFile>,
    /// What the network is fed.
    pub input: InputSpec,
    /// How a detector's output is decoded.
    pub head: Option<HeadSpec>,
    /// Name of a detector's list of classes.
    pub classes: Option<String>,
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Boxes from frames.
    Detect,
    /// Embeddings from crops.
    Embed,
}

/// What a model was asked for by.
#[derive(Clone, Debug)]
pub enum Located<'a> {
    /// Its name.
    Entry(&'a ZooEntry),
    /// Its file.
    File(PathBuf),
}

/// Which loader reads a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelFormat {
    /// A `.weights` file and a `.cfg` file.
    Darknet,
    /// A state dict of MobileNetV2.
    MobilenetV2,
}

/// A package that carries a model's files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSource {
    /// Kind of registry.
    pub registry: String,
    /// Package in it.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Folder inside the package.
    pub folder: String,
}

/// One file of a model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZooFile {
    /// Name in the models folder and in the package.
    pub file: String,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// What a network is fed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// How a picture is brought to that size.
    pub fit: Fit,
    /// Grey beside a letterboxed picture, 0..=255.
    #[serde(default = "neutral_grey")]
    pub fill: u8,
    /// Subtracted from red, green and blue once they are within 0..=1.
    pub mean: [f64; 3],
    /// Divides the difference.
    pub std: [f64; 3],
}

/// How a picture is brought to the size of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// Aspect kept, the rest filled.
    Letterbox,
    /// Each side on its own.
    Stretch,
}

/// How a detector's output is decoded.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "family", rename_all = "snake_case", deny_unknown_fields)]
pub enum HeadSpec {
    /// Anchors, see `detect::heads::darknet`.
    Darknet {
        /// Replaces the masks of the cfg, for weights published with a wrong one.
        masks: Option<Vec<Vec<usize>>>,
    },
}

/// One model of a run, so that a result can be traced to the file that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelCard {
    /// Zoo name or file name.
    pub name: String,
    /// The file with the weights.
    pub file: PathBuf,
    /// Its sha256, hexadecimal.
    pub sha256: String,
}

/// The middle of 0..=255: what Darknet fills with.
fn neutral_grey() -> u8 {
    128
}

impl InputSpec {
    /// Size of the network's input.
    pub fn size(&self) -> ImageSize {
        ImageSize { width: self.width, height: self.height }
    }
}

impl Zoo {
    /// The zoo built into the program.
    pub fn builtin() -> &'static Zoo {
        static ZOO: LazyLock<Zoo> = LazyLock::new(|| {
            serde_yaml::from_str(include_str!("../../models/zoo.yml")).expect("models/zoo.yml is read by a test")
        });
        &ZOO
    }

    /// Every entry, in the file's order.
    pub fn entries(&self) -> &[ZooEntry] {
        &self.models
    }

    /// The entry of this name.
    pub fn find(&self, name: &str) -> Option<&ZooEntry> {
        self.models.iter().find(|entry| entry.name == name)
    }

    /// The entry one of whose files has this sha256, for files that lie elsewhere under another name.
    pub fn find_by_sha256(&self, sha256: &str) -> Option<&ZooEntry> {
        self.models.iter().find(|entry| entry.files.iter().any(|file| file.sha256 == sha256))
    }

    /// What `model` means: the name of an entry for `task`, or the path of a file, which need not exist.
    ///
    /// A word that is neither an entry nor looks like a path is an error that names the nearest entry.
    pub fn locate(&self, model: &str, task: Task) -> Result<Located<'_>, String> {
        let instead = || {
            self.nearest(model, task)
                .map_or(String::new(), |name| format!("; did you mean {name:?}, or the path of a file?"))
        };
        match self.find(model) {
            Some(entry) if entry.task == task => Ok(Located::Entry(entry)),
            Some(_) => Err(format!("is not for this task{}", instead())),
            None if model.contains(['/', '.']) || Path::new(model).exists() => Ok(Located::File(PathBuf::from(model))),
            None => Err(format!("no such model{}", instead())),
        }
    }

    /// The name most like `wanted` among the models for `task`.
    pub fn nearest(&self, wanted: &str, task: Task) -> Option<&str> {
        nearest(wanted, self.models.iter().filter(|entry| entry.task == task).map(|entry| entry.name.as_str()))
    }

    /// A list of class names.
    pub fn classes(&self, list: &str) -> Option<&[String]> {
        self.classes.get(list).map(Vec::as_slice)
    }
}

/// The candidate most like `wanted`, the first of equals; none if there is none.
pub fn nearest<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |candidate: &str| strsim::damerau_levenshtein(&wanted.to_lowercase(), &candidate.to_lowercase());
    candidates.min_by_key(|candidate| distance(candidate))
}

/// The folder that holds `models/`: `$EYELINE_HOME`, else the nearest `.eyeline` upwards from the working directory,
/// else `eyeline` in the user's data folder. It need not exist.
pub fn home_dir() -> PathBuf {
    home_from(|name| env::var_os(name), &env::current_dir().unwrap_or_default())
}

fn home_from(variable: impl Fn(&str) -> Option<OsString>, working_dir: &Path) -> PathBuf {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("EYELINE_HOME")
        .or_else(|| working_dir.ancestors().map(|dir| dir.join(".eyeline")).find(|dir| dir.is_dir()))
        .or_else(|| set("XDG_DATA_HOME").map(|dir| dir.join("eyeline")))
        .or_else(|| set("HOME").map(|dir| dir.join(".local/share/eyeline")))
        .unwrap_or_else(|| working_dir.join(".eyeline"))
}

/// Where a model's file of this name belongs.
pub fn model_path(file: &str) -> PathBuf {
    home_dir().join("models").join(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn every_entry_is_complete() {
        let zoo = Zoo::builtin();
        for entry in zoo.entries() {
            let name = &entry.name;
            assert_eq!(zoo.entries().iter().filter(|other| other.name == *name).count(), 1, "{name} is there twice");
            assert!(!entry.files.is_empty(), "{name} has no files");
            for file in &entry.files {
                let digest = &file.sha256;
                assert!(
                    digest.len() == 64 && digest.bytes().all(|b| b"0123456789abcdef".contains(&b)),
                    "{name}: {digest}"
                );
                assert_eq!(zoo.find_by_sha256(digest).map(|found| &found.name), Some(name));
            }
            assert_eq!(
                entry.task == Task::Detect,
                entry.head.is_some(),
                "{name}: a detector, and only one, has a head"
            );
            if let Some(list) = &entry.classes {
                assert!(zoo.classes(list).is_some(), "{name}: no list of classes {list:?}");
            }
            assert_eq!(entry.task == Task::Detect, entry.classes.is_some(), "{name}: classes");
            assert!(entry.input.std.iter().all(|std| *std > 0.0), "{name}: std");
        }
    }

    #[test]
    fn a_list_of_classes_names_each_once() {
        let names = Zoo::builtin().classes("coco80").unwrap();
        assert_eq!((names.len(), names[0].as_str(), names[79].as_str()), (80, "person", "toothbrush"));
        assert!(names.iter().enumerate().all(|(i, name)| !names[..i].contains(name)));
    }

    #[test]
    fn a_wrong_name_finds_the_nearest_for_its_task() {
        let zoo = Zoo::builtin();
        assert!(zoo.find("yolo3-tiny").is_none());
        assert_eq!(zoo.nearest("Yolo3-tiny", Task::Detect), Some("yolov3-tiny"));
        assert_eq!(zoo.nearest("yolov3-tiny", Task::Embed), Some("mobilenet-v2"));
    }

    #[test]
    fn a_model_is_a_name_or_a_path() {
        let zoo = Zoo::builtin();
        assert!(
            matches!(zoo.locate("yolov3-tiny", Task::Detect), Ok(Located::Entry(entry)) if entry.name == "yolov3-tiny")
        );
        for path in ["a.weights", "./a", "/models/a", "yolov3-tiny.cfg"] {
            assert!(
                matches!(zoo.locate(path, Task::Detect), Ok(Located::File(file)) if file == Path::new(path)),
                "{path}"
            );
        }
        let error = zoo.locate("yolov4-tiny", Task::Detect).unwrap_err();
        assert_eq!(error, "no such model; did you mean \"yolov3-tiny\", or the path of a file?");
        let error = zoo.locate("yolov3-tiny", Task::Embed).unwrap_err();
        assert_eq!(error, "is not for this task; did you mean \"mobilenet-v2\", or the path of a file?");
    }

    #[test]
    fn home_is_named_else_near_else_the_users() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        let home = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.to_string(), OsString::from(v))).collect();
            home_from(move |name| pairs.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()), &deep)
        };
        assert_eq!(home(&[("HOME", "/h")]), Path::new("/h/.local/share/eyeline"));
        assert_eq!(home(&[("HOME", "/h"), ("XDG_DATA_HOME", "/x")]), Path::new("/x/eyeline"));
        fs::create_dir(dir.path().join("a/.eyeline")).unwrap();
        assert_eq!(home(&[("HOME", "/h")]), dir.path().join("a/.eyeline"));
        assert_eq!(home(&[("EYELINE_HOME", "/e")]), Path::new("/e"));
        assert_eq!(home(&[("EYELINE_HOME", "")]), dir.path().join("a/.eyeline"));
    }
}
