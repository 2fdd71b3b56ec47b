//! What the zoo knows, and what of it is here.

use crate::{
    config::zoo::{Task, Zoo, ZooEntry, models_dir},
    torch::model_file::ModelFile,
};
use clap::Args;
use std::{
    io::{Write, stdout},
    path::Path,
    process::ExitCode,
};

/// Check the files of models against their sha256
///
/// Exit code: 0 all sound, 1 some are damaged or missing.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// Models to check; by default those that are here
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// How a model's files are.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// All there, with the right sha256 as far as it is known.
    Ready,
    /// Not all there.
    Missing,
    /// One is not what it should be.
    Damaged(String),
}

fn state(entry: &ZooEntry, models: &Path) -> State {
    if !entry.files.iter().all(|file| models.join(&file.file).is_file()) {
        return State::Missing;
    }
    let checked = entry.files.iter().map(|file| ModelFile::read_known(models, file));
    checked.filter_map(Result::err).next().map_or(State::Ready, State::Damaged)
}

/// Prints a line a model.
pub fn list() -> anyhow::Result<ExitCode> {
    let (mut out, models) = (stdout().lock(), models_dir());
    writeln!(out, "{:<18} {:<7} {:<9} WHAT", "NAME", "TASK", "HERE")?;
    for entry in Zoo::builtin().entries() {
        let here = match state(entry, &models) {
            State::Ready => "yes",
            State::Missing => "-",
            State::Damaged(_) => "damaged",
        };
        let task = match entry.task {
            Task::Detect => "detect",
            Task::Embed => "embed",
        };
        writeln!(out, "{:<18} {task:<7} {here:<9} {}", entry.name, entry.title)?;
        writeln!(out, "{:<36} {}; from {}", "", entry.licence, entry.source)?;
    }
    writeln!(out, "\nFiles: {}", models.display())?;
    Ok(ExitCode::SUCCESS)
}

/// Checks files and prints a line a model.
pub fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let models = models_dir();
    let named: Vec<_> = args.names.iter().map(|name| super::entry(name)).collect::<Result<_, _>>()?;
    let entries: Vec<_> = if named.is_empty() { Zoo::builtin().entries().iter().collect() } else { named };
    let (mut out, mut code) = (stdout().lock(), ExitCode::SUCCESS);
    for entry in entries {
        let verdict = match state(entry, &models) {
            State::Ready if entry.files.iter().all(|file| file.sha256.is_some()) => "sound".to_owned(),
            State::Ready => "here, but no sha256 is known to hold it against".to_owned(),
            State::Missing if args.names.is_empty() => continue,
            State::Missing => {
                code = ExitCode::FAILURE;
                format!("not here; run `eyeline models fetch {}`", entry.name)
            }
            State::Damaged(problem) => {
                code = ExitCode::FAILURE;
                problem
            }
        };
        writeln!(out, "{}: {verdict}", entry.name)?;
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_model_is_missing_damaged_or_ready() {
        let dir = tempfile::tempdir().unwrap();
        let mut entry = Zoo::builtin().find("yolox-nano").unwrap().clone();
        assert_eq!(state(&entry, dir.path()), State::Missing);
        fs::write(dir.path().join("yolox_nano.onnx"), "x").unwrap();
        assert!(matches!(state(&entry, dir.path()), State::Damaged(problem) if problem.contains("sha256")));
        entry.files[0].sha256 = None;
        assert_eq!(state(&entry, dir.path()), State::Ready);
    }
}
