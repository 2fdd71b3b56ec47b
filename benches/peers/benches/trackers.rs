//! One update of eyeline, similari and trackforge on one scene, in one run, each on one core.

#[path = "../../street/mod.rs"]
mod street;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use eyeline::{
    detect::Detection,
    time::MediaTime,
    track::{Observations, TrackIds, build, settings::TrackSettings},
};
use similari::{
    prelude::{Universal2DBox, VisualSort, VisualSortObservation, VisualSortOptions},
    trackers::{
        sort::{PositionalMetricType, metric::DEFAULT_MINIMAL_SORT_CONFIDENCE, simple_api::Sort},
        visual_sort::metric::VisualSortMetricType,
    },
    utils::bbox::BoundingBox,
};
use std::{hint::black_box, time::Duration};
use street::{FRAMES, Scene};
use trackforge::trackers::byte_track::ByteTrack;

fn tlwh(detection: &Detection) -> [f32; 4] {
    let b = &detection.bbox;
    [b.left, b.top, b.width(), b.height()]
}

fn their_box(detection: &Detection) -> Universal2DBox {
    let [left, top, width, height] = tlwh(detection);
    BoundingBox::new_with_confidence(left, top, width, height, detection.score).into()
}

/// Times `step(frame)` after the scene was seen twice.
fn measure(bencher: &mut criterion::Bencher<'_>, mut step: impl FnMut(usize) -> usize) {
    let mut frame = 0;
    for _ in 0..2 * FRAMES {
        step(frame);
        frame += 1;
    }
    bencher.iter(|| {
        frame += 1;
        black_box(step(frame))
    });
}

fn ours<'a>(scene: &'a Scene) -> impl FnMut(usize) -> usize + 'a {
    let mut tracker = build(&TrackSettings::default(), 25.0, TrackIds::default());
    let mut out = Vec::new();
    move |frame| {
        let (detections, embeddings) = &scene.frames[frame % FRAMES];
        let at = MediaTime(frame as i64 * 40_000_000);
        tracker.update(&Observations { at, detections, embeddings, camera: None }, &mut out);
        out.len()
    }
}

fn motion(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("motion");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(20);
    for objects in [10, 100, 300, 500, 1000] {
        let scene = Scene::motion(objects);
        group.bench_function(BenchmarkId::new("eyeline", objects), |b| measure(b, ours(&scene)));
        group.bench_function(BenchmarkId::new("similari SORT", objects), |b| {
            let metric = PositionalMetricType::IoU(0.3);
            let mut tracker = Sort::new(1, 1, 25, metric, DEFAULT_MINIMAL_SORT_CONFIDENCE, None);
            measure(b, |frame| {
                let boxes: Vec<_> = scene.frames[frame % FRAMES].0.iter().map(|d| (their_box(d), None)).collect();
                tracker.predict(&boxes).len()
            });
        });
        group.bench_function(BenchmarkId::new("trackforge ByteTrack", objects), |b| {
            let mut tracker = ByteTrack::new(0.6, 25, 0.9, 0.7);
            measure(b, |frame| {
                let boxes = scene.frames[frame % FRAMES].0.iter().map(|d| (tlwh(d), d.score, 0)).collect();
                tracker.update(boxes).len()
            });
        });
    }
    group.finish();
}

fn appearance(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("appearance, 512 values");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(10);
    for objects in [10, 100] {
        let scene = Scene::with_looks(objects);
        group.bench_function(BenchmarkId::new("eyeline", objects), |b| measure(b, ours(&scene)));
        group.bench_function(BenchmarkId::new("similari visual SORT", objects), |b| {
            let options = VisualSortOptions::default()
                .positional_metric(PositionalMetricType::IoU(0.3))
                .visual_metric(VisualSortMetricType::Euclidean(0.7))
                .visual_max_observations(3)
                .visual_min_votes(2);
            let mut tracker = VisualSort::new(1, &options);
            let features: Vec<Vec<Vec<f32>>> = scene
                .frames
                .iter()
                .map(|(_, looks)| looks.iter().flatten().map(|look| look.0.to_vec()).collect())
                .collect();
            measure(b, |frame| {
                let frame = frame % FRAMES;
                let found = scene.frames[frame].0.iter().zip(&features[frame]);
                let seen: Vec<_> = found
                    .map(|(d, look)| VisualSortObservation::new(Some(look), Some(1.0), their_box(d), None))
                    .collect();
                tracker.predict(&seen).len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, motion, appearance);
criterion_main!(benches);
