//! Mosquitto.

use super::{
    certs::Certs,
    process::{How, ONE_A_SECOND, PASSWORD, PATIENCE, Server},
    proxy::throttle,
    scene::{Scene, event, id_of},
};
use eyeline::event::{EventBox, TrackSeen, What};
use rumqttc::{Client, Event, Incoming, MqttOptions, QoS};
use std::{
    collections::HashSet,
    fs,
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

fn mosquitto(folder: &Path, port: u16, how: &How<'_>) -> Command {
    let passwords = folder.join("passwords");
    let password = if how.refuses { "another" } else { PASSWORD };
    let made = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&passwords).args(["eye", password]).status();
    assert!(made.expect("mosquitto_passwd").success());
    // The test's own subscriber.
    let made = Command::new("mosquitto_passwd").arg("-b").arg(&passwords).args(["test", "test"]).status();
    assert!(made.expect("mosquitto_passwd").success());
    let mut config = format!(
        "listener {port} 127.0.0.1\npassword_file {}\npersistence true\npersistence_location {}/\n\
         autosave_interval 1\nautosave_on_changes true\nmax_queued_messages 0\nqueue_qos0_messages true\n\
         max_packet_size 20000\nuser root\n",
        passwords.display(),
        folder.display()
    );
    if let Some(certs) = how.tls {
        config += &format!("certfile {}\nkeyfile {}\n", certs.cert().display(), certs.key().display());
    }
    fs::write(folder.join("mosquitto.conf"), config).expect("writes");
    let mut command = Command::new("/usr/sbin/mosquitto");
    command.arg("-c").arg(folder.join("mosquitto.conf"));
    command
}

/// Everything published, by topic, of a subscriber that comes back and whose session the broker keeps.
///
/// A broker killed with -9 forgets what it acknowledged in the same turn of its loop and has not saved, but it wrote that to
/// a subscriber that was connected before it acknowledged it. So this one hears everything if it is connected when the
/// broker dies and reads on to the end. For that it never writes: an acknowledgement that meets a dead broker would have the
/// system throw away what is still to be read. Hence quality of service 0, queued while it is away, and no pings.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Message>>>);

#[derive(Clone, Debug)]
struct Message {
    topic: String,
    body: Vec<u8>,
    retained: bool,
    /// Of an event.
    id: Option<String>,
}

impl Heard {
    fn from(port: u16) -> Self {
        let heard = Self::default();
        let mut options = MqttOptions::new("test-subscriber", "127.0.0.1", port);
        options.set_credentials("test", "test").set_clean_session(false).set_max_packet_size(1 << 20, 1 << 20);
        options.set_keep_alive(Duration::from_secs(3600));
        let (client, mut connection) = Client::new(options, 10);
        client.subscribe("#", QoS::AtMostOnce).expect("room");
        let is_subscribed = |step| matches!(step, Ok(Event::Incoming(Incoming::SubAck(_))));
        assert!(connection.iter().any(is_subscribed));
        let to = heard.clone();
        thread::spawn(move || {
            let _client = client;
            for step in connection.iter() {
                match step {
                    Ok(Event::Incoming(Incoming::Publish(told))) => {
                        let is_event = told.topic.starts_with("eyeline/events/");
                        let body = told.payload.to_vec();
                        let id = is_event.then(|| id_of(&body));
                        let message = Message { topic: told.topic, body, retained: told.retain, id };
                        to.0.lock().expect("sound").push(message);
                    }
                    Ok(Event::Incoming(Incoming::ConnAck(answer))) => {
                        assert!(answer.session_present, "the broker forgot the subscription");
                    }
                    Ok(_) => {}
                    Err(_) => thread::sleep(Duration::from_millis(20)),
                }
            }
        });
        heard
    }

    fn all(&self) -> Vec<Message> {
        self.0.lock().expect("sound").clone()
    }

    fn events(&self) -> Vec<String> {
        self.0.lock().expect("sound").iter().filter_map(|message| message.id.clone()).collect()
    }

    /// Waits until `is` of what was heard.
    fn wait(&self, is: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is(self) {
            assert!(began.elapsed() < PATIENCE, "heard {} messages", self.all().len());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_for(&self, scene: &Scene) {
        let ids = scene.ids();
        self.wait(|heard| {
            let events: HashSet<_> = heard.events().into_iter().collect();
            ids.is_subset(&events)
        });
        scene.assert_arrived(&self.events());
    }
}

fn sink(port: u16, more: &str) -> String {
    format!(
        "  mqtt: [{{name: broker, url: \"mqtt://127.0.0.1:{port}\", user: eye, password: \"${{PASSWORD}}\"{more}}}]\n"
    )
}

fn misfortunes(protocol: &str) {
    let mut server = Server::new(mosquitto);
    // The subscription must be there before the first event: the broker is shown to the subscriber first.
    server.start(How::default());
    let heard = Heard::from(server.port);
    let mut scene = Scene::new(&sink(server.port, &format!(", protocol: {protocol}")));
    scene.append();
    scene.wait_delivered();
    heard.wait_for(&scene);
    server.stop();
    scene.misfortunes_heard(&mut server, &|scene| heard.wait_for(scene));
    heard.wait_for(&scene);
}

#[test]
fn mqtt_5_survives_every_misfortune() {
    misfortunes("v5");
}

#[test]
fn mqtt_3_1_1_survives_every_misfortune() {
    misfortunes("v3.1.1");
}

#[test]
fn a_slow_wire_and_a_too_large_event_hold_nothing_up_for_good() {
    let mut server = Server::new(mosquitto);
    server.start(How::default());
    let heard = Heard::from(server.port);
    let slow = throttle(server.port, 6_000);
    let mut scene = Scene::new(&sink(slow, ""));
    scene.append();
    let large = What::StreamLost { reason: "x".repeat(30_000) };
    scene.log.append(&[eyeline::event::Event { what: large, ..event("large", 0) }]);
    scene.append();
    scene.wait_delivered();
    heard.wait_for(&scene);
    assert_eq!(scene.report().skipped, 1);
}

#[test]
fn a_broker_that_takes_one_a_second_gets_everything_once() {
    let mut server = Server::new(mosquitto);
    server.start(How::default());
    let heard = Heard::from(server.port);
    let mut scene = Scene::slow(&sink(throttle(server.port, ONE_A_SECOND), ""), 50);
    scene.trickle(|| {
        heard.wait(|heard| heard.events().len() >= 8);
        heard.events()
    });
}

#[test]
fn whoever_subscribes_later_learns_the_state_of_zones_and_that_eyeline_is_there() {
    let mut server = Server::new(mosquitto);
    server.start(How::default());
    let scene = Scene::new(&sink(server.port, ", types: [zone.*]"));
    let bbox = EventBox { left: 0.0, top: 0.0, width: 1.0, height: 1.0 };
    let seen = TrackSeen {
        track: 1,
        class: "person".into(),
        score: 0.5,
        bbox,
        bbox_norm: bbox,
        zones: vec!["door".into()],
        speed_mps: None,
        embedding: None,
    };
    let entered = |occupancy| What::ZoneEntered { seen: seen.clone(), zone: "door".into(), occupancy };
    for occupancy in [1, 2, 3] {
        let event = event("gate", u64::from(occupancy));
        scene.log.append(&[eyeline::event::Event { what: entered(occupancy), ..event }]);
    }
    scene.wait_delivered();
    let heard = Heard::from(server.port);
    let zone = |heard: &Heard| heard.all().into_iter().find(|message| message.topic == "eyeline/zones/gate/door");
    heard.wait(|heard| zone(heard).is_some());
    let Message { body, retained, .. } = zone(&heard).expect("heard");
    let state: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((state["occupancy"].as_u64(), retained), (Some(3), true));

    let available = |heard: &Heard| {
        let all = heard.all();
        all.iter().rfind(|message| message.topic == "eyeline/available").map(|message| message.body.clone())
    };
    heard.wait(|heard| available(heard).as_deref() == Some(b"online"));
    scene.followers.finish(Duration::from_secs(5));
    heard.wait(|heard| available(heard).as_deref() == Some(b"offline"));
}

#[test]
fn tls_with_an_authority_of_ones_own() {
    let certs = Certs::new();
    let mut server = Server::new(mosquitto);
    server.start(How { tls: Some(&certs), ..How::default() });
    let tls = format!(", tls: {{ca: {}}}", certs.ca().display());
    let mut scene = Scene::new(&sink(server.port, &tls).replace("mqtt://127.0.0.1", "mqtts://localhost"));
    scene.append();
    scene.wait_delivered();
    drop(scene);
    let mut distrustful = Scene::new(&sink(server.port, "").replace("mqtt://127.0.0.1", "mqtts://localhost"));
    distrustful.append();
    assert!(distrustful.wait_trouble().contains("certificate"), "{}", distrustful.wait_trouble());
}
