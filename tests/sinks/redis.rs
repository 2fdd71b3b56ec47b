//! Redis.

use super::{
    certs::Certs,
    process::{How, ONE_A_SECOND, PASSWORD, Server},
    proxy::throttle,
    scene::Scene,
};
use std::{path::Path, process::Command};

fn redis_server(folder: &Path, port: u16, how: &How<'_>) -> Command {
    let mut command = Command::new("redis-server");
    command.arg("--dir").arg(folder).args(["--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always"]);
    command.args(["--requirepass", if how.refuses { "another" } else { PASSWORD }, "--enable-debug-command", "no"]);
    match how.tls {
        None => command.args(["--port", &port.to_string()]),
        Some(certs) => {
            command.args(["--port", "0", "--tls-port", &port.to_string(), "--tls-auth-clients", "no"]);
            command.arg("--tls-cert-file").arg(certs.cert()).arg("--tls-key-file").arg(certs.key());
            command.arg("--tls-ca-cert-file").arg(certs.ca())
        }
    };
    command
}

fn stored(port: u16) -> Vec<String> {
    let info = format!("redis://:{PASSWORD}@127.0.0.1:{port}/");
    let mut connection = redis::Client::open(info).and_then(|client| client.get_connection()).expect("connects");
    let entries: Vec<(String, Vec<(String, String)>)> =
        redis::cmd("XRANGE").arg("eyeline").arg("-").arg("+").query(&mut connection).expect("a stream");
    let id = |fields: &[(String, String)]| fields.iter().find(|(name, _)| name == "id").expect("an id").1.clone();
    entries.iter().map(|(_, fields)| id(fields)).collect()
}

fn sink(port: u16, more: &str) -> String {
    format!("  redis: [{{name: r, url: \"redis://127.0.0.1:{port}\", password: \"${{PASSWORD}}\"{more}}}]\n")
}

#[test]
fn redis_survives_every_misfortune() {
    let mut server = Server::new(redis_server);
    let mut scene = Scene::new(&sink(server.port, ""));
    scene.misfortunes(&mut server);
    scene.assert_arrived(&stored(server.port));
}

#[test]
fn a_slow_wire_to_redis_loses_nothing() {
    let mut server = Server::new(redis_server);
    server.start(How::default());
    let mut scene = Scene::new(&sink(throttle(server.port, 6_000), ""));
    scene.append();
    scene.wait_delivered();
    scene.assert_arrived(&stored(server.port));
}

#[test]
fn redis_that_takes_one_a_second_gets_everything_once() {
    let mut server = Server::new(redis_server);
    server.start(How::default());
    let mut scene = Scene::slow(&sink(throttle(server.port, ONE_A_SECOND), ""), 50);
    scene.trickle(|| stored(server.port));
}

#[test]
fn redis_over_tls() {
    let certs = Certs::new();
    let mut server = Server::new(redis_server);
    server.start(How { tls: Some(&certs), ..How::default() });
    let tls = format!(", tls: {{ca: {}}}", certs.ca().display());
    let mut scene = Scene::new(&sink(server.port, &tls).replace("redis://127.0.0.1", "rediss://localhost"));
    scene.append();
    scene.wait_delivered();
}
