//! `eyeline run FILE`: a pipeline as its YAML file describes it.

use super::{
    Session,
    execute::{self, Extras},
};
use crate::config::{self, host::ThisMachine};
use clap::Args;
use std::{path::PathBuf, process::ExitCode};

/// Run a pipeline file
///
/// Works through every stream of the file and writes its results under output.dir. Ctrl-C stops in order: what was read is
/// written, files stay whole. Exit code: 0 all well, 1 some input failed or was damaged, 2 the file is unsound,
/// 130 interrupted. A file with live streams is read again when it changes, and on SIGHUP: streams come, go and change
/// while the others run on; if it is unsound then, what ran before runs on.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  eyeline run pipelines/demo.yml
  eyeline check pipelines/demo.yml        only check it
  eyeline schema > eyeline.schema.json    let your editor complete it")]
pub struct RunArgs {
    /// Pipeline file (YAML)
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Checks the file and runs it.
pub fn run(args: &RunArgs, session: &Session) -> anyhow::Result<ExitCode> {
    match config::load(&args.file, &ThisMachine) {
        Ok(checked) => {
            let extras = Extras { file: Some(args.file.clone()), ..Extras::default() };
            execute::execute(checked, session, &extras)
        }
        Err(faults) => {
            for fault in &faults.0 {
                eprintln!("eyeline: {}", fault.in_file(&args.file));
            }
            Ok(ExitCode::from(2))
        }
    }
}
