//! The threads that serve the sinks, one each, so that a server that is away or slow holds up nobody else.

use super::{
    deliver::{Deliver, Log},
    filter::Filter,
    follower::{Follower, Next, OpenSink},
    kafka::KafkaSink,
    mqtt::MqttSink,
    nats::NatsSink,
    postgres::PostgresSink,
    redis::RedisSink,
    rotating::RotatingFile,
    status::{SinkReport, SinkStatus},
    stdout::Stdout,
    webhook::Webhook,
};
use crate::config::plan_sinks::{SinkPlan, SinksPlan, Target};
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Longest a follower sleeps without looking whether it shall stop.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// How the followers stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// They follow.
    Running,
    /// No event comes any more: deliver what there is, then end.
    Draining,
    /// The time is up.
    Over,
}

/// The word to stop, which also wakes those that pause.
#[derive(Debug)]
struct Stop {
    phase: Mutex<Phase>,
    changed: Condvar,
}

impl Stop {
    fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
        self.changed.notify_all();
    }

    /// Sleeps for `wait`, less if the phase is or becomes another than `from`.
    fn pause(&self, from: Phase, wait: Duration) {
        let phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        // Woken early or not: the caller looks at the phase again.
        drop(self.changed.wait_timeout_while(phase, wait, |phase| *phase == from));
    }
}

/// The followers of all sinks.
pub struct Followers {
    stop: Arc<Stop>,
    log: Arc<dyn Log>,
    threads: Vec<JoinHandle<()>>,
    statuses: Arc<[Arc<SinkStatus>]>,
}

/// Reads how the sinks stand; clones read the same.
#[derive(Clone)]
pub struct SinkReports {
    log: Arc<dyn Log>,
    statuses: Arc<[Arc<SinkStatus>]>,
}

impl SinkReports {
    /// Every sink as it stands, in the plan's order.
    pub fn read(&self) -> Vec<SinkReport> {
        let head = self.log.head();
        self.statuses.iter().map(|status| status.report(head)).collect()
    }
}

impl Followers {
    /// Starts a thread for each sink. Servers need not be there yet.
    ///
    /// Errors: a thread cannot be started.
    pub fn start(plan: &SinksPlan, log: Arc<dyn Log>) -> io::Result<Self> {
        let stop = Arc::new(Stop { phase: Mutex::new(Phase::Running), changed: Condvar::new() });
        let statuses: Arc<[_]> =
            plan.sinks.iter().map(|sink| Arc::new(SinkStatus::new(&sink.name, sink.target.kind()))).collect();
        // Built first: should a thread fail to start, dropping this stops those that run.
        let mut followers = Self { stop, log, threads: Vec::new(), statuses };
        for (sink, status) in plan.sinks.iter().zip(followers.statuses.iter()) {
            let (filter, status) = (Filter::new(sink.filter.clone()), Arc::clone(status));
            let open = open(sink, plan.delivery.timeout);
            let log = Arc::clone(&followers.log);
            let follower = Follower::new(&sink.name, log, open, filter, sink.format, &plan.delivery, status);
            let (log, stop) = (Arc::clone(&followers.log), Arc::clone(&followers.stop));
            let thread = thread::Builder::new().name(format!("sink-{}", sink.name));
            followers.threads.push(thread.spawn(move || follow(follower, log.as_ref(), &stop))?);
        }
        Ok(followers)
    }

    /// A handle for metrics.
    pub fn reports(&self) -> SinkReports {
        SinkReports { log: Arc::clone(&self.log), statuses: Arc::clone(&self.statuses) }
    }

    /// Delivers what the log still has, at most until `deadline` has passed, and ends the threads. A server that does not
    /// answer once more is not waited for. What is left stays in the log for the next run. Gives how every sink ended.
    pub fn finish(mut self, deadline: Duration) -> Vec<SinkReport> {
        self.stop.set(Phase::Draining);
        let until = Instant::now() + deadline;
        while Instant::now() < until && self.threads.iter().any(|thread| !thread.is_finished()) {
            thread::sleep(Duration::from_millis(5));
        }
        self.stop.set(Phase::Over);
        // A thread within a call of its client ends with the process.
        for thread in self.threads.drain(..).filter(JoinHandle::is_finished) {
            // Panics are caught within and reported there.
            let _ = thread.join();
        }
        self.reports().read()
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        self.stop.set(Phase::Over);
    }
}

/// A follower's thread.
fn follow(mut follower: Follower, log: &dyn Log, stop: &Stop) {
    loop {
        let phase = stop.phase();
        if phase == Phase::Over {
            break;
        }
        let step = catch_unwind(AssertUnwindSafe(|| follower.step()));
        // The panic's message was printed where it happened; a fresh client goes on from the last acknowledged event.
        let next = step.unwrap_or_else(|_| follower.reopen("the client broke (a panic); it is started anew"));
        match (next, phase) {
            (Next::Go, _) => {}
            (Next::Wait(_) | Next::Pause(_), Phase::Draining) => break,
            (Next::Wait(position), _) => log.wait_beyond(position, LOOK_INTERVAL),
            (Next::Pause(wait), phase) => stop.pause(phase, wait),
        }
    }
    follower.close();
}

/// How the client of a sink is made.
fn open(sink: &SinkPlan, timeout: Duration) -> OpenSink {
    let SinkPlan { name, target, .. } = sink.clone();
    Box::new(move || -> Box<dyn Deliver> {
        match target.clone() {
            Target::Jsonl(plan) => Box::new(RotatingFile::new(plan)),
            Target::Stdout => Box::new(Stdout),
            Target::Mqtt(plan) => Box::new(MqttSink::new(&name, plan, timeout)),
            Target::Nats(plan) => Box::new(NatsSink::new(&name, plan, timeout)),
            Target::Kafka(plan) => Box::new(KafkaSink::new(&name, plan, timeout)),
            Target::Redis(plan) => Box::new(RedisSink::new(plan, timeout)),
            Target::Webhook(plan) => Box::new(Webhook::new(plan, timeout)),
            Target::Postgres(plan) => Box::new(PostgresSink::new(&name, plan, timeout)),
        }
    })
}
