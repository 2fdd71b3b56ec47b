//! Events to NATS JetStream, each stored before the cursor moves. The message id is the event's id: the server drops
//! repeats.

use super::{
    deliver::{Deliver, Message, Refusal},
    online::{self, within},
    tls,
};
use crate::config::{
    plan_sinks::{NatsAuth, NatsPlan},
    template::Part,
};
use async_nats::{
    ConnectOptions, Event,
    jetstream::{
        Context, context,
        context::{PublishAckFuture, PublishErrorKind},
        message::PublishMessage,
        stream::Config,
    },
};
use std::{future::IntoFuture, time::Duration};
use tokio::{runtime::Runtime, sync::watch};

/// How long a server remembers message ids: longer than any outage after which a batch may come twice, within reason.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// A client of a NATS server.
pub struct NatsSink {
    name: String,
    plan: NatsPlan,
    timeout: Duration,
    // Before the runtime: its tasks live there.
    session: Option<Session>,
    runtime: Option<Runtime>,
}

struct Session {
    context: Context,
    /// Whether the connection is lost.
    lost: watch::Receiver<bool>,
}

impl NatsSink {
    /// Connects at the first event.
    pub fn new(name: &str, plan: NatsPlan, timeout: Duration) -> Self {
        Self { name: name.to_owned(), plan, timeout, session: None, runtime: None }
    }

    async fn connect(&self) -> Result<Session, Refusal> {
        let NatsPlan { server, jetstream, create, max_age, .. } = &self.plan;
        let named = |problem: &dyn std::fmt::Display| Refusal::server(format!("{server}: {problem}"));
        let (to, lost) = watch::channel(false);
        let note = move |event| {
            let to = to.clone();
            async move {
                if matches!(event, Event::Disconnected | Event::Closed) {
                    to.send_replace(true);
                }
            }
        };
        let options = self.options()?.event_callback(note);
        let client = options.connect(format!("nats://{}", server.authority())).await.map_err(|error| named(&error))?;
        let builder = context::ContextBuilder::new().timeout(self.timeout).ack_timeout(self.timeout);
        let context = builder.build(client);
        if *create {
            let config = Config {
                name: jetstream.clone(),
                subjects: vec![format!("{}>", self.subject_start())],
                max_age: *max_age,
                duplicate_window: if max_age.is_zero() { DUPLICATE_WINDOW } else { DUPLICATE_WINDOW.min(*max_age) },
                ..Config::default()
            };
            context.get_or_create_stream(config).await.map_err(|error| named(&error))?;
        } else {
            context.get_stream(jetstream).await.map_err(|error| named(&error))?;
        }
        Ok(Session { context, lost })
    }

    fn options(&self) -> Result<ConnectOptions, Refusal> {
        let reveal = |secret: &crate::config::secret::Secret| secret.reveal().map_err(Refusal::server);
        let options = ConnectOptions::new().name(format!("eyeline {}", self.name)).connection_timeout(self.timeout);
        // One try: the follower tries again, and says so.
        let options = options.max_reconnects(1);
        let options = match &self.plan.auth {
            NatsAuth::None => options,
            NatsAuth::Login(login) => {
                let password = login.password.as_ref().map(reveal).transpose()?;
                options.user_and_password(login.user.clone(), password.unwrap_or_default())
            }
            NatsAuth::Token(token) => options.token(reveal(token)?),
            NatsAuth::Nkey(seed) => options.nkey(reveal(seed)?.trim().to_owned()),
            NatsAuth::Credentials(file) => {
                options.credentials(&reveal(file)?).map_err(|_| Refusal::server("the credentials file is none"))?
            }
        };
        let Some(plan) = &self.plan.tls else { return Ok(options) };
        tls::choose_provider();
        let mut options = options.require_tls(true);
        if let Some(ca) = &plan.ca {
            options = options.add_root_certificates(ca.clone());
        }
        if let Some((cert, key)) = &plan.client {
            options = options.add_client_certificate(cert.clone(), key.clone());
        }
        Ok(options)
    }

    /// The fixed words a subject begins with, with the point behind.
    fn subject_start(&self) -> &str {
        let fixed = self.plan.subject.fixed_start();
        fixed.rfind('.').map_or("", |end| &fixed[..=end])
    }

    fn subject(&self, message: &Message) -> String {
        self.plan.subject.render(|part| match part {
            Part::Stream => word(&message.event.stream),
            _ => message.event.kind().to_owned(),
        })
    }

    /// Sends all, then waits for the acknowledgements in order.
    async fn publish(&self, session: &Session, messages: &[Message]) -> Result<(), Refusal> {
        let mut waiting: Vec<PublishAckFuture> = Vec::with_capacity(messages.len());
        let mut stopped = Ok(());
        for message in messages {
            let publication =
                PublishMessage::build().payload(message.payload.clone().into()).message_id(&message.event.id);
            match session.context.send_publish(self.subject(message), publication).await {
                Ok(acknowledgement) => waiting.push(acknowledgement),
                Err(error) => {
                    stopped = Err(match error.kind() {
                        PublishErrorKind::MaxPayloadExceeded => Refusal::message(error),
                        _ => Refusal::server(error),
                    });
                    break;
                }
            }
        }
        let sent = waiting.len();
        for (accepted, acknowledgement) in waiting.into_iter().enumerate() {
            let mut lost = session.lost.clone();
            let outcome = tokio::select! {
                outcome = acknowledgement.into_future() => outcome.map_err(Refusal::server),
                _ = lost.wait_for(|lost| *lost) => Err(Refusal::broken("connection lost")),
            };
            outcome.map_err(|refusal| refusal.after(accepted))?;
        }
        stopped.map_err(|refusal: Refusal| refusal.after(sent))
    }
}

impl Deliver for NatsSink {
    fn deliver(&mut self, messages: &[Message]) -> Result<(), Refusal> {
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => online::runtime(&self.name).map_err(Refusal::server)?,
        };
        let session = self.session.take().filter(|session| !*session.lost.borrow());
        let delivered = runtime.block_on(async {
            let session = match session {
                Some(session) => session,
                None => within(self.timeout, &self.plan.server.to_string(), self.connect()).await?,
            };
            self.publish(&session, messages).await.map(|()| session)
        });
        self.runtime = Some(runtime);
        self.session = Some(delivered?);
        Ok(())
    }
}

/// A name as one word of a subject.
fn word(name: &str) -> String {
    name.chars().map(|c| if c.is_whitespace() || matches!(c, '.' | '*' | '>') { '_' } else { c }).collect()
}
