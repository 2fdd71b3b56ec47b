//! Where events go, after every check.

use super::{
    endpoint::Endpoint,
    raw_sinks::{Format, MqttProtocol, SaslMechanism},
    secret::Secret,
    template::Template,
};
use std::{path::PathBuf, time::Duration};

/// All sinks and how they are served.
#[derive(Clone, Debug, PartialEq)]
pub struct SinksPlan {
    /// How events are delivered, whatever the sink.
    pub delivery: DeliveryPlan,
    /// The sinks, names unique.
    pub sinks: Vec<SinkPlan>,
}

/// How events are delivered.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryPlan {
    /// Most events handed over at once, >= 1.
    pub max_batch: usize,
    /// How long a server may take to connect or acknowledge.
    pub timeout: Duration,
    /// First wait after a failure.
    pub retry_first: Duration,
    /// Longest wait between tries.
    pub retry_max: Duration,
    /// Refusals of one event after which it is skipped; `None` never skips.
    pub skip_after: Option<u32>,
}

/// One sink.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkPlan {
    /// Its name in the log.
    pub name: String,
    /// How an event is written.
    pub format: Format,
    /// Which events it gets.
    pub filter: FilterPlan,
    /// Where they go.
    pub target: Target,
}

/// Which events a sink gets. An empty list lets everything pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FilterPlan {
    /// Names of streams.
    pub streams: Vec<String>,
    /// Types; one that ends in `.*` stands for all that begin so.
    pub types: Vec<String>,
    /// Class names.
    pub classes: Vec<String>,
    /// Names of zones.
    pub zones: Vec<String>,
}

/// A kind of sink with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A file of JSON lines.
    Jsonl(JsonlPlan),
    /// Standard output.
    Stdout,
    /// An MQTT broker.
    Mqtt(MqttPlan),
    /// NATS JetStream.
    Nats(NatsPlan),
    /// Kafka.
    Kafka(KafkaPlan),
    /// A Redis stream.
    Redis(RedisPlan),
    /// HTTP POST.
    Webhook(WebhookPlan),
    /// A PostgreSQL table.
    Postgres(PostgresPlan),
}

impl Target {
    /// The kind's name, as its section in a pipeline file.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Jsonl(_) => "jsonl",
            Self::Stdout => "stdout",
            Self::Mqtt(_) => "mqtt",
            Self::Nats(_) => "nats",
            Self::Kafka(_) => "kafka",
            Self::Redis(_) => "redis",
            Self::Webhook(_) => "webhook",
            Self::Postgres(_) => "postgres",
        }
    }
}

/// User and password.
#[derive(Clone, Debug, PartialEq)]
pub struct LoginPlan {
    /// The user; empty where a password alone is asked for.
    pub user: String,
    /// The password.
    pub password: Option<Secret>,
}

/// PEM files of a TLS connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsPlan {
    /// Authorities to trust; `None`: the public ones.
    pub ca: Option<PathBuf>,
    /// This client's certificate and key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// A file of JSON lines.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonlPlan {
    /// The file.
    pub path: PathBuf,
    /// Size at which it is rotated, bytes.
    pub max_bytes: Option<u64>,
    /// Age at which it is rotated.
    pub max_age: Option<Duration>,
    /// Rotated files kept.
    pub keep: u32,
}

/// An MQTT broker.
#[derive(Clone, Debug, PartialEq)]
pub struct MqttPlan {
    /// The broker.
    pub server: Endpoint,
    /// Version of the protocol.
    pub protocol: MqttProtocol,
    /// Name of the client; `None`: made up.
    pub client_id: Option<String>,
    /// Topic of an event.
    pub topic: Template,
    /// Topic that says whether this client is there.
    pub availability: Option<String>,
    /// Retained topic of a zone's state.
    pub zone_state: Option<Template>,
    /// Longest silence.
    pub keep_alive: Duration,
    /// User and password.
    pub login: Option<LoginPlan>,
    /// TLS.
    pub tls: Option<TlsPlan>,
}

/// A NATS server with JetStream.
#[derive(Clone, Debug, PartialEq)]
pub struct NatsPlan {
    /// The server.
    pub server: Endpoint,
    /// Subject of an event.
    pub subject: Template,
    /// JetStream stream.
    pub jetstream: String,
    /// Whether it is made where missing.
    pub create: bool,
    /// How long a stream made here keeps events; zero for ever.
    pub max_age: Duration,
    /// How this client shows who it is.
    pub auth: NatsAuth,
    /// TLS.
    pub tls: Option<TlsPlan>,
}

/// How a client shows a NATS server who it is.
#[derive(Clone, Debug, PartialEq)]
pub enum NatsAuth {
    /// Not at all.
    None,
    /// User and password.
    Login(LoginPlan),
    /// Token.
    Token(Secret),
    /// Seed of an nkey.
    Nkey(Secret),
    /// Credentials file.
    Credentials(Secret),
}

/// A Kafka cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct KafkaPlan {
    /// Brokers, `host:port`.
    pub brokers: Vec<String>,
    /// Topic of an event.
    pub topic: Template,
    /// SASL mechanism, used with a login.
    pub mechanism: SaslMechanism,
    /// User and password.
    pub login: Option<LoginPlan>,
    /// TLS.
    pub tls: Option<TlsPlan>,
}

/// A Redis server.
#[derive(Clone, Debug, PartialEq)]
pub struct RedisPlan {
    /// The server.
    pub server: Endpoint,
    /// Database.
    pub database: u32,
    /// Redis stream of an event.
    pub key: Template,
    /// Entries kept, about.
    pub max_len: Option<u32>,
    /// User and password.
    pub login: Option<LoginPlan>,
    /// TLS.
    pub tls: Option<TlsPlan>,
}

/// An HTTP server.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookPlan {
    /// Where events are posted to; its path is not for messages.
    pub server: Endpoint,
    /// Key of the signature.
    pub secret: Option<Secret>,
    /// Bearer token.
    pub token: Option<Secret>,
    /// Certificates that are not public.
    pub tls: Option<TlsPlan>,
}

/// A PostgreSQL server.
#[derive(Clone, Debug, PartialEq)]
pub struct PostgresPlan {
    /// The server.
    pub server: Endpoint,
    /// Database.
    pub database: String,
    /// Table, perhaps with its schema: plain names.
    pub table: String,
    /// Whether it is made where missing.
    pub create: bool,
    /// User and password.
    pub login: Option<LoginPlan>,
    /// TLS.
    pub tls: Option<TlsPlan>,
}
