//! Time of class-wise suppression on the boxes a head emits at a low threshold.

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use eyeline::{
    detect::{
        ClassId, Detection,
        nms::{NmsSettings, Overlapped, Scope, suppress},
    },
    geometry::BBox,
};
use std::hint::black_box;

/// `count` boxes in clusters of ten around objects scattered over a 1920x1080 picture, as an anchor head leaves them.
fn clustered(count: usize) -> Vec<Detection> {
    // A linear congruential generator (Knuth's MMIX constants) gives the same boxes on every machine.
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let mut boxes = Vec::with_capacity(count);
    while boxes.len() < count {
        let (x, y) = (next() * 1800.0, next() * 900.0);
        for _ in 0..10.min(count - boxes.len()) {
            let bbox = BBox::from_tlwh(x + 8.0 * next(), y + 8.0 * next(), 40.0 + 8.0 * next(), 100.0 + 8.0 * next());
            boxes.push(Detection { bbox, class: ClassId(0), score: next() });
        }
    }
    boxes
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("nms");
    let settings = NmsSettings {
        max_iou: 0.45,
        scope: Scope::WithinClass,
        max_detections: 1000,
        overlapped: Overlapped::Goes,
        min_score: 0.0,
    };
    for count in [100, 1000, 10_000] {
        let boxes = clustered(count);
        group.bench_with_input(BenchmarkId::from_parameter(count), &boxes, |bencher, boxes| {
            bencher.iter_batched_ref(
                || boxes.clone(),
                |boxes| suppress(black_box(boxes), &settings),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
