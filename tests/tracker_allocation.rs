//! In the steady state a tracker allocates nothing: counted by the allocator of this test binary, which runs one test only,
//! so that no other thread is counted with it.
#![allow(unsafe_code)]

use eyeline::{
    detect::{ClassId, Detection},
    embed::Embedding,
    geometry::BBox,
    time::MediaTime,
    track::{
        Observations, TrackIds, build,
        settings::{Algorithm, TrackSettings},
    },
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering},
};

/// The system's allocator, with a count of what it hands out.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to `System` unchanged, which keeps the contract; counting touches no memory of the caller's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's contract is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's contract is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Fifty people walking to and fro, some of them of low score or unseen in turns.
fn crowd(frame: usize) -> Vec<Detection> {
    (0..50)
        .filter(|i| !(frame + i * 7).is_multiple_of(23))
        .map(|i| {
            let sway = 15.0 * ((frame as f32 / 20.0) + i as f32).sin();
            let (x, y) = (100.0 + 150.0 * (i % 10) as f32 + sway, 150.0 + 180.0 * (i / 10) as f32);
            let score = if (frame + i).is_multiple_of(11) { 0.3 } else { 0.9 };
            Detection { bbox: BBox::from_cxcywh(x, y, 60.0, 150.0), class: ClassId(0), score }
        })
        .collect()
}

fn looks(detections: &[Detection]) -> Vec<Option<Embedding>> {
    let look = |d: &Detection| (0..64).map(|k| (d.bbox.bottom * 0.37 + k as f32).sin()).collect();
    detections.iter().map(|d| Some(Embedding(look(d)))).collect()
}

#[test]
fn an_update_with_an_unchanged_number_of_tracks_allocates_nothing() {
    for algorithm in Algorithm::ALL {
        for with_looks in [false, true] {
            let frames: Vec<_> =
                (0..400).map(crowd).map(|d| (if with_looks { looks(&d) } else { vec![] }, d)).collect();
            let mut tracker = build(&TrackSettings::of(algorithm), 25.0, TrackIds::default());
            let mut out = Vec::new();
            let mut allocated = 0;
            for (frame, (embeddings, detections)) in frames.iter().enumerate() {
                let at = MediaTime(frame as i64 * 40_000_000);
                let before = (ALLOCATIONS.load(Ordering::Relaxed), out.len());
                tracker.update(&Observations { at, detections, embeddings, camera: None }, &mut out);
                if frame >= 200 && out.len() == before.1 {
                    allocated += ALLOCATIONS.load(Ordering::Relaxed) - before.0;
                }
            }
            assert_eq!(allocated, 0, "{algorithm}, embeddings: {with_looks}");
        }
    }
}
