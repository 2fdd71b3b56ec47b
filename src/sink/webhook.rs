//! Events posted to an HTTP server as a JSON array, signed where a key is given.

use super::{
    deliver::{Cause, Deliver, Message, Refusal},
    tls,
};
use crate::config::{plan_sinks::WebhookPlan, secret::Secret};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use ureq::{
    Agent,
    http::{Response, StatusCode, header},
    tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, parse_pem},
};

/// Redirections within a host that are followed for one delivery.
const MAX_REDIRECTS: u32 = 3;

/// Header of the signature: `t=SECONDS,v1=HEX`, HMAC-SHA256 of `SECONDS.BODY`.
pub const SIGNATURE: &str = "Eyeline-Signature";

/// A client of an HTTP server.
pub struct Webhook {
    plan: WebhookPlan,
    timeout: Duration,
    agent: Option<Agent>,
}

impl Webhook {
    /// Connects at the first event.
    pub fn new(plan: WebhookPlan, timeout: Duration) -> Self {
        Self { plan, timeout, agent: None }
    }

    fn agent(&mut self) -> Result<Agent, Refusal> {
        if let Some(agent) = &self.agent {
            return Ok(agent.clone());
        }
        let mut tls = TlsConfig::builder();
        if let Some(plan) = &self.plan.tls {
            if let Some(ca) = &plan.ca {
                tls = tls.root_certs(RootCerts::from(certificates(&tls::file(ca)?)?));
            }
            if let Some((cert, key)) = &plan.client {
                let key = PrivateKey::from_pem(&tls::file(key)?).map_err(Refusal::server)?;
                tls = tls.client_cert(Some(ClientCert::new_with_certs(&certificates(&tls::file(cert)?)?, key)));
            }
        }
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .timeout_global(Some(self.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("eyeline/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(self.agent.insert(config.into()).clone())
    }

    fn post(&mut self, path: &str, body: &[u8]) -> Result<Response<ureq::Body>, Refusal> {
        let url = format!("{}{path}", self.plan.server);
        let mut request = self.agent()?.post(&url).header(header::CONTENT_TYPE, "application/json");
        if let Some(token) = &self.plan.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", reveal(token)?));
        }
        if let Some(secret) = &self.plan.secret {
            let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            request = request.header(SIGNATURE, signature(&reveal(secret)?, seconds, body));
        }
        request.send(body).map_err(|error| {
            // Certificates may have been exchanged: read them anew.
            self.agent = None;
            Refusal::server(format!("{}: {}", self.plan.server, told(&error)))
        })
    }

    /// Where a redirection leads, if it stays with the server.
    fn redirected(&self, response: &Response<ureq::Body>) -> Result<String, Refusal> {
        let to = response.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
        let usual_port = if self.plan.server.scheme == "https" { 443 } else { 80 };
        let elsewhere = || Refusal::server(format!("{}: redirects to another host, not followed", self.plan.server));
        if to.starts_with('/') && !to.starts_with("//") {
            return Ok(to.to_owned());
        }
        let parsed = crate::config::endpoint::Endpoint::parse(to, &[(&self.plan.server.scheme, usual_port)]);
        let found = parsed.map_err(|_| elsewhere())?;
        let is_same = found.to_string().eq_ignore_ascii_case(&self.plan.server.to_string());
        if is_same { Ok(found.path) } else { Err(elsewhere()) }
    }
}

impl Deliver for Webhook {
    fn deliver(&mut self, messages: &[Message]) -> Result<(), Refusal> {
        let mut body = Vec::with_capacity(messages.iter().map(|message| message.payload.len() + 1).sum());
        for message in messages {
            body.push(if body.is_empty() { b'[' } else { b',' });
            body.extend_from_slice(&message.payload);
        }
        body.push(b']');
        let mut path = self.plan.server.path.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.post(&path, &body)?;
            match response.status() {
                // The others would repeat the request without its body.
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => path = self.redirected(&response)?,
                status if status.is_success() => return Ok(()),
                status => {
                    let problem = format!("{}: answers {status}", self.plan.server);
                    return Err(Refusal { accepted: 0, cause: cause(status), problem });
                }
            }
        }
        Err(Refusal::server(format!("{}: redirects again and again", self.plan.server)))
    }
}

/// What a status means: these say that the body is at fault; all others may pass with time or be mended over there.
fn cause(status: StatusCode) -> Cause {
    match status {
        StatusCode::BAD_REQUEST
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => Cause::Message,
        _ => Cause::Server,
    }
}

/// What the header of the signature says.
pub fn signature(secret: &str, seconds: u64, body: &[u8]) -> String {
    let mut text = format!("t={seconds},v1=");
    // HMAC takes keys of any length.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) {
        mac.update(format!("{seconds}.").as_bytes());
        mac.update(body);
        for byte in mac.finalize().into_bytes() {
            // Writing to text cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
    }
    text
}

fn reveal(secret: &Secret) -> Result<String, Refusal> {
    secret.reveal().map_err(Refusal::server)
}

/// An error without the address, whose path may hold a token.
fn told(error: &ureq::Error) -> String {
    match error {
        ureq::Error::BadUri(_) => "the address cannot be used".into(),
        other => other.to_string(),
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate<'static>>, Refusal> {
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        if let ureq::tls::PemItem::Certificate(certificate) = item.map_err(Refusal::server)? {
            found.push(certificate);
        }
    }
    if found.is_empty() { Err(Refusal::server("a certificate file holds no certificate")) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_hmac_of_time_and_body() {
        // openssl dgst -sha256 -hmac key over `1700000000.[{}]`.
        let expected = "t=1700000000,v1=33636f09095dbe949cba048be4a555f24b06fb6b8393e27da077be1726e84c5a";
        assert_eq!(signature("key", 1_700_000_000, b"[{}]"), expected);
    }

    #[test]
    fn only_what_is_said_of_the_body_blames_it() {
        for status in [400, 413, 415, 422] {
            assert_eq!(cause(StatusCode::from_u16(status).unwrap()), Cause::Message, "{status}");
        }
        for status in [301, 401, 403, 404, 408, 410, 425, 429, 500, 502, 503, 504] {
            assert_eq!(cause(StatusCode::from_u16(status).unwrap()), Cause::Server, "{status}");
        }
    }
}
