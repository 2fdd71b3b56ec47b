//! `eyeline track`: runs a tracker alone over detections in a file.

use super::recording::{self, RecordingFiles};
use crate::{
    eval::mot_io::MotRow,
    track::{
        refine::refine,
        replay::{TrackPoint, replay},
        settings::{Algorithm, Knob, TrackSettings},
    },
};
use anyhow::Context;
use clap::Args;
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Tracks detections from a file; prints the speed of tracking alone.
#[derive(Args, Debug)]
#[command(after_help = "Example: eyeline track --detections det.txt --fps 30 --gmc gmc.txt --out tracks.txt")]
pub struct TrackArgs {
    /// Detections, MOTChallenge rows: frame,-1,left,top,width,height,score
    #[arg(long, value_name = "FILE")]
    detections: PathBuf,
    /// Frames a second
    #[arg(long, value_name = "N")]
    fps: f64,
    /// Embeddings, .npy of float32 (detections, D), row i for row i of the detections
    #[arg(long, value_name = "FILE")]
    embeddings: Option<PathBuf>,
    /// Camera motion: frame,a,b,c,d,e,f maps x' = a·x + b·y + c, y' = d·x + e·y + f from the frame before
    #[arg(long, value_name = "FILE")]
    gmc: Option<PathBuf>,
    /// eyeline, bytetrack, ocsort or sort
    #[arg(long, value_name = "NAME", default_value = "eyeline")]
    tracker: Algorithm,
    /// Changes one tracker setting; may be given again
    #[arg(long, value_name = "SETTING=VALUE")]
    set: Vec<String>,
    /// Look ahead: link tracks across gaps, fill and smooth them
    #[arg(long)]
    refine: bool,
    /// Where the tracks go, MOTChallenge rows
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Runs the subcommand.
pub fn run(args: &TrackArgs) -> anyhow::Result<ExitCode> {
    let settings = settings(args.tracker, &args.set)?;
    let TrackArgs { detections, embeddings, gmc, .. } = args;
    let files = RecordingFiles { detections, embeddings: embeddings.as_deref(), gmc: gmc.as_deref() };
    let recording = recording::read(&files, args.fps)?;
    let mut replayed = replay(&settings, &recording);
    if args.refine {
        replayed.points = refine(&replayed.points, recording.fps, &settings);
    }
    write_points(&args.out, &replayed.points)?;
    let (frames, seconds) = (recording.frames.len(), replayed.tracking.as_secs_f64());
    println!("frames {frames}  seconds {seconds:.4}  frames per second {:.0}", frames as f64 / seconds.max(1e-9));
    Ok(ExitCode::SUCCESS)
}

/// The algorithm's settings, changed as asked.
pub(super) fn settings(algorithm: Algorithm, changes: &[String]) -> anyhow::Result<TrackSettings> {
    let mut settings = TrackSettings::of(algorithm);
    for change in changes {
        let (name, value) =
            change.split_once('=').with_context(|| format!("--set {change}: expected SETTING=VALUE"))?;
        let number: f64 = value.trim().parse().with_context(|| format!("--set {change}: {value:?} is no number"))?;
        Knob::named(name.trim())?.set(&mut settings, number)?;
    }
    Ok(settings)
}

fn write_points(path: &Path, points: &[TrackPoint]) -> anyhow::Result<()> {
    let doing = || format!("{}: cannot be written", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(doing)?);
    for &TrackPoint { frame, id, bbox, score, .. } in points {
        let row = MotRow { frame: frame as u64 + 1, id: id.0 as i64, bbox, score };
        writeln!(file, "{row}").with_context(doing)?;
    }
    file.flush().with_context(doing)
}
