//! The section `sinks`: addresses, names, secrets, and what a filter may ask for.

use super::{
    check::{Host, duration},
    endpoint::{Endpoint, host_and_port},
    fault::{Fault, KeyPath},
    models::Classes,
    plan::StreamPlan,
    plan_sinks::{
        DeliveryPlan, FilterPlan, JsonlPlan, KafkaPlan, LoginPlan, MqttPlan, NatsAuth, NatsPlan, PostgresPlan,
        RedisPlan, SinkPlan, SinksPlan, Target, TlsPlan, WebhookPlan,
    },
    raw_sinks::{
        Common, JsonlSink, KafkaSink, Login, MqttSink, NatsSink, PostgresSink, RedisSink, Sinks, Tls, WebhookSink,
    },
    secret::{Secret, SecretText},
    suggest::nearest,
    template::{Part, Template},
};
use crate::event::{What, kind_matches};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// What names in a filter are held against.
pub(super) struct Known<'a> {
    pub streams: &'a [StreamPlan],
    pub classes: Option<Classes<'a>>,
    pub host: &'a dyn Host,
}

/// The sinks and everything that is wrong with them.
pub(super) fn sinks(raw: &Sinks, path: &KeyPath, known: &Known<'_>, faults: &mut Vec<Fault>) -> SinksPlan {
    let delivery = DeliveryPlan {
        max_batch: raw.max_batch as usize,
        timeout: duration(&raw.timeout),
        retry_first: duration(&raw.retry_first),
        retry_max: duration(&raw.retry_max),
        skip_after: (raw.skip_after > 0).then_some(raw.skip_after),
    };
    if delivery.retry_first > delivery.retry_max {
        let problem = format!("{}, which is more than retry_max: {}", raw.retry_first.0, raw.retry_max.0);
        faults.push(Fault::new(path.key("retry_first"), problem));
    }
    let mut checks = Checks { known, faults, names: HashMap::new(), sinks: Vec::new() };
    checks.each("jsonl", &raw.jsonl, path, |sink| &sink.common, Checks::jsonl);
    checks.each("stdout", &raw.stdout, path, |sink| &sink.common, |_, _, _| Some(Target::Stdout));
    checks.each("mqtt", &raw.mqtt, path, |sink| &sink.common, Checks::mqtt);
    checks.each("nats", &raw.nats, path, |sink| &sink.common, Checks::nats);
    checks.each("kafka", &raw.kafka, path, |sink| &sink.common, Checks::kafka);
    checks.each("redis", &raw.redis, path, |sink| &sink.common, Checks::redis);
    checks.each("webhook", &raw.webhook, path, |sink| &sink.common, Checks::webhook);
    checks.each("postgres", &raw.postgres, path, |sink| &sink.common, Checks::postgres);
    SinksPlan { delivery, sinks: checks.sinks }
}

struct Checks<'a, 'f> {
    known: &'a Known<'a>,
    faults: &'f mut Vec<Fault>,
    /// Where each name was given first.
    names: HashMap<String, KeyPath>,
    sinks: Vec<SinkPlan>,
}

impl Checks<'_, '_> {
    /// Checks the list of one kind. A target that is `None` was reported.
    fn each<S>(
        &mut self,
        kind: &str,
        sinks: &[S],
        path: &KeyPath,
        common: impl Fn(&S) -> &Common,
        target: impl Fn(&mut Self, &S, &KeyPath) -> Option<Target>,
    ) {
        for (index, sink) in sinks.iter().enumerate() {
            let path = path.key(kind).index(index);
            let common = common(sink);
            self.common(common, &path);
            let Some(target) = target(self, sink, &path) else { continue };
            let Common { name, format, streams, types, classes, zones } = common.clone();
            let filter = FilterPlan { streams, types, classes, zones };
            self.sinks.push(SinkPlan { name, format, filter, target });
        }
    }

    fn fault(&mut self, path: KeyPath, problem: impl Into<String>) {
        self.faults.push(Fault::new(path, problem));
    }

    fn common(&mut self, common: &Common, path: &KeyPath) {
        if !common.name.is_empty()
            && let Some(first) = self.names.insert(common.name.clone(), path.clone())
        {
            self.fault(path.key("name"), format!("{:?} is already the name of {first}", common.name));
        }
        let streams: Vec<&str> = self.known.streams.iter().map(|stream| stream.name.as_str()).collect();
        self.names_known(&common.streams, &streams, "stream", &path.key("streams"));
        let zones = self.known.streams.iter().flat_map(|stream| stream.zones.iter().map(|zone| zone.name.as_str()));
        self.names_known(&common.zones, &zones.collect::<Vec<_>>(), "zone", &path.key("zones"));
        for (index, class) in common.classes.iter().enumerate() {
            if let Some(Err(fault)) = self.known.classes.map(|classes| classes.id(class)) {
                self.faults.push(Fault { path: path.key("classes").index(index), ..fault });
            }
        }
        for (index, kind) in common.types.iter().enumerate() {
            if let Err(problem) = event_type(kind) {
                self.fault(path.key("types").index(index), problem);
            }
        }
    }

    fn names_known(&mut self, wanted: &[String], known: &[&str], what: &str, path: &KeyPath) {
        for (index, name) in wanted.iter().enumerate().filter(|(_, name)| !known.contains(&name.as_str())) {
            let hint = match nearest(name, known.iter().copied()) {
                Some(near) => Some(format!("did you mean {near}?")),
                None if known.is_empty() => None,
                None => Some(format!("known: {}", known.join(", "))),
            };
            self.faults
                .push(Fault::new(path.index(index), format!("{name:?}, which is no {what} here")).with_hint(hint));
        }
    }

    fn jsonl(&mut self, raw: &JsonlSink, path: &KeyPath) -> Option<Target> {
        if raw.path.is_empty() {
            return None;
        }
        if Path::new(&raw.path).file_name().is_none() || raw.path.ends_with('/') {
            self.fault(path.key("path"), "names no file");
        }
        let max_age = duration(&raw.max_age);
        Some(Target::Jsonl(JsonlPlan {
            path: PathBuf::from(&raw.path),
            max_bytes: (raw.max_size_mb > 0).then(|| u64::from(raw.max_size_mb) * 1_000_000),
            max_age: (!max_age.is_zero()).then_some(max_age),
            keep: raw.keep,
        }))
    }

    fn mqtt(&mut self, raw: &MqttSink, path: &KeyPath) -> Option<Target> {
        let server = self.server(&raw.url, &[("mqtt", 1883), ("mqtts", 8883)], path);
        let topic = self.template(&raw.topic, &[Part::Stream, Part::Type], &path.key("topic"));
        let zone_state = match raw.zone_state.as_str() {
            "" => None,
            text => self.template(text, &[Part::Stream, Part::Zone], &path.key("zone_state")),
        };
        for (key, text) in [("topic", &raw.topic), ("availability", &raw.availability), ("zone_state", &raw.zone_state)]
        {
            if text.contains(['+', '#', '\0']) {
                self.fault(path.key(key), "+ and # are for subscribers, a topic cannot hold them");
            }
        }
        let tls = self.tls(&raw.tls, raw.url.starts_with("mqtts"), path);
        Some(Target::Mqtt(MqttPlan {
            protocol: raw.protocol,
            client_id: given(&raw.client_id).cloned(),
            availability: given(&raw.availability).cloned(),
            keep_alive: duration(&raw.keep_alive),
            login: self.login(&raw.login, path),
            server: server?,
            topic: topic?,
            zone_state,
            tls,
        }))
    }

    fn nats(&mut self, raw: &NatsSink, path: &KeyPath) -> Option<Target> {
        let server = self.server(&raw.url, &[("nats", 4222), ("tls", 4222)], path);
        let subject = self.template(&raw.subject, &[Part::Stream, Part::Type], &path.key("subject"));
        let odd = |c: char| c.is_whitespace() || matches!(c, '*' | '>');
        if raw.subject.contains(odd) || raw.subject.split('.').any(str::is_empty) {
            self.fault(path.key("subject"), "expected words with points between, without spaces, * and >");
        }
        if raw.jetstream.contains(|c: char| odd(c) || matches!(c, '.' | '/' | '\\')) {
            self.fault(path.key("jetstream"), "cannot hold spaces and the characters . * > / \\");
        }
        let tls = self.tls(&raw.tls, raw.url.starts_with("tls"), path);
        Some(Target::Nats(NatsPlan {
            jetstream: raw.jetstream.clone(),
            create: raw.create,
            max_age: duration(&raw.max_age),
            auth: self.nats_auth(raw, path),
            server: server?,
            subject: subject?,
            tls,
        }))
    }

    fn nats_auth(&mut self, raw: &NatsSink, path: &KeyPath) -> NatsAuth {
        let none = SecretText::default();
        let login = self.login(&raw.login, path).map(NatsAuth::Login);
        let token = self.secret(&raw.token, &raw.token_file, "token", path).map(NatsAuth::Token);
        let nkey = self.secret(&none, &raw.nkey_file, "nkey", path).map(NatsAuth::Nkey);
        let credentials = self.secret(&none, &raw.credentials_file, "credentials", path).map(NatsAuth::Credentials);
        let mut given = [login, token, nkey, credentials].into_iter().flatten();
        let first = given.next().unwrap_or(NatsAuth::None);
        if given.next().is_some() {
            self.fault(path.clone(), "more than one of user, token, nkey_file and credentials_file");
        }
        first
    }

    fn kafka(&mut self, raw: &KafkaSink, path: &KeyPath) -> Option<Target> {
        let topic = self.template(&raw.topic, &[Part::Stream, Part::Type], &path.key("topic"));
        for (index, broker) in raw.brokers.iter().enumerate() {
            let problem = match host_and_port(broker) {
                _ if broker.contains(['/', ',', '@']) => Some("expected HOST:PORT".into()),
                Ok((_, None)) => Some("no port, expected HOST:PORT".into()),
                Ok(_) => None,
                Err(problem) => Some(problem),
            };
            if let Some(problem) = problem {
                self.fault(path.key("brokers").index(index), problem);
            }
        }
        Some(Target::Kafka(KafkaPlan {
            brokers: raw.brokers.clone(),
            mechanism: raw.mechanism,
            login: self.login(&raw.login, path),
            tls: self.tls(&raw.tls, false, path),
            topic: topic?,
        }))
    }

    fn redis(&mut self, raw: &RedisSink, path: &KeyPath) -> Option<Target> {
        let server = self.server(&raw.url, &[("redis", 6379), ("rediss", 6379)], path);
        let key = self.template(&raw.key, &[Part::Stream, Part::Type], &path.key("key"));
        let tls = self.tls(&raw.tls, raw.url.starts_with("rediss"), path);
        let login = self.login(&raw.login, path);
        let server = server?;
        let database = match server.path.trim_matches('/') {
            "" => Ok(0),
            number => number.parse::<u32>(),
        };
        if database.is_err() {
            self.fault(path.key("url"), "what follows the port is no number of a database");
        }
        let max_len = (raw.max_len > 0).then_some(raw.max_len);
        Some(Target::Redis(RedisPlan { database: database.ok()?, key: key?, server, max_len, login, tls }))
    }

    fn webhook(&mut self, raw: &WebhookSink, path: &KeyPath) -> Option<Target> {
        let server = self.server(&raw.url, &[("http", 80), ("https", 443)], path);
        let is_plain = raw.url.starts_with("http:");
        let tls = self.tls(&raw.tls, false, path);
        if is_plain && tls.is_some() {
            self.fault(path.key("tls"), "the address is http://, write https:// for TLS");
        }
        let secret = self.secret(&raw.secret, &raw.secret_file, "secret", path);
        let token = self.secret(&raw.token, &raw.token_file, "token", path);
        Some(Target::Webhook(WebhookPlan { server: server?, secret, token, tls }))
    }

    fn postgres(&mut self, raw: &PostgresSink, path: &KeyPath) -> Option<Target> {
        let server = self.server(&raw.url, &[("postgres", 5432), ("postgresql", 5432)], path);
        let word = |word: &str| {
            let begins = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            begins && word.len() <= 60 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        if !raw.table.is_empty() && (raw.table.split('.').count() > 2 || !raw.table.split('.').all(word)) {
            self.fault(path.key("table"), "expected TABLE or SCHEMA.TABLE of letters, digits and _");
        }
        let tls = self.tls(&raw.tls, false, path);
        let login = self.login(&raw.login, path);
        let server = server?;
        let database = server.path.trim_matches('/').to_owned();
        if database.is_empty() || database.contains(['/', '?', '#', '%']) {
            self.fault(path.key("url"), "expected the name of a database behind the port: postgres://HOST:PORT/NAME");
        }
        let (table, create) = (raw.table.clone(), raw.create);
        Some(Target::Postgres(PostgresPlan { server, database, table, create, login, tls }))
    }

    fn server(&mut self, url: &str, schemes: &[(&str, u16)], path: &KeyPath) -> Option<Endpoint> {
        if url.is_empty() {
            return None; // reported already
        }
        let parsed = Endpoint::parse(url, schemes);
        parsed.map_err(|problem| self.fault(path.key("url"), problem)).ok()
    }

    fn template(&mut self, text: &str, parts: &[Part], path: &KeyPath) -> Option<Template> {
        Template::parse(text, parts).map_err(|problem| self.fault(path.clone(), problem)).ok()
    }

    fn login(&mut self, raw: &Login, path: &KeyPath) -> Option<LoginPlan> {
        let password = self.secret(&raw.password, &raw.password_file, "password", path);
        (password.is_some() || !raw.user.is_empty()).then(|| LoginPlan { user: raw.user.clone(), password })
    }

    /// The secret of the keys `key` and `key`_file.
    fn secret(&mut self, text: &SecretText, file: &str, key: &str, path: &KeyPath) -> Option<Secret> {
        let file_key = format!("{key}_file");
        match (text.0.as_str(), file) {
            ("", "") => None,
            (_, "") => Some(Secret::Text(text.0.clone())),
            ("", file) => {
                if let Err(problem) = self.known.host.secret_file(Path::new(file)) {
                    self.fault(path.key(&file_key), problem);
                }
                Some(Secret::File(PathBuf::from(file)))
            }
            _ => {
                self.fault(path.key(&file_key), format!("{key} is given as well, keep one of them"));
                None
            }
        }
    }

    fn tls(&mut self, raw: &Tls, by_address: bool, path: &KeyPath) -> Option<TlsPlan> {
        let files = match raw {
            Tls::Off(_) if by_address => return Some(TlsPlan::default()),
            Tls::Off(_) => return None,
            Tls::On(files) => files,
        };
        let path = path.key("tls");
        for (key, file) in [("ca", &files.ca), ("cert", &files.cert), ("key", &files.key)] {
            if !file.is_empty()
                && let Err(problem) = self.known.host.secret_file(Path::new(file))
            {
                self.fault(path.key(key), problem);
            }
        }
        if files.cert.is_empty() != files.key.is_empty() {
            self.fault(path.clone(), "cert and key belong together, one of them is missing");
        }
        let file = |text: &String| given(text).map(PathBuf::from);
        Some(TlsPlan { ca: file(&files.ca), client: file(&files.cert).zip(file(&files.key)) })
    }
}

fn given(text: &String) -> Option<&String> {
    (!text.is_empty()).then_some(text)
}

/// Types that stand for all of a subject.
const SUBJECTS: [&str; 6] = ["stream.*", "scene.*", "track.*", "object.*", "zone.*", "line.*"];

/// Whether a filter's type can match anything: the name of a kind, or of all of a subject.
pub(super) fn event_type(text: &str) -> Result<(), String> {
    if What::KINDS.iter().any(|kind| kind_matches(kind, text)) {
        return Ok(());
    }
    let near = nearest(text, What::KINDS.into_iter().chain(SUBJECTS));
    let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
    Err(format!("{text:?}, expected a type such as track.ended or zone.*{hint}"))
}
