"""Records what ONNX Runtime gives for a network whose outputs are of another length for each picture: it asks for the size of the
picture, makes boxes of 64 cells, suppresses them itself and gives lists, as RT-DETR's and torchvision's exports do.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install onnx onnxruntime numpy
    /tmp/venv/bin/python tests/golden/generate/onnx_counted.py tests/golden/onnx_counted.onnx

What ONNX Runtime gave is kept in initializers expected/PICTURE/OUTPUT, for the picture frac(0.618033988749895 * i) and for the same
with its rows and channels reversed.
"""

import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(3)
nodes, tensors = [], []


def const(name, value):
    tensors.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def node(op, inputs, outputs, **attributes):
    names = outputs if isinstance(outputs, list) else [outputs]
    nodes.append(helper.make_node(op, inputs, names, name=f"/{names[0]}", **attributes))
    return names[0] if len(names) == 1 else names


weight = const("weight", rng.normal(0, 0.3, (7, 3, 8, 8)).astype(np.float32))
raw = node("Conv", ["images", weight], "raw", strides=[8, 8])
rows = node("Transpose", [node("Reshape", [raw, const("rows/shape", np.array([0, 7, -1]))], "cells")], "rows", perm=[0, 2, 1])
places, logits = node("Split", [rows, const("parts", np.array([4, 3]))], ["places", "logits"], axis=2)
shares = node("Sigmoid", [places], "shares")
centre, side = node("Split", [shares, const("halves", np.array([2, 2]))], ["centre", "side"], axis=2)
half = node("Mul", [side, const("small", np.float32(0.2))], "half")
corners = node("Concat", [node("Sub", [centre, half], "low"), node("Add", [centre, half], "high")], "corners", axis=2)
size = node("Cast", ["orig_target_sizes"], "size", to=TensorProto.FLOAT)
scale = node("Unsqueeze", [node("Tile", [size, const("twice", np.array([1, 2]))], "sizes"), const("one", np.array([1]))], "scale")
boxes = node("Mul", [corners, scale], "pixels")
probabilities = node("Transpose", [node("Sigmoid", [logits], "likely")], "probabilities", perm=[0, 2, 1])
limits = [const("most", np.array([5])), const("iou", np.float32(0.3)), const("least", np.float32(0.9))]
kept = node("NonMaxSuppression", [boxes, probabilities, *limits], "kept")
column = lambda name, at: node("Gather", [kept, const(f"{name}/at", np.array(at))], name, axis=1)
labels = column("labels", 1)
cells = column("cells_kept", 2)
node("Gather", [node("Squeeze", [boxes, const("zero", np.array([0]))], "all"), cells], "boxes", axis=0)
node("GatherND", [probabilities, kept], "scores")

inputs = [
    helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64]),
    helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, [1, 2]),
]
outputs = [
    helper.make_tensor_value_info("labels", TensorProto.INT64, ["n"]),
    helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", 4]),
    helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n"]),
]


def model():
    graph = helper.make_graph(nodes, "counted", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


picture = np.modf(np.arange(3 * 64 * 64) * 0.618033988749895)[0].reshape(1, 3, 64, 64).astype(np.float32)
session = onnxruntime.InferenceSession(model(), providers=["CPUExecutionProvider"])
for index, given in enumerate([picture, picture[:, ::-1, ::-1]]):
    got = session.run(None, {"images": np.ascontiguousarray(given), "orig_target_sizes": np.array([[64, 64]])})
    print([value.shape for value in got])
    for output, value in enumerate(got):
        const(f"expected/{index}/{output}", value)
open(sys.argv[1], "wb").write(model())
