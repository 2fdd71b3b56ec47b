//! One connection to an MQTT broker, 3.1.1 or 5. A lost one is not mended here: the sink opens another, so that what is in
//! flight is never sent by two parties.

use super::{deliver::Refusal, tls};
use crate::config::{plan_sinks::MqttPlan, raw_sinks::MqttProtocol};
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, Outgoing, QoS, TlsConfiguration, Transport, v5};
use std::time::Duration;
use tokio::{
    runtime::Handle,
    sync::mpsc::{Receiver, Sender, channel},
    task::JoinHandle,
};

/// Messages on their way to the broker at most; it may ask for fewer. Enough to fill a wire of 20 ms at 5,000 a second.
pub const WINDOW: u16 = 100;

/// Steps not yet looked at: two for each message on its way, and a few more.
const STEPS: usize = 4 * WINDOW as usize;

/// Largest packet sent, bytes: MQTT's own limit.
const MAX_PACKET: usize = 268_435_455;

/// Word under the availability topic while this client is there, and when it is gone.
pub const ONLINE: &str = "online";
/// See `ONLINE`.
pub const OFFLINE: &str = "offline";

/// What happens on a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It stands; the broker takes packets of at most so many bytes.
    Connected(Option<u32>),
    /// The next message went out under this packet id.
    Sent(u16),
    /// The broker has the message of this packet id, or why it does not want it.
    Acknowledged(u16, Result<(), String>),
    /// It is gone.
    Down(String),
}

/// A connection and the task that keeps it.
pub struct Session {
    client: Client,
    /// What happens on it.
    pub steps: Receiver<Step>,
    task: JoinHandle<()>,
}

enum Client {
    V311(AsyncClient),
    V5(v5::AsyncClient),
}

/// A message for the broker.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    /// Its topic.
    pub topic: String,
    /// Its content.
    pub payload: Vec<u8>,
    /// Whether the broker keeps it for later subscribers.
    pub retain: bool,
}

impl Session {
    /// Begins to connect; `Step::Connected` or `Step::Down` follows.
    pub fn open(client_id: &str, plan: &MqttPlan, timeout: Duration, handle: &Handle) -> Result<Self, Refusal> {
        let login = match &plan.login {
            None => None,
            Some(login) => {
                let password = login.password.as_ref().map(|password| password.reveal()).transpose();
                Some((login.user.clone(), password.map_err(Refusal::server)?.unwrap_or_default()))
            }
        };
        let transport = match &plan.tls {
            None => Transport::Tcp,
            Some(tls) => Transport::Tls(TlsConfiguration::from(tls::client_config(tls)?)),
        };
        let (to, steps) = channel(STEPS);
        let seconds = timeout.as_secs().max(1);
        let (host, port) = (plan.server.host.clone(), plan.server.port);
        let (client, task) = match plan.protocol {
            MqttProtocol::V311 => {
                let mut options = MqttOptions::new(client_id, host, port);
                options.set_keep_alive(plan.keep_alive).set_transport(transport).set_inflight(WINDOW);
                options.set_max_packet_size(MAX_PACKET, MAX_PACKET).set_clean_session(true);
                if let Some((user, password)) = login {
                    options.set_credentials(user, password);
                }
                if let Some(topic) = &plan.availability {
                    options.set_last_will(rumqttc::LastWill::new(topic, OFFLINE, QoS::AtLeastOnce, true));
                }
                let (client, mut events) = AsyncClient::new(options, usize::from(WINDOW));
                let mut network = events.network_options();
                network.set_connection_timeout(seconds);
                network.set_tcp_nodelay(true);
                events.set_network_options(network);
                (Client::V311(client), handle.spawn(keep_v311(events, to)))
            }
            MqttProtocol::V5 => {
                let mut options = v5::MqttOptions::new(client_id, host, port);
                options.set_keep_alive(plan.keep_alive).set_transport(transport).set_clean_start(true);
                options.set_outgoing_inflight_upper_limit(WINDOW).set_connection_timeout(seconds);
                if let Some((user, password)) = login {
                    options.set_credentials(user, password);
                }
                if let Some(topic) = &plan.availability {
                    let qos = v5::mqttbytes::QoS::AtLeastOnce;
                    options.set_last_will(v5::mqttbytes::v5::LastWill::new(topic, OFFLINE, qos, true, None));
                }
                let mut network = options.network_options();
                network.set_tcp_nodelay(true);
                options.set_network_options(network);
                let (client, events) = v5::AsyncClient::new(options, usize::from(WINDOW));
                (Client::V5(client), handle.spawn(keep_v5(events, to)))
            }
        };
        Ok(Self { client, steps, task })
    }

    /// Hands a message over to the connection's task; false if there is no room just now.
    pub fn publish(&self, publication: &Publication) -> bool {
        let Publication { topic, payload, retain } = publication.clone();
        match &self.client {
            Client::V311(client) => client.try_publish(topic, QoS::AtLeastOnce, retain, payload).is_ok(),
            Client::V5(client) => client.try_publish(topic, v5::mqttbytes::QoS::AtLeastOnce, retain, payload).is_ok(),
        }
    }

    /// Ends the connection in order; the will is not published then.
    pub fn disconnect(&self) {
        // A connection that is gone already needs no goodbye.
        let _ = match &self.client {
            Client::V311(client) => client.try_disconnect().is_ok(),
            Client::V5(client) => client.try_disconnect().is_ok(),
        };
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_v311(mut events: rumqttc::EventLoop, to: Sender<Step>) {
    loop {
        let step = match events.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => Step::Connected(None),
            Ok(Event::Incoming(Incoming::PubAck(ack))) => Step::Acknowledged(ack.pkid, Ok(())),
            Ok(Event::Outgoing(Outgoing::Publish(id))) => Step::Sent(id),
            Ok(_) => continue,
            Err(error) => Step::Down(error.to_string()),
        };
        let is_down = matches!(step, Step::Down(_));
        if to.send(step).await.is_err() || is_down {
            return;
        }
    }
}

async fn keep_v5(mut events: v5::EventLoop, to: Sender<Step>) {
    use v5::mqttbytes::v5::{Packet, PubAckReason};
    loop {
        let step = match events.poll().await {
            Ok(v5::Event::Incoming(Packet::ConnAck(ack))) => {
                Step::Connected(ack.properties.and_then(|properties| properties.max_packet_size))
            }
            Ok(v5::Event::Incoming(Packet::PubAck(ack))) => {
                let taken = match ack.reason {
                    PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Ok(()),
                    reason => Err(format!("{reason:?}")),
                };
                Step::Acknowledged(ack.pkid, taken)
            }
            Ok(v5::Event::Outgoing(Outgoing::Publish(id))) => Step::Sent(id),
            Ok(_) => continue,
            Err(error) => Step::Down(error.to_string()),
        };
        let is_down = matches!(step, Step::Down(_));
        if to.send(step).await.is_err() || is_down {
            return;
        }
    }
}
