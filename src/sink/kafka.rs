//! Events to Kafka by an idempotent producer; the key is the stream, so that a stream keeps its order.

use super::deliver::{Cause, Deliver, Message, Refusal};
use crate::config::{plan_sinks::KafkaPlan, raw_sinks::SaslMechanism, template::Part};
use rdkafka::{
    ClientConfig, ClientContext,
    config::FromClientConfigAndContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig},
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long librdkafka gathers messages into one request.
const LINGER_MILLIS: &str = "2";

/// How long one look for acknowledgements waits.
const POLL: Duration = Duration::from_millis(50);

/// A client of a Kafka cluster.
pub struct KafkaSink {
    name: String,
    plan: KafkaPlan,
    timeout: Duration,
    producer: Option<BaseProducer<Reports>>,
    reports: Reports,
}

/// What became of each message of a batch, by its place in it.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Report>>);

#[derive(Default)]
struct Report {
    outcomes: Vec<Option<Result<(), KafkaError>>>,
    /// The last thing the client said of the cluster.
    trouble: Option<String>,
}

impl Reports {
    fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Reports {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, _facility: &str, message: &str) {
        tracing::debug!(?level, message, "librdkafka");
    }

    fn error(&self, _error: KafkaError, reason: &str) {
        self.lock().trouble = Some(reason.to_owned());
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let outcome = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.clone()),
        };
        if let Some(slot) = self.lock().outcomes.get_mut(index) {
            *slot = Some(outcome);
        }
    }
}

impl KafkaSink {
    /// Connects at the first event.
    pub fn new(name: &str, plan: KafkaPlan, timeout: Duration) -> Self {
        Self { name: name.to_owned(), plan, timeout, producer: None, reports: Reports::default() }
    }

    fn producer(&mut self) -> Result<&BaseProducer<Reports>, Refusal> {
        if self.producer.is_none() {
            let config = self.config()?;
            let made = BaseProducer::from_config_and_context(&config, self.reports.clone());
            self.producer = Some(made.map_err(|error| self.named(&error.to_string()))?);
        }
        self.producer.as_ref().ok_or_else(|| Refusal::server("no producer"))
    }

    fn config(&self) -> Result<ClientConfig, Refusal> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.plan.brokers.join(","));
        config.set("client.id", format!("eyeline-{}", self.name));
        config.set("enable.idempotence", "true").set("linger.ms", LINGER_MILLIS);
        // Never given up by the client: a message that expired between two that went through would break the order.
        config.set("message.timeout.ms", "0");
        config.set("socket.timeout.ms", self.timeout.as_millis().clamp(10, 300_000).to_string());
        config.set("reconnect.backoff.max.ms", "1000");
        let is_login = self.plan.login.is_some();
        config.set(
            "security.protocol",
            match (&self.plan.tls, is_login) {
                (None, false) => "PLAINTEXT",
                (None, true) => "SASL_PLAINTEXT",
                (Some(_), false) => "SSL",
                (Some(_), true) => "SASL_SSL",
            },
        );
        if let Some(tls) = &self.plan.tls {
            if let Some(ca) = &tls.ca {
                config.set("ssl.ca.location", ca.display().to_string());
            }
            if let Some((cert, key)) = &tls.client {
                config.set("ssl.certificate.location", cert.display().to_string());
                config.set("ssl.key.location", key.display().to_string());
            }
        }
        if let Some(login) = &self.plan.login {
            config.set(
                "sasl.mechanism",
                match self.plan.mechanism {
                    SaslMechanism::Plain => "PLAIN",
                    SaslMechanism::Scram256 => "SCRAM-SHA-256",
                    SaslMechanism::Scram512 => "SCRAM-SHA-512",
                },
            );
            config.set("sasl.username", &login.user);
            if let Some(password) = &login.password {
                config.set("sasl.password", password.reveal().map_err(Refusal::server)?);
            }
        }
        Ok(config)
    }

    /// Hands the messages to the client; stops at the first it does not take. Gives how many it took.
    fn enqueue(&mut self, messages: &[Message]) -> (usize, Option<KafkaError>) {
        let topics: Vec<String> = messages.iter().map(|message| self.topic(message)).collect();
        let Some(producer) = &self.producer else { return (0, None) };
        for (index, (message, topic)) in messages.iter().zip(&topics).enumerate() {
            let headers = OwnedHeaders::new()
                .insert(Header { key: "id", value: Some(message.event.id.as_str()) })
                .insert(Header { key: "type", value: Some(message.event.kind()) });
            let record = BaseRecord::with_opaque_to(topic, index)
                .key(message.event.stream.as_str())
                .payload(message.payload.as_slice())
                .headers(headers);
            if let Err((error, _)) = producer.send(record) {
                return (index, Some(error));
            }
        }
        (messages.len(), None)
    }

    fn topic(&self, message: &Message) -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let fit = |text: &str| text.chars().map(|c| if fits(c) { c } else { '_' }).collect::<String>();
        self.plan.topic.render(|part| match part {
            Part::Stream => fit(&message.event.stream),
            _ => fit(message.event.kind()),
        })
    }

    /// Waits until `count` messages are acknowledged or one failed, or nothing more happens for the time of a try.
    fn wait(&self, count: usize) -> Result<(), Refusal> {
        let Some(producer) = &self.producer else { return Err(Refusal::server("no producer")) };
        let (mut accepted, mut progress) = (0, Instant::now());
        while accepted < count {
            producer.poll(POLL);
            let report = self.reports.lock();
            let so_far = report.outcomes.iter().take_while(|outcome| matches!(outcome, Some(Ok(())))).count();
            if so_far > accepted {
                (accepted, progress) = (so_far, Instant::now());
            }
            if let Some(Some(Err(error))) = report.outcomes.get(accepted) {
                let refusal = Refusal { accepted, cause: cause(error), problem: String::new() };
                return Err(Refusal { problem: self.named(&error.to_string()).problem, ..refusal });
            }
            if progress.elapsed() > self.timeout {
                let trouble = report.trouble.clone().unwrap_or_default();
                let late = format!("no acknowledgement within {} s. {trouble}", self.timeout.as_secs_f64());
                return Err(self.named(late.trim_end()).after(accepted));
            }
        }
        Ok(())
    }

    fn named(&self, problem: &str) -> Refusal {
        Refusal::server(format!("{}: {problem}", self.plan.brokers.join(",")))
    }
}

impl Deliver for KafkaSink {
    fn deliver(&mut self, messages: &[Message]) -> Result<(), Refusal> {
        self.producer()?;
        *self.reports.lock() = Report { outcomes: vec![None; messages.len()], trouble: None };
        let (queued, stopped) = self.enqueue(messages);
        let delivered = self.wait(queued);
        let outcome = delivered.and_then(|()| match stopped {
            None => Ok(()),
            Some(error) => {
                let cause = cause(&error);
                Err(Refusal { accepted: queued, cause, problem: self.named(&error.to_string()).problem })
            }
        });
        if outcome.as_ref().is_err_and(|refusal| refusal.cause != Cause::Message)
            && let Some(producer) = self.producer.take()
        {
            // What is still queued would come behind what is handed over again: away with it, and with the producer.
            producer.purge(PurgeConfig::default().queue().inflight());
            producer.poll(Duration::ZERO);
        }
        outcome
    }
}

/// Whose fault an error is.
fn cause(error: &KafkaError) -> Cause {
    let of_message = [
        RDKafkaErrorCode::MessageSizeTooLarge,
        RDKafkaErrorCode::InvalidMessage,
        RDKafkaErrorCode::InvalidMessageSize,
        RDKafkaErrorCode::InvalidRecord,
    ];
    match error {
        KafkaError::MessageProduction(code) if of_message.contains(code) => Cause::Message,
        _ => Cause::Server,
    }
}
