//! From what a plan calls a detector to a network, its head and its classes. Everything that can be wrong with the files is
//! said here, with the file, what was expected and what to do.

mod darknet;
mod names;
mod onnx;
mod reading;
mod script;

use super::{ClassId, InferError, heads::Head};
use crate::{
    config::{
        plan::DetectPlan,
        zoo::{self, HeadSpec, InputSpec, Located, ModelCard, ModelFormat, ModelNotes, Task, Zoo, ZooEntry},
    },
    torch::{
        calibration::Calibration,
        model_file::ModelFile,
        runtime::{Placement, Precision, SharedNetwork, TorchError},
        script::is_torchscript,
    },
};
use std::path::{Path, PathBuf};

/// Side of an input that nobody gives a size: what most detectors are trained at.
const USUAL_PX: u32 = 640;

/// A detector's network with everything needed to feed it and to read its output.
pub(super) struct Loaded {
    pub network: SharedNetwork,
    pub head: Box<dyn Head>,
    /// Which of the network's outputs the head reads, in its order.
    pub outputs: Vec<usize>,
    pub input: InputSpec,
    pub classes: Vec<String>,
    pub card: ModelCard,
    /// What was decided and why, for people.
    pub decisions: Vec<String>,
}

/// A model's file with what is known about it.
struct Model {
    format: ModelFormat,
    file: ModelFile,
    /// The zoo's entry, by name or by the file's sha256.
    entry: Option<&'static ZooEntry>,
    /// What a `.model.yml` beside it says.
    notes: ModelNotes,
}

/// Reads the files `plan.model` names and builds the network where it runs.
pub(super) fn load(plan: &DetectPlan, place: Placement) -> Result<Loaded, InferError> {
    let model = Model::read(&plan.model).map_err(|problem| InferError::Model { model: plan.model.clone(), problem })?;
    let loaded = match model.format {
        ModelFormat::Darknet => darknet::load(plan, &model, place),
        ModelFormat::Torchscript if place.precision == Precision::Int8 => Err(InferError::Model {
            model: plan.model.clone(),
            problem: "TorchScript cannot be run in int8; export the model to ONNX or choose another precision".into(),
        }),
        ModelFormat::Torchscript => script::load(plan, &model, place.device),
        _ => onnx::load(plan, &model, place),
    }?;
    for decision in &loaded.decisions {
        tracing::info!(model = plan.model, "{decision}");
    }
    Ok(loaded)
}

impl Model {
    fn read(model: &str) -> Result<Self, String> {
        let zoo = Zoo::builtin();
        match zoo.locate(model, Task::Detect)? {
            Located::Entry(entry) => {
                let known = entry.files.first().ok_or("models/zoo.yml lists no file for it")?;
                let file = ModelFile::read_known(&zoo::models_dir(), known)?;
                Ok(Self { format: entry.format, file, entry: Some(entry), notes: ModelNotes::default() })
            }
            Located::File(path) => {
                let format = format_of(&path)?;
                let path = if format == ModelFormat::Darknet { path.with_extension("weights") } else { path };
                let file = match format {
                    // The cfg is missed first, because it is what people forget.
                    ModelFormat::Darknet => {
                        ModelFile::read(&path.with_extension("cfg")).and_then(|_| ModelFile::read(&path))?
                    }
                    _ => ModelFile::read(&path)?,
                };
                if format == ModelFormat::Torchscript && !is_torchscript(&file.bytes) {
                    return Err(format!(
                        "{} is no TorchScript: it may hold weights without their network; export the model to ONNX or \
                         save it with torch.jit (models/README.md)",
                        path.display()
                    ));
                }
                let entry = zoo.find_by_sha256(&file.sha256).filter(|entry| entry.task == Task::Detect);
                Ok(Self { format, notes: ModelNotes::beside(&path)?, file, entry })
            }
        }
    }

    /// What int8 needs, where that is the precision.
    fn calibration(&self, place: Placement) -> Result<Option<Calibration>, String> {
        let wanted = place.precision == Precision::Int8;
        wanted.then(|| Calibration::read(&self.file.path, &self.file.sha256)).transpose()
    }

    /// How the head is to be read, as far as anybody says.
    fn head_spec(&self) -> Option<&HeadSpec> {
        self.notes.head.as_ref().or(self.entry.and_then(|entry| entry.head.as_ref()))
    }

    /// How the network is to be fed, as far as anybody says.
    fn input_spec(&self) -> Option<InputSpec> {
        self.notes.input.or(self.entry.map(|entry| entry.input))
    }

    /// Who says what is not inferred.
    fn authority(&self) -> String {
        match (&self.notes.path, self.entry) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(entry)) => format!("the zoo's entry {}", entry.name),
            (None, None) => "nobody".into(),
        }
    }

    fn card(&self, model: &str) -> ModelCard {
        let name = self.entry.map_or_else(|| file_name(Path::new(model)), |entry| entry.name.clone());
        ModelCard { name, file: self.file.path.clone(), sha256: self.file.sha256.clone() }
    }
}

/// What a path's extension says.
fn format_of(path: &Path) -> Result<ModelFormat, String> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("weights" | "cfg") => Ok(ModelFormat::Darknet),
        Some("onnx") => Ok(ModelFormat::Onnx),
        Some("pt" | "pth" | "ts" | "torchscript") => Ok(ModelFormat::Torchscript),
        _ if !path.exists() => Err(format!(
            "{} is not there; give an ONNX or TorchScript file, Darknet weights or a name of the zoo",
            path.display()
        )),
        _ => Err(format!(
            "{} is no kind of model eyeline can run, expected FILE.onnx, FILE.pt (TorchScript), or FILE.weights with \
             FILE.cfg beside it",
            path.display()
        )),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The path of what lies beside a model under its name.
fn beside(model: &Path, extension: &str) -> PathBuf {
    model.with_extension(extension)
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
