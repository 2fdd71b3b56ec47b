"""Writes `golden/torchvision_NAME.pt` for three of torchvision's detectors as TorchScript, with few channels and made-up weights, and
into `golden/torchvision_detections.csv` what torchvision itself finds with them: model, label, corners in pixels, score.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch==2.11.0 torchvision==0.26.0 numpy
    /tmp/venv/bin/python tests/golden/generate/torchvision_detectors.py

The picture is 96 x 64; colour c of the pixel (x, y) is (7 x + 13 y + 29 c + x y / 5) mod 256, the quotient cut. The programs in these
files are torchvision's, compiled; its licence (BSD-3-Clause) lies in each as `extra/LICENSE`. Archives are packed and without the
lines for debuggers, which are most of them.
"""

import importlib.metadata
import pathlib
import tempfile
import zipfile

import numpy as np
import torch
from torch import nn
from torchvision.models.detection import FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.ssd import SSD
from torchvision.ops import MultiScaleRoIAlign

CLASSES = 4
WIDTH, HEIGHT = 96, 64
GOLDEN = pathlib.Path(__file__).parents[1]


def picture():
    y, x, c = np.mgrid[0:HEIGHT, 0:WIDTH, 0:3]
    return ((7 * x + 13 * y + 29 * c + x * y // 5) % 256).astype(np.uint8)


def backbone(kind=nn.Sequential):
    layers = kind(nn.Conv2d(3, 8, 5, 4, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1))
    layers.out_channels = 8
    return layers


def faster_rcnn():
    pool = MultiScaleRoIAlign(featmap_names=["0"], output_size=3, sampling_ratio=2)
    anchors = AnchorGenerator(sizes=((16, 32),), aspect_ratios=((0.5, 1.0, 2.0),))
    return FasterRCNN(backbone(), None, HEIGHT, WIDTH, rpn_anchor_generator=anchors, box_roi_pool=pool, rpn_pre_nms_top_n_test=60,
                      rpn_post_nms_top_n_test=20, box_head=TwoMLPHead(8 * 9, 16),
                      box_predictor=FastRCNNPredictor(16, CLASSES))


def retinanet():
    anchors = AnchorGenerator(sizes=((12, 24),), aspect_ratios=((0.5, 1.0, 2.0),))
    return RetinaNet(backbone(), CLASSES, HEIGHT, WIDTH, anchor_generator=anchors)


class Scales(nn.Sequential):
    """What SSD expects: its maps in a dictionary."""

    def forward(self, x):
        for layer in self:
            x = layer(x)
        return {"0": x}


def ssd():
    layers = backbone(Scales)
    layers.out_channels = [8]
    return SSD(layers, DefaultBoxGenerator([[2, 3]], scales=[0.3, 0.6]), (WIDTH, HEIGHT), CLASSES)


def enlarge(model, image, names):
    """Scales the layers that give scores until these are as far apart as trained ones."""
    for name in names:
        for layer in [m for m in model.get_submodule(name).modules() if isinstance(m, (nn.Conv2d, nn.Linear))]:
            seen = []
            hook = layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
            model([image])
            hook.remove()
            layer.weight.mul_(2.0 / seen[0].std())
            layer.bias.zero_()


def pack(scripted, name):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, f"{name}.pt")
        scripted.save(str(path))
        target = GOLDEN / f"torchvision_{name}.pt"
        with zipfile.ZipFile(path) as whole, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
            for part in whole.namelist():
                if not part.endswith(".debug_pkl"):
                    packed.writestr(zipfile.ZipInfo(part), whole.read(part), zipfile.ZIP_DEFLATED)
            licence = next(f for f in importlib.metadata.files("torchvision") if f.name == "LICENSE").read_text()
            packed.writestr(zipfile.ZipInfo(f"{name}/extra/LICENSE"), licence, zipfile.ZIP_DEFLATED)


def main():
    torch.set_grad_enabled(False)
    image = torch.from_numpy(picture()).permute(2, 0, 1).float() / 255
    scores = {
        "faster_rcnn": (faster_rcnn, ["rpn.head.cls_logits", "roi_heads.box_predictor.cls_score"]),
        "retinanet": (retinanet, ["head.classification_head.cls_logits"]),
        "ssd": (ssd, ["head.classification_head"]),
    }
    lines = ["model,label,left,top,right,bottom,score"]
    for name, (build, layers) in scores.items():
        torch.manual_seed(7)
        model = build().eval()
        enlarge(model, image, layers)
        pack(torch.jit.script(model), name)
        found = model([image])[0]
        print(name, len(found["scores"]), found["scores"][:5].tolist())
        for label, box, score in zip(found["labels"], found["boxes"], found["scores"]):
            lines.append(",".join([name, str(int(label))] + [f"{float(n):.6g}" for n in [*box, score]]))
    (GOLDEN / "torchvision_detections.csv").write_text("\n".join(lines) + "\n")


main()
