#!/usr/bin/env python3
"""Records TrackEval's scores of made-up crowds on a coarse grid, where most matchings tie, for tests/eval_ties.rs.

usage: record_trackeval_ties.py > tests/golden/trackeval_ties.json
needs: as record_trackeval.py, but no data: the crowds come from `noise` here and in the test alike.
"""
import json
import os
import sys
import tempfile

from record_trackeval import noise, plain, score

SCENES = 90
KEPT = {"HOTA": ["HOTA", "AssA", "DetA", "LocA", "HOTA_TP"], "Identity": ["IDTP", "IDFP", "IDFN"],
        "CLEAR": ["CLR_TP", "CLR_FP", "CLR_FN", "IDSW", "Frag", "MT", "PT", "MOTP_sum"]}


def draw(scene, what, index, choices):
    """One of `choices`, by scene, purpose and index alone. Salt 59: crowd 8 tells NumPy's order of additions from others."""
    return choices[int(noise(1000 * scene + what, index, 59) * len(choices))]


def box(scene, what, index):
    grid = range(1 + draw(scene, 0, 0, [6, 12, 30]))
    left, top = draw(scene, what, 4 * index, grid), draw(scene, what, 4 * index + 1, grid)
    return [left, top, draw(scene, what, 4 * index + 2, [4, 6, 8]), draw(scene, what, 4 * index + 3, [4, 8])]


def rows(scene):
    """Truth rows and result rows of a crowd: standing, shuffled, or anywhere."""
    length = 1 + draw(scene, 1, 0, range(6))
    objects, tracks = draw(scene, 2, 0, [5, 9, 12, 25, 40]), draw(scene, 3, 0, [0, 9, 12, 25, 40])
    standing = [box(scene, 4, index) for index in range(objects + tracks)]
    truth, results = [], []
    for frame in range(1, length + 1):
        for who in range(objects):
            at = 100 * frame + who
            if draw(scene, 5, at, range(10)) < 8:
                where = standing[who] if scene % 3 else box(scene, 6, at)
                truth.append([frame, who + 1] + where + [int(who % 7 != 0), draw(scene, 7, who, [1, 1, 1, 1, 2, 3, 6, 8])])
        for who in range(tracks):
            at = 100 * frame + who
            if draw(scene, 8, at, range(10)) < 8:
                where = [box(scene, 9, at), draw(scene, 10, at, standing), standing[objects + who]][scene % 3]
                results.append([frame, who + 1] + where + [1])
    return length, truth, results


def write(path, table, end):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        for row in table:
            file.write(",".join(map(str, row)) + end + "\n")


def main():
    with tempfile.TemporaryDirectory() as folder:
        lengths = {}
        for scene in range(SCENES):
            name = f"crowd-{scene:02}"
            lengths[name], truth, results = rows(scene)
            write(os.path.join(folder, "gt", name, "gt", "gt.txt"), truth, ",1")
            write(os.path.join(folder, "trk", "data", name + ".txt"), results, ",-1,-1,-1")
        scores = score(os.path.join(folder, "gt"), "{gt_folder}/{seq}/gt/gt.txt", folder, "MOT20", lengths)
    kept = {}
    for name in list(lengths) + ["COMBINED_SEQ"]:
        all_fields = plain(scores[name]["pedestrian"])
        kept[name] = {metric: {field: all_fields[metric][field] for field in fields} for metric, fields in KEPT.items()}
    json.dump(kept, sys.stdout, separators=(",", ":"), sort_keys=True)
    print()


if __name__ == "__main__":
    main()
