//! The models eyeline knows by name: `models/zoo.yml`, built into the program, and where their files lie.

pub use super::{
    home::{home_dir, models_dir},
    model_spec::{Colours, Fit, HeadSpec, InputSpec, ModelNotes, OffsetOrder, Priors, ScoreKind},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
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
    /// An `.onnx` file.
    Onnx,
    /// A TorchScript archive.
    Torchscript,
    /// A state dict of MobileNetV2.
    MobilenetV2,
}

/// Where a model's files come from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum ModelSource {
    /// A package that carries them.
    Package {
        /// Kind of registry.
        registry: String,
        /// Package in it.
        package: String,
        /// Its version.
        version: String,
        /// Folder inside the package.
        folder: String,
    },
    /// A folder on the web: the file's name follows after a slash.
    Web {
        /// Address of the folder.
        url: String,
    },
    /// Whatever the user made it with.
    Made {
        /// How it is made, for people.
        made: String,
    },
}

impl std::fmt::Display for ModelSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Package { registry, package, version, .. } => write!(f, "{registry} {package} {version}"),
            Self::Web { url } => f.write_str(url),
            Self::Made { made } => f.write_str(made),
        }
    }
}

/// One file of a model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZooFile {
    /// Name in the models folder and at its source.
    pub file: String,
    /// Lower-case hexadecimal; none where nobody could check it yet.
    pub sha256: Option<String>,
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
        self.models.iter().find(|entry| entry.files.iter().any(|file| file.sha256.as_deref() == Some(sha256)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_complete() {
        let zoo = Zoo::builtin();
        for entry in zoo.entries() {
            let name = &entry.name;
            assert_eq!(zoo.entries().iter().filter(|other| other.name == *name).count(), 1, "{name} is there twice");
            assert!(!entry.files.is_empty(), "{name} has no files");
            for file in &entry.files {
                let Some(digest) = &file.sha256 else { continue };
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
        assert_eq!(zoo.nearest("mobilenet-v3", Task::Embed), Some("mobilenet-v2"));
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
        assert_eq!(error, "is not for this task; did you mean \"osnet-x1.0\", or the path of a file?");
    }
}
