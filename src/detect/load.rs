//! From what a plan calls a detector to a network, its heads and its classes. Everything that can be wrong with the files
//! is said here, with the file, what was expected and what to do.

use super::{
    ClassId, InferError,
    heads::{
        Head,
        darknet::{Anchor, DarknetHead, DarknetScales},
    },
};
use crate::{
    config::{
        plan::DetectPlan,
        zoo::{self, HeadSpec, InputSpec, Located, ModelCard, Task, Zoo, ZooEntry},
    },
    frame::ImageSize,
    torch::{
        darknet::{
            cfg::{Cfg, Yolo},
            network::DarknetNetwork,
            weights,
        },
        model_file::ModelFile,
        runtime::{SharedNetwork, TorchError},
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tch::Device;

/// A detector's network with everything needed to feed it and to read its output.
pub(super) struct Loaded {
    pub network: SharedNetwork,
    pub head: Box<dyn Head>,
    /// Which of the network's outputs the head reads, in its order.
    pub outputs: Vec<usize>,
    /// Whether the network takes no more than one picture at once.
    pub is_one_by_one: bool,
    pub input: InputSpec,
    pub classes: Vec<String>,
    pub card: ModelCard,
}

/// Reads the files `plan.model` names and builds the network on `device`.
pub(super) fn load(plan: &DetectPlan, device: Device) -> Result<Loaded, InferError> {
    let fail = |problem: String| InferError::Model { model: plan.model.clone(), problem };
    let files = Files::read(&plan.model).map_err(fail)?;
    let entry = files.entry;
    let size = plan.input_px.map(|px| ImageSize { width: px, height: px }).or(entry.map(|entry| entry.input.size()));
    let cfg = files.parse_cfg(size).map_err(fail)?;
    let folded = weights::folded(&cfg, &files.weights.bytes).map_err(|error| {
        fail(format!("{}: {error}; run `make setup` or give its own cfg", files.weights.path.display()))
    })?;
    let classes = files.class_names(&cfg).map_err(fail)?;
    let network = DarknetNetwork::new(&cfg, &folded, device).map_err(|error| torch_error(&plan.model, error))?;
    let input = ImageSize { width: cfg.input.width as u32, height: cfg.input.height as u32 };
    let head = darknet_head(&cfg, input);
    Ok(Loaded {
        network: SharedNetwork::new(Box::new(network)),
        outputs: (0..head.scales.len()).collect(),
        head: Box::new(head),
        is_one_by_one: false,
        input: entry.map_or_else(|| InputSpec::plain(input), |entry| entry.input.with_size(input)),
        classes,
        card: files.card(&plan.model),
    })
}

/// libtorch's refusal, with the model it concerns.
pub(super) fn torch_error(model: &str, error: TorchError) -> InferError {
    InferError::Torch { model: model.to_owned(), message: error.0 }
}

/// Numbers of the classes to keep, all for an empty list. An unknown name is an error that names the nearest.
pub(super) fn wanted_classes(plan: &DetectPlan, classes: &[String]) -> Result<Vec<ClassId>, InferError> {
    if plan.classes.is_empty() {
        return Ok((0..classes.len()).map(|index| ClassId(index as u16)).collect());
    }
    plan.classes.iter().map(|wanted| class_number(plan, classes, wanted)).collect()
}

/// Scores that classes need of their own.
pub(super) fn min_scores(plan: &DetectPlan, classes: &[String]) -> Result<Vec<(ClassId, f32)>, InferError> {
    let numbered = plan.min_score_by_class.iter();
    numbered.map(|(class, score)| Ok((class_number(plan, classes, class)?, *score))).collect()
}

fn class_number(plan: &DetectPlan, classes: &[String], wanted: &str) -> Result<ClassId, InferError> {
    let found = classes.iter().position(|class| class == wanted).map(|index| ClassId(index as u16));
    found.ok_or_else(|| {
        let hint = zoo::nearest(wanted, classes.iter().map(String::as_str));
        let hint = hint.map_or(String::new(), |near| format!("; did you mean {near:?}?"));
        let problem = format!("has no class {wanted:?} among its {}{hint}", classes.len());
        InferError::Model { model: plan.model.clone(), problem }
    })
}

/// The files of a Darknet model, read.
struct Files {
    weights: ModelFile,
    cfg: ModelFile,
    /// The zoo's entry, by name or by the weights' sha256.
    entry: Option<&'static ZooEntry>,
}

impl Files {
    fn read(model: &str) -> Result<Self, String> {
        let zoo = Zoo::builtin();
        match zoo.locate(model, Task::Detect)? {
            Located::Entry(entry) => {
                let [weights, cfg] = entry.files.as_slice() else {
                    return Err(format!("models/zoo.yml lists {} files, expected weights and cfg", entry.files.len()));
                };
                let models = zoo::models_dir();
                let (cfg, weights) = (ModelFile::read_known(&models, cfg)?, ModelFile::read_known(&models, weights)?);
                Ok(Self { weights, cfg, entry: Some(entry) })
            }
            Located::File(path) => {
                let (weights, cfg) = pair(&path)?;
                let (cfg, weights) = (ModelFile::read(&cfg)?, ModelFile::read(&weights)?);
                let entry = zoo.find_by_sha256(&weights.sha256).filter(|entry| entry.task == Task::Detect);
                Ok(Self { weights, cfg, entry })
            }
        }
    }

    fn parse_cfg(&self, size: Option<ImageSize>) -> Result<Cfg, String> {
        let name = self.cfg.path.display();
        let mut cfg = Cfg::parse(self.cfg.text()?, size).map_err(|error| format!("{name}: {error}"))?;
        let Some(HeadSpec::Darknet { masks: Some(masks) }) = self.entry.and_then(|entry| entry.head.as_ref()) else {
            return Ok(cfg);
        };
        for change in cfg.override_masks(masks).map_err(|error| format!("{name}: {error}"))? {
            tracing::info!(cfg = %name, "corrected as models/zoo.yml says: {change}");
        }
        Ok(cfg)
    }

    /// Names of the classes: the zoo's list, else FILE.names beside the weights, else COCO's if there are 80 of them.
    fn class_names(&self, cfg: &Cfg) -> Result<Vec<String>, String> {
        let name = self.cfg.path.display();
        let counts: Vec<_> = cfg.heads().map(|(_, yolo)| yolo.classes).collect();
        let count = counts[0];
        if counts.iter().any(|other| *other != count) {
            return Err(format!("{name}: its heads have {counts:?} classes, expected the same in each"));
        }
        if count > usize::from(u16::MAX) {
            return Err(format!("{name}: {count} classes, at most {} can be numbered", u16::MAX));
        }
        let zoo = Zoo::builtin();
        let listed = self.entry.and_then(|entry| zoo.classes(entry.classes.as_deref()?));
        let beside = self.weights.path.with_extension("names");
        let names: Vec<String> = if let Some(listed) = listed {
            listed.to_vec()
        } else if let Ok(text) = fs::read_to_string(&beside) {
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        } else {
            let coco = zoo.classes("coco80").filter(|names| names.len() == count);
            coco.map_or_else(|| (0..count).map(|index| format!("class{index}")).collect(), <[String]>::to_vec)
        };
        if names.len() != count {
            let expected = names.len();
            return Err(format!("{name}: its heads have {count} classes, but {expected} names are listed for it"));
        }
        Ok(names)
    }

    fn card(&self, model: &str) -> ModelCard {
        let name = self.entry.map_or_else(|| file_name(Path::new(model)), |entry| entry.name.clone());
        ModelCard { name, file: self.weights.path.clone(), sha256: self.weights.sha256.clone() }
    }
}

/// Weights and cfg that belong together: the same path but for the extension.
fn pair(path: &Path) -> Result<(PathBuf, PathBuf), String> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("weights" | "cfg") => Ok((path.with_extension("weights"), path.with_extension("cfg"))),
        _ if !path.exists() => {
            Err(format!("{} is not there; give a Darknet .weights file or a name of the zoo", path.display()))
        }
        _ => Err(format!(
            "{} is no kind of model eyeline can run, expected a Darknet .weights file with its .cfg beside it",
            path.display()
        )),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn darknet_head(cfg: &Cfg, input: ImageSize) -> DarknetScales {
    let head = |yolo: &Yolo| DarknetHead {
        anchors: yolo
            .mask
            .iter()
            .map(|&index| Anchor { width_px: yolo.anchors[index].0, height_px: yolo.anchors[index].1 })
            .collect(),
        classes: yolo.classes,
        scale_x_y: yolo.scale_x_y,
    };
    let scales = cfg.heads().map(|(layer, yolo)| (head(yolo), (layer.output.height, layer.output.width)));
    DarknetScales { scales: scales.collect(), input }
}
