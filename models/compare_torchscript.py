"""Holds the detections eyeline reads from torchvision's scripted detectors against torchvision's own, on one picture.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch==2.11.0 torchvision==0.26.0 numpy onnx
    cargo build --release --example detections
    /tmp/venv/bin/python models/compare_torchscript.py target/release/examples/detections [--onnx FOLDER] [NAME ...]

Weights are made up (seeded): batch normalization is set by the picture itself and the last layers are enlarged until some scores are
high and others low, because a network as it is initialized finds the same everywhere. Prints for each detector how many detections
there are, how many of eyeline's are one of torchvision's (same class, corners within 0.5 px, score within 0.002), the largest differences of
these, and how many of torchvision's it gives again with one thread: what is suppressed or cut off may hang on rounding. Label 0, which
is nothing, is left out. With --onnx it also exports each to FOLDER for `compare_onnx.py`.
"""

import argparse
import fnmatch
import pathlib
import subprocess
import tempfile

import numpy as np
import torch
import torchvision

MIN_SCORE = 0.05
LOGITS_STD = 2.0
MAX_CORNER_PX, MAX_SCORE = 0.5, 0.002

# Width and height of the picture, and the layers that give the logits of classes and of objects. Pictures for networks that enlarge
# them are half as large as these want: elsewhere the enlarged one is a pixel larger or smaller as TorchScript than it is in Python.
DETECTORS = {
    "ssd300_vgg16": (300, 300, ["head.classification_head.module_list.?"]),
    "ssdlite320_mobilenet_v3_large": (320, 320, ["head.classification_head.module_list.?.1"]),
    "retinanet_resnet50_fpn": (640, 400, ["head.classification_head.cls_logits"]),
    "fcos_resnet50_fpn": (640, 400, ["head.classification_head.cls_logits"]),
    "fasterrcnn_mobilenet_v3_large_320_fpn": (480, 352, ["rpn.head.cls_logits", "roi_heads.box_predictor.cls_score"]),
    "fasterrcnn_resnet50_fpn": (640, 400, ["rpn.head.cls_logits", "roi_heads.box_predictor.cls_score"]),
}


def picture(width, height):
    """Squares and slopes of many sizes, bytes."""
    rng = np.random.default_rng(5)
    ys, xs = np.mgrid[0:height, 0:width]
    pixels = np.stack([xs * 255 / width, ys * 255 / height, (xs + ys) * 255 / (width + height)], -1)
    for _ in range(60):
        w, h = rng.integers(8, width // 2), rng.integers(8, height // 2)
        x, y = rng.integers(0, width - w), rng.integers(0, height - h)
        pixels[y : y + h, x : x + w] = rng.uniform(0, 255, 3) + rng.normal(0, 20, (h, w, 1))
    return pixels.clip(0, 255).astype(np.uint8)


def settle_normalization(model, image):
    """Gives batch normalization the mean and variance of what it sees."""
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]

    def settle(norm, inputs):
        (x,) = inputs
        norm.running_mean.copy_(x.mean((0, 2, 3)))
        norm.running_var.copy_(x.var((0, 2, 3), unbiased=False) + 1e-3)

    hooks = [norm.register_forward_pre_hook(settle) for norm in norms]
    model([image])
    for hook in hooks:
        hook.remove()


def spread_scores(model, image, patterns):
    """Enlarges layers until the logits they give are as far apart as trained ones."""
    for pattern in patterns:
        for layer in [m for name, m in model.named_modules() if fnmatch.fnmatch(name, pattern)]:
            seen = []
            hook = layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
            model([image])
            hook.remove()
            layer.weight.mul_(LOGITS_STD / seen[0].std())


def build(name, image):
    torch.manual_seed(3)
    _, _, layers = DETECTORS[name]
    model = torchvision.models.detection.__dict__[name](weights=None, weights_backbone=None).eval()
    settle_normalization(model, image)
    spread_scores(model, image, layers)
    return model


def notes(width, height):
    return f"input: {{ width: {width}, height: {height}, fit: stretch, mean: [0, 0, 0], std: [1, 1, 1] }}\n"


def found_by_eyeline(program, model, pixels):
    height, width, _ = pixels.shape
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "m.pt")
        torch.jit.script(model).save(str(path))
        path.with_suffix(".model.yml").write_text(notes(width, height))
        path.with_suffix(".rgb").write_bytes(pixels.tobytes())
        args = [program, path, path.with_suffix(".rgb"), str(width), str(height), str(MIN_SCORE)]
        done = subprocess.run(args, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
    return np.array([[float(n) for n in line.split()] for line in done.stdout.splitlines()]).reshape(-1, 6)


def found_by_torchvision(model, image):
    found = model([image])[0]
    rows = torch.cat([found["labels"][:, None].double(), found["boxes"].double(), found["scores"][:, None].double()], 1).numpy()
    has_area = (rows[:, 3] > rows[:, 1]) & (rows[:, 4] > rows[:, 2])
    return rows[has_area & (rows[:, 5] >= MIN_SCORE) & (rows[:, 0] > 0)]


def compare(got, expected):
    left, corners, scores, same = list(range(len(expected))), 0.0, 0.0, 0
    for row in got:
        alike = [i for i in left if expected[i][0] == row[0]]
        off = [(np.abs(expected[i][1:5] - row[1:5]).max(), abs(expected[i][5] - row[5]), i) for i in alike]
        off = [o for o in off if o[0] <= MAX_CORNER_PX and o[1] <= MAX_SCORE]
        if off:
            corner, score, nearest = min(off)
            left.remove(nearest)
            corners, scores, same = max(corners, corner), max(scores, score), same + 1
    return same, corners, scores


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--onnx", type=pathlib.Path)
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    for name in args.names or DETECTORS:
        width, height, _ = DETECTORS[name]
        pixels = picture(width, height)
        image = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
        model = build(name, image)
        expected = found_by_torchvision(model, image)
        got = found_by_eyeline(args.program, model, pixels)
        same, corners, scores = compare(got, expected)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        again, _, _ = compare(found_by_torchvision(model, image), expected)
        torch.set_num_threads(threads)
        classes = len(set(expected[:, 0]))
        print(f"{name}: {len(expected)} of torchvision in {classes} classes, {len(got)} of eyeline, {same} the same, "
              f"corners within {corners:.1e} px, scores within {scores:.1e}; torchvision of itself {again}", flush=True)
        if args.onnx:
            torch.onnx.export(model, (image[None],), str(args.onnx / f"{name}.onnx"), dynamo=False, opset_version=17)


main()
