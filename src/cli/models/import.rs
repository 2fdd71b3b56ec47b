//! `eyeline models import FILE...`: known models that came by another way, put where they are found by name.

use crate::{
    config::zoo::{Zoo, ZooEntry, models_dir},
    torch::model_file::ModelFile,
};
use anyhow::{Context, anyhow};
use clap::Args;
use std::{fs, path::PathBuf, process::ExitCode};

/// Put files of known models where they are found by name
///
/// For machines without a network: carry the files over, import them, and use the model by its name. A file is known by its
/// sha256, whatever it is called; where the zoo has none, by its name. Any other model needs no import: give its path to
/// --detector or --embedder.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  eyeline models import /media/usb/yolox_nano.onnx")]
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
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (entry, file) = known(&found.sha256, &name).ok_or_else(|| {
            anyhow!(
                "{}: sha256 {} is in no entry of the zoo; give its path to --detector or --embedder instead",
                path.display(),
                found.sha256
            )
        })?;
        // Whole or not at all: beside it first, then under its name.
        let (to, part) = (models.join(file), models.join(format!("{file}.part")));
        fs::write(&part, &found.bytes).with_context(|| format!("{}: cannot be written", part.display()))?;
        fs::rename(&part, &to).with_context(|| format!("{}: cannot be written", to.display()))?;
        println!("{}: {} of {} (licence: {})", path.display(), to.display(), entry.name, entry.licence);
    }
    Ok(ExitCode::SUCCESS)
}

/// The entry a file belongs to, and what it is called there.
fn known(sha256: &str, name: &str) -> Option<(&'static ZooEntry, &'static str)> {
    let files = || Zoo::builtin().entries().iter().flat_map(|entry| entry.files.iter().map(move |file| (entry, file)));
    let by_sum = files().find(|(_, file)| file.sha256.as_deref() == Some(sha256));
    let found = by_sum.or_else(|| files().find(|(_, file)| file.sha256.is_none() && file.file == name));
    found.map(|(entry, file)| (entry, file.file.as_str()))
}
