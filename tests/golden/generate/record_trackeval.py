#!/usr/bin/env python3
"""Records TrackEval's scores of made-up trackers, for tests/eval_trackeval.rs.

usage: record_trackeval.py DATA > tests/golden/trackeval.json
needs: pip install trackeval==1.3.0 (with numpy, scipy); DATA as EYELINE_EVAL_DATA

The trackers are rules that the Rust test applies again to the same files, digit for digit, so that only scores are
recorded and no data. Change a rule here and there together.
"""
import configparser
import contextlib
import importlib.metadata
import io
import json
import os
import sys
import tempfile

import numpy as np
import trackeval

MASK = (1 << 64) - 1
ARRAYS = ["HOTA", "HOTA_TP", "AssA", "LocA"]


def noise(frame, identity, salt):
    """A number in 0..1 that only depends on its arguments."""
    h = (frame * 6364136223846793005 + identity * 1442695040888963407 + salt * 3935559000370003845) & MASK
    h ^= h >> 33
    h = (h * 0xFF51AFD7ED558CCD) & MASK
    h ^= h >> 33
    return (h >> 11) / 9007199254740992.0


def rows_of(path):
    """(frame, id, [left, top, width, height], conf) of each row."""
    rows = []
    with open(path) as file:
        for line in file:
            v = line.strip().split(",")
            rows.append((int(float(v[0])), int(float(v[1])), [float(x) for x in v[2:6]], float(v[6])))
    return rows


def swapped(truth, _):
    """Every box of the truth, distractors too, shaken; some dropped, some doubled; neighbours swap ids every 50 frames."""
    for frame, identity, (left, top, width, height), _ in truth:
        if noise(frame, identity, 0) < 0.1:
            continue
        new = identity ^ 1 if frame // 50 % 2 == 1 else identity
        left += (noise(frame, identity, 1) - 0.5) * 0.4 * width
        top += (noise(frame, identity, 2) - 0.5) * 0.2 * height
        width *= 0.85 + 0.3 * noise(frame, identity, 3)
        yield frame, new, [left, top, width, height]
        if noise(frame, identity, 4) < 0.05:
            yield frame, 10000 + new, [left + 0.25 * width, top, width, height]


def twins(truth, _):
    """The truth itself, a third of it twice: ties wherever one looks."""
    for frame, identity, box, _ in truth:
        yield frame, identity, box
        if noise(frame // 10, identity, 5) < 0.3:
            yield frame, 5000 + identity, box


def iou(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def greedy(_, detections):
    """Each detection takes the free track that it overlaps most, seen at most three frames ago."""
    tracks = []
    for frame, _, box, score in sorted(detections, key=lambda row: row[0]):
        if score < 0.5:
            continue
        best, highest = None, 0.3
        for index, (last, seen) in enumerate(tracks):
            if frame - 3 <= last < frame and iou(box, seen) > highest:
                best, highest = index, iou(box, seen)
        if best is None:
            best = len(tracks)
            tracks.append(None)
        tracks[best] = (frame, box)
        yield frame, best + 1, box


def ranked(_, detections):
    """The n-th best detection of a frame has id n."""
    ranks = {}
    for frame, _, box, _ in sorted(detections, key=lambda row: (row[0], -row[3])):
        ranks[frame] = ranks.get(frame, 0) + 1
        if ranks[frame] <= 40:
            yield frame, ranks[frame], box


def write(path, rows):
    with open(path, "w") as file:
        for frame, identity, box in rows:
            file.write(",".join([str(frame), str(identity)] + [f"{v:.3f}" for v in box]) + ",1,-1,-1,-1\n")


def score(gt_root, gt_format, results, benchmark, lengths):
    """TrackEval's result of one tracker whose files lie under results/trk/data."""
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = trackeval.datasets.MotChallenge2DBox({
            "GT_FOLDER": gt_root, "TRACKERS_FOLDER": results, "OUTPUT_FOLDER": results, "TRACKERS_TO_EVAL": ["trk"],
            "BENCHMARK": benchmark, "SKIP_SPLIT_FOL": True, "SEQ_INFO": lengths, "GT_LOC_FORMAT": gt_format,
            "PRINT_CONFIG": False, "DO_PREPROC": benchmark != "MOT15"})
        evaluator = trackeval.Evaluator({
            "USE_PARALLEL": False, "PRINT_RESULTS": False, "PRINT_CONFIG": False, "TIME_PROGRESS": False,
            "OUTPUT_SUMMARY": False, "OUTPUT_DETAILED": False, "PLOT_CURVES": False, "BREAK_ON_ERROR": True})
        metrics = [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR({"PRINT_CONFIG": False}),
                   trackeval.metrics.Identity({"PRINT_CONFIG": False})]
        out, _ = evaluator.evaluate([dataset], metrics)
    return out["MotChallenge2DBox"]["trk"]


def plain(metrics):
    """Scores as JSON: arrays as their mean, four of them also value by value."""
    out = {name: {field: round(float(np.mean(value)), 9) for field, value in fields.items()}
           for name, fields in metrics.items()}
    out["HOTA_per_alpha"] = {field: [round(float(v), 9) for v in metrics["HOTA"][field]] for field in ARRAYS}
    out["Count"].pop("Frames", None)
    return out


def record(gt_root, gt_format, benchmark, lengths, results_of):
    """Scores of all sequences; `results_of` gives the rows of a sequence."""
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "trk", "data")
        os.makedirs(data)
        for index, sequence in enumerate(lengths):
            write(os.path.join(data, sequence + ".txt"), results_of(sequence, index == 0))
        scores = score(gt_root, gt_format, folder, benchmark, lengths)
    return {name: plain(scores[name]["pedestrian"]) for name in list(lengths) + ["COMBINED_SEQ"]}


def benchmark_scores(root, benchmark, trackers):
    sequences = sorted(name for name in os.listdir(root) if os.path.isdir(os.path.join(root, name)))
    lengths = {}
    for sequence in sequences:
        info = configparser.ConfigParser()
        info.read(os.path.join(root, sequence, "seqinfo.ini"))
        lengths[sequence] = int(info["Sequence"]["seqLength"])

    def results_of(tracker):
        def rows(sequence, is_first):
            truth = rows_of(os.path.join(root, sequence, "gt", "gt.txt"))
            detections = rows_of(os.path.join(root, sequence, "det", "det.txt"))
            if tracker == "first_only":
                return ranked(truth, detections) if is_first else []
            return RULES[tracker](truth, detections)
        return rows

    return {tracker: record(root, "{gt_folder}/{seq}/gt/gt.txt", benchmark, lengths, results_of(tracker))
            for tracker in trackers}


RULES = {"swapped": swapped, "twins": twins, "greedy": greedy, "ranked": ranked}


def main(data):
    mot15, mot17 = os.path.join(data, "mot15"), os.path.join(data, "mot17_val_half")
    trackers = list(RULES) + ["first_only"]
    versions = {name: importlib.metadata.version(name) for name in ("trackeval", "numpy", "scipy")}
    scores = {
        "made_with": versions,
        "mot15": benchmark_scores(mot15, "MOT15", trackers),
        "mot17": benchmark_scores(mot17, "MOT17", trackers),
        "mot20": benchmark_scores(mot17, "MOT20", ["swapped", "greedy"]),
    }
    json.dump(scores, sys.stdout, separators=(",", ":"), sort_keys=True)
    print()


if __name__ == "__main__":
    main(sys.argv[1])
