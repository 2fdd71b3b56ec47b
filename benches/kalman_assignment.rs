//! What tracking costs: a whole update of each tracker at 10 to 1,000 objects, with and without appearance, and the
//! assignment alone.

mod street;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use eyeline::{
    time::MediaTime,
    track::{
        Observations, TrackIds,
        assignment::Assigner,
        build,
        settings::{Algorithm, TrackSettings},
    },
};
use ndarray::Array2;
use std::{hint::black_box, time::Duration};
use street::{FRAMES, Scene};

/// Measures one update of a tracker that has seen the scene before.
fn update(bencher: &mut criterion::Bencher<'_>, algorithm: Algorithm, scene: &Scene) {
    let mut tracker = build(&TrackSettings::of(algorithm), 25.0, TrackIds::default());
    let (mut out, mut frame) = (Vec::new(), 0);
    let mut step = || {
        let (detections, embeddings) = &scene.frames[frame % FRAMES];
        let at = MediaTime(frame as i64 * 40_000_000);
        tracker.update(&Observations { at, detections, embeddings, camera: None }, &mut out);
        frame += 1;
        out.len()
    };
    for _ in 0..2 * FRAMES {
        step();
    }
    bencher.iter(|| black_box(step()));
}

fn trackers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("update");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for objects in [10, 30, 100, 300, 500, 1000] {
        let scene = Scene::motion(objects);
        for algorithm in Algorithm::ALL {
            group.bench_function(BenchmarkId::new(algorithm.name(), objects), |b| update(b, algorithm, &scene));
        }
        let scene = Scene::with_looks(objects);
        group.bench_function(BenchmarkId::new("eyeline+512", objects), |b| update(b, Algorithm::Eyeline, &scene));
    }
    group.finish();
}

fn assignment(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("assignment");
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for objects in [10, 30, 100, 300] {
        // Dense: every pair may match. Gated: a few neighbours each, as a tracker sees them.
        let noise = |r: usize, c: usize| ((r * 7919 + c * 104_729) % 10_007) as f32 / 10_007.0;
        let dense = Array2::from_shape_fn((objects, objects), |(r, c)| noise(r, c));
        let gated =
            Array2::from_shape_fn(
                (objects, objects),
                |(r, c)| {
                    if r.abs_diff(c) <= 2 { noise(r, c) } else { f32::INFINITY }
                },
            );
        let mut assigner = Assigner::default();
        for (name, cost) in [("dense", &dense), ("gated", &gated)] {
            group.bench_function(BenchmarkId::new(name, objects), |b| {
                b.iter(|| black_box(assigner.solve(cost.view(), 2.0).len()));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, trackers, assignment);
criterion_main!(benches);
