//! What came of a run: a summary of each input, the table, the faults, and the exit code.

use super::{logging::LogArgs, signals, table};
use crate::{
    config::plan::Plan,
    frame::StreamId,
    pipeline::Running,
    sink::summary::{ModelCard, Summary},
};
use std::{collections::BTreeMap, path::Path, process::ExitCode};

/// Writes every input's summary, prints the table and the faults, and chooses the exit code.
pub(super) fn report(plan: &Plan, running: &Running, models: &[ModelCard], finished: bool, log: &LogArgs) -> ExitCode {
    let versions = versions();
    let mut summaries = Vec::with_capacity(plan.streams.len());
    for (index, stream) in plan.streams.iter().enumerate() {
        let id = StreamId(index as u16);
        let mut summary = Summary::measured(&running.stats, id, &stream.name, Path::new(&stream.address()));
        summary.models = models.to_vec();
        summary.versions = versions.clone();
        summary.fault = running.fault_of(id);
        summary.result = running.result_of(id).as_str();
        let dir = plan.output.dir.join(&stream.name);
        if stream.live.is_none()
            && dir.is_dir()
            && let Err(fault) = summary.write(&dir.join("summary.json"))
        {
            summary.fault.get_or_insert(fault.to_string());
        }
        if let Some(fault) = running.faults.of(id) {
            tracing::debug!(stream = stream.name, fault, "failed");
            eprintln!("eyeline: {fault}");
        }
        summaries.push(summary);
    }
    if let Some(cause) = running.faults.broken() {
        eprintln!("eyeline: {cause}");
    }
    if !finished {
        let waited = plan.runtime.shutdown.as_secs_f64();
        eprintln!("eyeline: not everything could be written within {waited} s of the stop (runtime.shutdown)");
    }
    if !log.quiet {
        table::print(&summaries, &plan.output.dir);
    }
    exit_code(&summaries, running, finished)
}

fn exit_code(summaries: &[Summary], running: &Running, finished: bool) -> ExitCode {
    if !finished || summaries.iter().any(|summary| summary.fault.is_some()) {
        ExitCode::FAILURE
    } else if running.faults.is_stopped() {
        ExitCode::from(signals::INTERRUPTED)
    } else {
        ExitCode::SUCCESS
    }
}

fn gstreamer_version() -> String {
    let (major, minor, micro, _) = gstreamer::version();
    format!("{major}.{minor}.{micro}")
}

fn versions() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("eyeline", env!("CARGO_PKG_VERSION").to_owned()),
        ("libtorch", env!("EYELINE_LIBTORCH_VERSION").to_owned()),
        ("gstreamer", gstreamer_version()),
        ("opencv", opencv::core::get_version_string().unwrap_or_default()),
    ])
}
