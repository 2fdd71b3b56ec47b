//! The follower against a log and a server in memory: no thread, no clock.

use super::*;
use crate::{
    config::plan_sinks::FilterPlan,
    event::{Clock, Event, What, log::Logged},
    sink::{deliver::Refusal, memory_log::MemoryLog},
};
use std::sync::Mutex;

/// Event `sequence` of `stream`.
pub fn event(stream: &str, sequence: u64) -> Event {
    Event {
        id: format!("{stream}/{sequence}"),
        stream: stream.into(),
        sequence,
        frame: sequence,
        time_seconds: sequence as f64,
        captured_at: None,
        clock: Clock::File,
        what: What::StreamRecovered { outage_seconds: 0.0 },
    }
}

/// The same as a sink gets it.
pub fn message(stream: &str, sequence: u64) -> Message {
    let entry = Logged { position: sequence + 1, event: event(stream, sequence) };
    Filter::default().message(entry, Format::Compact).unwrap()
}

/// What a server in memory does at its next calls, then for ever.
type Script = Box<dyn FnMut(&[Message]) -> Result<(), Refusal> + Send>;

/// A server in memory: what it took, and what it does.
#[derive(Default)]
struct Server {
    taken: Mutex<Vec<String>>,
    batches: Mutex<Vec<usize>>,
}

struct Client {
    server: Arc<Server>,
    script: Arc<Mutex<Script>>,
}

impl Deliver for Client {
    fn deliver(&mut self, messages: &[Message]) -> Result<(), Refusal> {
        self.server.batches.lock().unwrap().push(messages.len());
        let answer = (self.script.lock().unwrap())(messages);
        let accepted = answer.as_ref().map_or_else(|refusal| refusal.accepted, |()| messages.len());
        let ids = messages[..accepted].iter().map(|message| message.event.id.clone());
        self.server.taken.lock().unwrap().extend(ids);
        answer
    }
}

struct Scene {
    log: Arc<MemoryLog>,
    server: Arc<Server>,
    status: Arc<SinkStatus>,
    follower: Follower,
}

fn scene(events: u64, skip_after: Option<u32>, filter: FilterPlan, script: Script) -> Scene {
    let log = Arc::new(MemoryLog::default());
    log.append((0..events).map(|sequence| event("gate", sequence)));
    let (server, status) = (Arc::new(Server::default()), Arc::new(SinkStatus::new("s", "test")));
    let (script, at) = (Arc::new(Mutex::new(script)), Arc::clone(&server));
    let open: OpenSink = Box::new(move || Box::new(Client { server: Arc::clone(&at), script: Arc::clone(&script) }));
    let plan = DeliveryPlan {
        max_batch: 8,
        timeout: Duration::from_secs(1),
        retry_first: Duration::from_millis(100),
        retry_max: Duration::from_secs(1),
        skip_after,
    };
    let (filter, as_log) = (Filter::new(filter), Arc::clone(&log));
    let follower = Follower::new("s", as_log, open, filter, Format::Compact, &plan, Arc::clone(&status));
    Scene { log, server, status, follower }
}

impl Scene {
    /// Steps until there is nothing to do, at most 1000 times. Gives how often it would have paused.
    fn run(&mut self) -> usize {
        let mut pauses = 0;
        for _ in 0..1000 {
            match self.follower.step() {
                Next::Go => {}
                Next::Pause(wait) => {
                    assert!(wait <= Duration::from_secs(1));
                    pauses += 1;
                }
                Next::Wait(position) => {
                    assert_eq!(position, self.log.head());
                    return pauses;
                }
            }
        }
        panic!("never done; batches {:?}", self.server.batches.lock().unwrap());
    }

    fn taken(&self) -> Vec<String> {
        self.server.taken.lock().unwrap().clone()
    }
}

fn ids(sequences: impl IntoIterator<Item = u64>) -> Vec<String> {
    sequences.into_iter().map(|sequence| format!("gate/{sequence}")).collect()
}

#[test]
fn everything_goes_through_once_and_in_order() {
    let mut scene = scene(20, None, FilterPlan::default(), Box::new(|_| Ok(())));
    assert_eq!(scene.run(), 0);
    assert_eq!((scene.taken(), scene.log.cursor("s")), (ids(0..20), 20));
    assert_eq!(*scene.server.batches.lock().unwrap(), [8, 8, 4]);
    let report = scene.status.report(scene.log.head());
    assert_eq!((report.delivered, report.retried, report.lag_events, report.trouble), (20, 0, 0, None));
}

#[test]
fn the_cursor_moves_by_what_is_acknowledged_and_a_restart_goes_on_there() {
    let mut calls = 0;
    let script: Script = Box::new(move |_| {
        calls += 1;
        if calls == 1 { Err(Refusal::server("away").after(3)) } else { Ok(()) }
    });
    let mut scene = scene(10, None, FilterPlan::default(), script);
    assert!(matches!(scene.follower.step(), Next::Pause(_)));
    assert_eq!(scene.log.cursor("s"), 3);
    assert_eq!(scene.status.report(10).trouble.as_deref(), Some("away"));
    let log: Arc<dyn Log> = Arc::clone(&scene.log) as _;
    let Follower { open, filter, format, plan, status, .. } = scene.follower;
    scene.follower = Follower::new("s", log, open, filter, format, &plan, status);
    scene.run();
    assert_eq!(scene.taken(), ids(0..10));
}

#[test]
fn a_server_that_takes_one_at_a_time_makes_progress() {
    // As a slow one does: what does not fit into the time is not acknowledged, and nothing of a large batch is.
    let script: Script =
        Box::new(|messages| if messages.len() > 1 { Err(Refusal::server("too slow")) } else { Ok(()) });
    let mut scene = scene(8, Some(1), FilterPlan::default(), script);
    scene.run();
    assert_eq!(scene.taken(), ids(0..8));
    assert_eq!(scene.status.report(8).skipped, 0);
}

#[test]
fn a_refused_event_is_skipped_after_some_tries_and_the_rest_goes_on() {
    let script: Script = Box::new(|messages| match messages.iter().position(|message| message.event.sequence == 5) {
        Some(at) => Err(Refusal::message("too large").after(at)),
        None => Ok(()),
    });
    let mut scene = scene(12, Some(3), FilterPlan::default(), script);
    assert_eq!(scene.run(), 2);
    assert_eq!((scene.taken(), scene.log.cursor("s")), (ids((0..12).filter(|s| *s != 5)), 12));
    let report = scene.status.report(12);
    assert_eq!((report.skipped, report.delivered), (1, 11));
}

#[test]
fn a_batch_refused_as_a_whole_costs_only_the_culprit() {
    let script: Script = Box::new(|messages| match messages {
        [only] if only.event.sequence == 2 => Err(Refusal::message("no")),
        [_] => Ok(()),
        several if several.iter().any(|message| message.event.sequence == 2) => Err(Refusal::broken("reset")),
        _ => Ok(()),
    });
    let mut scene = scene(12, Some(2), FilterPlan::default(), script);
    scene.run();
    assert_eq!(scene.taken(), ids((0..12).filter(|s| *s != 2)));
}

#[test]
fn a_connection_that_one_event_breaks_again_and_again_is_freed_of_it() {
    let script: Script = Box::new(|messages| match messages.iter().position(|message| message.event.sequence == 0) {
        Some(_) => Err(Refusal::broken("reset")),
        None => Ok(()),
    });
    let mut scene = scene(3, Some(4), FilterPlan::default(), script);
    scene.run();
    assert_eq!((scene.taken(), scene.status.report(3).skipped), (ids(1..3), 1));
}

#[test]
fn a_server_that_is_away_never_costs_an_event() {
    let mut failures = 500;
    let script: Script = Box::new(move |_| {
        failures -= 1;
        if failures > 0 { Err(Refusal::server("refused the login")) } else { Ok(()) }
    });
    let mut scene = scene(3, Some(1), FilterPlan::default(), script);
    assert_eq!(scene.run(), 499);
    assert_eq!((scene.taken(), scene.status.report(3).skipped), (ids(0..3), 0));
}

#[test]
fn without_a_limit_a_refused_event_is_kept_for_ever() {
    let mut scene = scene(2, None, FilterPlan::default(), Box::new(|_| Err(Refusal::message("no"))));
    assert!((0..100).all(|_| matches!(scene.follower.step(), Next::Pause(_))));
    assert_eq!((scene.log.cursor("s"), scene.status.report(2).lag_events), (0, 2));
}

#[test]
fn filtered_events_move_the_cursor_too() {
    let filter = FilterPlan { streams: vec!["yard".into()], ..FilterPlan::default() };
    let mut scene = scene(20, None, filter, Box::new(|_| Ok(())));
    scene.log.append([event("yard", 0), event("gate", 20)]);
    scene.run();
    assert_eq!((scene.taken(), scene.log.cursor("s")), (vec!["yard/0".to_owned()], 22));
    assert_eq!(scene.status.report(22).filtered, 21);
}
