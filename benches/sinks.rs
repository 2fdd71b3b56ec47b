//! Delivery: from `append` to a subscriber of Mosquitto on loopback, and events a second through the log and a JSONL sink.
//! Run: cargo bench --bench sinks

use eyeline::{
    config::{
        endpoint::Endpoint,
        plan_sinks::{DeliveryPlan, FilterPlan, JsonlPlan, MqttPlan, SinkPlan, SinksPlan, Target},
        raw_sinks::{Format, MqttProtocol},
        template::{Part, Template},
    },
    event::{
        Clock, Event, What,
        log::{EventLog, LogSettings},
    },
    sink::followers::Followers,
};
use rumqttc::{Client, Incoming, MqttOptions, QoS};
use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

/// Events sent one after the other to measure latency, and the time between two.
const SENT: u64 = 1000;
const INTERVAL: Duration = Duration::from_millis(5);

/// Events written to measure throughput, and how many at once: as eight cameras in a crowd tell.
const WRITTEN: u64 = 400_000;
const AT_ONCE: u64 = 200;

struct Broker(Child);

impl Drop for Broker {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = (self.0.kill(), self.0.wait());
    }
}

fn main() {
    let folder = tempfile::tempdir().expect("temporary folder");
    latency(folder.path());
    throughput(folder.path());
}

fn latency(folder: &Path) {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let mut command = Command::new("/usr/sbin/mosquitto");
    command.args(["-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let _broker = Broker(command.spawn().expect("mosquitto"));
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        thread::sleep(Duration::from_millis(10));
    }
    let (client, mut connection) = Client::new(MqttOptions::new("bench", "127.0.0.1", port), 10);
    client.subscribe("eyeline/events/#", QoS::AtLeastOnce).expect("room");
    let acknowledged = |step| matches!(step, Ok(rumqttc::Event::Incoming(Incoming::SubAck(_))));
    assert!(connection.iter().any(acknowledged));
    let (to, arrived) = mpsc::channel();
    thread::spawn(move || {
        for step in connection.iter() {
            if let Ok(rumqttc::Event::Incoming(Incoming::Publish(_))) = step {
                // The bench ends before the connection does.
                let _ = to.send(Instant::now());
            }
        }
    });
    let parts = [Part::Stream, Part::Type];
    let target = Target::Mqtt(MqttPlan {
        server: Endpoint { scheme: "mqtt".into(), host: "127.0.0.1".into(), port, path: String::new() },
        protocol: MqttProtocol::V5,
        client_id: None,
        topic: Template::parse("eyeline/events/{stream}/{type}", &parts).expect("sound"),
        availability: None,
        zone_state: None,
        keep_alive: Duration::from_secs(30),
        login: None,
        tls: None,
    });
    let (log, _followers) = start(&folder.join("latency.sqlite"), target);
    let mut waits: Vec<Duration> = Vec::new();
    for sequence in 0..SENT {
        let began = Instant::now();
        log.append(&[event(sequence)]);
        let at = arrived.recv_timeout(Duration::from_secs(10)).expect("arrives");
        waits.push(at - began);
        thread::sleep(INTERVAL);
    }
    waits.sort();
    let at = |share: f64| waits[(share * (waits.len() - 1) as f64) as usize].as_secs_f64() * 1e3;
    println!("event to MQTT subscriber: p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms", at(0.5), at(0.99), at(1.0));
}

fn throughput(folder: &Path) {
    let path = folder.join("events.jsonl");
    let target = Target::Jsonl(JsonlPlan { path, max_bytes: None, max_age: None, keep: 1 });
    let (log, followers) = start(&folder.join("throughput.sqlite"), target);
    let began = Instant::now();
    for first in (0..WRITTEN).step_by(AT_ONCE as usize) {
        let events: Vec<Event> = (first..first + AT_ONCE).map(event).collect();
        log.append(&events);
    }
    assert!(log.flush(Duration::from_secs(120)));
    let reports = followers.reports();
    while reports.read()[0].lag_events > 0 {
        thread::sleep(Duration::from_millis(1));
    }
    let (seconds, lost) = (began.elapsed().as_secs_f64(), log.figures().lost);
    println!("log and JSONL sink: {:.0} events/s, {lost} lost of {WRITTEN}", (WRITTEN - lost) as f64 / seconds);
}

fn start(log: &Path, target: Target) -> (EventLog, Followers) {
    let delivery = DeliveryPlan {
        max_batch: 500,
        timeout: Duration::from_secs(10),
        retry_first: Duration::from_millis(200),
        retry_max: Duration::from_secs(30),
        skip_after: Some(10),
    };
    let sink = SinkPlan { name: "bench".into(), format: Format::Compact, filter: FilterPlan::default(), target };
    let log = EventLog::open(LogSettings::at(log)).expect("a log");
    let plan = SinksPlan { delivery, sinks: vec![sink] };
    let followers = Followers::start(&plan, Arc::new(log.clone())).expect("threads");
    (log, followers)
}

fn event(sequence: u64) -> Event {
    Event {
        id: Event::id_of("gate", sequence),
        stream: "gate".into(),
        sequence,
        frame: sequence,
        time_seconds: sequence as f64,
        captured_at: None,
        clock: Clock::File,
        what: What::StreamRecovered { outage_seconds: 0.5 },
    }
}
