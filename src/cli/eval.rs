//! `eyeline eval`: scores result files against ground truth.

mod detection;
mod files;
#[cfg(feature = "line")]
mod overlay;
mod table;
mod tracking;

use crate::eval::{mot_io::MotFormat, tracking::DEFAULT_MIN_IOU};
use clap::{Args, ValueEnum};
use files::{Inputs, ResultSet};
use serde_json::Value;
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};
use table::Table;

/// Score tracks or detections against ground truth
///
/// Tracks are scored with HOTA, CLEAR and Identity, equal to TrackEval's figures;
/// detections with COCO's average precision. There is one row for each sequence and one
/// for all together; several result sets stand below each other.
///
/// Truth is a MOTChallenge folder (SEQ/gt/gt.txt, SEQ/seqinfo.ini where there is one) or
/// one file. Results are a folder with SEQ.txt (detections also: SEQ/det/det.txt) or one
/// file. All are CSV: frame,id,left,top,width,height,conf,...
///
/// Examples:
///   eyeline eval --truth MOT17/train --results out/tracks
///   eyeline eval --truth MOT17/train --results sort mine --sequences MOT17-02,MOT17-09
///   eyeline eval --truth gate/gt/gt.txt --results gate.txt --errors mistakes.csv
///   eyeline eval --truth gate/gt/gt.txt --results gate.txt --overlay gate.mp4 --out mistakes.mp4
///   eyeline eval --task detection --truth MOT15/train --results MOT15/train --json
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub struct EvalArgs {
    /// Ground truth: a folder of sequences, one sequence's folder, or a file
    #[arg(long, value_name = "DIR|FILE")]
    truth: PathBuf,
    /// What to score: a folder or a file, or several to compare
    #[arg(long, value_name = "DIR|FILE", required = true, num_args = 1..)]
    results: Vec<PathBuf>,
    /// What the results are
    #[arg(long, value_enum, default_value_t = Task::Tracking)]
    task: Task,
    /// Columns and rules of the truth; by default from the number of its columns and the name of the sequence
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Score only these sequences, by name
    #[arg(long, value_name = "NAME", value_delimiter = ',', num_args = 1..)]
    sequences: Vec<String>,
    /// IoU from which a box counts as found (HOTA and AP go through all thresholds anyway)
    #[arg(long, visible_alias = "threshold", value_name = "IOU", default_value_t = DEFAULT_MIN_IOU, value_parser = fraction)]
    min_iou: f64,
    /// Score from which a detection counts for recall and precision [default: 0.5]
    #[arg(long, value_name = "SCORE", value_parser = fraction)]
    min_score: Option<f64>,
    /// Print JSON with every metric, as fractions under TrackEval's names, instead of a table in percent
    #[arg(long)]
    json: bool,
    /// Write each mistake to a CSV: id switches, fragmentations, and runs of false positives and misses
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// Draw truth, results and id switches on the sequence's video, into --out
    #[cfg(feature = "line")]
    #[arg(long, value_name = "VIDEO", requires = "out")]
    overlay: Option<PathBuf>,
    /// Where the drawn video goes, MP4
    #[cfg(feature = "line")]
    #[arg(long, value_name = "FILE", requires = "overlay")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Task {
    /// Boxes with identities
    Tracking,
    /// Boxes with scores
    Detection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// frame,id,l,t,w,h,consider,X,Y,Z
    Mot15,
    /// frame,id,l,t,w,h,consider,class,visibility
    #[value(alias = "mot16")]
    Mot17,
    /// As mot17; non-MOT vehicles are distractors too
    Mot20,
}

impl From<Format> for MotFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Mot15 => Self::Mot15,
            Format::Mot17 => Self::Mot17,
            Format::Mot20 => Self::Mot20,
        }
    }
}

fn fraction(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("expected 0 to 1".to_owned()) }
}

/// Name of the row for all sequences together, TrackEval's.
const COMBINED: &str = "COMBINED";

/// What scoring comes to, in either form.
struct Report {
    table: Table,
    json: Value,
}

/// Runs the subcommand: 0 scored, 1 unreadable or unscorable data (as an error), 2 wrong usage.
pub fn run(args: &EvalArgs) -> anyhow::Result<ExitCode> {
    if let Some(problem) = misuse(args) {
        eprintln!("error: {problem}\n\nFor more information, try 'eyeline eval --help'.");
        return Ok(ExitCode::from(2));
    }
    let inputs = Inputs::find(args)?;
    for note in &inputs.notes {
        eprintln!("note: {note}");
    }
    let report = match args.task {
        Task::Tracking => tracking::report(args, &inputs)?,
        Task::Detection => detection::report(args, &inputs)?,
    };
    let text = if args.json { format!("{:#}\n", report.json) } else { report.table.to_string() };
    // A closed stdout (`eyeline eval … | head`) is no failure.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// A combination of arguments that means nothing.
fn misuse(args: &EvalArgs) -> Option<&'static str> {
    #[cfg(feature = "line")]
    if args.task == Task::Detection && args.overlay.is_some() {
        return Some("--overlay shows the mistakes of --task tracking only");
    }
    match args.task {
        Task::Detection if args.errors.is_some() => Some("--errors lists the mistakes of --task tracking only"),
        Task::Tracking if args.min_score.is_some() => {
            Some("--min-score belongs to --task detection; tracks count whole")
        }
        _ => None,
    }
}
