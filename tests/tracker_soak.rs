//! A long run keeps memory flat. The full million frames are an ignored test (`cargo test --release -- --ignored soak`);
//! the same scene, shorter, runs every time.

mod footprint;

use eyeline::{
    detect::{ClassId, Detection},
    embed::Embedding,
    geometry::BBox,
    time::MediaTime,
    track::{Observations, TrackIds, build, settings::TrackSettings},
};
use footprint::Footprint;

/// People who come, walk through and go, for ever: about `frame / 10` of them over time, each with a look of its own.
fn street(frame: u64) -> (Vec<Detection>, Vec<Option<Embedding>>) {
    let on_stage = (frame / 10).saturating_sub(8)..=frame / 10;
    let people = on_stage.filter(|person| frame >= person * 10 && !(frame + person).is_multiple_of(13));
    let walk = |person: u64| {
        let x = 12.0 * (frame - person * 10) as f32;
        let y = 150.0 + 90.0 * (person % 9) as f32;
        let bbox = BBox::from_cxcywh(x, y, 40.0, 100.0);
        let look = (0..16).map(|k| ((person * 31 + k * 17) as f32).sin()).collect();
        (Detection { bbox, class: ClassId(0), score: 0.9 }, Some(Embedding(look)))
    };
    people.map(walk).unzip()
}

/// Runs `frames` frames; memory may not grow by more than 2 MiB after the first tenth.
fn soak(frames: u64) {
    let mut tracker = build(&TrackSettings::default(), 25.0, TrackIds::default());
    let (mut out, mut most, mut early) = (Vec::new(), 0, 0);
    for frame in 0..frames {
        let (detections, embeddings) = street(frame);
        let at = MediaTime(frame as i64 * 40_000_000);
        tracker.update(&Observations { at, detections: &detections, embeddings: &embeddings, camera: None }, &mut out);
        most = most.max(out.len());
        if frame == frames / 10 {
            early = Footprint::here().resident_kib;
        }
    }
    let late = Footprint::here().resident_kib;
    assert!(most < 300, "{most} tracks alive at one time");
    assert!(late < early + 2048, "{early} KiB after a tenth, {late} KiB at the end");
}

#[test]
fn twenty_thousand_frames_keep_memory_flat() {
    soak(20_000);
}

#[test]
#[ignore = "takes a minute; run with --release"]
fn soak_of_a_million_frames_keeps_memory_flat() {
    soak(1_000_000);
}
