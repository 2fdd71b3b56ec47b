//! Darknet weights with their cfg.

use super::{Loaded, Model, beside, names, torch_error};
use crate::{
    config::{
        plan::DetectPlan,
        zoo::{self, HeadSpec, InputSpec},
    },
    detect::{
        InferError,
        heads::{
            Head,
            darknet::{Anchor, DarknetHead, DarknetScales},
        },
    },
    frame::ImageSize,
    torch::{
        darknet::{
            cfg::{Cfg, Yolo},
            network::DarknetNetwork,
            weights,
        },
        model_file::ModelFile,
        runtime::{Placement, SharedNetwork},
    },
};

/// Builds the network of `model`'s weights and the cfg that belongs to them.
pub(super) fn load(plan: &DetectPlan, model: &Model, place: Placement) -> Result<Loaded, InferError> {
    let fail = |problem: String| InferError::Model { model: plan.model.clone(), problem };
    let given = model.input_spec();
    let size = plan.input_px.map(|px| ImageSize { width: px, height: px }).or(given.map(|input| input.size()));
    let file = cfg_file(model).map_err(fail)?;
    let name = file.path.display();
    let (cfg, mut decisions) = parse(model, &file, size).map_err(fail)?;
    let folded = weights::folded(&cfg, &model.file.bytes).map_err(|error| {
        fail(format!("{}: {error}; run `make setup` or give its own cfg", model.file.path.display()))
    })?;
    let count = class_count(&cfg).map_err(|problem| fail(format!("{name}: {problem}")))?;
    let classes = names::fitting(names::known(model, None), count);
    let classes = classes.map_err(|problem| fail(format!("{name}: {problem}")))?;
    let calibration = model.calibration(place).map_err(fail)?;
    let network = DarknetNetwork::calibrated(&cfg, &folded, place, calibration.as_ref());
    let network = network.map_err(|error| torch_error(&plan.model, error))?;
    let input = ImageSize { width: cfg.input.width as u32, height: cfg.input.height as u32 };
    let head = head(&cfg, input);
    decisions.push(format!("head darknet, because {name} says so: {}", head.expected()));
    decisions.push(format!("{count} classes, named by {}", classes.whence));
    Ok(Loaded {
        network: SharedNetwork::new(Box::new(network)),
        outputs: (0..head.scales.len()).collect(),
        head: Box::new(head),
        input: given.map_or_else(|| InputSpec::plain(input), |given| given.with_size(input)),
        classes: classes.names,
        card: model.card(&plan.model),
        decisions,
    })
}

fn cfg_file(model: &Model) -> Result<ModelFile, String> {
    match model.entry.and_then(|entry| entry.files.get(1)) {
        // A file of one's own brings its own cfg, even where its weights are known.
        Some(known) if model.file.path.parent() == Some(&zoo::models_dir()) => {
            ModelFile::read_known(&zoo::models_dir(), known)
        }
        _ => ModelFile::read(&beside(&model.file.path, "cfg")),
    }
}

/// The cfg with the zoo's corrections, and what these were.
fn parse(model: &Model, file: &ModelFile, size: Option<ImageSize>) -> Result<(Cfg, Vec<String>), String> {
    let name = file.path.display();
    let mut cfg = Cfg::parse(file.text()?, size).map_err(|error| format!("{name}: {error}"))?;
    let Some(HeadSpec::Darknet { masks: Some(masks) }) = model.head_spec() else {
        return Ok((cfg, Vec::new()));
    };
    let changes = cfg.override_masks(masks).map_err(|error| format!("{name}: {error}"))?;
    let told = changes.iter().map(|change| format!("{name} corrected as {} says: {change}", model.authority()));
    let told = told.collect();
    Ok((cfg, told))
}

fn class_count(cfg: &Cfg) -> Result<usize, String> {
    let counts: Vec<_> = cfg.heads().map(|(_, yolo)| yolo.classes).collect();
    match counts.as_slice() {
        [first, rest @ ..] if rest.iter().all(|other| other == first) => Ok(*first),
        _ => Err(format!("its heads have {counts:?} classes, expected the same in each")),
    }
}

fn head(cfg: &Cfg, input: ImageSize) -> DarknetScales {
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
