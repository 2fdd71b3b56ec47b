//! The section `sinks` of a pipeline file: what is wrong is named at its place, and no secret is ever repeated.

use eyeline::config::{
    self, Host,
    plan_sinks::{NatsAuth, SinkPlan, Target},
    secret::Secret,
};
use std::path::{Path, PathBuf};

/// A machine with one secret file and one secret variable.
struct Machine;

impl Host for Machine {
    fn videos(&self, input: &str) -> Result<Vec<PathBuf>, String> {
        Ok(vec![input.into()])
    }

    fn is_file(&self, _: &Path) -> bool {
        false
    }

    fn secret_file(&self, path: &Path) -> Result<(), String> {
        if path == Path::new("/run/secret") { Ok(()) } else { Err(format!("{}: no such file", path.display())) }
    }

    fn cpus(&self) -> usize {
        2
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "PASSWORD").then(|| "hunter2".into())
    }
}

const STREAMS: &str = "version: 1
streams:
  - name: gate
    file: gate.mp4
    zones:
      - name: door
        polygon: [[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]]
sinks:
";

fn text(sinks: &str) -> String {
    format!("{STREAMS}{sinks}")
}

fn sinks(sinks: &str) -> Vec<SinkPlan> {
    let checked = config::read(&text(sinks), &Machine).unwrap_or_else(|faults| panic!("{sinks}\n{faults}"));
    checked.plan.sinks.sinks
}

fn faults(sinks: &str) -> Vec<String> {
    let faults = config::read(&text(sinks), &Machine).err().unwrap_or_else(|| panic!("sound: {sinks}"));
    faults.0.iter().map(ToString::to_string).collect()
}

#[test]
fn a_few_lines_make_a_sink() {
    let found = sinks("  mqtt:\n    - {name: broker, url: mqtt://localhost, user: eye, password: \"${PASSWORD}\"}\n");
    let [SinkPlan { name, target: Target::Mqtt(mqtt), .. }] = &found[..] else { panic!("{found:?}") };
    assert_eq!((name.as_str(), mqtt.server.to_string().as_str()), ("broker", "mqtt://localhost:1883"));
    assert_eq!(mqtt.topic.to_string(), "eyeline/events/{stream}/{type}");
    let login = mqtt.login.as_ref().expect("a login");
    assert_eq!((login.user.as_str(), login.password.clone()), ("eye", Some(Secret::Text("hunter2".into()))));
    assert!(mqtt.tls.is_none());
}

#[test]
fn addresses_say_whether_tls_is_meant() {
    let found = sinks(
        "  mqtt: [{name: a, url: mqtts://h}]\n  redis: [{name: b, url: rediss://h/2}]\n  nats: [{name: c, url: tls://h}]\n",
    );
    assert!(matches!(&found[0].target, Target::Mqtt(mqtt) if mqtt.tls.is_some() && mqtt.server.port == 8883));
    assert!(matches!(&found[1].target, Target::Nats(nats) if nats.tls.is_some() && nats.auth == NatsAuth::None));
    assert!(matches!(&found[2].target, Target::Redis(redis) if redis.tls.is_some() && redis.database == 2));
}

#[test]
fn every_fault_is_named_at_its_place() {
    let cases = [
        ("mqtt: [{name: a}]", "sinks.mqtt[0].url: missing"),
        ("mqtt: [{url: mqtt://h}]", "sinks.mqtt[0].name: missing"),
        ("mqtt: [{name: a, url: http://h}]", "sinks.mqtt[0].url: does not begin with mqtt:// or mqtts://"),
        ("mqtt: [{name: a, url: mqtt://h, topic: \"{zone}\"}]", "sinks.mqtt[0].topic: {zone} is not known here"),
        ("mqtt: [{name: a, url: mqtt://h, topic: \"a/#\"}]", "sinks.mqtt[0].topic: + and #"),
        ("mqtt: [{name: a, url: mqtt://h, urll: 1}]", "sinks.mqtt[0].urll: unknown key; did you mean url?"),
        ("mqtt: [{name: a, url: mqtt://h, streams: [gaet]}]", "sinks.mqtt[0].streams[0]: \"gaet\", which is no stream"),
        ("mqtt: [{name: a, url: mqtt://h, zones: [dor]}]", "sinks.mqtt[0].zones[0]: \"dor\", which is no zone"),
        ("mqtt: [{name: a, url: mqtt://h, classes: [persn]}]", "sinks.mqtt[0].classes[0]: \"persn\""),
        ("mqtt: [{name: a, url: mqtt://h, types: [Track]}]", "sinks.mqtt[0].types[0]: \"Track\", expected a type"),
        (
            "mqtt: [{name: a, url: mqtt://h, types: [track.*, zones.*]}]",
            "sinks.mqtt[0].types[1]: \"zones.*\", expected a type such as track.ended or zone.*; did you mean zone.*?",
        ),
        ("mqtt: [{name: a, url: mqtt://h, password_file: /none}]", "sinks.mqtt[0].password_file: /none: no such file"),
        ("mqtt: [{name: a, url: mqtt://h, tls: {ca: /none}}]", "sinks.mqtt[0].tls.ca: /none: no such file"),
        ("mqtt: [{name: a, url: mqtt://h, tls: {cert: /run/secret}}]", "sinks.mqtt[0].tls: cert and key belong"),
        ("mqtt: [{name: a, url: mqtt://h}]\n  stdout: [{name: a}]", "sinks.mqtt[0].name: \"a\" is already the name of"),
        ("jsonl: [{name: a, path: out/}]", "sinks.jsonl[0].path: names no file"),
        ("nats: [{name: a, url: nats://h, subject: a..b}]", "sinks.nats[0].subject: expected words"),
        ("nats: [{name: a, url: nats://h, jetstream: a.b}]", "sinks.nats[0].jetstream: cannot hold"),
        ("nats: [{name: a, url: nats://h, user: u, nkey_file: /run/secret}]", "sinks.nats[0]: more than one of user"),
        ("kafka: [{name: a, brokers: [h]}]", "sinks.kafka[0].brokers[0]: no port"),
        ("kafka: [{name: a, brokers: []}]", "sinks.kafka[0].brokers: 0 items, need at least 1"),
        ("redis: [{name: a, url: redis://h/x}]", "sinks.redis[0].url: what follows the port is no number"),
        ("webhook: [{name: a, url: http://h, tls: {}}]", "sinks.webhook[0].tls: the address is http://"),
        ("postgres: [{name: a, url: postgres://h}]", "sinks.postgres[0].url: expected the name of a database"),
        ("postgres: [{name: a, url: postgres://h/d, table: \"a; b\"}]", "sinks.postgres[0].table: expected TABLE"),
        ("retry_first: 1m\n  retry_max: 1s", "sinks.retry_first: 1m, which is more than retry_max: 1s"),
        ("amqp: []", "sinks.amqp: unknown key"),
    ];
    for (given, expected) in cases {
        let found = faults(&format!("  {given}\n"));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{given}: {found:?}");
    }
}

#[test]
fn a_secret_is_neither_written_out_nor_repeated() {
    let cases = [
        "mqtt: [{name: a, url: mqtt://h, password: hunter2}]",
        "mqtt: [{name: a, url: mqtt://h, password: [hunter2]}]",
        "mqtt: [{name: a, url: mqtt://h, password: {hunter2: 1}}]",
        "mqtt: [{name: a, url: \"mqtt://user:hunter2@h\"}]",
        "mqtt: [{name: a, url: mqtt://h, password: \"${PASSWORD}\", password_file: /run/secret}]",
        "mqtt: [{name: a, url: \"mqtt://u:${PASSWORD}@h\"}]",
        "nats: [{name: a, url: nats://h, token: \"${PASSWORD}${MISSING}\"}]",
        "webhook: [{name: a, url: https://h, secret: 12345}]",
    ];
    for given in cases {
        let found = faults(&format!("  {given}\n")).join("\n");
        assert!(!found.contains("hunter2") && !found.contains("12345"), "{given}: {found}");
    }
    let found =
        sinks("  webhook: [{name: a, url: https://h/T0KEN, secret: \"${PASSWORD}\", token_file: /run/secret}]\n");
    let [SinkPlan { target: Target::Webhook(hook), .. }] = &found[..] else { panic!("{found:?}") };
    assert!(!format!("{:?}", hook.secret).contains("hunter2"));
    assert!(!hook.server.to_string().contains("T0KEN"));
}
