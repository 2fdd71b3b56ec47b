#!/usr/bin/env python3
"""Records pycocotools' average precision of the detection files, for tests/eval_coco.rs.

usage: record_coco_ap.py DATA > tests/golden/coco_ap.json
needs: pip install pycocotools==2.0.11; DATA as EYELINE_EVAL_DATA

Ignored truth is given an area outside COCO's range "all": found or not, it counts for nothing.
"""
import contextlib
import importlib.metadata
import io
import json
import os
import sys

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

DISTRACTORS = {2, 7, 8, 12}
IGNORED_AREA = 1e11


def rows_of(path):
    with open(path) as file:
        return [[float(v) for v in line.strip().split(",")] for line in file]


def truth_of(path, has_classes):
    """(frame, [left, top, width, height], is ignored) of the rows that concern pedestrians."""
    for row in rows_of(path):
        if not has_classes:
            yield int(row[0]), row[2:6], False
        elif int(row[7]) == 1 or int(row[7]) in DISTRACTORS:
            yield int(row[0]), row[2:6], int(row[7]) != 1 or row[6] == 0


def evaluate(pairs, has_classes):
    """Scores of (truth file, detection file) pairs taken together."""
    truth, detections, images = [], [], set()
    for index, (truth_file, detection_file) in enumerate(pairs):
        for frame, box, ignored in truth_of(truth_file, has_classes):
            image = index * 100000 + frame
            images.add(image)
            truth.append({"id": len(truth) + 1, "image_id": image, "category_id": 1, "bbox": box, "iscrowd": 0,
                          "area": IGNORED_AREA if ignored else box[2] * box[3]})
        for row in rows_of(detection_file):
            image = index * 100000 + int(row[0])
            images.add(image)
            detections.append({"image_id": image, "category_id": 1, "bbox": row[2:6], "score": row[6]})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": [{"id": image} for image in sorted(images)], "annotations": truth,
                        "categories": [{"id": 1, "name": "pedestrian"}]}
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(detections), "bbox")
        run.params.maxDets = [1, 10, 100000]
        run.evaluate()
        run.accumulate()
    per_iou = run.eval["precision"][:, :, 0, 0, 2].mean(axis=1)
    return {"AP": round(float(per_iou.mean()), 9), "AP50": round(float(per_iou[0]), 9),
            "AP75": round(float(per_iou[5]), 9), "AP_per_iou": [round(float(ap), 9) for ap in per_iou]}


def folder_scores(root, has_classes, detections="det"):
    files = lambda sequence: [os.path.join(root, sequence, part) for part in
                              (os.path.join("gt", "gt.txt"), os.path.join(detections, "det.txt"))]
    sequences = sorted(s for s in os.listdir(root) if all(map(os.path.isfile, files(s))))
    scores = {sequence: evaluate([files(sequence)], has_classes) for sequence in sequences}
    scores["COMBINED"] = evaluate([files(sequence) for sequence in sequences], has_classes)
    return scores


def main(data):
    mot15, mot17 = os.path.join(data, "mot15"), os.path.join(data, "mot17_val_half")
    json.dump({
        "made_with": {"pycocotools": importlib.metadata.version("pycocotools")},
        "mot15": folder_scores(mot15, False),
        "mot15_yolox_nano": folder_scores(mot15, False, "det_yolox_nano"),
        "mot17": folder_scores(mot17, True),
    }, sys.stdout, separators=(",", ":"), sort_keys=True)
    print()


if __name__ == "__main__":
    main(sys.argv[1])
