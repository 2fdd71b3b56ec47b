//! Defaults of the kinds of sink.

use super::{
    raw::Span,
    raw_sinks::{
        Common, JsonlSink, KafkaSink, Login, MqttProtocol, MqttSink, NatsSink, PostgresSink, RedisSink, SaslMechanism,
        Tls,
    },
    secret::SecretText,
};

impl Default for JsonlSink {
    fn default() -> Self {
        Self { common: Common::default(), path: String::new(), max_size_mb: 100, max_age: Span::from("24h"), keep: 7 }
    }
}

impl Default for MqttSink {
    fn default() -> Self {
        Self {
            common: Common::default(),
            url: String::new(),
            protocol: MqttProtocol::default(),
            client_id: String::new(),
            topic: "eyeline/events/{stream}/{type}".into(),
            availability: "eyeline/available".into(),
            zone_state: "eyeline/zones/{stream}/{zone}".into(),
            keep_alive: Span::from("30s"),
            login: Login::default(),
            tls: Tls::default(),
        }
    }
}

impl Default for NatsSink {
    fn default() -> Self {
        Self {
            common: Common::default(),
            url: String::new(),
            subject: "eyeline.{stream}.{type}".into(),
            jetstream: "EYELINE".into(),
            create: true,
            max_age: Span::from("168h"),
            login: Login::default(),
            token: SecretText::default(),
            token_file: String::new(),
            nkey_file: String::new(),
            credentials_file: String::new(),
            tls: Tls::default(),
        }
    }
}

impl Default for KafkaSink {
    fn default() -> Self {
        Self {
            common: Common::default(),
            brokers: Vec::new(),
            topic: "eyeline".into(),
            mechanism: SaslMechanism::default(),
            login: Login::default(),
            tls: Tls::default(),
        }
    }
}

impl Default for RedisSink {
    fn default() -> Self {
        Self {
            common: Common::default(),
            url: String::new(),
            key: "eyeline".into(),
            max_len: 100_000,
            login: Login::default(),
            tls: Tls::default(),
        }
    }
}

impl Default for PostgresSink {
    fn default() -> Self {
        Self {
            common: Common::default(),
            url: String::new(),
            table: "eyeline_events".into(),
            create: true,
            login: Login::default(),
            tls: Tls::default(),
        }
    }
}
