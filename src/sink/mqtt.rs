//! Events to an MQTT broker: quality of service 1, each acknowledged before the cursor moves; a retained topic that says
//! whether this client is there; a retained topic a zone with its last state.

use super::{
    deliver::{Cause, Deliver, Message, Refusal},
    mqtt_session::{OFFLINE, ONLINE, Publication, Session, Step, WINDOW},
    online,
};
use crate::config::{plan_sinks::MqttPlan, template::Part};
use std::{
    collections::VecDeque,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{runtime::Runtime, time::timeout};

/// Longest wait for the goodbye to reach the broker.
const GOODBYE: Duration = Duration::from_secs(1);

/// Bytes a packet has beside topic and payload, at most.
const PACKET_OVERHEAD: usize = 16;

/// A client of an MQTT broker.
pub struct MqttSink {
    name: String,
    plan: MqttPlan,
    timeout: Duration,
    client_id: String,
    // Before the runtime: its task lives there.
    session: Option<Connected>,
    runtime: Option<Runtime>,
}

struct Connected {
    session: Session,
    max_packet: Option<u32>,
}

/// What is to be published and which message it belongs to.
struct Unit {
    publication: Publication,
    message: usize,
}

impl MqttSink {
    /// Connects at the first event.
    pub fn new(name: &str, plan: MqttPlan, timeout: Duration) -> Self {
        let client_id = plan.client_id.clone().unwrap_or_else(|| {
            let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
            format!("eyeline-{name}-{}-{nanos}", std::process::id())
        });
        Self { name: name.to_owned(), plan, timeout, client_id, session: None, runtime: None }
    }

    fn connect(&mut self) -> Result<(), Refusal> {
        let runtime = match &mut self.runtime {
            Some(runtime) => runtime,
            none => none.insert(online::runtime(&self.name).map_err(Refusal::server)?),
        };
        let named = |problem: String| Refusal::server(format!("{}: {problem}", self.plan.server));
        let mut session = Session::open(&self.client_id, &self.plan, self.timeout, runtime.handle())?;
        let max_packet = runtime.block_on(async {
            match timeout(self.timeout, session.steps.recv()).await {
                Ok(Some(Step::Connected(max_packet))) => Ok(max_packet),
                Ok(Some(Step::Down(problem))) => Err(named(problem)),
                Ok(_) => Err(named("no sensible answer".into())),
                Err(_) => Err(named(format!("no answer within {} s", self.timeout.as_secs_f64()))),
            }
        })?;
        let mut connected = Connected { session, max_packet };
        if let Some(topic) = &self.plan.availability {
            let publication = Publication { topic: topic.clone(), payload: ONLINE.into(), retain: true };
            let units = [Unit { publication, message: 0 }];
            runtime.block_on(connected.publish(&units, self.timeout)).map_err(|refusal| named(refusal.problem))?;
        }
        self.session = Some(connected);
        Ok(())
    }

    /// What a message comes to: itself, and the state of its zone.
    fn units(&self, messages: &[Message]) -> Vec<Unit> {
        let mut units = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            let fill = |part| match part {
                Part::Stream => level(&message.event.stream),
                Part::Type => level(message.event.kind()),
                Part::Zone => level(message.event.what.zone().unwrap_or_default()),
            };
            let event = |topic, retain| Publication { topic, payload: message.payload.clone(), retain };
            units.push(Unit { publication: event(self.plan.topic.render(fill), false), message: index });
            if let Some(state) = self.plan.zone_state.as_ref().filter(|_| message.event.what.zone().is_some()) {
                units.push(Unit { publication: event(state.render(fill), true), message: index });
            }
        }
        units
    }
}

impl Deliver for MqttSink {
    fn deliver(&mut self, messages: &[Message]) -> Result<(), Refusal> {
        // A connection that broke while there was nothing to deliver blames no message.
        if self.session.as_mut().is_some_and(Connected::is_down) {
            self.session = None;
        }
        if self.session.is_none() {
            self.connect()?;
        }
        let units = self.units(messages);
        let (Some(connected), Some(runtime)) = (&mut self.session, &self.runtime) else {
            return Err(Refusal::server("not connected"));
        };
        let delivered = runtime.block_on(connected.publish(&units, self.timeout));
        delivered.map_err(|refusal| {
            self.session = None;
            Refusal { problem: format!("{}: {}", self.plan.server, refusal.problem), ..refusal }
        })
    }

    fn close(&mut self) {
        let (Some(mut connected), Some(runtime)) = (self.session.take(), &self.runtime) else { return };
        if let Some(topic) = &self.plan.availability {
            let publication = Publication { topic: topic.clone(), payload: OFFLINE.into(), retain: true };
            // In vain where the broker hangs; it publishes the will then.
            let _ = runtime.block_on(connected.publish(&[Unit { publication, message: 0 }], GOODBYE));
        }
        connected.session.disconnect();
        runtime.block_on(async {
            let ended = async { while !matches!(connected.session.steps.recv().await, None | Some(Step::Down(_))) {} };
            // Whether the goodbye arrived is all the same now.
            let _ = timeout(GOODBYE, ended).await;
        });
    }
}

impl Connected {
    fn is_down(&mut self) -> bool {
        while let Ok(step) = self.session.steps.try_recv() {
            if matches!(step, Step::Down(_)) {
                return true;
            }
        }
        self.session.steps.is_closed()
    }

    /// Publishes `units` in order and waits until all are acknowledged; `limit` is the longest wait for any progress.
    ///
    /// Errors: why not all; `accepted` counts messages all of whose units are acknowledged, from the first on.
    async fn publish(&mut self, units: &[Unit], limit: Duration) -> Result<(), Refusal> {
        let mut acknowledged = vec![false; units.len()];
        // Given to the connection, sent under which packet id, acknowledged up to here without gaps.
        let (mut given, mut sent, mut done) = (0, VecDeque::new(), 0);
        let mut next_sent = 0;
        while done < units.len() {
            while given < units.len() && given - done < usize::from(WINDOW) {
                if given == done {
                    self.check_size(&units[given].publication)
                        .map_err(|refusal| refusal.after(units[given].message))?;
                }
                if self.is_too_large(&units[given].publication) || !self.session.publish(&units[given].publication) {
                    break;
                }
                given += 1;
            }
            let accepted = units[done].message;
            match timeout(limit, self.session.steps.recv()).await {
                Err(_) => {
                    let problem = format!("no acknowledgement within {} s", limit.as_secs_f64());
                    return Err(Refusal::server(problem).after(accepted));
                }
                Ok(None) => return Err(Refusal::broken("connection lost").after(accepted)),
                Ok(Some(Step::Down(problem))) => return Err(Refusal::broken(problem).after(accepted)),
                Ok(Some(Step::Connected(_))) => {}
                Ok(Some(Step::Sent(id))) => {
                    sent.push_back((id, next_sent));
                    next_sent += 1;
                }
                Ok(Some(Step::Acknowledged(id, taken))) => {
                    let Some(at) = sent.iter().position(|(sent, _)| *sent == id) else { continue };
                    let Some((_, unit)) = sent.remove(at) else { continue };
                    if let Err(reason) = taken {
                        return Err(refused(&reason, units[unit].message, accepted));
                    }
                    acknowledged[unit] = true;
                    done += acknowledged[done..].iter().take_while(|acknowledged| **acknowledged).count();
                }
            }
        }
        Ok(())
    }

    fn is_too_large(&self, publication: &Publication) -> bool {
        let bytes = publication.topic.len() + publication.payload.len() + PACKET_OVERHEAD;
        self.max_packet.is_some_and(|max| bytes > max as usize)
    }

    /// Refuses what the broker said it would not take: sent all the same, it would cost the connection.
    fn check_size(&self, publication: &Publication) -> Result<(), Refusal> {
        if self.is_too_large(publication) {
            let (bytes, max) = (publication.payload.len(), self.max_packet.unwrap_or_default());
            return Err(Refusal::message(format!("{bytes} bytes, the broker takes packets of at most {max}")));
        }
        Ok(())
    }
}

/// A broker's "no": to the message if all before it are through, otherwise it will be asked again in its turn.
fn refused(reason: &str, message: usize, accepted: usize) -> Refusal {
    // Not authorized and over quota are about this client and may be mended over there.
    let of_message = matches!(reason, "PayloadFormatInvalid" | "TopicNameInvalid" | "ImplementationSpecificError");
    let cause = if of_message && message == accepted { Cause::Message } else { Cause::Server };
    Refusal { accepted, cause, problem: format!("the broker refuses an event: {reason}") }
}

/// A name as one level of a topic.
fn level(name: &str) -> String {
    name.chars().map(|c| if matches!(c, '/' | '+' | '#' | '\0') { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_level_of_a_topic() {
        assert_eq!(level("a/b+#c\0 é"), "a_b__c_ é");
    }

    #[test]
    fn a_no_blames_a_message_only_in_its_turn() {
        assert_eq!(refused("PayloadFormatInvalid", 3, 3).cause, Cause::Message);
        assert_eq!(refused("PayloadFormatInvalid", 4, 3).cause, Cause::Server);
        assert_eq!(refused("NotAuthorized", 3, 3).cause, Cause::Server);
    }
}
