//! A log with its followers, and what must be true of what arrived.

use super::{
    certs::Certs,
    json_schema::Checker,
    process::{How, PASSWORD, PATIENCE, Server},
};
use eyeline::{
    config::{self, Host, plan_sinks::SinksPlan},
    event::{
        Clock, Event, What,
        log::{EventLog, LogSettings},
        payload::Format,
    },
    sink::{followers::Followers, status::SinkReport},
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub const STREAMS: [&str; 2] = ["gate", "yard"];

/// Events appended at once.
const BURST: usize = 60;

struct Machine;

impl Host for Machine {
    fn videos(&self, input: &str) -> Result<Vec<PathBuf>, String> {
        Ok(vec![input.into()])
    }

    fn is_file(&self, _: &Path) -> bool {
        false
    }

    fn secret_file(&self, _: &Path) -> Result<(), String> {
        Ok(())
    }

    fn cpus(&self) -> usize {
        1
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "PASSWORD").then(|| PASSWORD.into())
    }
}

pub struct Scene {
    pub log: EventLog,
    pub followers: Followers,
    sequences: HashMap<&'static str, u64>,
    /// Last: the log within is closed before it goes.
    _folder: TempDir,
}

impl Scene {
    /// The sinks of `sinks`, lines of the section of that name.
    pub fn new(sinks: &str) -> Self {
        Self::with(&plan(sinks))
    }

    /// The same for servers that take about a message a second: with the patience of a real pipeline.
    pub fn slow(sinks: &str, max_batch: usize) -> Self {
        let mut plan = plan(sinks);
        (plan.delivery.timeout, plan.delivery.max_batch) = (Duration::from_secs(10), max_batch);
        Self::with(&plan)
    }

    /// A few events, to a server that takes about one a second: everything arrives, in order and nothing twice, and later
    /// than it was told.
    pub fn trickle(&mut self, stored: impl FnOnce() -> Vec<String>) {
        const EVENTS: usize = 8;
        self.append_many(EVENTS);
        assert!(self.log.flush(PATIENCE));
        let began = Instant::now();
        self.wait_delivered();
        assert!(began.elapsed() > Duration::from_secs(2), "that was no slow server: {:?}", began.elapsed());
        let stored = stored();
        self.assert_arrived(&stored);
        assert_eq!((stored.len(), self.report().skipped), (EVENTS, 0));
    }

    fn with(plan: &SinksPlan) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let log = EventLog::open(LogSettings::at(&folder.path().join("events.sqlite"))).expect("a log");
        let followers = Followers::start(plan, Arc::new(log.clone())).expect("threads");
        Self { log, followers, sequences: HashMap::new(), _folder: folder }
    }

    /// Appends a burst of events of both streams by turns.
    pub fn append(&mut self) {
        self.append_many(BURST);
    }

    pub fn append_many(&mut self, count: usize) {
        let mut events = Vec::with_capacity(count);
        for index in 0..count {
            let stream = STREAMS[index % STREAMS.len()];
            let sequence = self.sequences.entry(stream).or_default();
            events.push(event(stream, *sequence));
            *sequence += 1;
        }
        self.log.append(&events);
    }

    pub fn report(&self) -> SinkReport {
        self.followers.reports().read().remove(0)
    }

    /// Waits until everything appended is acknowledged by the first sink.
    pub fn wait_delivered(&self) {
        assert!(self.log.flush(PATIENCE));
        self.wait("delivery", |report| report.lag_events == 0);
    }

    /// Waits until the first sink cannot deliver and says why.
    pub fn wait_trouble(&self) -> String {
        self.wait("trouble", |report| report.trouble.is_some()).trouble.unwrap_or_default()
    }

    fn wait(&self, what: &str, is: impl Fn(&SinkReport) -> bool) -> SinkReport {
        let began = Instant::now();
        loop {
            let report = self.report();
            if is(&report) {
                return report;
            }
            assert!(began.elapsed() < PATIENCE, "no {what}: {report:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ids that were appended.
    pub fn ids(&self) -> HashSet<String> {
        self.sequences.iter().flat_map(|(stream, next)| (0..*next).map(move |s| format!("{stream}/{s}"))).collect()
    }

    /// Every event arrived, and of each stream in order; what came again came with the same id.
    pub fn assert_arrived(&self, arrived: &[String]) {
        let mut seen = HashSet::new();
        let mut next: HashMap<&str, u64> = HashMap::new();
        for id in arrived.iter().filter(|id| seen.insert(id.as_str())) {
            let (stream, sequence) = id.split_once('/').expect("an id");
            let expected = next.entry(stream).or_default();
            assert_eq!(sequence.parse(), Ok(*expected), "{stream}: out of order or lost");
            *expected += 1;
        }
        let missing: Vec<_> = self.ids().into_iter().filter(|id| !seen.contains(id.as_str())).collect();
        assert!(missing.is_empty(), "{} lost: {missing:?}", missing.len());
    }

    /// A server that is absent, appears, hangs, is killed, refuses the login, is stopped.
    pub fn misfortunes(&mut self, server: &mut Server) {
        self.misfortunes_heard(server, &|_| ());
    }

    /// The same with somebody who listens; `heard_all` waits until they have heard everything so far, before the server is
    /// killed.
    pub fn misfortunes_heard(&mut self, server: &mut Server, heard_all: &dyn Fn(&Self)) {
        self.append();
        self.wait_trouble();
        server.start(How::default());
        self.wait_delivered();

        server.hang();
        self.append();
        outage();
        self.append();
        server.go_on();
        self.wait_delivered();
        heard_all(self);

        self.append();
        server.kill();
        self.append();
        self.wait_trouble();
        outage();
        server.start(How { refuses: true, ..How::default() });
        self.append();
        thread::sleep(Duration::from_millis(700));
        let trouble = self.wait_trouble();
        assert!(!trouble.contains(PASSWORD), "{trouble}");
        server.stop();
        self.append();
        server.start(How::default());
        self.append();
        self.wait_delivered();
        assert_eq!(self.report().skipped, 0);
    }
}

/// How long a server is away.
pub fn outage() {
    let is_soak = std::env::var_os("EYELINE_SOAK").is_some_and(|value| value == "1");
    thread::sleep(if is_soak { Duration::from_secs(60) } else { Duration::from_millis(1200) });
}

/// The plan of a pipeline with these sinks, made for impatient tests.
pub fn plan(sinks: &str) -> SinksPlan {
    let text = format!(
        "version: 1\nstreams:\n  - {{name: gate, file: a.mp4, zones: [{{name: door, polygon: [[0, 0], [1, 0], [1, 1]]}}]}}\n  \
         - {{name: yard, file: b.mp4}}\n\
         sinks:\n  max_batch: 50\n  timeout: 1s\n  retry_first: 50ms\n  retry_max: 400ms\n  skip_after: 3\n{sinks}"
    );
    config::read(&text, &Machine).unwrap_or_else(|faults| panic!("{faults}\n{text}")).plan.sinks
}

pub fn event(stream: &str, sequence: u64) -> Event {
    Event {
        id: Event::id_of(stream, sequence),
        stream: stream.into(),
        sequence,
        frame: sequence,
        time_seconds: sequence as f64,
        captured_at: None,
        clock: Clock::File,
        files: Default::default(),
        what: What::StreamRecovered { outage_seconds: 0.5 },
    }
}

/// The id in a payload in compact form, which must be what its schema says.
pub fn id_of(payload: &[u8]) -> String {
    static COMPACT: LazyLock<Checker> = LazyLock::new(|| Checker::of(Format::Compact));
    COMPACT.assert_sound(payload);
    let event: serde_json::Value = serde_json::from_slice(payload).expect("JSON");
    event["id"].as_str().expect("an id").to_owned()
}

/// TLS for a server within the test.
pub fn server_tls(certs: &Certs) -> Arc<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certs.cert()).expect("certificates").map(|one| one.expect("one"));
    let key = PrivateKeyDer::from_pem_file(certs.key()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    Arc::new(config.with_single_cert(chain.collect(), key).expect("a pair"))
}
