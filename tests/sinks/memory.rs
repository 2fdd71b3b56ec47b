//! A sink that is down costs neither memory nor the others' time.

use super::{footprint::Footprint, process::free_port, scene::Scene};
use std::fs;

#[test]
fn a_dead_sink_keeps_memory_flat_and_the_others_served() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("events.jsonl");
    let port = free_port();
    let mut scene = Scene::new(&format!(
        "  jsonl: [{{name: file, path: {}}}]\n  mqtt: [{{name: dead, url: mqtt://127.0.0.1:{port}}}]\n",
        file.display()
    ));
    let burst = |scene: &mut Scene| {
        for _ in 0..20 {
            scene.append_many(500);
        }
        scene.wait_delivered();
    };
    burst(&mut scene);
    let before = Footprint::here().resident_kib;
    burst(&mut scene);
    burst(&mut scene);
    let grown = Footprint::here().resident_kib.saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB for 20,000 events that wait");
    let text = fs::read_to_string(&file).expect("file");
    let arrived: Vec<String> = text.lines().map(|line| super::scene::id_of(line.as_bytes())).collect();
    assert_eq!(arrived.len(), 30_000);
    scene.assert_arrived(&arrived);
    let reports = scene.followers.reports().read();
    assert_eq!((reports[1].name.as_str(), reports[1].lag_events), ("dead", 30_000));
    assert!(reports[1].lag_seconds > 0.0 && reports[1].trouble.is_some());
}
