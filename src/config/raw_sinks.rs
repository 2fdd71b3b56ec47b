//! Where events go: the section `sinks` of a pipeline file, a list for each kind of sink.

use super::{
    raw::{Off, Span},
    secret::SecretText,
};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Where events are delivered to. Each sink follows the event log with a position of its own, so that one that is down
/// gets everything later and holds nobody up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sinks {
    /// Most events handed to a server at once.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_batch: u32,
    /// How long a server may take to connect or to acknowledge anything before it is tried anew.
    #[schemars(extend("x-duration" = ["100ms", "10m"]))]
    pub timeout: Span,
    /// First wait before a failed delivery is tried again; it doubles with each failure.
    #[schemars(extend("x-duration" = ["10ms", "1m"]))]
    pub retry_first: Span,
    /// Longest wait between two tries.
    #[schemars(extend("x-duration" = ["10ms", "1h"]))]
    pub retry_max: Span,
    /// How often a server may refuse one and the same event (too large, say) before it is skipped, reported and counted;
    /// 0 never skips, so that the sink waits. A server that is down, slow or refuses the login loses no event.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub skip_after: u32,
    /// JSON lines in a file that is rotated.
    #[schemars(length(max = 64))]
    pub jsonl: Vec<JsonlSink>,
    /// JSON lines on standard output.
    #[schemars(length(max = 1))]
    pub stdout: Vec<StdoutSink>,
    /// MQTT brokers, quality of service 1.
    #[schemars(length(max = 64))]
    pub mqtt: Vec<MqttSink>,
    /// NATS JetStream; repeats are dropped by the server (Nats-Msg-Id is the event's id).
    #[schemars(length(max = 64))]
    pub nats: Vec<NatsSink>,
    /// Kafka, by an idempotent producer; the key is the stream's name.
    #[schemars(length(max = 64))]
    pub kafka: Vec<KafkaSink>,
    /// Redis streams; fields id, stream, type and data.
    #[schemars(length(max = 64))]
    pub redis: Vec<RedisSink>,
    /// HTTP POST of JSON arrays, signed where a secret is given.
    #[schemars(length(max = 64))]
    pub webhook: Vec<WebhookSink>,
    /// A PostgreSQL table; an event that is there already is left alone.
    #[schemars(length(max = 64))]
    pub postgres: Vec<PostgresSink>,
}

/// What every sink has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Common {
    /// Unique among all sinks. The log remembers by it what was delivered.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// How an event is written: CloudEvents 1.0 JSON, or the event alone.
    pub format: Format,
    /// Only these streams, by name; an empty list takes all.
    #[schemars(length(max = 1024), inner(length(min = 1)))]
    pub streams: Vec<String>,
    /// Only these types, such as track.ended or zone.*; an empty list takes all.
    #[schemars(length(max = 256), inner(length(min = 1)))]
    pub types: Vec<String>,
    /// Only events of objects of these classes; an empty list takes all events.
    #[schemars(length(max = 1024), inner(length(min = 1)))]
    pub classes: Vec<String>,
    /// Only events of these zones; an empty list takes all events.
    #[schemars(length(max = 1024), inner(length(min = 1)))]
    pub zones: Vec<String>,
}

/// How an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// CloudEvents 1.0, structured JSON.
    CloudEvents,
    /// The event alone.
    #[default]
    Compact,
}

/// User and password.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Login {
    /// User to log in as; empty: nobody.
    pub user: String,
    /// Password, as a variable: ${NAME}; empty: none.
    pub password: SecretText,
    /// File that holds the password instead; read at every connection.
    pub password_file: String,
}

/// TLS settings, or `none`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Tls {
    /// Plain TCP, unless the address says otherwise.
    Off(Off),
    /// TLS.
    On(TlsFiles),
}

impl Default for Tls {
    fn default() -> Self {
        Self::Off(Off::None)
    }
}

/// TLS settings: PEM files, read at every connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsFiles {
    /// Certificates of the authorities to trust; empty: the public ones.
    pub ca: String,
    /// Certificate of this client, where the server asks for one.
    pub cert: String,
    /// Key of this client's certificate.
    pub key: String,
}

/// Gives the key `name` of a kind of sink an example of its own, so that the reference file names each sink differently.
fn name_example(name: &'static str) -> impl Fn(&mut Schema) {
    move |schema| {
        if let Some(key) = schema.pointer_mut("/properties/name").and_then(Value::as_object_mut) {
            key.insert("examples".into(), json!([name]));
        }
    }
}

/// A file of JSON lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "sink", transform = name_example("file"), extend("required" = ["name", "path"], "additionalProperties" = false))]
pub struct JsonlSink {
    /// What every sink has.
    #[serde(flatten)]
    pub common: Common,
    /// The file; a full one becomes PATH.1, that PATH.2, and so on.
    #[schemars(length(min = 1), extend("examples" = ["events.jsonl"]))]
    pub path: String,
    /// Size at which the file is rotated, megabytes; 0 never.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_size_mb: u32,
    /// Age at which the file is rotated; 0s never.
    #[schemars(extend("x-duration" = ["0s", "8760h"]))]
    pub max_age: Span,
    /// Rotated files that are kept.
    #[schemars(range(min = 0, max = 1000))]
    pub keep: u32,
}

/// Standard output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "sink", transform = name_example("console"), extend("required" = ["name"], "additionalProperties" = false))]
pub struct StdoutSink {
    /// What every sink has.
    #[serde(flatten)]
    pub common: Common,
}

/// An MQTT broker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "sink", transform = name_example("broker"), extend("required" = ["name", "url"], "additionalProperties" = false))]
pub struct MqttSink {
    /// What every sink has.
    #[serde(flatten)]
    pub common: Common,
    /// Address of the broker; mqtts:// for TLS.
    #[schemars(length(min = 1), extend("examples" = ["mqtt://localhost:1883"]))]
    pub url: String,
    /// Version of the protocol. v5 lets a broker say what it refuses.
    pub protocol: MqttProtocol,
    /// Name of this client; empty: one of eyeline's choice. Two clients of one name throw each other out.
    #[schemars(length(max = 200))]
    pub client_id: String,
    /// Topic of an event: {stream} and {type} are filled in.
    #[schemars(length(min = 1, max = 1000))]
    pub topic: String,
    /// Topic that is kept at `online` and, by the broker when this client is gone, at `offline`; empty: none.
    #[schemars(length(max = 1000))]
    pub availability: String,
    /// Topic that keeps the last state of each zone for whoever subscribes later: {stream} and {zone} are filled in;
    /// empty: none.
    #[schemars(length(max = 1000))]
    pub zone_state: String,
    /// How often the broker hears from this client at the least. After half as long again it calls the client offline.
    #[schemars(extend("x-duration" = ["1s", "1h"]))]
    pub keep_alive: Span,
    /// User and password.
    #[serde(flatten)]
    pub login: Login,
    /// TLS, or none.
    pub tls: Tls,
}

/// A version of MQTT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MqttProtocol {
    /// MQTT 5.
    #[default]
    #[serde(rename = "v5")]
    V5,
    /// MQTT 3.1.1.
    #[serde(rename = "v3.1.1")]
    V311,
}

/// A NATS server with JetStream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "sink", transform = name_example("nats"), extend("required" = ["name", "url"], "additionalProperties" = false))]
pub struct NatsSink {
    /// What every sink has.
    #[serde(flatten)]
    pub common: Common,
    /// Address of the server; tls:// for TLS.
    #[schemars(length(min = 1), extend("examples" = ["nats://localhost:4222"]))]
    pub url: String,
    /// Subject of an event: {stream} and {type} are filled in.
    #[schemars(length(min = 1, max = 1000))]
    pub subject: String,
    /// JetStream stream that stores the subject.
    #[schemars(length(min = 1, max = 200))]
    pub jetstream: String,
    /// Make that stream where it is missing; otherwise it must be there.
    pub create: bool,
    /// How long a stream made here keeps events; 0s for ever.
    #[schemars(extend("x-duration" = ["0s", "87600h"]))]
    pub max_age: Span,
    /// User and password.
    #[serde(flatten)]
    pub login: Login,
    /// Token, as a variable: ${NAME}; empty: none.
    pub token: SecretText,
    /// File that holds the token instead.
    pub token_file: String,
    /// File that holds the seed of an nkey.
    pub nkey_file: String,
    /// File of credentials (JWT and seed), as nsc writes it.
    pub credentials_file: String,
    /// TLS, or none.
    pub tls: Tls,
}

/// A Kafka cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "sink", transform = name_example("kafka"), extend("required" = ["name", "brokers"], "additionalProperties" = false))]
pub struct KafkaSink {
    /// What every sink has.
    #[serde(flatten)]
    pub common: Common,
    /// Some of the cluster's brokers, HOST:PORT.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1)), extend("examples" = [["localhost:9092"]]))]
    pub brokers: Vec<String>,
    /// Topic of an event: {stream} and {type} are filled in.
    #[schemars(length(min = 1, max = 249))]
    pub topic: String,
    /// How user and password are shown to the brokers (SASL).
    pub mechanism: SaslMechanism,
    /// User and password.
    #[serde(flatten)]
    pub login: Login,
    /// TLS, or none.
    pub tls: Tls,
}

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// The password itself: over TLS only.
    #[serde(rename = "PLAIN")]
    Plain,
    /// A proof of the password, SHA-256.
    #[default]
    #[serde(rename = "SCRAM-SHA-256")]
    Scram256,
    /// A proof of the password, SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    Scram512,
}

/// A Redis server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "sink", transform = name_example("redis"), extend("required" = ["name", "url"], "additionalProperties" = false))]
pub struct RedisSink {
    /// What every sink has.
    #[serde(flatten)]
    pub common: Common,
    /// Address of the server, with the number of the database behind a slash; rediss:// for TLS.
    #[schemars(length(min = 1), extend("examples" = ["redis://localhost:6379/0"]))]
    pub url: String,
    /// Redis stream of an event: {stream} and {type} are filled in.
    #[schemars(length(min = 1, max = 1000))]
    pub key: String,
    /// About how many entries a Redis stream keeps; 0 all.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub max_len: u32,
    /// User and password.
    #[serde(flatten)]
    pub login: Login,
    /// TLS, or none.
    pub tls: Tls,
}

/// An HTTP server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "sink", transform = name_example("hook"), extend("required" = ["name", "url"], "additionalProperties" = false))]
pub struct WebhookSink {
    /// What every sink has.
    #[serde(flatten)]
    pub common: Common,
    /// Where events are posted to. Redirections to another host are not followed.
    #[schemars(length(min = 1), extend("examples" = ["https://example.org/events"]))]
    pub url: String,
    /// Key of the signature (HMAC-SHA256) in the header Eyeline-Signature, as a variable: ${NAME}; empty: unsigned.
    pub secret: SecretText,
    /// File that holds that key instead.
    pub secret_file: String,
    /// Bearer token, as a variable: ${NAME}; empty: none.
    pub token: SecretText,
    /// File that holds the token instead.
    pub token_file: String,
    /// Certificates for https:// that are not public, or none.
    pub tls: Tls,
}

/// A PostgreSQL server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "sink", transform = name_example("table"), extend("required" = ["name", "url"], "additionalProperties" = false))]
pub struct PostgresSink {
    /// What every sink has.
    #[serde(flatten)]
    pub common: Common,
    /// Address of the server with the name of the database.
    #[schemars(length(min = 1), extend("examples" = ["postgres://localhost:5432/eyeline"]))]
    pub url: String,
    /// Table, perhaps with its schema in front: letters, digits and _.
    #[schemars(length(min = 1, max = 120))]
    pub table: String,
    /// Make that table where it is missing; otherwise it must be there.
    pub create: bool,
    /// User and password.
    #[serde(flatten)]
    pub login: Login,
    /// TLS, or none.
    pub tls: Tls,
}

impl Default for Sinks {
    fn default() -> Self {
        Self {
            max_batch: 500,
            timeout: Span::from("10s"),
            retry_first: Span::from("200ms"),
            retry_max: Span::from("30s"),
            skip_after: 10,
            jsonl: Vec::new(),
            stdout: Vec::new(),
            mqtt: Vec::new(),
            nats: Vec::new(),
            kafka: Vec::new(),
            redis: Vec::new(),
            webhook: Vec::new(),
            postgres: Vec::new(),
        }
    }
}
