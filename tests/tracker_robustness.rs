//! Whatever a detector or a container gives, every tracker keeps its promises: no panic, ids that are never used twice,
//! sound boxes, bounded memory.

use eyeline::{
    detect::{ClassId, Detection},
    embed::Embedding,
    geometry::BBox,
    time::MediaTime,
    track::{
        Observations, Track, TrackIds, TrackState, Tracker, build,
        settings::{Algorithm, TrackSettings},
    },
};
use proptest::prelude::*;
use std::collections::BTreeSet;

const FRAME: i64 = 40_000_000;

fn tracker(algorithm: Algorithm) -> Box<dyn Tracker> {
    build(&TrackSettings::of(algorithm), 25.0, TrackIds::default())
}

fn seen<'a>(at: i64, detections: &'a [Detection], embeddings: &'a [Option<Embedding>]) -> Observations<'a> {
    Observations { at: MediaTime(at), detections, embeddings, camera: None }
}

fn person(x: f32, y: f32) -> Detection {
    Detection { bbox: BBox::from_cxcywh(x, y, 40.0, 100.0), class: ClassId(0), score: 0.9 }
}

/// What holds for the tracks of any frame.
fn check(out: &[Track], gone: &mut BTreeSet<u64>) {
    assert!(out.is_sorted_by(|a, b| a.id < b.id), "by ascending id, none twice");
    for track in out {
        assert!(track.bbox.is_sound(), "{track:?}");
        assert!((0.0..=1.0).contains(&track.score), "{track:?}");
        assert_ne!(track.state, TrackState::Tentative);
        assert_eq!(track.detection.is_some(), track.state == TrackState::Confirmed, "{track:?}");
        assert!(!gone.contains(&track.id.0), "{track:?} was removed before");
        if track.state == TrackState::Removed {
            assert!(!track.shown);
            gone.insert(track.id.0);
        }
    }
}

#[test]
fn a_walker_keeps_one_dense_id_in_every_tracker() {
    for algorithm in Algorithm::ALL {
        let (mut tracker, mut out, mut gone) = (tracker(algorithm), Vec::new(), BTreeSet::new());
        for frame in 0..100i64 {
            tracker.update(&seen(frame * FRAME, &[person(100.0 + 3.0 * frame as f32, 200.0)], &[]), &mut out);
            check(&out, &mut gone);
        }
        assert_eq!(out.iter().map(|t| t.id.0).collect::<Vec<_>>(), [1], "{algorithm}");
        tracker.finish(&mut out);
        assert_eq!(
            out.iter().map(|t| (t.id.0, t.state)).collect::<Vec<_>>(),
            [(1, TrackState::Removed)],
            "{algorithm}"
        );
        tracker.finish(&mut out);
        assert!(out.is_empty(), "{algorithm}: removed is said once");
    }
}

#[test]
fn nonsense_boxes_and_scores_begin_nothing() {
    let good = BBox::from_cxcywh(100.0, 100.0, 40.0, 100.0);
    let inf = f32::INFINITY;
    let bad = [
        (BBox::new(f32::NAN, 0.0, 10.0, 10.0), 0.9),
        (BBox::new(0.0, 0.0, inf, 10.0), 0.9),
        (BBox::new(-inf, -inf, inf, inf), 0.9),
        (BBox::new(f32::MIN, f32::MIN, f32::MAX, f32::MAX), 0.9),
        (BBox::new(10.0, 10.0, 10.0, 50.0), 0.9),
        (BBox::new(50.0, 50.0, 10.0, 10.0), 0.9),
        (good, f32::NAN),
        (good, -3.0),
    ];
    let detections: Vec<Detection> =
        bad.iter().map(|&(bbox, score)| Detection { bbox, class: ClassId(0), score }).collect();
    for algorithm in Algorithm::ALL {
        let (mut tracker, mut out) = (tracker(algorithm), Vec::new());
        for frame in 0..10 {
            tracker.update(&seen(frame * FRAME, &detections, &[]), &mut out);
            assert!(out.is_empty(), "{algorithm} {out:?}");
        }
    }
}

#[test]
fn scores_above_one_count_as_one() {
    for algorithm in Algorithm::ALL {
        let (mut tracker, mut out, mut gone) = (tracker(algorithm), Vec::new(), BTreeSet::new());
        for frame in 0..10 {
            let detection = Detection { score: f32::INFINITY, ..person(100.0, 100.0) };
            tracker.update(&seen(frame * FRAME, &[detection], &[]), &mut out);
            check(&out, &mut gone);
        }
        assert_eq!(out.len(), 1, "{algorithm}");
    }
}

#[test]
fn a_thousand_detections_a_frame() {
    let crowd = |shift: f32| -> Vec<Detection> {
        (0..1000).map(|i| person(60.0 * (i % 40) as f32 + shift, 120.0 * (i / 40) as f32)).collect()
    };
    for algorithm in Algorithm::ALL {
        let (mut tracker, mut out, mut gone) = (tracker(algorithm), Vec::new(), BTreeSet::new());
        for frame in 0..6 {
            tracker.update(&seen(frame * FRAME, &crowd(frame as f32), &[]), &mut out);
            check(&out, &mut gone);
        }
        assert_eq!(out.iter().filter(|t| t.shown).count(), 1000, "{algorithm}");
    }
}

#[test]
fn ten_thousand_empty_frames_end_every_track() {
    for algorithm in Algorithm::ALL {
        let (mut tracker, mut out, mut gone) = (tracker(algorithm), Vec::new(), BTreeSet::new());
        let mut removed = 0;
        for frame in 0..10_020i64 {
            let walker = [person(100.0 + frame as f32, 200.0)];
            let detections = if frame < 20 { &walker[..] } else { &[] };
            tracker.update(&seen(frame * FRAME, detections, &[]), &mut out);
            check(&out, &mut gone);
            removed += out.iter().filter(|t| t.state == TrackState::Removed).count();
        }
        assert!(out.is_empty() && removed == 1, "{algorithm}: {removed} removed, {out:?} left");
    }
}

#[test]
fn time_stamps_that_repeat_or_go_back_neither_panic_nor_keep_tracks_for_ever() {
    let stamps: [fn(i64) -> i64; 4] =
        [|_| 0, |f| -f * FRAME, |f| if f % 2 == 0 { i64::MIN } else { i64::MAX }, |f| f % 3];
    for algorithm in Algorithm::ALL {
        for stamp in stamps {
            let (mut tracker, mut out, mut gone) = (tracker(algorithm), Vec::new(), BTreeSet::new());
            for frame in 0..400i64 {
                let walker = [person(100.0, 200.0)];
                let detections = if frame < 200 { &walker[..] } else { &[] };
                tracker.update(&seen(stamp(frame), detections, &[]), &mut out);
                check(&out, &mut gone);
            }
            assert!(out.is_empty(), "{algorithm}");
        }
    }
}

#[test]
fn two_objects_with_equal_boxes_stay_bounded() {
    for algorithm in Algorithm::ALL {
        let (mut tracker, mut out, mut gone) = (tracker(algorithm), Vec::new(), BTreeSet::new());
        for frame in 0..200 {
            tracker.update(&seen(frame * FRAME, &[person(100.0, 200.0); 2], &[]), &mut out);
            check(&out, &mut gone);
            assert!(out.len() <= 2, "{algorithm} {out:?}");
        }
        assert!(gone.is_empty(), "{algorithm}: nothing comes and goes");
    }
}

#[test]
fn embeddings_of_any_length_and_number_are_taken() {
    let embedding = |values: &[f32]| Some(Embedding(values.into()));
    let odd: [Vec<Option<Embedding>>; 7] = [
        vec![embedding(&[])],
        vec![embedding(&[f32::NAN; 4])],
        vec![embedding(&[0.0; 4])],
        vec![embedding(&[1.0, 0.0])],
        vec![embedding(&[1.0, 0.0, 0.0])],
        vec![None],
        vec![embedding(&[1.0, 0.0]); 9],
    ];
    let (mut tracker, mut out, mut gone) = (tracker(Algorithm::Eyeline), Vec::new(), BTreeSet::new());
    for frame in 0..200i64 {
        let detections = [person(100.0 + 2.0 * frame as f32, 200.0), person(900.0, 300.0)];
        tracker.update(&seen(frame * FRAME, &detections, &odd[frame as usize % odd.len()]), &mut out);
        check(&out, &mut gone);
        assert!(frame < 5 || out.len() == 2, "frame {frame}: {out:?}");
    }
}

#[test]
fn camera_motion_that_cannot_be_is_ignored() {
    let (mut tracker, mut out, mut gone) = (tracker(Algorithm::Eyeline), Vec::new(), BTreeSet::new());
    for frame in 0..50i64 {
        let detections = [person(100.0 + 2.0 * frame as f32, 200.0)];
        let camera = Some([f32::NAN, 0.0, 1e30, 0.0, -5.0, f32::INFINITY]);
        tracker.update(&Observations { camera, ..seen(frame * FRAME, &detections, &[]) }, &mut out);
        check(&out, &mut gone);
    }
    assert_eq!(out.len(), 1);
}

fn any_detection() -> impl Strategy<Value = Detection> {
    let edge = prop_oneof![
        20 => -50.0..800.0f32,
        1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, 0.0]),
    ];
    let score = prop_oneof![10 => 0.0..1.0f32, 1 => prop::sample::select(vec![f32::NAN, -1.0, 9.0])];
    (edge.clone(), edge, 0.0..200.0f32, 0.0..300.0f32, 0u16..3, score).prop_map(|(l, t, w, h, class, score)| {
        Detection { bbox: BBox::from_tlwh(l, t, w, h), class: ClassId(class), score }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_input_keeps_the_promises(
        frames in prop::collection::vec(
            (
                prop::collection::vec((any_detection(), prop::option::of(prop::collection::vec(-1.0..1.0f32, 0..4))), 0..12),
                -200i64..2000,
                prop::option::weighted(0.2, prop::array::uniform6(-2.0..2.0f32)),
            ),
            1..40,
        ),
        restart in 0usize..40,
    ) {
        for algorithm in Algorithm::ALL {
            let (mut tracker, mut out, mut gone) = (tracker(algorithm), Vec::new(), BTreeSet::new());
            let mut at = 0;
            for (frame, (found, millis, camera)) in frames.iter().enumerate() {
                at += millis * 1_000_000;
                if frame == restart {
                    tracker.restart_motion();
                }
                let detections: Vec<Detection> = found.iter().map(|(detection, _)| *detection).collect();
                let embeddings: Vec<Option<Embedding>> =
                    found.iter().map(|(_, values)| values.as_ref().map(|v| Embedding(v.as_slice().into()))).collect();
                tracker.update(&Observations { camera: *camera, ..seen(at, &detections, &embeddings) }, &mut out);
                check(&out, &mut gone);
                for track in out.iter().filter(|t| t.state == TrackState::Confirmed) {
                    prop_assert!(track.detection.is_some_and(|d| d < detections.len()));
                }
            }
            tracker.finish(&mut out);
            check(&out, &mut gone);
            prop_assert!(out.iter().all(|track| track.state == TrackState::Removed));
        }
    }
}
