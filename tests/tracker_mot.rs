//! Quality against the field's data: the numbers the README may claim. Needs the evaluation data, see `eval_data`.

mod eval_data {
    use eyeline::{
        eval::{
            detections::MotDetections,
            mot_io::{MotRows, PEDESTRIAN, ResultRow},
            seqinfo::SeqInfo,
            sequence::Sequence,
            tracking::{self, DEFAULT_MIN_IOU},
        },
        track::{
            refine::refine,
            replay::{RecordedFrame, Recording, TrackPoint, replay},
            settings::{Algorithm, TrackSettings},
        },
    };
    use std::{
        fs,
        path::{Path, PathBuf},
        time::Duration,
    };

    /// HOTA, IDF1 and MOTA, percent.
    #[derive(Clone, Copy, Debug)]
    struct Scores {
        hota: f64,
        idf1: f64,
        mota: f64,
    }

    fn root() -> PathBuf {
        PathBuf::from(std::env::var_os("EYELINE_EVAL_DATA").expect("EYELINE_EVAL_DATA names the evaluation data"))
    }

    fn recording(folder: &Path, detections: &str, fps: f64) -> Recording {
        let found = MotDetections::read(&folder.join(detections).join("det.txt")).unwrap();
        let frame = |number| RecordedFrame { detections: found.frame(number).to_vec(), ..RecordedFrame::default() };
        let mut recording = Recording { fps, frames: (1..=found.last_frame()).map(frame).collect() };
        let Ok(gmc) = fs::read_to_string(folder.join("gmc/gmc.txt")) else { return recording };
        for line in gmc.lines() {
            let values: Vec<f32> = line.split(',').map(|v| v.trim().parse().unwrap()).collect();
            if let Some(frame) = recording.frames.get_mut(values[0] as usize - 1) {
                frame.camera = Some(std::array::from_fn(|i| values[i + 1]));
            }
        }
        recording
    }

    fn results(points: &[TrackPoint]) -> MotRows<ResultRow> {
        let row = |p: &TrackPoint| ResultRow {
            line: 0,
            frame: p.frame as u64 + 1,
            id: p.id.0 as i64,
            bbox: p.bbox.into(),
            score: f64::from(p.score),
            class: PEDESTRIAN,
        };
        MotRows { path: PathBuf::from("results"), rows: points.iter().map(row).collect() }
    }

    /// Scores several sequences together; `track` makes the boxes of one.
    fn score(sequences: &[(&str, &str)], track: impl Fn(&Recording) -> Vec<TrackPoint>) -> Scores {
        let one = |&(name, detections): &(&str, &str)| {
            let folder = root().join(name);
            let info = SeqInfo::read(&folder.join("seqinfo.ini")).unwrap();
            let sequence_name = folder.file_name().unwrap().to_string_lossy().into_owned();
            let (truth, format) = MotRows::read_truth(&folder.join("gt/gt.txt"), None, &sequence_name).unwrap();
            let points = track(&recording(&folder, detections, info.frame_rate.unwrap()));
            let sequence = Sequence::new(&truth, &results(&points), format, info.length).unwrap();
            tracking::evaluate(&sequence, DEFAULT_MIN_IOU, &mut |_, _, _| ())
        };
        let whole = tracking::combine(&sequences.iter().map(one).collect::<Vec<_>>());
        let scores = Scores {
            hota: 100.0 * eyeline::eval::hota::mean(&whole.hota.hota),
            idf1: 100.0 * whole.identity.idf1,
            mota: 100.0 * whole.clear.mota,
        };
        println!("{scores:?}");
        scores
    }

    const MOT17: [(&str, &str); 4] = [
        ("mot17_val_half/MOT17-02", "det"),
        ("mot17_val_half/MOT17-05", "det"),
        ("mot17_val_half/MOT17-09", "det"),
        ("mot17_val_half/MOT17-10", "det"),
    ];
    const MOT15: [(&str, &str); 6] = [
        ("mot15/PETS09-S2L1", "det"),
        ("mot15/TUD-Stadtmitte", "det"),
        ("mot15/ETH-Bahnhof", "det"),
        ("mot15/ADL-Rundle-6", "det"),
        ("mot15/KITTI-17", "det"),
        ("mot15/Venice-2", "det"),
    ];
    const PETS: [(&str, &str); 1] = [("mot15/PETS09-S2L1", "det_yolox_nano")];
    const TUD: [(&str, &str); 1] = [("mot15/TUD-Stadtmitte", "det_yolox_nano")];

    fn online(settings: &TrackSettings) -> impl Fn(&Recording) -> Vec<TrackPoint> {
        let settings = settings.clone();
        move |recording| replay(&settings, recording).points
    }

    /// A reference with a buffer of so many frames, as its authors count.
    fn reference(algorithm: Algorithm, max_lost_frames: f64) -> impl Fn(&Recording) -> Vec<TrackPoint> {
        move |recording| {
            let max_lost = Duration::from_secs_f64(max_lost_frames / recording.fps);
            replay(&TrackSettings { max_lost, ..TrackSettings::of(algorithm) }, recording).points
        }
    }

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn references_score_as_their_authors_code() {
        let cases = [
            (Algorithm::Sort, 1.0, 46.46, 54.64),
            (Algorithm::Sort, 30.0, 52.03, 64.40),
            (Algorithm::ByteTrack, 30.0, 54.30, 67.35),
            (Algorithm::OcSort, 30.0, 51.46, 63.74),
        ];
        for (algorithm, frames, hota, idf1) in cases {
            let got = score(&MOT17, reference(algorithm, frames));
            assert!((got.hota - hota).abs() <= 0.5, "{algorithm}({frames}): {got:?}, expected HOTA {hota}");
            assert!((got.idf1 - idf1).abs() <= 0.7, "{algorithm}({frames}): {got:?}, expected IDF1 {idf1}");
        }
    }

    /// Their buffer is 30 frames here too, at 7 and 25 Hz.
    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn bytetrack_scores_as_its_authors_code_on_small_people() {
        for (sequences, hota, idf1) in [(&PETS, 50.51, 63.94), (&TUD, 59.64, 81.62)] {
            let got = score(sequences, reference(Algorithm::ByteTrack, 30.0));
            assert!((got.hota - hota).abs() <= 0.5 && (got.idf1 - idf1).abs() <= 0.7, "{got:?}, {hota} {idf1}");
        }
    }

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn eyeline_online_keeps_its_promise_on_mot17() {
        let got = score(&MOT17, online(&TrackSettings::default()));
        assert!(got.hota >= 56.5 && got.idf1 >= 70.5 && got.mota >= 67.5, "{got:?}");
    }

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn eyeline_refined_keeps_its_promise_on_mot17() {
        let settings = TrackSettings::default();
        let got = score(&MOT17, |recording| refine(&replay(&settings, recording).points, recording.fps, &settings));
        assert!(got.hota >= 58.0 && got.mota >= 69.5, "{got:?}");
    }

    #[test]
    #[ignore = "needs EYELINE_EVAL_DATA"]
    fn eyeline_beats_bytetrack_on_mot15() {
        for sequences in [&PETS[..], &TUD[..], &MOT15[..]] {
            let theirs = score(sequences, reference(Algorithm::ByteTrack, 30.0));
            let ours = score(sequences, online(&TrackSettings::default()));
            assert!(
                ours.hota > theirs.hota && ours.idf1 > theirs.idf1 && ours.mota > theirs.mota,
                "{ours:?} {theirs:?}"
            );
        }
    }
}
