//! Kafka: librdkafka's mock cluster, which speaks the protocol and can be told to fail.

use super::{
    certs::Certs,
    scene::{Scene, outage, server_tls},
};
use rdkafka::{
    ClientConfig, Message,
    bindings::rd_kafka_resp_err_t as Fault,
    consumer::{BaseConsumer, Consumer, DefaultConsumerContext},
    mocking::MockCluster,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use rustls::ServerConnection;
use std::{
    collections::HashSet,
    net::TcpListener,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

type Cluster = MockCluster<'static, rdkafka::producer::DefaultProducerContext>;

fn cluster() -> Cluster {
    let cluster = MockCluster::new(1).expect("a cluster");
    cluster.create_topic("eyeline", 1, 1).expect("a topic");
    cluster
}

fn stored(cluster: &Cluster, wanted: &HashSet<String>) -> Vec<String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "test");
    config.set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer<DefaultConsumerContext> = config.create().expect("a consumer");
    let mut partitions = rdkafka::TopicPartitionList::new();
    partitions.add_partition_offset("eyeline", 0, rdkafka::Offset::Beginning).expect("a partition");
    consumer.assign(&partitions).expect("assigned");
    let (mut ids, began) = (Vec::new(), Instant::now());
    while !wanted.iter().all(|id| ids.contains(id)) && began.elapsed() < Duration::from_secs(30) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let id = super::scene::id_of(message.payload().expect("a payload"));
        let key = String::from_utf8_lossy(message.key().expect("a key")).into_owned();
        assert_eq!(id.split_once('/').expect("an id").0, key);
        ids.push(id);
    }
    ids
}

fn sink(cluster: &Cluster) -> String {
    let brokers = cluster.bootstrap_servers();
    format!("  kafka: [{{name: k, brokers: [\"{brokers}\"]}}]\n")
}

#[test]
fn kafka_survives_brokers_that_go_and_come() {
    let cluster = cluster();
    cluster.broker_down(1).expect("down");
    let mut scene = Scene::new(&sink(&cluster));
    scene.append();
    scene.wait_trouble();
    cluster.broker_up(1).expect("up");
    scene.wait_delivered();

    scene.append();
    cluster.broker_down(1).expect("down");
    scene.append();
    outage();
    cluster.broker_up(1).expect("up");
    scene.append();
    scene.wait_delivered();

    // A slow one: each answer takes longer than a try may.
    cluster.broker_round_trip_time(1, Duration::from_millis(600)).expect("slow");
    scene.append();
    scene.wait_delivered();
    cluster.broker_round_trip_time(1, Duration::ZERO).expect("quick");

    // Faults of the server that pass.
    let faults = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 3];
    cluster.request_errors(RDKafkaApiKey::Produce, &faults);
    let refused: [Fault; 2] = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 2];
    cluster.request_errors(RDKafkaApiKey::Produce, &refused);
    scene.append();
    scene.wait_delivered();
    assert_eq!(scene.report().skipped, 0);
    scene.assert_arrived(&stored(&cluster, &scene.ids()));
}

#[test]
fn kafka_that_takes_one_a_second_gets_everything_once() {
    let cluster = cluster();
    let mut scene = Scene::slow(&sink(&cluster), 1);
    cluster.broker_round_trip_time(1, Duration::from_secs(1)).expect("slow");
    let ids = || {
        cluster.broker_round_trip_time(1, Duration::ZERO).expect("quick");
        stored(&cluster, &(0..4).flat_map(|s| ["gate", "yard"].map(|stream| format!("{stream}/{s}"))).collect())
    };
    scene.trickle(ids);
}

/// The mock cluster knows no TLS, so this ends once both sides trust each other.
#[test]
fn kafka_over_tls_trusts_whom_it_is_told_to() {
    let certs = Certs::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (to, trusted) = mpsc::channel();
    let config = server_tls(&certs);
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut session = ServerConnection::new(config.clone()).expect("a session");
            while session.is_handshaking() && session.complete_io(&mut client).is_ok_and(|(read, _)| read > 0) {}
            // The client's first words come only once it has taken the certificate.
            let talks = !session.is_handshaking() && session.complete_io(&mut client).is_ok_and(|(read, _)| read > 0);
            if to.send(talks).is_err() {
                return;
            }
        }
    });
    let mut scene = Scene::new(&format!("  kafka: [{{name: k, brokers: [\"localhost:{port}\"], tls: {{}}}}]\n"));
    scene.append();
    scene.wait_trouble();
    assert!(trusted.try_iter().all(|talks| !talks));
    drop(scene);
    let tls = format!("tls: {{ca: {}}}", certs.ca().display());
    let mut scene = Scene::new(&format!("  kafka: [{{name: k, brokers: [\"localhost:{port}\"], {tls}}}]\n"));
    scene.append();
    while !trusted.recv_timeout(Duration::from_secs(60)).expect("connects") {}
}
