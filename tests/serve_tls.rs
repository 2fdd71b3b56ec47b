//! The HTTP interface over TLS: who trusts the certificate is answered, who does not goes away, and half an identity is none.
#![cfg(all(feature = "serve", feature = "delivery"))]

#[path = "sinks/certs.rs"]
mod certs;

use certs::Certs;
use eyeline::{
    config::{plan::TlsFiles, raw::Stream},
    serve::{Gate, Listen, Server, fake::FakeLine, operate::Operate},
};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::Duration,
};
use ureq::{
    Agent,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};

const TOKEN: &str = "correct horse battery";

/// Bounds waiting for what must come at once.
const SOON: Duration = Duration::from_secs(30);

fn serve(certs: &Certs) -> (FakeLine, Server) {
    let line = FakeLine::default();
    line.add(&Stream { name: Some("gate".into()), file: "gate.mp4".into(), ..Stream::default() }).unwrap();
    let tls = TlsFiles { certificate: certs.cert(), key: certs.key() };
    let listen = Listen { address: ([127, 0, 0, 1], 0).into(), tls: Some(tls) };
    let server = Server::start(&listen, Gate::token(TOKEN), Arc::new(line.clone())).unwrap();
    (line, server)
}

/// A client that trusts an authority, or only those of the public.
fn client(authority: Option<&Path>) -> Agent {
    let mut tls = TlsConfig::builder();
    if let Some(path) = authority {
        let pem = fs::read(path).unwrap();
        let items: Vec<PemItem<'_>> = parse_pem(&pem).map(Result::unwrap).collect();
        let certificate = |item| if let PemItem::Certificate(found) = item { Some(found) } else { None };
        let found: Vec<Certificate<'static>> = items.into_iter().filter_map(certificate).collect();
        tls = tls.root_certs(RootCerts::from(found));
    }
    let config = Agent::config_builder().tls_config(tls.build()).http_status_as_error(false);
    config.timeout_global(Some(SOON)).build().into()
}

#[test]
fn those_who_trust_the_certificate_are_answered() {
    let certs = Certs::new();
    let (line, server) = serve(&certs);
    let url = format!("https://localhost:{}", server.address().port());
    let agent = client(Some(&certs.ca()));
    let ask = |path: &str, token: &str| {
        let request = agent.get(format!("{url}{path}")).header("Authorization", format!("Bearer {token}"));
        let mut response = request.call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    };
    let (status, told) = ask("/api/v1/streams", TOKEN);
    assert!(status == 200 && told.contains("\"gate\""), "{status} {told}");
    assert_eq!(ask("/api/v1/streams", "wrong").0, 401);
    assert_eq!(ask("/healthz", "").0, 200);

    let request = agent.get(format!("{url}/api/v1/events")).header("Authorization", format!("Bearer {TOKEN}"));
    let mut news = BufReader::new(request.call().unwrap().into_body().into_reader()).lines().map(Result::unwrap);
    assert_eq!(news.next().unwrap(), ": listening");
    line.pause("gate").unwrap();
    assert!(news.any(|line| line == "event: stream"), "news come through");

    assert!(client(None).get(format!("{url}/healthz")).call().is_err(), "an authority nobody knows is trusted");
    let mut plain = TcpStream::connect(server.address()).unwrap();
    plain.set_read_timeout(Some(SOON)).unwrap();
    plain.write_all(b"GET /api/v1/streams HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // Hung up on or told off by an alert, as the system likes.
    let _ = plain.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("gate"), "answered without TLS");
}

#[test]
fn half_an_identity_is_refused_with_the_files_name() {
    let certs = Certs::new();
    let other = Certs::new();
    let start = |certificate: &Path, key: &Path| {
        let tls = TlsFiles { certificate: certificate.to_owned(), key: key.to_owned() };
        let listen = Listen { address: ([127, 0, 0, 1], 0).into(), tls: Some(tls) };
        Server::start(&listen, Gate::ThisMachine, Arc::new(FakeLine::default())).unwrap_err().to_string()
    };
    let (cert, key) = (certs.cert(), certs.key());
    assert!(start(&cert, &other.key()).contains("cert.pem: certificate and key: "));
    assert!(start(&key, &key).contains("key.pem: "));
    assert!(start(&cert, Path::new("no.pem")).contains("no.pem: no PEM private key"));
}
