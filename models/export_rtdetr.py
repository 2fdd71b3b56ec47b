"""Exports RT-DETR of Hugging Face's transformers (Apache-2.0) to ONNX.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch==2.11.0 transformers onnx
    /tmp/venv/bin/python models/export_rtdetr.py rtdetr.onnx [PekingU/rtdetr_r50vd]

Without a name of trained weights these are made up (seeded), for `compare_onnx.py`. eyeline knows the outputs, (queries, classes) and
(queries, 4); classes other than COCO's are named in a file `rtdetr.names`.
"""

import sys

import torch
from transformers import RTDetrConfig, RTDetrForObjectDetection


class Outputs(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values):
        found = self.model(pixel_values)
        return found.logits, found.pred_boxes


def made_up():
    torch.manual_seed(3)
    model = RTDetrForObjectDetection(RTDetrConfig()).eval()

    def settle(norm, inputs):
        (x,) = inputs
        norm.running_mean.copy_(x.mean((0, 2, 3)))
        norm.running_var.copy_(x.var((0, 2, 3), unbiased=False) + 1e-3)

    norms = [m for m in model.modules() if hasattr(m, "running_mean")]
    hooks = [norm.register_forward_pre_hook(settle) for norm in norms]
    with torch.no_grad():
        model(torch.rand(1, 3, 640, 640))
    for hook in hooks:
        hook.remove()
    return model


def main():
    path, *name = sys.argv[1:]
    model = RTDetrForObjectDetection.from_pretrained(name[0]).eval() if name else made_up()
    torch.onnx.export(Outputs(model), (torch.rand(1, 3, 640, 640),), path, input_names=["pixel_values"],
                      output_names=["logits", "pred_boxes"], dynamo=False, opset_version=17)


main()
