//! Plan -> line -> exit code: what `run` and `process` share.

use super::{
    Session, analysis,
    delivery::{Delivery, DeliveryReports},
    logging::LogArgs,
    media::Media,
    operate::{Desks, OperatedLine},
    outcome,
    progress::Progress,
    redraw, reload, signals,
};
use crate::{
    config::{
        Checked,
        plan::{DetectPlan, Plan, StreamPlan},
    },
    detect::{self, Detector, fusion::Ensemble, tiled::Tiled},
    embed,
    event::log::EventLog,
    frame::StreamId,
    pipeline::{
        self, BuildCamera, BuildTracker, Camera, EmbedPart, Feed, Lifetime, OpenRecorders, Parts, Roster, Running,
    },
    preprocess::{
        camera_motion::{CameraMotion, MeasureCamera},
        flow::FlowCamera,
    },
    serve::{self, Served, operate::Operate},
    sink::{
        Recorder,
        jsonl::{JsonlEvents, SharedEvents},
        logged::LoggedEvents,
        mot::MotFile,
        overlay::OverlaySettings,
        refined::{RefinedShelf, RefinedTracks},
        summary::ModelCard,
        video::AnnotatedVideo,
    },
    source::{OpenSource, gst::FileOpener, gst_camera::CameraOpener, gst_packets::PacketRing, paced::PacedOpener},
    torch::runtime,
    track::{self, settings::TrackSettings},
};
use anyhow::Context;
use std::{fs, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

/// How often progress is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Makes a recorder for a stream, beside those that the plan asks for.
pub type MakeRecorder = Arc<dyn Fn(StreamId) -> Box<dyn Recorder> + Send + Sync>;

/// What a command asks for beside the plan.
#[derive(Clone, Default)]
pub struct Extras {
    /// One file for the events of all streams, in place of one each.
    pub events: Option<PathBuf>,
    /// The pipeline file, to be read again when it changes.
    pub file: Option<PathBuf>,
    /// One more recorder a stream.
    pub recorder: Option<MakeRecorder>,
}

/// Runs what was checked to its end and says what came of it.
pub fn execute(checked: Checked, session: &Session, extras: &Extras) -> anyhow::Result<ExitCode> {
    runtime::share_heaps();
    let plan = Arc::new(checked.plan);
    make_output_folder(&plan)?;
    let delivery = Delivery::start(&plan)?;
    let media = start_media(&plan)?;
    let (Started { running, models, refined, classes }, desks) =
        launch(&plan, extras, delivery.as_ref().map(Delivery::log), &media)?;
    signals::stop_on_signal(running.faults.clone())?;
    let is_live = plan.api.is_some() || plan.streams.iter().any(|stream| stream.live.is_some());
    let _served = serve(&plan, &running, desks, &media, delivery.as_ref().map(Delivery::reports))?;
    if let Some(file) = extras.file.clone().filter(|_| is_live) {
        reload::watch_file(file, Arc::clone(&plan), running.control.clone(), media.clone())?;
    }
    let names = plan.streams.iter().map(|stream| stream.name.clone()).collect();
    let mut progress = Progress::new(names, session.bars.clone(), &session.log);
    let finished = running.wait(LOOK_INTERVAL, plan.runtime.shutdown, |stats| progress.look(stats));
    progress.finish();
    media.finish(plan.runtime.shutdown);
    if let Some(delivery) = delivery {
        delivery.finish(plan.runtime.shutdown);
    }
    if finished && plan.output.refine && plan.output.video {
        redraw(&plan, &running, &refined, &classes, &session.log);
    }
    let code = outcome::report(&plan, &running, &models, finished, &session.log);
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
    launch(plan, &Extras::default(), None, &start_media(plan)?).map(|(started, _)| started)
}

fn start_media(plan: &Plan) -> anyhow::Result<Media> {
    Media::start(plan).context("cannot start the threads that keep pictures and clips")
}

/// Starts the line of a plan and what it is operated by.
///
/// Errors: as for `start`; a port is taken.
pub fn start_served(plan: &Arc<Plan>, extras: &Extras) -> anyhow::Result<(Started, Option<Served>)> {
    let media = start_media(plan)?;
    let (started, desks) = launch(plan, extras, None, &media)?;
    let served = serve(plan, &started.running, desks, &media, None)?;
    Ok((started, served))
}

/// Starts the line with everything around it; `log` gets the events too.
fn launch(plan: &Arc<Plan>, extras: &Extras, log: Option<EventLog>, media: &Media) -> anyhow::Result<(Started, Desks)> {
    runtime::share_heaps();
    make_output_folder(plan)?;
    runtime::set_threads(plan.runtime.threads);
    runtime::set_placement(plan.runtime.device, plan.runtime.precision)?;
    let refined = RefinedShelf::default();
    let (parts, models, desks) = parts(plan, &refined, extras, log, media)?;
    let classes: Arc<[String]> = parts.detector.classes().into();
    let running = pipeline::start(parts).context("cannot start the threads of the line")?;
    Ok((Started { running, models, refined, classes }, desks))
}

fn make_output_folder(plan: &Plan) -> anyhow::Result<()> {
    fs::create_dir_all(&plan.output.dir)
        .with_context(|| format!("{}: cannot be created; choose another --out", plan.output.dir.display()))
}

/// Serves the interfaces that operators reach the line by, where the plan asks for some.
fn serve(
    plan: &Plan,
    running: &Running,
    desks: Desks,
    media: &Media,
    delivery: Option<DeliveryReports>,
) -> anyhow::Result<Option<Served>> {
    let Some(api) = &plan.api else { return Ok(None) };
    let (control, patience) = (running.control.clone(), plan.runtime.shutdown);
    let operated: Arc<dyn Operate> = Arc::new(OperatedLine::new(control, desks, media.clone(), delivery, patience));
    Ok(Some(serve::open(api, &operated)?))
}

/// Opens the models and says how everything else is opened.
fn parts(
    plan: &Arc<Plan>,
    refined: &RefinedShelf,
    extras: &Extras,
    log: Option<EventLog>,
    media: &Media,
) -> anyhow::Result<(Parts, Vec<ModelCard>, Desks)> {
    let (detector, mut models) = detector(&plan.detect)?;
    let mut embed = None;
    if let Some(wanted) = &plan.embed {
        let (embedder, cards) = embed::torch::open(wanted, detector.classes())?;
        models.extend(cards);
        embed = Some(EmbedPart { embedder, worth: wanted.worth.clone(), max_batch: wanted.max_batch });
    }
    let classes: Arc<[String]> = detector.classes().into();
    let roster = Roster::new(plan.streams.iter().cloned());
    let desks = Desks::start(Arc::clone(&classes), plan).context("cannot start the thread that draws live views")?;
    let events = extras.events.as_deref().map(SharedEvents::create).transpose()?;
    let settings = plan.track.clone();
    let open = records(Arc::clone(plan), roster.clone(), refined.clone(), desks.clone(), events, log.clone());
    let parts = Parts {
        feeds: numbered(plan)
            .filter(|(_, stream)| stream.live.is_none())
            .map(|(id, stream)| feed(id, stream))
            .collect(),
        cameras: numbered(plan).filter_map(|(id, stream)| camera(id, stream, media)).collect(),
        lifetime: if plan.api.is_some() { Lifetime::Operated } else { Lifetime::Streams },
        roster: roster.clone(),
        detector,
        max_batch: plan.detect.max_batch,
        max_wait: plan.runtime.max_wait,
        embed,
        tracker: tracker(settings, roster.clone(), log.clone()),
        camera: camera_motion(plan.camera_motion),
        analyze: analysis::build(&plan.events, &models, log.clone()),
        records: illustrated(
            with_one_more(open, extras.recorder.clone()),
            media.clone(),
            roster.clone(),
            Arc::clone(&classes),
        ),
        video: plan.output.video.then(|| video(Arc::clone(plan), roster, classes)),
    };
    Ok((parts, models, desks))
}

/// The detector of a plan: one or several, with or without tiles.
fn detector(plan: &DetectPlan) -> anyhow::Result<(Box<dyn Detector>, Vec<ModelCard>)> {
    let (first, card) = detect::torch::open(plan)?;
    let (mut members, mut models) = (vec![first], vec![card]);
    for model in &plan.also {
        // What is said of size and classes is said of the first; others may know other classes.
        let (model, input_px) = (model.clone(), None);
        let (classes, min_score_by_class) = (Vec::new(), Vec::new());
        let (member, card) =
            detect::torch::open(&DetectPlan { model, input_px, classes, min_score_by_class, ..plan.clone() })?;
        members.push(member);
        models.push(card);
    }
    let several = members.len() > 1;
    let mut detector = if several { Box::new(Ensemble::new(members, &plan.classes)) } else { members.remove(0) };
    if plan.tiles.columns * plan.tiles.rows > 1 {
        detector = Box::new(Tiled::new(detector, plan.tiles, plan.max_iou));
    }
    Ok((detector, models))
}

/// Assumed where a container does not say; the tracker's noise weights are per nominal frame.
const DEFAULT_FPS: f64 = 25.0;

fn numbered(plan: &Plan) -> impl Iterator<Item = (StreamId, &StreamPlan)> {
    plan.streams.iter().enumerate().map(|(index, stream)| (StreamId(index as u16), stream))
}

fn feed(stream_id: StreamId, stream: &StreamPlan) -> Feed {
    let opener = FileOpener { repeat: stream.repeat, ..FileOpener::new(&stream.file, stream_id) };
    Feed { stream: stream_id, opener: Box::new(opener) }
}

fn camera(stream_id: StreamId, stream: &StreamPlan, media: &Media) -> Option<Camera> {
    let live = stream.live.clone()?;
    Some(Camera { stream: stream_id, opener: live_opener(stream_id, stream, media.packets(stream_id)), live })
}

/// How a live stream is opened; what comes from it as it is encoded goes into `packets` too.
pub fn live_opener(stream_id: StreamId, stream: &StreamPlan, packets: Option<Arc<PacketRing>>) -> Box<dyn OpenSource> {
    let live = stream.live.as_ref();
    match live.and_then(|live| live.camera.clone().zip(Some(live.connect_timeout))) {
        Some((plan, connect_timeout)) => Box::new(CameraOpener { plan, stream: stream_id, connect_timeout, packets }),
        None => {
            // Over and over: at 25 frames a second a video of one frame would last five years.
            let opener = FileOpener { repeat: u32::MAX, packets, ..FileOpener::new(&stream.file, stream_id) };
            Box::new(PacedOpener(opener))
        }
    }
}

fn tracker(settings: TrackSettings, roster: Roster, log: Option<EventLog>) -> BuildTracker {
    let ids_of = analysis::track_ids(log);
    Box::new(move |stream, info| {
        let ids = roster.get(stream).map(|plan| ids_of(&plan)).unwrap_or_default();
        track::build(&settings, info.fps.unwrap_or(DEFAULT_FPS), ids)
    })
}

fn camera_motion(mode: CameraMotion) -> Option<BuildCamera> {
    let build = move |_| Box::new(FlowCamera::new(mode)) as Box<dyn MeasureCamera>;
    (mode != CameraMotion::Off).then(|| Box::new(build) as BuildCamera)
}

fn records(
    plan: Arc<Plan>,
    roster: Roster,
    refined: RefinedShelf,
    desks: Desks,
    events: Option<SharedEvents>,
    log: Option<EventLog>,
) -> OpenRecorders {
    Box::new(move |id, info| {
        let Some(stream) = roster.get(id) else { return Ok(Vec::new()) };
        let dir = plan.output.dir.join(&stream.name);
        let mut records: Vec<Box<dyn Recorder>> = match &events {
            Some(shared) => vec![Box::new(shared.clone())],
            None if stream.live.is_some() => vec![Box::new(JsonlEvents::resume(&dir.join("events.jsonl"))?)],
            None => vec![Box::new(JsonlEvents::create(&dir.join("events.jsonl"))?)],
        };
        records.push(desks.teller(id, &stream));
        if let Some(log) = &log {
            records.push(Box::new(LoggedEvents::new(log.clone())));
        }
        // What a camera shows has no end; its events are kept, its boxes are not.
        if stream.live.is_some() {
            return Ok(records);
        }
        let tracks = if plan.output.refine { "tracks.online.txt" } else { "tracks.txt" };
        records.push(Box::new(MotFile::tracks(&dir.join(tracks))?));
        if plan.output.refine {
            let fps = info.and_then(|info| info.fps).unwrap_or(DEFAULT_FPS);
            records.push(Box::new(RefinedTracks::create(&dir.join("tracks.txt"), id, fps, &plan.track, &refined)?));
        }
        if plan.output.detections {
            records.push(Box::new(MotFile::detections(&dir.join("detections.txt"))?));
        }
        Ok(records)
    })
}

/// The recorders that `open` opens, given events that name their pictures.
fn illustrated(open: OpenRecorders, media: Media, roster: Roster, classes: Arc<[String]>) -> OpenRecorders {
    Box::new(move |stream, info| {
        let recorders = open(stream, info)?;
        Ok(match roster.get(stream) {
            Some(plan) => media.before(recorders, stream, &plan, &classes),
            None => recorders,
        })
    })
}

fn with_one_more(open: OpenRecorders, make: Option<MakeRecorder>) -> OpenRecorders {
    let Some(make) = make else { return open };
    Box::new(move |stream, info| {
        let mut records = open(stream, info)?;
        records.push(make(stream));
        Ok(records)
    })
}

fn video(plan: Arc<Plan>, roster: Roster, classes: Arc<[String]>) -> OpenRecorders {
    Box::new(move |stream, info| {
        let recorded = roster.get(stream).filter(|stream| stream.live.is_none());
        let (Some(stream), Some(info)) = (recorded, info) else { return Ok(Vec::new()) };
        let path = plan.output.dir.join(&stream.name).join("annotated.mp4");
        let video = AnnotatedVideo::create(&path, info, OverlaySettings::of(&stream, &classes, plan.output.trail))?;
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
        let overlay = OverlaySettings::of(stream, classes, plan.output.trail);
        let video = plan.output.dir.join(&stream.name).join("annotated.mp4");
        if let Err(fault) = redraw::redraw(stream, &refined, overlay, &video, &running.faults) {
            running.faults.note(id, format!("{}: shows the online tracks: {fault:#}", video.display()));
        }
    }
}
