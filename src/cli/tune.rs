//! `eyeline tune`: searches tracker settings that score best against truth.

mod scene;
mod search;

use crate::track::settings::{Algorithm, KNOBS, Knob, TrackSettings};
use anyhow::{Context, ensure};
use clap::Args;
use scene::{Mode, Play, Scene, Score};
use search::Search;
use std::{fs, path::PathBuf, process::ExitCode};

/// Searches tracker settings against truth and writes the best as YAML
#[derive(Args, Debug)]
#[command(after_help = "Each DET is a detection file SEQ/<any>/det.txt; truth, frame rate and camera motion are read
from SEQ/gt/gt.txt, SEQ/seqinfo.ini and, where they exist, SEQ/gmc/gmc.txt and embeddings.npy beside det.txt.

Example: eyeline tune MOT17-*/det/det.txt --trials 2000 --leave-one-out --out tuned.yml")]
pub struct TuneArgs {
    /// Detection files, one a sequence; NAME=FILE,FILE… scores several as one
    #[arg(value_name = "DET", required = true)]
    groups: Vec<String>,
    /// eyeline, bytetrack, ocsort or sort
    #[arg(long, value_name = "NAME", default_value = "eyeline")]
    tracker: Algorithm,
    /// Changes one setting of the start; may be given again
    #[arg(long, value_name = "SETTING=VALUE")]
    set: Vec<String>,
    /// Settings to search [default: all but limits]
    #[arg(long, value_name = "SETTING", value_delimiter = ',')]
    knobs: Vec<String>,
    /// Settings tried; 0 only scores the start
    #[arg(long, value_name = "N", default_value_t = 1000)]
    trials: usize,
    /// Another seed searches another way
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Searches, each with a seed of its own, whose winners are averaged
    #[arg(long, value_name = "N", default_value_t = 1)]
    searches: u64,
    /// Points of score that each step away from the start must earn; losses then count double [default: 0, none]
    #[arg(long, value_name = "POINTS", default_value_t = 0.0, hide_default_value = true)]
    caution: f64,
    /// Play each sequence backwards too, as more to learn from
    #[arg(long)]
    both_ways: bool,
    /// Also search without each group in turn and score what was left out
    #[arg(long)]
    leave_one_out: bool,
    /// Score what the offline refinement makes of the tracks
    #[arg(long)]
    refine: bool,
    /// Where the best settings go, YAML
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs the subcommand.
pub fn run(args: &TuneArgs) -> anyhow::Result<ExitCode> {
    let start = super::track::settings(args.tracker, &args.set)?;
    let knobs = knobs(&args.knobs)?;
    let mode = if args.refine { Mode::Refined } else { Mode::Online };
    let play = if args.both_ways { Play::BothWays } else { Play::Forwards };
    let scenes = args.groups.iter().map(|group| Scene::read(group, mode, play)).collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(args.caution >= 0.0, "--caution {}: expected 0 or more", args.caution);
    let TuneArgs { trials, seed, searches, caution, .. } = *args;
    let search = Search { start, knobs, trials, seed, searches, caution };
    let all: Vec<&Scene> = scenes.iter().collect();
    let best = search.run(&all);
    print_scores("all", &all, &best)?;
    print_changes(&search.start, &best);
    if args.leave_one_out {
        ensure!(scenes.len() > 1, "--leave-one-out needs two groups or more");
        leave_one_out(&search, &scenes)?;
    }
    if let Some(path) = &args.out {
        fs::write(path, yaml(&best)?).with_context(|| format!("{}: cannot be written", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The knobs of the given names, or every one that trades quality for quality.
fn knobs(names: &[String]) -> anyhow::Result<Vec<&'static Knob>> {
    if names.is_empty() {
        return Ok(KNOBS.iter().filter(|knob| !knob.is_limit).collect());
    }
    names.iter().map(|name| Ok(Knob::named(name)?)).collect()
}

fn print_scores(title: &str, scenes: &[&Scene], settings: &TrackSettings) -> anyhow::Result<()> {
    println!("{title}");
    for scene in scenes {
        let Score { hota, idf1, mota, switches } = scene.score(settings)?;
        println!("  {:20} HOTA {hota:.2}  IDF1 {idf1:.2}  MOTA {mota:.2}  IDSW {switches}", scene.name);
    }
    Ok(())
}

fn print_changes(from: &TrackSettings, to: &TrackSettings) {
    for knob in KNOBS {
        let (was, is) = (knob.get(from), knob.get(to));
        if was != is {
            println!("  --set {}={is:.4}  (was {was:.4})", knob.name);
        }
    }
}

/// Scores each group by settings that were searched without it; prints the median of all winners too.
fn leave_one_out(search: &Search, scenes: &[Scene]) -> anyhow::Result<()> {
    let mut winners = Vec::with_capacity(scenes.len());
    for (left_out, scene) in scenes.iter().enumerate() {
        let rest: Vec<&Scene> = scenes.iter().enumerate().filter(|&(i, _)| i != left_out).map(|(_, s)| s).collect();
        let best = search.run(&rest);
        print_scores("left out, at the start", &[scene], &search.start)?;
        print_scores("left out", &[scene], &best)?;
        winners.push(best);
    }
    println!("median of the winners");
    print_changes(&search.start, &median(&search.start, &winners));
    Ok(())
}

/// For each setting the middle value of `winners`; settings they do not differ in are those of `start`.
fn median(start: &TrackSettings, winners: &[TrackSettings]) -> TrackSettings {
    let mut settings = start.clone();
    for knob in KNOBS {
        let mut values: Vec<f64> = winners.iter().map(|winner| knob.get(winner)).collect();
        values.sort_by(f64::total_cmp);
        if let Some(&value) = values.get(values.len() / 2) {
            // Between values in range, so it cannot be refused.
            let _ = knob.set(&mut settings, value);
        }
    }
    settings
}

/// The settings as they stand under `track:` in a pipeline file.
fn yaml(settings: &TrackSettings) -> anyhow::Result<String> {
    let mut track = serde_yaml::Mapping::new();
    track.insert("algorithm".into(), settings.algorithm.name().into());
    for knob in KNOBS {
        track.insert(knob.name.into(), knob.yaml(settings));
    }
    let mut whole = serde_yaml::Mapping::new();
    whole.insert("track".into(), track.into());
    Ok(serde_yaml::to_string(&whole)?)
}
