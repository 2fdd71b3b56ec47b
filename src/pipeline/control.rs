//! The running line in an operator's hands: live streams come, go, pause and change while the others run on.

use super::{
    camera::{self, Camera, Surroundings},
    flow::Turn,
    inbox::{Entry, Lane},
    lane::{Doorbell, live_lane},
    roster::Roster,
    shutdown::Faults,
    slots::Slots,
    stats::Stats,
    switches::Switches,
};
use crate::{config::plan::StreamPlan, frame::StreamId, source::OpenSource, time::Clock};
use crossbeam_channel::Sender;
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    thread::{self, Builder},
    time::{Duration, Instant},
};

/// How often the end of a removed stream is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// Why the line did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Names are unique, upper and lower case alike.
    #[error("{0:?} is already the name of a stream")]
    NameTaken(String),
    /// A recording plays once and cannot be steered.
    #[error("stream {0:?} is a recording")]
    NotLive(String),
    /// There is no stream of this number.
    #[error("no such stream")]
    Unknown,
    /// What was given to the stream is not worked off yet.
    #[error("stream {0:?} is still being closed")]
    StillClosing(String),
    /// The line is stopping.
    #[error("the line is stopping")]
    Stopping,
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// Adds, removes and changes streams. Clones share the line.
#[derive(Clone)]
pub struct Control(Arc<Shared>);

struct Shared {
    entrance: Sender<Entry>,
    doorbell: Doorbell,
    roster: Roster,
    faults: Faults,
    stats: Arc<Stats>,
    clock: Arc<dyn Clock>,
    switches: Mutex<Slots<Switches>>,
}

impl Control {
    pub(super) fn new(
        entrance: Sender<Entry>,
        doorbell: Doorbell,
        roster: &Roster,
        faults: &Faults,
        stats: &Arc<Stats>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (roster, faults, stats) = (roster.clone(), faults.clone(), Arc::clone(stats));
        Self(Arc::new(Shared { entrance, doorbell, roster, faults, stats, clock, switches: Mutex::default() }))
    }

    /// The streams of the line.
    pub fn roster(&self) -> &Roster {
        &self.0.roster
    }

    /// The line's counters.
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }

    /// The line's stop switch.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// Adds a live stream. Returns before its first frame.
    ///
    /// Errors: `NameTaken`, `NotLive`, `Stopping`, `Thread`.
    pub fn add(
        &self,
        plan: StreamPlan,
        opener: impl FnOnce(StreamId) -> Box<dyn OpenSource>,
    ) -> Result<StreamId, ControlError> {
        if self.0.faults.is_stopped() {
            return Err(ControlError::Stopping);
        }
        let Some(live) = plan.live.clone() else { return Err(ControlError::NotLive(plan.name)) };
        let name = plan.name.clone();
        let stream = self.0.roster.enter(plan).ok_or(ControlError::NameTaken(name))?;
        self.0.stats.renew(stream);
        self.0.faults.renew(stream);
        let camera = Camera { stream, opener: opener(stream), live };
        self.start(camera).inspect_err(|_| self.0.roster.leave(stream))?;
        Ok(stream)
    }

    /// Starts the thread of a live stream that is on the roster, and opens a lane for it.
    pub(super) fn start(&self, camera: Camera) -> Result<(), io::Error> {
        let (stream, priority) = (camera.stream, camera.live.priority);
        let switches = Switches::new(camera.live.enabled);
        let (lane, outlet) = live_lane(self.0.doorbell.clone());
        let around = Surroundings {
            lane,
            switches: switches.clone(),
            faults: self.0.faults.clone(),
            stats: Arc::clone(&self.0.stats),
            clock: Arc::clone(&self.0.clock),
        };
        *self.switches().slot(stream) = Some(switches);
        // The inbox ends only with the line; then there is nobody to work for and the camera's thread ends as well.
        let _ = self.0.entrance.send(Entry { lane: Lane::Live(outlet), priority });
        self.0.doorbell.ring();
        let name = format!("src-{}", stream.0);
        Builder::new().name(name).spawn(move || camera::play(camera, around)).map(drop)
    }

    /// Ends a live stream and waits until its last frame is worked off and its tracks are ended, at most `patience`. Its
    /// number is free then.
    ///
    /// Errors: `Unknown`, `NotLive`; `StillClosing`, when it may be asked again.
    pub fn remove(&self, stream: StreamId, patience: Duration) -> Result<(), ControlError> {
        self.of(stream)?.remove();
        let counters = self.0.stats.stream(stream);
        let until = Instant::now() + patience;
        while !counters.ended.load(Ordering::Acquire) {
            if Instant::now() > until {
                return Err(ControlError::StillClosing(self.0.roster.name(stream)));
            }
            thread::sleep(LOOK_INTERVAL);
        }
        self.switches().take(stream);
        self.0.roster.leave(stream);
        Ok(())
    }

    /// Closes the connection of a live stream until `resume`. Errors: `Unknown`, `NotLive`.
    pub fn pause(&self, stream: StreamId) -> Result<(), ControlError> {
        self.of(stream).map(|switches| switches.pause())
    }

    /// Connects a paused stream again. Errors: `Unknown`, `NotLive`.
    pub fn resume(&self, stream: StreamId) -> Result<(), ControlError> {
        self.of(stream).map(|switches| switches.resume())
    }

    /// Closes the connection of a stream and makes a new one at once. Errors: `Unknown`, `NotLive`.
    pub fn restart(&self, stream: StreamId) -> Result<(), ControlError> {
        self.of(stream).map(|switches| switches.restart())
    }

    /// Changes zones, classes and scores of a live stream from one of its next frames on; none is dropped for it. How it is
    /// connected stays.
    ///
    /// Errors: `Unknown`, `NotLive`.
    pub fn change(&self, stream: StreamId, change: impl FnOnce(&mut StreamPlan)) -> Result<(), ControlError> {
        let switches = self.of(stream)?;
        let mut plan = self.0.roster.get(stream).ok_or(ControlError::Unknown)?.as_ref().clone();
        change(&mut plan);
        let plan = Arc::new(plan);
        self.0.roster.change(stream, Arc::clone(&plan));
        switches.tell(Turn::Changed { plan });
        Ok(())
    }

    /// Whether a stream can be steered.
    pub fn is_live(&self, stream: StreamId) -> bool {
        self.of(stream).is_ok()
    }

    fn of(&self, stream: StreamId) -> Result<Switches, ControlError> {
        let plan = self.0.roster.get(stream).ok_or(ControlError::Unknown)?;
        self.switches().get_mut(stream).cloned().ok_or_else(|| ControlError::NotLive(plan.name.clone()))
    }

    fn switches(&self) -> MutexGuard<'_, Slots<Switches>> {
        self.0.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
