//! NATS JetStream.

use super::{
    certs::Certs,
    process::{How, ONE_A_SECOND, PASSWORD, Server},
    proxy::throttle,
    scene::{Scene, event, id_of},
};
use async_nats::{ConnectOptions, jetstream};
use eyeline::event::{Event, What};
use std::{fs, path::Path, process::Command};

fn nats_server(folder: &Path, port: u16, how: &How<'_>) -> Command {
    let password = if how.refuses { "another" } else { PASSWORD };
    let mut config = format!(
        "listen: 127.0.0.1:{port}\nmax_payload: 20000\njetstream {{ store_dir: \"{}\" }}\n\
         authorization {{ users: [{{user: eye, password: \"{password}\"}}, {{user: test, password: test}}] }}\n",
        folder.display()
    );
    if let Some(certs) = how.tls {
        let (cert, key) = (certs.cert(), certs.key());
        config += &format!("tls {{ cert_file: \"{}\", key_file: \"{}\" }}\n", cert.display(), key.display());
    }
    fs::write(folder.join("nats.conf"), config).expect("writes");
    let mut command = Command::new("nats-server");
    command.arg("-c").arg(folder.join("nats.conf"));
    command
}

fn stored(port: u16) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let options = ConnectOptions::new().user_and_password("test".into(), "test".into());
        let client = options.connect(format!("nats://127.0.0.1:{port}")).await.expect("connects");
        let mut stream = jetstream::new(client).get_stream("EYELINE").await.expect("the stream");
        let last = stream.info().await.expect("its state").state.last_sequence;
        let mut ids = Vec::new();
        for sequence in 1..=last {
            ids.push(id_of(&stream.get_raw_message(sequence).await.expect("a message").payload));
        }
        ids
    })
}

fn sink(port: u16, more: &str) -> String {
    format!("  nats: [{{name: n, url: \"nats://127.0.0.1:{port}\", user: eye, password: \"${{PASSWORD}}\"{more}}}]\n")
}

#[test]
fn nats_survives_every_misfortune() {
    let mut server = Server::new(nats_server);
    let mut scene = Scene::new(&sink(server.port, ""));
    scene.misfortunes(&mut server);
    let stored = stored(server.port);
    scene.assert_arrived(&stored);
    assert_eq!(stored.len(), scene.ids().len(), "the server drops what comes twice");
}

#[test]
fn a_slow_wire_and_a_too_large_event_hold_nats_up_no_longer_than_needed() {
    let mut server = Server::new(nats_server);
    server.start(How::default());
    let mut scene = Scene::new(&sink(throttle(server.port, 8_000), ""));
    scene.append();
    let large = What::StreamLost { reason: "x".repeat(30_000) };
    scene.log.append(&[Event { what: large, ..event("large", 0) }]);
    scene.append();
    scene.wait_delivered();
    scene.assert_arrived(&stored(server.port));
    assert_eq!(scene.report().skipped, 1);
}

#[test]
fn nats_that_takes_one_a_second_gets_everything_once() {
    let mut server = Server::new(nats_server);
    server.start(How::default());
    let mut scene = Scene::slow(&sink(throttle(server.port, ONE_A_SECOND), ""), 50);
    scene.trickle(|| stored(server.port));
}

#[test]
fn a_stream_that_must_be_there_is_not_made() {
    let mut server = Server::new(nats_server);
    server.start(How::default());
    let mut scene = Scene::new(&sink(server.port, ", create: false"));
    scene.append();
    assert!(scene.wait_trouble().contains("stream not found"), "{}", scene.wait_trouble());
}

#[test]
fn nats_over_tls() {
    let certs = Certs::new();
    let mut server = Server::new(nats_server);
    server.start(How { tls: Some(&certs), ..How::default() });
    let tls = format!(", tls: {{ca: {}}}", certs.ca().display());
    let mut scene = Scene::new(&sink(server.port, &tls).replace("nats://127.0.0.1", "tls://localhost"));
    scene.append();
    scene.wait_delivered();
}
