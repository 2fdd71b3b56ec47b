//! Plan -> line -> exit code: what `run` and `process` share.

use super::{Session, analysis, logging::LogArgs, progress::Progress, redraw, signals, table};
use crate::{
    config::{
        Checked,
        plan::{Plan, StreamPlan},
    },
    detect, embed,
    frame::StreamId,
    pipeline::{self, BuildCamera, EmbedPart, Feed, OpenRecorders, Parts, Running},
    preprocess::{
        camera_motion::{CameraMotion, MeasureCamera},
        flow::FlowCamera,
    },
    sink::{
        Recorder,
        jsonl::JsonlEvents,
        mot::MotFile,
        overlay::OverlaySettings,
        refined::{RefinedShelf, RefinedTracks},
        summary::{ModelCard, Summary},
        video::AnnotatedVideo,
    },
    source::gst::FileOpener,
    torch::runtime,
    track::{self, TrackIds},
};
use anyhow::Context;
use std::{collections::BTreeMap, fs, process::ExitCode, sync::Arc, time::Duration};

/// How often progress is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Runs what was checked to its end and says what came of it.
pub fn execute(checked: Checked, session: &Session) -> anyhow::Result<ExitCode> {
    let plan = Arc::new(checked.plan);
    let Started { running, models, refined, classes } = start(&plan)?;
    signals::stop_on_signal(running.faults.clone())?;
    let names = plan.streams.iter().map(|stream| stream.name.clone()).collect();
    let mut progress = Progress::new(names, session.bars.clone(), &session.log);
    let finished = running.wait(LOOK_INTERVAL, plan.runtime.shutdown, |stats| progress.look(stats));
    progress.finish();
    if finished && plan.output.refine && plan.output.video {
        redraw(&plan, &running, &refined, &classes, &session.log);
    }
    let code = report(&plan, &running, &models, finished, &session.log);
    for fault in &checked.unusable {
        eprintln!("eyeline: {}", fault.problem);
    }
    Ok(if checked.unusable.is_empty() { code } else { ExitCode::FAILURE })
}

/// A line at work and what is known about it.
pub struct Started {
    /// The line.
    pub running: Running,
    /// The models that run in it.
    pub models: Vec<ModelCard>,
    /// Where the refined tracks of each stream will be.
    pub refined: RefinedShelf,
    /// Class names by `ClassId`.
    pub classes: Arc<[String]>,
}

/// Loads the models and starts the line of a plan.
///
/// Errors: the output folder cannot be made, a model cannot be loaded; nothing is running then.
pub fn start(plan: &Arc<Plan>) -> anyhow::Result<Started> {
    fs::create_dir_all(&plan.output.dir)
        .with_context(|| format!("{}: cannot be created; choose another --out", plan.output.dir.display()))?;
    runtime::set_threads(plan.runtime.threads);
    let refined = RefinedShelf::default();
    let (parts, models) = parts(plan, &refined)?;
    let classes: Arc<[String]> = parts.detector.classes().into();
    let running = pipeline::start(parts).context("cannot start the threads of the line")?;
    Ok(Started { running, models, refined, classes })
}

/// Opens the models and says how everything else is opened.
fn parts(plan: &Arc<Plan>, refined: &RefinedShelf) -> anyhow::Result<(Parts, Vec<ModelCard>)> {
    let (detector, card) = detect::torch::open(&plan.detect)?;
    let mut models = vec![card];
    let mut embed = None;
    if let Some(wanted) = &plan.embed {
        let (embedder, cards) = embed::torch::open(wanted, detector.classes())?;
        models.extend(cards);
        embed = Some(EmbedPart { embedder, min_score: wanted.min_score, max_batch: wanted.max_batch });
    }
    let classes: Arc<[String]> = detector.classes().into();
    let settings = plan.track.clone();
    let log = analysis::open_log(plan)?;
    let first_tracks = analysis::first_tracks(plan, log.as_ref());
    let parts = Parts {
        feeds: plan.streams.iter().enumerate().map(|(index, stream)| feed(index, stream)).collect(),
        names: plan.streams.iter().map(|stream| stream.name.clone()).collect(),
        detector,
        max_batch: plan.detect.max_batch,
        embed,
        // A recording is a world of its own: its ids begin at 1, or where its log says, whatever is processed beside it.
        tracker: Box::new(move |stream, info| {
            let ids = TrackIds::starting_at(first_tracks[stream.index()]);
            track::build(&settings, info.fps.unwrap_or(DEFAULT_FPS), ids)
        }),
        analyze: analysis::part(plan, &models, log.as_ref()),
        camera: camera(plan.camera_motion),
        records: records(Arc::clone(plan), refined.clone()),
        video: plan.output.video.then(|| video(Arc::clone(plan), classes)),
    };
    Ok((parts, models))
}

/// Assumed where a container does not say; the tracker's noise weights are per nominal frame.
const DEFAULT_FPS: f64 = 25.0;

fn feed(index: usize, stream: &StreamPlan) -> Feed {
    let stream_id = StreamId(index as u16);
    let opener = FileOpener { repeat: stream.repeat, ..FileOpener::new(&stream.file, stream_id) };
    Feed { stream: stream_id, opener: Box::new(opener) }
}

fn camera(mode: CameraMotion) -> Option<BuildCamera> {
    let build = move |_| Box::new(FlowCamera::new(mode)) as Box<dyn MeasureCamera>;
    (mode != CameraMotion::Off).then(|| Box::new(build) as BuildCamera)
}

fn records(plan: Arc<Plan>, refined: RefinedShelf) -> OpenRecorders {
    Box::new(move |stream, info| {
        let dir = plan.output.dir.join(&plan.streams[stream.index()].name);
        let mut records: Vec<Box<dyn Recorder>> = vec![
            Box::new(JsonlEvents::create(&dir.join("events.jsonl"))?),
            Box::new(MotFile::tracks(&dir.join(if plan.output.refine { "tracks.online.txt" } else { "tracks.txt" }))?),
        ];
        if plan.output.refine {
            let fps = info.fps.unwrap_or(DEFAULT_FPS);
            records.push(Box::new(RefinedTracks::create(&dir.join("tracks.txt"), stream, fps, &plan.track, &refined)?));
        }
        if plan.output.detections {
            records.push(Box::new(MotFile::detections(&dir.join("detections.txt"))?));
        }
        Ok(records)
    })
}

fn video(plan: Arc<Plan>, classes: Arc<[String]>) -> OpenRecorders {
    Box::new(move |stream, info| {
        let stream = &plan.streams[stream.index()];
        let path = plan.output.dir.join(&stream.name).join("annotated.mp4");
        let video = AnnotatedVideo::create(&path, info, Arc::clone(&classes), &stream.zones, plan.output.trail)?;
        Ok(vec![Box::new(video) as Box<dyn Recorder>])
    })
}

/// Draws the refined tracks of every stream that was played to its end, unless the user stopped the run. Where that
/// fails, the video shows the online tracks as before, and the stream's fault says so.
fn redraw(plan: &Plan, running: &Running, refined: &RefinedShelf, classes: &Arc<[String]>, log: &LogArgs) {
    for (index, stream) in plan.streams.iter().enumerate() {
        let id = StreamId(index as u16);
        let Some(refined) = refined.take(id) else { continue };
        if running.faults.is_stopped() || running.faults.is_failed(id) {
            continue;
        }
        if !log.quiet {
            eprintln!("{}: drawing the refined tracks", stream.name);
        }
        let overlay =
            OverlaySettings { classes: Arc::clone(classes), zones: stream.zones.clone(), trail: plan.output.trail };
        let video = plan.output.dir.join(&stream.name).join("annotated.mp4");
        if let Err(fault) = redraw::redraw(stream, &refined, overlay, &video, &running.faults) {
            running.faults.note(id, format!("{}: shows the online tracks: {fault:#}", video.display()));
        }
    }
}

/// Writes every input's summary, prints the table and the faults, and chooses the exit code.
fn report(plan: &Plan, running: &Running, models: &[ModelCard], finished: bool, log: &LogArgs) -> ExitCode {
    let versions = versions();
    let mut summaries = Vec::with_capacity(plan.streams.len());
    for (index, stream) in plan.streams.iter().enumerate() {
        let id = StreamId(index as u16);
        let mut summary = Summary::measured(&running.stats, id, &stream.name, &stream.file);
        summary.models = models.to_vec();
        summary.versions = versions.clone();
        summary.fault = running.fault_of(id);
        summary.result = running.result_of(id).as_str();
        let dir = plan.output.dir.join(&stream.name);
        if dir.is_dir()
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
