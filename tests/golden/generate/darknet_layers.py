"""Records what OpenCV's DNN module computes for a small Darknet network with every kind of layer eyeline supports.

Usage: python darknet_layers.py OUT_DIR
Needs: opencv-python-headless==4.12.0.88 (OpenCV 5 reads no Darknet files).

Writes OUT_DIR/darknet_layers.{cfg,weights} with random weights and OUT_DIR/darknet_layers.csv: the raw values that enter each
[yolo] section for the input value ((7 · row + 13 · column + 101 · channel) mod 251) / 251, one line a head.
"""

import pathlib
import sys

import cv2
import numpy as np

SIDE = 32


def conv(filters, size=3, activation="leaky", batch_normalize=1, stride=1, groups=1):
    options = dict(batch_normalize=batch_normalize, filters=filters, size=size, stride=stride, pad=1)
    return "convolutional", dict(**options, groups=groups, activation=activation)


HEAD = dict(anchors="4,5, 9,7, 14,15, 20,24", num=4, classes=2, ignore_thresh=0.7)
LAYERS = [
    conv(8, activation="mish", stride=2),  # 0: 16x16
    conv(8, size=1, activation="swish"),
    conv(8, activation="relu"),
    ("shortcut", dict(**{"from": -3}, activation="linear")),
    ("route", dict(layers=-1, groups=2, group_id=1)),
    conv(8, groups=2, activation="logistic"),
    ("maxpool", dict(size=2, stride=2)),  # 6: 8x8
    ("maxpool", dict(size=2, stride=1)),
    ("maxpool", dict(size=5, stride=1)),
    ("route", dict(layers="-1,-2,-3")),
    ("dropout", dict(probability=0.5)),
    conv(12, size=1),
    conv(14, size=1, activation="linear", batch_normalize=0),  # 12
    ("yolo", dict(mask="2,3", **HEAD)),
    ("route", dict(layers=-3)),
    conv(6, size=1, activation="linear"),
    ("upsample", dict(stride=2)),
    ("route", dict(layers="-1, 3")),
    ("shortcut", dict(**{"from": 17}, activation="leaky")),
    conv(14, size=5, activation="linear", batch_normalize=0),  # 19
    ("yolo", dict(mask="0,1", scale_x_y=1.1, **HEAD)),
]


def cfg_text():
    sections = [("net", dict(batch=1, width=SIDE, height=SIDE, channels=3, learning_rate=0.001)), *LAYERS]
    return "\n".join(f"[{kind}]\n" + "".join(f"{k}={v}\n" for k, v in options.items()) for kind, options in sections)


def weights(random):
    """The convolutions' values in file order; their input channels are written out because a route may join several."""
    inputs = {0: 3, 1: 8, 2: 8, 5: 4, 11: 24, 12: 12, 15: 12, 19: 14}
    values = []
    for index, (kind, options) in enumerate(LAYERS):
        if kind != "convolutional":
            continue
        filters, per_filter = options["filters"], inputs[index] // options["groups"] * options["size"] ** 2
        values.append(random.normal(0, 0.3, filters))
        if options["batch_normalize"]:
            values += [random.uniform(0.5, 1.5, filters), random.normal(0, 0.3, filters), random.uniform(0.3, 2, filters)]
        values.append(random.normal(0, (2 / per_filter) ** 0.5, filters * per_filter))
    return np.concatenate(values).astype("<f4")


def main(out):
    out = pathlib.Path(out)
    cfg, binary = out / "darknet_layers.cfg", out / "darknet_layers.weights"
    cfg.write_text(cfg_text())
    header = np.array([0, 2, 0], "<i4").tobytes() + np.array([0], "<u8").tobytes()
    binary.write_bytes(header + weights(np.random.default_rng(7)).tobytes())
    net = cv2.dnn.readNetFromDarknet(str(cfg), str(binary))
    channel, row, column = np.mgrid[0:3, 0:SIDE, 0:SIDE]
    net.setInput((((7 * row + 13 * column + 101 * channel) % 251) / 251).astype(np.float32)[None])
    heads = [net.forward(name) for name in ("conv_12", "conv_19")]
    lines = [",".join(f"{value:.5f}" for value in head.reshape(-1)) for head in heads]
    (out / "darknet_layers.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
