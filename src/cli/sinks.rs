//! `eyeline sinks`: how far each sink has followed an event log, whether or not a run is writing it.

use crate::event::log::{LogReader, SinkPlace};
use clap::Args;
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

/// Print how far each sink has followed an event log
///
/// Reads the log of a finished run or of one that is going on. Why a sink of a running one does not deliver just now stands
/// in its log output, in /metrics and under /api/v1/line.
#[derive(Args, Debug)]
pub struct SinksArgs {
    /// The log: events.sqlite in the output folder
    #[arg(long, value_name = "FILE", default_value = "out/events.sqlite")]
    log: PathBuf,
}

/// Prints a table.
pub fn run(args: &SinksArgs) -> anyhow::Result<ExitCode> {
    let reader = LogReader::open(&args.log)?;
    let sinks = reader.sinks()?;
    let mut out = io::stdout().lock();
    let width = sinks.iter().map(|place| place.sink.chars().count()).max().unwrap_or(0).max("sink".len());
    writeln!(out, "{:width$}  {:>10}  {:>10}  {:>10}", "sink", "position", "waiting", "missed")?;
    for SinkPlace { sink, position, waiting, missed } in sinks {
        writeln!(out, "{sink:width$}  {position:>10}  {waiting:>10}  {missed:>10}")?;
    }
    Ok(ExitCode::SUCCESS)
}
