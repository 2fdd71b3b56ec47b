//! `eyeline models import FILE...`: known models that came by another way, put where they are found by name.

use crate::{
    config::zoo::{Zoo, ZooEntry, models_dir},
    torch::{
        model_file::{ModelFile, sha256},
        tfjs::{self, TfjsFile},
    },
};
use anyhow::{Context, anyhow};
use clap::Args;
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Put files of known models where they are found by name
///
/// For machines without a network: carry the files over, import them, and use the model by its name. A file is known by its
/// sha256, whatever it is called; where the zoo has none, by its name. Any other model needs no import: give its path to
/// --detector or --embedder.
///
/// The model.json of an SSD for TensorFlow.js, with its shards beside it, is made into an ONNX file and the prior boxes that
/// belong to it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  eyeline models import /media/usb/yolox_nano.onnx
  eyeline models import package/models/coco-ssd/model.json")]
pub struct ImportArgs {
    /// Files to copy
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Copies one file after the other.
pub fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let models = models_dir();
    fs::create_dir_all(&models).with_context(|| format!("{}: cannot be made", models.display()))?;
    for path in &args.files {
        let found = ModelFile::read(path).map_err(|problem| anyhow!(problem))?;
        if TfjsFile::is_one(&found.bytes) {
            from_tfjs(path, &models)?;
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (entry, file) = known(&found.sha256, &name).ok_or_else(|| {
            anyhow!(
                "{}: sha256 {} is in no entry of the zoo; give its path to --detector or --embedder instead",
                path.display(),
                found.sha256
            )
        })?;
        let to = put(&models, file, &found.bytes)?;
        println!("{}: {} of {} (licence: {})", path.display(), to.display(), entry.name, entry.licence);
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes an ONNX file of a graph model of TensorFlow.js, under the name of the zoo's entry or that of its folder.
fn from_tfjs(path: &Path, models: &Path) -> anyhow::Result<()> {
    let made = TfjsFile::read(path).and_then(|file| tfjs::convert(&file));
    let made = made.with_context(|| format!("{}: cannot be imported", path.display()))?;
    let entry = known(&sha256(&made.onnx), "").map(|(entry, _)| entry);
    let folder =
        path.canonicalize().ok().and_then(|path| Some(path.parent()?.file_name()?.to_string_lossy().into_owned()));
    let stem = folder.unwrap_or("tfjs".into());
    let name = |index: usize, extension: &str| match entry.and_then(|entry| entry.files.get(index)) {
        Some(file) => file.file.clone(),
        None => format!("{stem}.{extension}"),
    };
    put(models, &name(1, "anchors.csv"), made.anchors.as_bytes())?;
    let to = put(models, &name(0, "onnx"), &made.onnx)?;
    match entry {
        Some(entry) => {
            println!("{}: made {} of {} (licence: {})", path.display(), to.display(), entry.name, entry.licence);
        }
        None => println!("{}: made {}; give that path to --detector", path.display(), to.display()),
    }
    Ok(())
}

/// Writes a file of the models folder, whole or not at all: beside it first, then under its name.
fn put(models: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<PathBuf> {
    let (to, part) = (models.join(name), models.join(format!("{name}.part")));
    fs::write(&part, bytes).with_context(|| format!("{}: cannot be written", part.display()))?;
    fs::rename(&part, &to).with_context(|| format!("{}: cannot be written", to.display()))?;
    Ok(to)
}

/// The entry a file belongs to, and what it is called there.
fn known(sha256: &str, name: &str) -> Option<(&'static ZooEntry, &'static str)> {
    let files = || Zoo::builtin().entries().iter().flat_map(|entry| entry.files.iter().map(move |file| (entry, file)));
    let by_sum = files().find(|(_, file)| file.sha256.as_deref() == Some(sha256));
    let found = by_sum.or_else(|| files().find(|(_, file)| file.sha256.is_none() && file.file == name));
    found.map(|(entry, file)| (entry, file.file.as_str()))
}
