//! Is the line as fast as its networks? Runs both over the same frames, in turn, and prints the ratio.
//!
//! `cargo bench --bench line [-- VIDEO [ROUNDS]]`; the sample video unless told otherwise. "networks" is the detector and
//! the embedder alone on frames decoded beforehand; "line" is everything from the file to the written results.

use eyeline::{
    cli::execute,
    config::{self, host::ThisMachine, plan::Plan, raw::Stream},
    detect::{self, Detection},
    embed::{self, Crop, Embedding},
    frame::{Frame, StreamId},
    source::{OpenSource, Pull, gst::FileOpener},
    torch::runtime,
};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

const SAMPLE: &str = ".eyeline/video/vtest.avi";

fn main() -> anyhow::Result<()> {
    // Cargo passes flags of its own (`--bench`).
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let video = PathBuf::from(args.next().unwrap_or_else(|| SAMPLE.to_owned()));
    let rounds: u32 = args.next().map_or(Ok(2), |text| text.parse())?;
    let out = tempfile::tempdir()?;
    let plan = |video_wanted| -> anyhow::Result<Plan> {
        let mut raw = config::defaults();
        raw.streams = vec![Stream { file: video.display().to_string(), ..Stream::default() }];
        raw.output.dir = out.path().display().to_string();
        raw.output.video = video_wanted;
        raw.detect.classes = vec!["person".to_owned()];
        let mut plan = config::check::plan(&raw, &ThisMachine)?.plan;
        // Both embed every detection: what a line spares must not count for it.
        plan.embed.iter_mut().for_each(|embed| embed.worth.interval = Duration::ZERO);
        Ok(plan)
    };
    let with_video = plan(true)?;
    runtime::set_threads(with_video.runtime.threads);
    let frames = decode(&video)?;
    println!(
        "{}: {} frames, detector {}, {} threads",
        video.display(),
        frames.len(),
        with_video.detect.model,
        with_video.runtime.threads
    );
    println!(
        "{:>5}  {:>14}  {:>10}  {:>18}  {:>7}  {:>18}  {:>7}",
        "round", "detector alone", "networks", "line without video", "ratio", "line with video", "ratio"
    );
    for round in 1..=rounds {
        let (detector, networks) = networks_alone(&with_video, &frames)?;
        let bare = line(plan(false)?)?;
        let full = line(with_video.clone())?;
        let fps = |took: Duration| frames.len() as f64 / took.as_secs_f64();
        let (detector, networks, bare, full) = (fps(detector), fps(networks), fps(bare), fps(full));
        println!(
            "{round:5}  {detector:10.2} fps  {networks:6.2} fps  {bare:14.2} fps  {:7.3}  {full:14.2} fps  {:7.3}",
            bare / networks,
            full / networks
        );
    }
    Ok(())
}

fn decode(video: &std::path::Path) -> anyhow::Result<Vec<Frame>> {
    let mut source = FileOpener::new(video, StreamId(0)).open(0, 0)?;
    let mut frames = Vec::new();
    loop {
        match source.pull(Duration::from_secs(10))? {
            Pull::Frame(frame) => frames.push(frame),
            Pull::Pending => {}
            Pull::End { .. } => return Ok(frames),
        }
    }
}

/// Time of the detector alone, and of detector and embedder, over all frames.
fn networks_alone(plan: &Plan, frames: &[Frame]) -> anyhow::Result<(Duration, Duration)> {
    let (mut detector, _) = detect::torch::open(&plan.detect)?;
    let mut embedder = plan.embed.as_ref().map(|plan| embed::torch::open(plan, detector.classes())).transpose()?;
    let (mut found, mut embeddings): (Vec<Vec<Detection>>, Vec<Option<Embedding>>) = (Vec::new(), Vec::new());
    let (mut detecting, mut embedding) = (Duration::ZERO, Duration::ZERO);
    for batch in frames.chunks(plan.detect.max_batch) {
        let began = Instant::now();
        detector.detect(batch, &mut found)?;
        detecting += began.elapsed();
        let (Some((embedder, _)), Some(wanted)) = (&mut embedder, &plan.embed) else { continue };
        let began = Instant::now();
        let crops: Vec<Crop<'_>> = batch
            .iter()
            .zip(&found)
            .flat_map(|(frame, found)| {
                found.iter().filter(|d| d.score >= wanted.worth.min_score).map(move |d| Crop {
                    frame,
                    bbox: d.bbox,
                    class: d.class,
                })
            })
            .collect();
        for crops in crops.chunks(wanted.max_batch) {
            embedder.embed(crops, &mut embeddings)?;
        }
        embedding += began.elapsed();
    }
    Ok((detecting, detecting + embedding))
}

/// Time of the whole line, from opening the file to the last result.
fn line(plan: Plan) -> anyhow::Result<Duration> {
    let execute::Started { running, .. } = execute::start(&plan.into())?;
    anyhow::ensure!(running.wait(Duration::from_millis(20), Duration::from_secs(600), |_| {}), "the line hangs");
    Ok(running.stats.stream(StreamId(0)).elapsed())
}
