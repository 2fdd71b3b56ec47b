use super::*;
use crate::eval::{
    fixture::{Row, any_scene, permuted, scene, two_walkers},
    mistakes::Mistake,
};
use proptest::prelude::*;

fn counts(sequence: &Sequence) -> ClearCounts {
    evaluate(sequence, 0.5, &mut |_, _, _| ()).counts
}

fn mistakes(sequence: &Sequence) -> Vec<(u64, Mistake)> {
    let mut all = Vec::new();
    evaluate(sequence, 0.5, &mut |frame, _, mistake| all.push((frame, mistake)));
    all
}

#[test]
fn perfect_results_make_no_mistake() {
    let sequence = two_walkers(10, |_| true, |_, id| id);
    let scores = evaluate(&sequence, 0.5, &mut |_, _, mistake| panic!("{mistake:?}"));
    assert_eq!((scores.mota, scores.motp, scores.precision, scores.recall), (1.0, 1.0, 1.0, 1.0));
    let expected =
        ClearCounts { true_positives: 20, mostly_tracked: 2, frames: 10, iou_sum: 20.0, ..ClearCounts::default() };
    assert_eq!(scores.counts, expected);
}

#[test]
fn a_switch_counts_once_whatever_the_gap() {
    let sequence = two_walkers(10, |frame| !(4..7).contains(&frame), |frame, id| if frame > 5 { 9 - id } else { id });
    let got = counts(&sequence);
    assert_eq!((got.switches, got.misses, got.true_positives), (2, 6, 14));
    let switches: Vec<_> =
        mistakes(&sequence).into_iter().filter(|(_, m)| matches!(m, Mistake::Switch { .. })).collect();
    let expected = [1, 2].map(|truth| (7, Mistake::Switch { truth, result: 9 - truth, previous: truth }));
    assert_eq!(switches, expected);
}

#[test]
fn frames_without_any_result_interrupt_no_track() {
    // TrackEval's reading: the gap is four misses, but no fragmentation. One other box in the gap makes it one.
    let seen = |frame: u64| !(4..6).contains(&frame);
    assert_eq!(counts(&two_walkers(10, seen, |_, id| id)).fragmentations, 0);

    let bbox = [0.0, 0.0, 10.0, 10.0];
    let truth: Vec<Row> = (1..=6).map(|frame| (frame, 1, bbox)).collect();
    let elsewhere = [90.0, 90.0, 10.0, 10.0];
    let results: Vec<Row> = (1..=6).map(|frame| (frame, 1, if frame == 3 { elsewhere } else { bbox })).collect();
    let sequence = scene(&truth, &results);
    let got = counts(&sequence);
    assert_eq!((got.fragmentations, got.misses, got.false_positives, got.switches), (1, 1, 1, 0));
    let expected = [
        (3, Mistake::Miss { truth: 1 }),
        (3, Mistake::FalsePositive { result: 1 }),
        (4, Mistake::Fragmentation { truth: 1, result: 1 }),
    ];
    assert_eq!(mistakes(&sequence), expected);
}

#[test]
fn a_pair_stays_together_while_it_overlaps_enough() {
    let bbox = [0.0, 0.0, 10.0, 10.0];
    let shifted = [0.0, 2.0, 10.0, 10.0];
    let truth = [(1, 1, bbox), (2, 1, bbox)];
    // In frame 2 another result fits better, but the one matched before still reaches 0.5.
    let results = [(1, 5, bbox), (2, 5, shifted), (2, 6, bbox)];
    let got = counts(&scene(&truth, &results));
    assert_eq!((got.switches, got.true_positives, got.false_positives), (0, 2, 1));
}

#[test]
fn objects_are_tracked_mostly_partly_or_hardly() {
    // Of ten boxes each: nine, eight, two, one found.
    let at = |id: i64| [0.0, 100.0 * id as f64, 10.0, 10.0];
    let truth: Vec<Row> = (1..=10).flat_map(|frame| (1..=4).map(move |id| (frame, id, at(id)))).collect();
    let found = |frame: u64, id: i64| frame <= [9, 8, 2, 1][id as usize - 1];
    let results: Vec<Row> = truth.iter().filter(|row| found(row.0, row.1)).copied().collect();
    let got = counts(&scene(&truth, &results));
    assert_eq!((got.mostly_tracked, got.partly_tracked, got.mostly_lost), (1, 2, 1));
}

#[test]
fn the_threshold_itself_matches() {
    let truth = [(1, 1, [0.0, 0.0, 10.0, 10.0])];
    let half = [(1, 1, [0.0, 0.0, 10.0, 5.0])];
    assert_eq!(counts(&scene(&truth, &half)).true_positives, 1);
    assert_eq!(evaluate(&scene(&truth, &half), 0.51, &mut |_, _, _| ()).counts.true_positives, 0);
}

#[test]
fn an_empty_side_has_counts_but_no_ratios() {
    let row = (3, 1, [0.0, 0.0, 10.0, 10.0]);
    let no_results = evaluate(&scene(&[row], &[]), 0.5, &mut |_, _, _| ());
    assert_eq!((no_results.counts.misses, no_results.counts.mostly_lost, no_results.counts.frames), (1, 1, 0));
    assert_eq!((no_results.mota, no_results.mostly_lost_ratio), (0.0, 1.0));
    let no_truth = evaluate(&scene(&[], &[row]), 0.5, &mut |_, _, _| ());
    assert_eq!((no_truth.counts.false_positives, no_truth.mota), (1, 0.0));
    assert_eq!(mistakes(&scene(&[], &[row])), [(3, Mistake::FalsePositive { result: 1 })]);
    assert_eq!(combine(&[&no_results, &no_truth]).mota, -1.0);
}

proptest! {
    #[test]
    fn counts_add_up((truth, results) in any_scene()) {
        let sequence = scene(&truth, &results);
        let got = counts(&sequence);
        prop_assert_eq!(got.true_positives + got.misses, truth.len() as u64);
        prop_assert_eq!(got.true_positives + got.false_positives, results.len() as u64);
        let objects = sequence.truth_ids.len() as u64;
        prop_assert_eq!(got.mostly_tracked + got.partly_tracked + got.mostly_lost, objects);

        let list = mistakes(&sequence);
        let listed = |kind: &str| list.iter().filter(|(_, mistake)| mistake.kind() == kind).count() as u64;
        prop_assert_eq!(listed("miss"), got.misses);
        prop_assert_eq!(listed("false_positive"), got.false_positives);
        prop_assert_eq!(listed("id_switch"), got.switches);
        prop_assert_eq!(listed("fragmentation"), got.fragmentations);
    }

    #[test]
    fn order_of_rows_and_names_of_ids_do_not_matter((truth, results) in any_scene()) {
        let (a, b) = (counts(&scene(&truth, &results)), counts(&scene(&permuted(&truth), &permuted(&results))));
        prop_assert!((a.iou_sum - b.iou_sum).abs() < 1e-9);
        prop_assert_eq!(ClearCounts { iou_sum: 0.0, ..a }, ClearCounts { iou_sum: 0.0, ..b });
    }
}
