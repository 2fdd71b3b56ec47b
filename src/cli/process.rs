//! `eyeline process VIDEO...`: the short form for recordings. Fills in the same `Raw` a YAML file would, so that the same
//! checks speak.

use super::{
    Session,
    execute::{self, Extras},
    find_args::FindArgs,
};
use crate::config::{
    self,
    host::ThisMachine,
    raw::{Raw, Stream},
    raw_runtime::Threads,
};
use crate::{preprocess::camera_motion::CameraMotion, track::settings::Algorithm};
use clap::Args;
use std::process::ExitCode;

/// Detect and track objects in recordings
///
/// For each video writes OUT/<name>/annotated.mp4, events.jsonl, tracks.txt (MOTChallenge rows) and summary.json.
/// Ctrl-C stops in order: what was read is written, files stay whole. Exit code: 0 all well, 1 some input failed or was
/// damaged (the others are complete), 2 wrong usage, 130 interrupted.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  eyeline process gate.mp4
  eyeline process recordings/ --classes person,car --out results
  eyeline process 'day*/cam1-*.mkv' --no-video --detections
  eyeline process gate.mp4 --embedder none --tracker bytetrack --min-score 0.1
Everything else (zones, batch size, tracker settings) through a pipeline file: see `eyeline run --help`.")]
pub struct ProcessArgs {
    /// Video files, folders of videos, or globs
    #[arg(required = true, value_name = "VIDEO")]
    videos: Vec<String>,
    #[command(flatten)]
    find: FindArgs,
    /// Tracker: ours, or one to compare with
    #[arg(long, value_name = "NAME", value_parser = Algorithm::ALL.map(Algorithm::name))]
    tracker: Option<String>,
    /// Measure the camera's motion: off, auto (while it moves) or on [default: auto]
    #[arg(long, value_name = "WHEN", value_parser = CameraMotion::ALL.map(CameraMotion::name))]
    camera_motion: Option<String>,
    /// Look back once a file was seen to its end: link tracks across gaps, fill and smooth them. tracks.txt and
    /// annotated.mp4 hold the refined tracks then, tracks.online.txt those told as frames came; events stay as told
    #[arg(long)]
    refine: bool,
    /// Folder for the results
    #[arg(long, default_value = "out", value_name = "DIR")]
    out: String,
    /// Play each video N times as one stream
    #[arg(long, default_value_t = 1, value_name = "N", hide_short_help = true)]
    repeat: u32,
    /// Write no annotated video
    #[arg(long)]
    no_video: bool,
    /// Also write detections.txt: every detection, in the format of tracks.txt with id -1
    #[arg(long)]
    detections: bool,
    /// libtorch's threads; by default one a core
    #[arg(long, value_name = "N")]
    threads: Option<u32>,
    /// Where networks run: auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", hide_short_help = true)]
    device: Option<String>,
    /// Numbers networks compute in; auto takes bf16 where the CPU has it in hardware, fp16 on a GPU; int8 needs
    /// `eyeline models quantize` first
    #[arg(long, value_name = "NUMBERS", value_parser = ["auto", "fp32", "bf16", "fp16", "int8"], hide_short_help = true)]
    precision: Option<String>,
}

impl ProcessArgs {
    /// What the arguments would be in a pipeline file.
    fn raw(&self) -> Raw {
        let mut raw = config::defaults();
        let stream = |file: &String| Stream { file: file.clone(), repeat: self.repeat, ..Stream::default() };
        raw.streams = self.videos.iter().map(stream).collect();
        self.find.fill(&mut raw);
        raw.track.algorithm = self.tracker.clone().unwrap_or(raw.track.algorithm);
        raw.track.camera_motion = self.camera_motion.clone().unwrap_or(raw.track.camera_motion);
        raw.runtime.threads = self.threads.map_or(raw.runtime.threads, Threads::Count);
        raw.runtime.device = self.device.clone().unwrap_or(raw.runtime.device);
        raw.runtime.precision = self.precision.clone().unwrap_or(raw.runtime.precision);
        raw.output.dir.clone_from(&self.out);
        raw.output.video = !self.no_video;
        raw.output.detections = self.detections;
        raw.output.refine = self.refine;
        raw
    }
}

/// Checks the arguments and runs them.
pub fn run(args: &ProcessArgs, session: &Session) -> anyhow::Result<ExitCode> {
    match config::check::plan(&args.raw(), &ThisMachine) {
        Ok(checked) => execute::execute(checked, session, &Extras::default()),
        Err(faults) => {
            for fault in &faults.0 {
                eprintln!("eyeline: {fault}");
            }
            Ok(ExitCode::from(2))
        }
    }
}
