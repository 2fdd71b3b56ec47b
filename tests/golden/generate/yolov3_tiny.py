"""Records what OpenCV's DNN module makes of YOLOv3-tiny, for tests/torch_parity.rs.

Usage: python yolov3_tiny.py MODELS_DIR VTEST_AVI OUT_DIR
Needs: opencv-python-headless==4.12.0.88 (OpenCV 5 reads no Darknet files) and gst-launch-1.0, because the boxes must be
those of the very pixels the program sees, and decoders round colours differently.

Writes OUT_DIR/yolov3_tiny_{416,608}.csv: frame,class,left,top,right,bottom,score; frames from 0, boxes in source pixels.
"""

import csv
import pathlib
import subprocess
import sys
import tempfile

import cv2
import numpy as np

FRAMES = [0, 100, 250, 400, 550, 794]
SIZE = (768, 576)
MIN_SCORE, MAX_IOU, FILL = 0.25, 0.45, 128


def decoded(video):
    """The wanted frames as RGB, decoded the way the program does."""
    pipeline = f"filesrc location={video} ! decodebin ! videoconvert ! video/x-raw,format=RGB ! fdsink fd=1"
    command = ["gst-launch-1.0", "-q", *pipeline.split()]
    width, height = SIZE
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        for number in range(max(FRAMES) + 1):
            pixels = process.stdout.read(width * height * 3)
            if number in FRAMES:
                yield number, np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
        process.stdout.close()


def corrected(cfg):
    """The cfg with the second head's mask as the weights were trained (see models/zoo.yml)."""
    before, after = cfg.rsplit("mask = 0,1,2", 1)
    return before + "mask = 1,2,3" + after


def letterboxed(picture, side):
    height, width = picture.shape[:2]
    scale = side / max(width, height)
    drawn_w, drawn_h = int(np.floor(width * scale + 0.5)), int(np.floor(height * scale + 0.5))
    left, top = (side - drawn_w) // 2, (side - drawn_h) // 2
    canvas = np.full((side, side, 3), FILL, np.uint8)
    canvas[top : top + drawn_h, left : left + drawn_w] = cv2.resize(picture, (drawn_w, drawn_h))
    return canvas, (left, top, drawn_w / width, drawn_h / height)


def detect(net, picture, side):
    """Boxes of one class each (the likeliest), suppressed class by class, in source pixels, clipped."""
    canvas, (left, top, scale_x, scale_y) = letterboxed(picture, side)
    net.setInput(cv2.dnn.blobFromImage(canvas, 1 / 255))
    rows = np.concatenate(net.forward(net.getUnconnectedOutLayersNames()))
    classes = rows[:, 5:].argmax(1)
    scores = rows[np.arange(len(rows)), 5 + classes]
    keep = scores >= MIN_SCORE
    rows, classes, scores = rows[keep], classes[keep], scores[keep]
    center, extent = rows[:, 0:2] * side, rows[:, 2:4] * side
    boxes = np.concatenate([center - extent / 2, extent], 1)
    kept = []
    for c in sorted(set(classes)):
        of_class = np.flatnonzero(classes == c)
        chosen = cv2.dnn.NMSBoxes(boxes[of_class].tolist(), scores[of_class].tolist(), 0.0, MAX_IOU)
        kept.extend(of_class[np.array(chosen, int).reshape(-1)])
    height, width = picture.shape[:2]
    for i in sorted(kept, key=lambda i: -scores[i]):
        x, y, w, h = boxes[i]
        xs = np.clip((np.array([x, x + w]) - left) / scale_x, 0, width)
        ys = np.clip((np.array([y, y + h]) - top) / scale_y, 0, height)
        yield [int(classes[i]), *(f"{v:.3f}" for v in (xs[0], ys[0], xs[1], ys[1])), f"{scores[i]:.5f}"]


def main(models, video, out):
    models, out = pathlib.Path(models), pathlib.Path(out)
    with tempfile.TemporaryDirectory() as folder:
        cfg = pathlib.Path(folder, "yolov3-tiny.cfg")
        # OpenCV passes over scores below 0.2, so MIN_SCORE must not be lower.
        cfg.write_text(corrected((models / "yolov3-tiny.cfg").read_text()))
        pictures = list(decoded(video))
        for side in (416, 608):
            net = cv2.dnn.readNetFromDarknet(str(cfg), str(models / "yolov3-tiny.weights"))
            with open(out / f"yolov3_tiny_{side}.csv", "w", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(["frame", "class", "left", "top", "right", "bottom", "score"])
                for number, picture in pictures:
                    for row in detect(net, picture, side):
                        writer.writerow([number, *row])


if __name__ == "__main__":
    main(*sys.argv[1:])
