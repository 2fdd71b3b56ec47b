//! `eyeline models`: which models there are, where they come from, what is in a file.

mod download;
mod fetch;
mod import;
mod inspect;
mod list;
mod quantize;

use super::Session;
use clap::{Args, Subcommand};
use std::process::ExitCode;

/// List, fetch, check and look into models
///
/// Models lie in the folder `models` of $EYELINE_HOME, of the nearest .eyeline upwards, or of the user's data folder.
/// What was fetched once works without a network.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  eyeline models list
  eyeline models fetch yolox-nano osnet-x0.25
  eyeline models inspect best.onnx
  eyeline models quantize yolox-nano --video gate.mp4
  eyeline process gate.mp4 --detector yolox-nano --embedder osnet-x0.25")]
pub struct ModelsArgs {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Subcommand, Debug)]
enum ModelsCommand {
    /// Show the models eyeline knows and which of them are here
    List,
    Fetch(fetch::FetchArgs),
    Verify(list::VerifyArgs),
    Inspect(inspect::InspectArgs),
    Import(import::ImportArgs),
    Quantize(quantize::QuantizeArgs),
}

/// Runs one of them.
pub fn run(args: &ModelsArgs, session: &Session) -> anyhow::Result<ExitCode> {
    match &args.command {
        ModelsCommand::List => list::list(),
        ModelsCommand::Fetch(args) => fetch::run(args, session),
        ModelsCommand::Verify(args) => list::verify(args),
        ModelsCommand::Inspect(args) => inspect::run(args),
        ModelsCommand::Import(args) => import::run(args),
        ModelsCommand::Quantize(args) => quantize::run(args),
    }
}

/// The zoo's entry of this name; an unknown one names the nearest.
fn entry(name: &str) -> anyhow::Result<&'static crate::config::zoo::ZooEntry> {
    use crate::config::zoo::{Zoo, nearest};
    let zoo = Zoo::builtin();
    zoo.find(name).ok_or_else(|| {
        let near = nearest(name, zoo.entries().iter().map(|entry| entry.name.as_str())).unwrap_or_default();
        anyhow::anyhow!("{name}: no such model; did you mean {near}? `eyeline models list` shows all")
    })
}
