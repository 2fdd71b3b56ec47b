//! The running line as its operators know it: `Operate` over `pipeline::Control`, and the recorder that tells them the news.

use super::{delivery::DeliveryReports, media::Media, stage_status};
use crate::{
    config::{
        check,
        fault::{Fault, Faults, KeyPath},
        host::ThisMachine,
        plan::{DetectPlan, Plan, StreamPlan},
        raw::{Raw, Stream},
    },
    detect::watch::WatchSettings,
    event::EventBox,
    frame::StreamId,
    pipeline::{
        Control, ControlError,
        flow::{Analyzed, Flow, Tracked, Turn},
        stats::{self, DropReason, Liveness, StreamStats, Stretch},
    },
    serve::{
        broadcast::{Broadcast, Subscription},
        live_view::{LiveViews, StreamView},
        operate::{
            Change, FrameTracks, LineStatus, News, Operate, OperateError, Percentiles, ShownTrack, StageAge,
            StreamState, StreamStatus, Watched,
        },
        view::{ViewSize, Viewer},
    },
    sink::{Recorder, SinkError, overlay::OverlaySettings},
    track::TrackState,
};
use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

/// News kept for slow readers: some seconds of 32 streams.
const NEWS_KEPT: usize = 4096;

/// What the line and its operators share of each stream. Clones share it.
#[derive(Clone)]
pub struct Desks(Arc<Shared>);

struct Shared {
    news: Broadcast<News>,
    desks: Mutex<HashMap<StreamId, Arc<Desk>>>,
    views: LiveViews,
    classes: Arc<[String]>,
    detect: DetectPlan,
    watch: WatchSettings,
    trail: Duration,
}

/// The newest of one stream.
struct Desk {
    tracks: Mutex<FrameTracks>,
    view: StreamView,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desks {
    /// For a line whose detector knows `classes`; starts the thread that draws live views.
    pub fn start(classes: Arc<[String]>, plan: &Plan) -> io::Result<Self> {
        let (news, trail) = (Broadcast::new(NEWS_KEPT), plan.output.trail);
        let (detect, watch) = (plan.detect.clone(), plan.watch.clone());
        let views = LiveViews::start()?;
        Ok(Self(Arc::new(Shared { news, desks: Mutex::default(), views, classes, detect, watch, trail })))
    }

    /// The recorder that tells the news of a stream.
    pub fn teller(&self, stream: StreamId, plan: &StreamPlan) -> Box<dyn Recorder> {
        Box::new(Teller { desks: self.clone(), desk: self.desk(stream, plan), stream, name: plan.name.clone() })
    }

    fn desk(&self, stream: StreamId, plan: &StreamPlan) -> Arc<Desk> {
        let Shared { desks, views, classes, trail, .. } = &*self.0;
        let settings = || OverlaySettings::of(plan, classes, *trail);
        let desk = || Arc::new(Desk { tracks: Mutex::default(), view: views.stream(settings()) });
        Arc::clone(lock(desks).entry(stream).or_insert_with(desk))
    }
}

struct Teller {
    desks: Desks,
    desk: Arc<Desk>,
    stream: StreamId,
    name: String,
}

impl Recorder for Teller {
    fn record(&mut self, item: &Analyzed) -> Result<(), SinkError> {
        let Shared { news, classes, .. } = &*self.desks.0;
        let is_heard = news.is_heard();
        self.desk.view.follow(&item.events);
        match &item.flow {
            Flow::Data(tracked) => {
                let tracks = frame_tracks(&self.name, tracked, classes);
                lock(&self.desk.tracks).clone_from(&tracks);
                self.desk.view.offer(&tracked.frame, &tracked.tracks);
                if is_heard {
                    news.send(News::Tracks(Arc::new(tracks)));
                }
            }
            Flow::Turn { turn: Turn::Changed { plan }, .. } => {
                self.desk.view.set_places(plan.zones.clone(), plan.lines.clone())
            }
            Flow::Epoch { .. } | Flow::Turn { .. } | Flow::EndOfStream { .. } => {}
        }
        if is_heard {
            item.events.iter().for_each(|event| news.send(News::Event(Arc::new(event.clone()))));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        // Whoever looks hears that the stream is gone once nobody holds its view.
        lock(&self.desks.0.desks).remove(&self.stream);
        Ok(())
    }
}

fn frame_tracks(stream: &str, tracked: &Tracked, classes: &[String]) -> FrameTracks {
    let meta = &tracked.frame.meta;
    let shown = |track: &crate::track::Track| ShownTrack {
        track: track.id.0,
        class: classes.get(usize::from(track.class.0)).cloned().unwrap_or_default(),
        score: track.score,
        seen: track.state == TrackState::Confirmed,
        bbox: EventBox::from(&track.bbox),
    };
    let age = meta.captured.and_then(|at| at.elapsed().ok()).unwrap_or_else(|| meta.arrived.elapsed());
    FrameTracks {
        stream: stream.to_owned(),
        frame: Some(meta.seq),
        time_seconds: meta.pts.as_secs_f64(),
        age_ms: age.as_secs_f64() * 1e3,
        width: meta.size.width,
        height: meta.size.height,
        tracks: tracked.tracks.iter().filter(|t| t.shown && t.state != TrackState::Removed).map(shown).collect(),
    }
}

/// A running line and how it opens streams.
pub struct OperatedLine {
    control: Control,
    desks: Desks,
    media: Media,
    /// Where its events go; `None` without sinks.
    delivery: Option<DeliveryReports>,
    /// How long closing a stream may take.
    patience: Duration,
}

impl OperatedLine {
    /// The line behind `control`, whose events are delivered as `delivery` tells.
    pub fn new(
        control: Control,
        desks: Desks,
        media: Media,
        delivery: Option<DeliveryReports>,
        patience: Duration,
    ) -> Self {
        Self { control, desks, media, delivery, patience }
    }

    fn find(&self, name: &str) -> Result<StreamId, OperateError> {
        let roster = self.control.roster();
        let exact = |stream: &StreamId| roster.name(*stream) == name;
        roster.find(name).filter(exact).ok_or_else(|| OperateError::unknown(name))
    }

    fn desk(&self, name: &str) -> Result<Arc<Desk>, OperateError> {
        let stream = self.find(name)?;
        let plan = self.control.roster().get(stream).ok_or_else(|| OperateError::unknown(name))?;
        Ok(self.desks.desk(stream, &plan))
    }

    fn told(&self, stream: StreamId) -> Result<StreamStatus, OperateError> {
        let status = self.status(stream).ok_or_else(|| OperateError::unknown(""))?;
        if self.desks.0.news.is_heard() {
            self.desks.0.news.send(News::Stream(Arc::new(status.clone())));
        }
        Ok(status)
    }

    fn steer(
        &self,
        name: &str,
        act: impl Fn(StreamId) -> Result<(), ControlError>,
    ) -> Result<StreamStatus, OperateError> {
        let stream = self.find(name)?;
        act(stream).map_err(|error| refusal(error, name))?;
        self.told(stream)
    }

    fn status(&self, stream: StreamId) -> Option<StreamStatus> {
        let plan = self.control.roster().get(stream)?;
        let counters = self.control.stats().stream(stream);
        let connection = counters.connection();
        let state = state_of(&counters, connection.state, &plan);
        let detect = &self.desks.0.detect;
        let size = connection.info.as_ref().map(|info| info.size);
        let uptime = connection.since.filter(|_| state == StreamState::Live).map(|since| since.elapsed());
        let dropped =
            DropReason::ALL.into_iter().map(|reason| (reason.name().to_owned(), counters.dropped_for(reason)));
        let stage = |stretch: Stretch| {
            let (busy, age) = (percentiles(counters.busy(stretch)?), percentiles(counters.age(stretch)?));
            Some(StageAge { stage: stretch.name().to_owned(), busy, age })
        };
        Some(StreamStatus {
            name: plan.name.clone(),
            address: plan.address(),
            state,
            width: size.map(|size| size.width),
            height: size.map(|size| size.height),
            fps: counters.rate(),
            nominal_fps: connection.info.as_ref().and_then(|info| info.fps),
            received: counters.decoded.load(Ordering::Relaxed),
            processed: counters.done.load(Ordering::Relaxed),
            dropped: dropped.collect::<BTreeMap<_, _>>(),
            age: counters.age(Stretch::Record).map(percentiles),
            stages: Stretch::ALL.into_iter().filter_map(stage).collect(),
            tracks: counters.open_tracks.load(Ordering::Relaxed),
            events: counters.events.load(Ordering::Relaxed),
            losses: connection.losses,
            watched: Watched {
                not_looked: counters.not_looked.load(Ordering::Relaxed),
                relit: counters.relit.load(Ordering::Relaxed),
                light_changes: counters.light_changes.load(Ordering::Relaxed),
                light_seconds: Duration::from_nanos(counters.light_nanos.load(Ordering::Relaxed)).as_secs_f64(),
                embedded: counters.embedded.load(Ordering::Relaxed),
            },
            last_fault: connection.last_fault.or_else(|| self.control.faults().of(stream)),
            uptime_seconds: uptime.map_or(0.0, |uptime| uptime.as_secs_f64()),
            zones: plan.zones.iter().map(|zone| zone.name.clone()).collect(),
            lines: plan.lines.iter().map(|line| line.name.clone()).collect(),
            classes: if plan.filter.classes.is_empty() { &detect.classes } else { &plan.filter.classes }.clone(),
            min_score: f64::from(plan.filter.min_score.max(detect.min_score)),
        })
    }

    /// The plan of a stream sent alone. Faults are told from the stream down.
    fn plan_of(&self, stream: &Stream) -> Result<StreamPlan, OperateError> {
        let detect = &self.desks.0.detect;
        let mut raw = Raw { streams: vec![stream.clone()], ..Raw::default() };
        raw.detect.model.clone_from(&detect.model);
        raw.detect.classes.clone_from(&detect.classes);
        let below = |Faults(faults): Faults| {
            let faults = faults.into_iter().map(|fault| Fault { path: fault.path.below_entry("streams"), ..fault });
            OperateError::Invalid(Faults(faults.collect()))
        };
        let checked = check::plan(&raw, &ThisMachine).map_err(below)?;
        let [mut plan] = <[StreamPlan; 1]>::try_from(checked.plan.streams).map_err(|plans| {
            let problem = format!("gives {} videos, expected one", plans.len());
            OperateError::Invalid(Faults(vec![Fault::new(KeyPath::root().key("file"), problem)]))
        })?;
        let all = &self.desks.0.watch;
        plan.watch.attention.clone_from(&all.attention);
        if stream.light.is_none() {
            plan.watch.light.clone_from(&all.light);
        }
        Ok(plan)
    }
}

/// Adds `plan` to a running line.
pub fn add(control: &Control, media: &Media, plan: StreamPlan) -> Result<StreamId, ControlError> {
    let opened = plan.clone();
    control.add(plan, |stream| super::execute::live_opener(stream, &opened, media.packets(stream)))
}

fn state_of(counters: &StreamStats, liveness: Liveness, plan: &StreamPlan) -> StreamState {
    match liveness {
        _ if counters.ended.load(Ordering::Acquire) => StreamState::Ended,
        _ if plan.live.is_none() => StreamState::Live,
        Liveness::Connecting => StreamState::Connecting,
        Liveness::Live => StreamState::Live,
        Liveness::Lost => StreamState::Lost,
        Liveness::Paused | Liveness::OffHours => StreamState::Paused,
    }
}

fn percentiles(from: stats::Percentiles) -> Percentiles {
    Percentiles { p50_ms: from.p50_ms, p99_ms: from.p99_ms }
}

fn refusal(error: ControlError, name: &str) -> OperateError {
    match error {
        ControlError::NameTaken(name) => OperateError::NameTaken { name },
        ControlError::Unknown => OperateError::unknown(name),
        ControlError::NotLive(_) => {
            let problem = "a recording cannot be steered; `live: true` plays a file as a camera would";
            OperateError::Invalid(Faults(vec![Fault::new(KeyPath::root().key("live"), problem)]))
        }
        ControlError::StillClosing(_) | ControlError::Stopping | ControlError::Thread(_) => {
            OperateError::Busy { what: error.to_string() }
        }
    }
}

impl Operate for OperatedLine {
    fn streams(&self) -> Vec<StreamStatus> {
        self.control.roster().streams().into_iter().filter_map(|stream| self.status(stream)).collect()
    }

    fn add(&self, stream: &Stream) -> Result<StreamStatus, OperateError> {
        let plan = self.plan_of(stream)?;
        let name = plan.name.clone();
        let stream = add(&self.control, &self.media, plan).map_err(|error| refusal(error, &name))?;
        self.told(stream)
    }

    fn remove(&self, name: &str) -> Result<(), OperateError> {
        let stream = self.find(name)?;
        self.control.remove(stream, self.patience).map_err(|error| refusal(error, name))?;
        self.desks.0.news.send(News::Removed(name.into()));
        Ok(())
    }

    fn pause(&self, name: &str) -> Result<StreamStatus, OperateError> {
        self.steer(name, |stream| self.control.pause(stream))
    }

    fn resume(&self, name: &str) -> Result<StreamStatus, OperateError> {
        self.steer(name, |stream| self.control.resume(stream))
    }

    fn restart(&self, name: &str) -> Result<StreamStatus, OperateError> {
        self.steer(name, |stream| self.control.restart(stream))
    }

    fn change(&self, name: &str, change: &Change) -> Result<StreamStatus, OperateError> {
        let stream = self.find(name)?;
        // Held against the same checks as a stream of a file; its source is not what is asked about.
        let mut raw = Stream { url: crate::config::raw::Address("rtsp://any".into()), ..Stream::default() };
        raw.zones = change.zones.clone().unwrap_or_default();
        raw.lines = change.lines.clone().unwrap_or_default();
        raw.classes = change.classes.clone().unwrap_or_default();
        raw.min_score = change.min_score.unwrap_or_default();
        let sound = self.plan_of(&raw)?;
        let apply = |plan: &mut StreamPlan| {
            if change.zones.is_some() {
                plan.zones = sound.zones;
            }
            if change.lines.is_some() {
                plan.lines = sound.lines;
            }
            if change.classes.is_some() {
                plan.filter.classes = sound.filter.classes;
            }
            if change.min_score.is_some() {
                plan.filter.min_score = sound.filter.min_score;
            }
        };
        self.control.change(stream, apply).map_err(|error| refusal(error, name))?;
        self.told(stream)
    }

    fn tracks(&self, name: &str) -> Result<FrameTracks, OperateError> {
        let tracks = lock(&self.desk(name)?.tracks).clone();
        Ok(FrameTracks { stream: name.to_owned(), ..tracks })
    }

    fn view(&self, name: &str, size: ViewSize) -> Result<Viewer, OperateError> {
        Ok(self.desk(name)?.view.viewer(size))
    }

    fn subscribe(&self) -> Subscription<News> {
        self.desks.0.news.subscribe()
    }

    fn line(&self) -> LineStatus {
        let faults = self.control.faults();
        let stopping = faults.is_stopped().then(|| "shutting down".to_owned());
        let (sinks, log) = self.delivery.as_ref().map(DeliveryReports::read).unwrap_or_default();
        let stages = stage_status::stages(self.control.stats().line());
        LineStatus { not_ready: faults.broken().or(stopping), stages, sinks, log }
    }
}
