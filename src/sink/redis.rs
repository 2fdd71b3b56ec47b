//! Events into Redis streams.

use super::{
    deliver::{Cause, Deliver, Message, Refusal},
    tls,
};
use crate::config::{
    plan_sinks::{RedisPlan, TlsPlan},
    template::Part,
};
use redis::{
    Client, ClientTlsConfig, Connection, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, ServerErrorKind, TlsCertificates,
};
use std::time::Duration;

/// A client of a Redis server.
pub struct RedisSink {
    plan: RedisPlan,
    timeout: Duration,
    connection: Option<Connection>,
}

impl RedisSink {
    /// Connects at the first event.
    pub fn new(plan: RedisPlan, timeout: Duration) -> Self {
        Self { plan, timeout, connection: None }
    }

    fn connect(&self) -> Result<Connection, Refusal> {
        let RedisPlan { server, database, login, .. } = &self.plan;
        let named = |error: &RedisError| Refusal::server(format!("{server}: {}", told(error)));
        let (host, port) = (server.host.clone(), server.port);
        let address = match &self.plan.tls {
            None => ConnectionAddr::Tcp(host, port),
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        };
        let mut settings = RedisConnectionInfo::default().set_db(i64::from(*database));
        if let Some(login) = login {
            if !login.user.is_empty() {
                settings = settings.set_username(&login.user);
            }
            if let Some(password) = &login.password {
                settings = settings.set_password(password.reveal().map_err(Refusal::server)?);
            }
        }
        let info = address.into_connection_info().map_err(|error| named(&error))?.set_redis_settings(settings);
        let client = match &self.plan.tls {
            None => Client::open(info),
            Some(plan) => {
                tls::choose_provider();
                Client::build_with_tls(info, certificates(plan)?)
            }
        };
        let connection = client.and_then(|client| client.get_connection_with_timeout(self.timeout));
        let connection = connection.map_err(|error| named(&error))?;
        let limits = connection
            .set_read_timeout(Some(self.timeout))
            .and_then(|()| connection.set_write_timeout(Some(self.timeout)));
        limits.map_err(|error| named(&error)).map(|()| connection)
    }

    fn add(&self, connection: &mut Connection, messages: &[Message]) -> Result<(), RedisError> {
        let mut pipe = redis::pipe();
        for message in messages {
            let key = self.plan.key.render(|part| match part {
                Part::Stream => message.event.stream.clone(),
                _ => message.event.kind().to_owned(),
            });
            let add = pipe.cmd("XADD").arg(key);
            if let Some(max_len) = self.plan.max_len {
                add.arg("MAXLEN").arg("~").arg(max_len);
            }
            add.arg("*").arg("id").arg(&message.event.id).arg("stream").arg(&message.event.stream);
            add.arg("type").arg(message.event.kind()).arg("data").arg(&message.payload).ignore();
        }
        pipe.query(connection)
    }
}

impl Deliver for RedisSink {
    fn deliver(&mut self, messages: &[Message]) -> Result<(), Refusal> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        match self.add(&mut connection, messages) {
            Ok(()) => {
                self.connection = Some(connection);
                Ok(())
            }
            // Some may have been added: after a fault a part of a batch may come twice, with equal ids.
            Err(error) => {
                let cause = if error.is_timeout() || error.is_io_error() { Cause::Server } else { cause(&error) };
                Err(Refusal { accepted: 0, cause, problem: format!("{}: {}", self.plan.server, told(&error)) })
            }
        }
    }
}

/// What a server's answer means: only what it says of the form of a command can be a message's fault.
fn cause(error: &RedisError) -> Cause {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::ResponseError) if error.to_string().contains("Protocol error") => {
            Cause::Message
        }
        _ => Cause::Server,
    }
}

/// An error's words; none of them holds a password.
fn told(error: &RedisError) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.category()),
        None => error.to_string(),
    }
}

fn certificates(plan: &TlsPlan) -> Result<TlsCertificates, Refusal> {
    let client_tls = match &plan.client {
        None => None,
        Some((cert, key)) => Some(ClientTlsConfig { client_cert: tls::file(cert)?, client_key: tls::file(key)? }),
    };
    let root_cert = plan.ca.as_deref().map(tls::file).transpose()?;
    Ok(TlsCertificates { client_tls, root_cert })
}
