//! `eyeline check FILE...`: is a pipeline file sound?

use crate::config::{self, Checked, Fault, Faults, host::ThisMachine};
use clap::Args;
use serde_json::{Value, json};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Check pipeline files and report everything that is wrong with them
///
/// Prints one line for each file that is sound, else one line a fault: FILE:LINE:COLUMN: key: what is wrong.
/// Exit code: 0 all files are sound, 2 some are not.
///
/// Examples:
///   eyeline check pipelines/demo.yml
///   eyeline check --json pipelines/*.yml
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct CheckArgs {
    /// Pipeline files (YAML)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print one JSON array with an object for each file
    #[arg(long)]
    json: bool,
}

/// Checks every file, also after one that is unsound.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let verdicts: Vec<_> = args.files.iter().map(|file| (file.as_path(), verdict(file))).collect();
    let mut out = std::io::stdout().lock();
    if args.json {
        let report: Vec<Value> = verdicts.iter().map(|(file, verdict)| as_json(file, verdict)).collect();
        writeln!(out, "{:#}", Value::from(report))?;
    } else {
        for (file, verdict) in &verdicts {
            writeln!(out, "{}", as_text(file, verdict))?;
        }
    }
    let sound = verdicts.iter().all(|(_, verdict)| verdict.is_ok());
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// The plan of a file. A video that is not there is a fault here, though the other streams could run.
fn verdict(file: &Path) -> Result<Checked, Faults> {
    let checked = config::load(file, &ThisMachine)?;
    if checked.unusable.is_empty() { Ok(checked) } else { Err(Faults(checked.unusable)) }
}

fn as_text(file: &Path, verdict: &Result<Checked, Faults>) -> String {
    match verdict {
        Ok(checked) => format!("{}: ok: {}", file.display(), summary(checked)),
        Err(Faults(faults)) => faults.iter().map(|fault| fault.in_file(file)).collect::<Vec<_>>().join("\n"),
    }
}

/// The plan in a line: "2 streams, detector yolov3-tiny 608 px, embedder mobilenet-v2, tracker eyeline".
fn summary(checked: &Checked) -> String {
    let plan = &checked.plan;
    let streams = plan.streams.len();
    let input = plan.detect.input_px.map(|side_px| format!(" {side_px} px")).unwrap_or_default();
    let embedder = plan.embed.as_ref().map_or("none", |embed| &embed.model);
    format!(
        "{streams} stream{}, detector {}{input}, embedder {embedder}, tracker {}",
        if streams == 1 { "" } else { "s" },
        plan.detect.model,
        plan.track.algorithm,
    )
}

fn as_json(file: &Path, verdict: &Result<Checked, Faults>) -> Value {
    let file = file.to_string_lossy();
    match verdict {
        Ok(checked) => json!({ "file": file, "ok": true, "summary": summary(checked), "faults": [] }),
        Err(Faults(faults)) => {
            json!({ "file": file, "ok": false, "faults": faults.iter().map(fault_as_json).collect::<Vec<_>>() })
        }
    }
}

fn fault_as_json(fault: &Fault) -> Value {
    json!({
        "path": fault.path.to_string(),
        "problem": fault.problem,
        "hint": fault.hint,
        "line": fault.at.map(|at| at.line),
        "column": fault.at.map(|at| at.column),
    })
}
