//! Who may ask: the bearer token, and, where none is asked for, only programs on this machine and pages of our own.

use super::problem::Problem;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};
use std::{hint::black_box, net::IpAddr, sync::Arc};

/// Paths that answer anybody: health says one word, and the page is the same for all and holds no data.
const OPEN_PATHS: [&str; 5] = ["/healthz", "/readyz", "/", "/style.css", "/app.js"];

/// What is asked of a request before it is answered.
#[derive(Clone)]
pub enum Gate {
    /// The token, by its digest, so that comparing takes the same time for every guess.
    Token(Arc<[u8; 32]>),
    /// That it names this machine as its host.
    ThisMachine,
    /// Nothing: whoever reaches the port may do everything.
    Anyone,
}

impl Gate {
    /// A gate that opens with `token`.
    pub fn token(token: &str) -> Self {
        Self::Token(Arc::new(digest(token)))
    }

    fn check(&self, request: &Request) -> Result<(), Problem> {
        let headers = request.headers();
        match self {
            _ if OPEN_PATHS.contains(&request.uri().path()) => Ok(()),
            Self::Token(token) => check_token(token, headers),
            Self::ThisMachine => check_host(headers).and_then(|()| check_origin(request.method(), headers)),
            Self::Anyone => check_origin(request.method(), headers),
        }
    }
}

/// Refuses what the gate does not let through.
pub async fn guard(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    match gate.check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

fn check_token(token: &[u8; 32], headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized", detail);
    let given = headers.get(header::AUTHORIZATION).ok_or_else(|| refused("send Authorization: Bearer TOKEN"))?;
    let (scheme, guess) = given.to_str().ok().and_then(|text| text.split_once(' ')).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") || !same(token, &digest(guess.trim())) {
        return Err(refused("the token is not the one this server was started with"));
    }
    Ok(())
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Whether two digests are equal, in a time that does not depend on where they differ.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    black_box(a.iter().zip(b).fold(0, |different, (a, b)| different | (a ^ b))) == 0
}

/// A page of somebody else whose name was made to point at this machine (DNS rebinding) sends its own name as host.
fn check_host(headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match host {
        Some(host) if !is_this_machine(host) => {
            Err(forbidden("this server answers under its address or localhost only"))
        }
        _ => Ok(()),
    }
}

fn is_this_machine(authority: &str) -> bool {
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// A page of somebody else can make a browser send simple requests here; it cannot hide where they come from.
fn check_origin(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) => Ok(()),
        (Some(origin), Some(host)) if origin.split_once("://").is_some_and(|(_, from)| from == host) => Ok(()),
        _ => Err(forbidden("requests of other sites' pages are refused")),
    }
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", "Forbidden", detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn status(gate: &Gate, method: &str, path: &str, headers: &[(&str, &str)]) -> Option<u64> {
        let request = Request::builder().method(method).uri(path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let refused = gate.check(&request.body(Body::empty()).unwrap()).err()?;
        serde_json::to_value(refused).unwrap()["status"].as_u64()
    }

    #[test]
    fn a_token_opens_and_nothing_else_does() {
        let gate = Gate::token("correct horse");
        let with = |value: &str| status(&gate, "GET", "/api/v1/streams", &[("authorization", value)]);
        for sound in ["Bearer correct horse", "bearer correct horse", "BEARER  correct horse "] {
            assert_eq!(with(sound), None, "{sound}");
        }
        for wrong in ["", "Bearer", "Bearer ", "Bearer correct", "Basic correct horse", "correct horse", "Bearer é"] {
            assert_eq!(with(wrong), Some(401), "{wrong}");
        }
        assert_eq!(status(&gate, "GET", "/api/v1/streams", &[]), Some(401));
        for path in ["/metrics", "/openapi.json", "/api/v1/line", "//healthz", "/healthz/", "/nothing"] {
            assert_eq!(status(&gate, "GET", path, &[]), Some(401), "{path}");
        }
        for path in OPEN_PATHS {
            assert_eq!(status(&gate, "GET", path, &[]), None, "{path}");
        }
    }

    #[test]
    fn without_a_token_only_this_machine_is_answered() {
        let gate = Gate::ThisMachine;
        let cases = [
            ("GET", vec![("host", "127.0.0.1:8080")], None),
            ("GET", vec![("host", "[::1]:8080")], None),
            ("GET", vec![("host", "localhost")], None),
            ("GET", vec![("host", "cameras.example:8080")], Some(403)),
            ("GET", vec![("host", "127.0.0.1.example")], Some(403)),
            ("POST", vec![("host", "localhost:80")], None),
            ("POST", vec![("host", "localhost:80"), ("origin", "http://localhost:80")], None),
            ("POST", vec![("host", "localhost:80"), ("origin", "http://example.org")], Some(403)),
            ("DELETE", vec![("host", "localhost:80"), ("origin", "null")], Some(403)),
            ("GET", vec![("host", "localhost:80"), ("origin", "http://example.org")], None),
        ];
        for (method, headers, expected) in cases {
            assert_eq!(status(&gate, method, "/api/v1/streams", &headers), expected, "{method} {headers:?}");
        }
        let named = [("host", "cameras.example:8080")];
        assert_eq!(status(&Gate::Anyone, "GET", "/api/v1/streams", &named), None);
        let foreign = [("host", "cameras.example"), ("origin", "https://example.org")];
        assert_eq!(status(&Gate::Anyone, "POST", "/api/v1/streams", &foreign), Some(403));
    }
}
