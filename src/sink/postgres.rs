//! Events into a PostgreSQL table, in batches; one that is there already is left alone.

use super::{
    deliver::{Cause, Deliver, Message, Refusal},
    online::{self, within},
    tls,
};
use crate::config::plan_sinks::PostgresPlan;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, Error, NoTls, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A client of a PostgreSQL server.
pub struct PostgresSink {
    name: String,
    plan: PostgresPlan,
    timeout: Duration,
    // Before the runtime: its task lives there.
    session: Option<Session>,
    runtime: Option<Runtime>,
}

struct Session {
    client: Client,
    insert: Statement,
}

impl PostgresSink {
    /// Connects at the first event.
    pub fn new(name: &str, plan: PostgresPlan, timeout: Duration) -> Self {
        Self { name: name.to_owned(), plan, timeout, session: None, runtime: None }
    }

    async fn connect(&self) -> Result<Session, Refusal> {
        let PostgresPlan { server, database, login, .. } = &self.plan;
        let named = |error: &Error| Refusal::server(format!("{server}: {}", told(error)));
        let mut config = Config::new();
        config.host(&server.host).port(server.port).dbname(database).connect_timeout(self.timeout);
        config.application_name(format!("eyeline {}", self.name)).keepalives_idle(Duration::from_secs(30));
        if let Some(login) = login {
            config.user(&login.user);
            if let Some(password) = &login.password {
                config.password(password.reveal().map_err(Refusal::server)?);
            }
        }
        // The task ends with its connection; what went wrong there, the client's next call says.
        let client = match &self.plan.tls {
            None => {
                let (client, connection) = config.connect(NoTls).await.map_err(|error| named(&error))?;
                tokio::spawn(async { _ = connection.await });
                client
            }
            Some(plan) => {
                config.ssl_mode(tokio_postgres::config::SslMode::Require);
                let tls = MakeRustlsConnect::new(tls::client_config(plan)?);
                let (client, connection) = config.connect(tls).await.map_err(|error| named(&error))?;
                tokio::spawn(async { _ = connection.await });
                client
            }
        };
        if self.plan.create {
            client.batch_execute(&create(&self.plan.table)).await.map_err(|error| named(&error))?;
        }
        let insert = client.prepare(&insert(&self.plan.table)).await.map_err(|error| named(&error))?;
        Ok(Session { client, insert })
    }

    async fn insert(&self, session: &Session, messages: &[Message]) -> Result<(), Refusal> {
        let texts = |of: fn(&Message) -> &str| messages.iter().map(of).collect::<Vec<&str>>();
        let ids = texts(|message| &message.event.id);
        let streams = texts(|message| &message.event.stream);
        let sequences: Vec<i64> = messages.iter().map(|message| message.event.sequence as i64).collect();
        let kinds = texts(|message| message.event.kind());
        let payloads = texts(|message| std::str::from_utf8(&message.payload).unwrap_or_default());
        let inserted = session.client.execute(&session.insert, &[&ids, &streams, &sequences, &kinds, &payloads]).await;
        inserted.map(|_| ()).map_err(|error| {
            let problem = format!("{}: {}", self.plan.server, told(&error));
            Refusal { accepted: 0, cause: cause(&error), problem }
        })
    }
}

impl Deliver for PostgresSink {
    fn deliver(&mut self, messages: &[Message]) -> Result<(), Refusal> {
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => online::runtime(&self.name).map_err(Refusal::server)?,
        };
        let session = self.session.take().filter(|session| !session.client.is_closed());
        let server = self.plan.server.to_string();
        let delivered = runtime.block_on(async {
            let session = match session {
                Some(session) => session,
                None => within(self.timeout, &server, self.connect()).await?,
            };
            within(self.timeout, &server, self.insert(&session, messages)).await.map(|()| session)
        });
        self.runtime = Some(runtime);
        self.session = Some(delivered?);
        Ok(())
    }
}

/// `position` gives the order of arrival; within a stream `sequence` is the order that counts.
fn create(table: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (id text PRIMARY KEY, stream text NOT NULL, sequence bigint NOT NULL, \
         type text NOT NULL, event jsonb NOT NULL, arrived timestamptz NOT NULL DEFAULT now(), \
         position bigint GENERATED ALWAYS AS IDENTITY)"
    )
}

fn insert(table: &str) -> String {
    format!(
        "INSERT INTO {table} (id, stream, sequence, type, event) \
         SELECT id, stream, sequence, type, event::jsonb \
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[]) \
         AS batch (id, stream, sequence, type, event) ON CONFLICT (id) DO NOTHING"
    )
}

/// Classes 22 (data exception), 23 (integrity constraint) and 54 (program limit exceeded) are about the rows.
fn cause(error: &Error) -> Cause {
    match error.code().map(|code| &code.code()[..2]) {
        Some("22" | "23" | "54") => Cause::Message,
        _ => Cause::Server,
    }
}

/// An error with its reason; neither holds the password.
fn told(error: &Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(said), _) => format!("{} ({})", said.message(), said.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}
