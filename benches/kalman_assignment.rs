//! What tracking costs: a whole update of each tracker at 10 to 1,000 objects, with and without appearance, and the
//! assignment alone.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use eyeline::{
    detect::{ClassId, Detection},
    embed::Embedding,
    geometry::BBox,
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

/// Frames of the scene, repeated.
const FRAMES: usize = 64;
/// Length of an embedding.
const DIM: usize = 512;

/// `objects` people on a street: in the same density whatever their number, so that neighbours overlap a little.
fn street(objects: usize, frame: usize) -> Vec<Detection> {
    let columns = (objects as f32 * 1.8).sqrt().ceil() as usize;
    let place = |i: usize| {
        // To and fro, so that the last frame leads back to the first.
        let phase = frame as f32 / FRAMES as f32 * std::f32::consts::TAU + i as f32;
        let x = 110.0 * (i % columns) as f32 + 25.0 * phase.sin();
        let y = 160.0 * (i / columns) as f32 + 10.0 * phase.cos();
        let bbox = BBox::from_cxcywh(x, y, 80.0, 200.0);
        let score = if (frame + i) % 10 == 0 { 0.4 } else { 0.9 };
        Detection { bbox, class: ClassId(0), score }
    };
    (0..objects).map(place).collect()
}

/// A look for each object, a little different in every frame.
fn looks(objects: usize, frame: usize) -> Vec<Option<Embedding>> {
    let value = |i: usize, k: usize| {
        let own = ((i * 7919 + k * 104_729) % 1000) as f32 / 500.0 - 1.0;
        own + 0.3 * (((frame * 31 + i * 17 + k * 13) % 100) as f32 / 50.0 - 1.0)
    };
    let look = |i: usize| {
        let raw: Vec<f32> = (0..DIM).map(|k| value(i, k)).collect();
        let norm = raw.iter().map(|v| v * v).sum::<f32>().sqrt();
        Some(Embedding(raw.iter().map(|v| v / norm).collect()))
    };
    (0..objects).map(look).collect()
}

struct Scene {
    frames: Vec<(Vec<Detection>, Vec<Option<Embedding>>)>,
}

impl Scene {
    fn motion(objects: usize) -> Self {
        Self { frames: (0..FRAMES).map(|frame| (street(objects, frame), Vec::new())).collect() }
    }

    fn with_looks(objects: usize) -> Self {
        Self { frames: (0..FRAMES).map(|frame| (street(objects, frame), looks(objects, frame))).collect() }
    }
}

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
