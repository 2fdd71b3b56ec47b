//! The thread around a live source: connects, hands frames to its lane, and connects again, for as long as the stream is
//! wanted. `run` is the loop over connections, `run_once` one of them. Nothing here is fatal to anything else.

use super::{
    flow::{EndReason, Flow, Turn},
    lane::LiveInlet,
    limiter::Limiter,
    patience::{Backoff, Watchdog},
    shutdown::Faults,
    stage::panic_text,
    stats::{Connection, DropReason, Liveness, Stats, StreamStats, Stretch},
    switches::Switches,
};
use crate::{
    config::plan::LivePlan,
    frame::{Frame, StreamId},
    source::{OpenSource, Pull, Source, SourceError, SourceInfo},
    time::Clock,
};
use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a pull may wait before the switches are looked at again.
const MAX_PULL_WAIT: Duration = Duration::from_millis(50);
/// How often a closed stream looks at the time of day.
const LOOK_AROUND: Duration = Duration::from_secs(1);

/// A live stream and how it is connected.
pub struct Camera {
    /// The stream.
    pub stream: StreamId,
    /// Opens its source, again and again.
    pub opener: Box<dyn OpenSource>,
    /// How patient to be with it, and when to watch it.
    pub live: LivePlan,
}

/// What a camera's thread works with.
pub struct Surroundings {
    /// Its way into the inbox.
    pub lane: LiveInlet,
    /// What operators ask of it.
    pub switches: Switches,
    /// The line's stop switch.
    pub faults: Faults,
    /// Its counters.
    pub stats: Arc<Stats>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Plays a live stream until it is removed or the line stops. Its end is the last thing in the lane.
pub fn play(camera: Camera, around: Surroundings) {
    let stream = camera.stream;
    let mut run = Run::new(camera, around);
    let reason = run.run();
    run.around.lane.mark(Flow::EndOfStream { stream, reason });
}

/// Why a connection is over.
enum Over {
    /// Somebody wants it closed; the switches say what for.
    Asked,
    /// It broke.
    Broken(SourceError),
}

struct Run {
    camera: Camera,
    around: Surroundings,
    counters: Arc<StreamStats>,
    watchdog: Watchdog,
    backoff: Backoff,
    /// Frames that were decoded so far, those dropped included.
    next_seq: u64,
    epoch: Option<u32>,
    /// Since when there is no frame.
    silent_since: Instant,
    told_lost: bool,
    told_paused: bool,
    limiter: Limiter,
}

impl Run {
    fn new(camera: Camera, around: Surroundings) -> Self {
        let now = around.clock.now();
        let LivePlan { connect_timeout, stall_timeout, max_backoff, max_fps, .. } = camera.live;
        Self {
            counters: around.stats.stream(camera.stream),
            watchdog: Watchdog::new(connect_timeout, stall_timeout, now),
            backoff: Backoff::new(max_backoff, RandomState::new().hash_one(camera.stream)),
            next_seq: 0,
            epoch: None,
            silent_since: now,
            told_lost: false,
            told_paused: false,
            limiter: Limiter::new(max_fps),
            camera,
            around,
        }
    }

    fn run(&mut self) -> EndReason {
        loop {
            if let Some(reason) = self.end() {
                return reason;
            }
            if let Some(state) = self.closed() {
                self.rest(state);
                continue;
            }
            self.around.switches.forget_restart();
            let began = self.around.clock.now();
            let once = catch_unwind(AssertUnwindSafe(|| self.run_once()));
            let over = once.unwrap_or_else(|panic| Over::Broken(self.panicked(&panic_text(&*panic))));
            match over {
                Over::Asked => self.backoff.restart(),
                Over::Broken(fault) => self.broken(&fault, began),
            }
        }
    }

    /// One connection, from opening it to its end, whatever the reason.
    fn run_once(&mut self) -> Over {
        self.enter(if self.told_lost { Liveness::Lost } else { Liveness::Connecting });
        self.watchdog.connect(self.around.clock.now());
        let epoch = self.epoch.map_or(0, |epoch| epoch.saturating_add(1));
        let mut source = match self.camera.opener.open(epoch, self.next_seq) {
            Ok(source) => source,
            Err(fault) => return Over::Broken(fault),
        };
        loop {
            if self.end().is_some() || self.closed().is_some() || self.around.switches.is_restart_asked() {
                return Over::Asked;
            }
            self.pass_turns();
            let asked = Instant::now();
            match source.pull(MAX_PULL_WAIT) {
                Ok(Pull::Frame(frame)) => self.frame(frame, source.info(), asked.elapsed()),
                Ok(Pull::Pending) => {
                    if let Some(waited) = self.watchdog.overdue(self.around.clock.now()) {
                        return Over::Broken(self.stalled(&*source, waited));
                    }
                }
                Ok(Pull::End { damage }) => return Over::Broken(damage.unwrap_or_else(|| self.ended(&*source))),
                Err(fault) => return Over::Broken(fault),
            }
        }
    }

    /// Counts a frame, says what it begins, and hands it over.
    fn frame(&mut self, frame: Frame, info: &SourceInfo, waited: Duration) {
        let now = self.around.clock.now();
        let meta = &frame.meta;
        let missed = meta.seq.saturating_sub(self.next_seq);
        self.counters.receive(missed + 1);
        self.counters.drop_frames(DropReason::Late, missed);
        self.next_seq = meta.seq + 1;
        self.counters.touch();
        self.counters.record(Stretch::Decode, meta, waited);
        self.watchdog.frame(now, info.fps);
        if self.epoch != Some(meta.epoch) {
            self.begin_epoch(meta.epoch, SourceInfo { size: meta.size, ..info.clone() }, now);
        }
        self.silent_since = now;
        if !self.limiter.admits(meta.pts) {
            self.counters.drop_frames(DropReason::Rate, 1);
        } else if self.around.lane.put(frame) {
            self.counters.drop_frames(DropReason::Overload, 1);
        }
    }

    fn begin_epoch(&mut self, epoch: u32, info: SourceInfo, now: Instant) {
        self.epoch = Some(epoch);
        self.limiter.restart();
        if std::mem::take(&mut self.told_lost) {
            self.mark(Turn::Recovered { outage: now.saturating_duration_since(self.silent_since) });
        }
        let stream = self.camera.stream;
        self.counters.update_connection(|connection| connection.info = Some(info.clone()));
        if self.watchdog.frames() == 1 {
            self.enter(Liveness::Live);
            self.counters.update_connection(|connection| connection.connects += 1);
        }
        self.around.lane.mark(Flow::Epoch { stream, epoch, info: Arc::new(info) });
    }

    /// Tells that the stream is lost, once an outage, and waits before the next attempt.
    fn broken(&mut self, fault: &SourceError, began: Instant) {
        let cause = fault.to_string();
        self.around.stats.line().stage(Stretch::Decode).fail(fault.kind());
        if self.watchdog.frames() > 0 {
            self.backoff.connected_for(self.silent_since.saturating_duration_since(began));
        }
        if matches!(fault, SourceError::Refused { .. }) {
            self.backoff.slow_down();
        }
        let pause = self.backoff.pause();
        let retry_in_ms = pause.as_millis() as u64;
        // Once an outage is enough for whoever reads along.
        if self.told_lost {
            tracing::debug!(cause, retry_in_ms, "camera still lost");
        } else {
            tracing::warn!(cause, retry_in_ms, "camera lost");
        }
        self.counters.update_connection(|connection| connection.last_fault = Some(cause.clone()));
        if !std::mem::replace(&mut self.told_lost, true) {
            self.counters.update_connection(|connection| connection.losses += 1);
            self.mark(Turn::Lost { cause: cause.into() });
        }
        self.enter(Liveness::Lost);
        let until = self.around.clock.now() + pause;
        loop {
            self.pass_turns();
            let left = until.saturating_duration_since(self.around.clock.now());
            if left.is_zero()
                || self.end().is_some()
                || self.closed().is_some()
                || self.around.switches.is_restart_asked()
            {
                return;
            }
            // A stop rings no bell.
            self.around.clock.wait(self.around.switches.heard(), left.min(MAX_PULL_WAIT));
        }
    }

    /// Waits while the stream is paused or off hours.
    fn rest(&mut self, state: Liveness) {
        let paused = state == Liveness::Paused;
        self.tell_paused(paused);
        self.enter(state);
        while self.closed() == Some(state) && self.end().is_none() {
            self.pass_turns();
            let wait = if paused { MAX_PULL_WAIT } else { LOOK_AROUND.min(MAX_PULL_WAIT) };
            self.around.clock.wait(self.around.switches.heard(), wait);
        }
        self.tell_paused(self.closed() == Some(Liveness::Paused));
        // Time on an operator's or a schedule's word is no outage, unless there was one before.
        if !self.told_lost {
            self.silent_since = self.around.clock.now();
        }
        self.backoff.restart();
    }

    fn tell_paused(&mut self, paused: bool) {
        if self.told_paused != paused {
            self.told_paused = paused;
            self.mark(if paused { Turn::Paused } else { Turn::Resumed });
        }
    }

    /// Why the stream is over for good, if it is.
    fn end(&self) -> Option<EndReason> {
        let stream = self.camera.stream;
        if self.around.faults.is_failed(stream) {
            return Some(EndReason::Failed);
        }
        let over = self.around.faults.is_stopped() || self.around.switches.is_removed();
        over.then_some(EndReason::Interrupted)
    }

    /// Why there is to be no connection now, if so.
    fn closed(&self) -> Option<Liveness> {
        if self.around.switches.is_paused() {
            return Some(Liveness::Paused);
        }
        let schedule = &self.camera.live.schedule;
        let off = !schedule.is_always() && !schedule.is_active(self.around.clock.week_minute());
        off.then_some(Liveness::OffHours)
    }

    fn pass_turns(&self) {
        while let Some(turn) = self.around.switches.next_turn() {
            self.mark(turn);
        }
    }

    fn mark(&self, turn: Turn) {
        self.around.lane.mark(Flow::Turn { stream: self.camera.stream, turn });
    }

    fn enter(&self, state: Liveness) {
        self.counters.update_connection(|connection: &mut Connection| {
            if connection.state != state || connection.since.is_none() {
                connection.state = state;
                connection.since = Some(Instant::now());
            }
        });
    }

    fn stalled(&self, source: &dyn Source, waited: Duration) -> SourceError {
        let (frames, waited_secs) = (self.watchdog.frames(), waited.as_secs());
        SourceError::Stalled { source_name: source.name(), frames, waited_secs }
    }

    fn ended(&self, source: &dyn Source) -> SourceError {
        SourceError::Closed { source_name: source.name(), frames: self.watchdog.frames() }
    }

    fn panicked(&self, text: &str) -> SourceError {
        let problem = format!("its source panicked: {text}");
        SourceError::Open { source_name: format!("stream {}", self.camera.stream.0), problem }
    }
}

#[cfg(test)]
#[path = "camera_tests.rs"]
mod tests;
