"""Records what ONNX Runtime gives for networks of the shapes users bring, with random weights and few channels.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install onnx onnxruntime numpy
    /tmp/venv/bin/python tests/golden/generate/onnx_networks.py tests/golden/onnx_networks.bin

The networks are written down here from the published descriptions of their blocks, with an eighth of the channels of the
nano models; weights are bytes that the graph itself scales, so that the file is small. The file is a row of ONNX models,
each behind its length (4 bytes, little-endian); what ONNX Runtime gave is kept in initializers expected/0, expected/1, ...
The input is frac(0.618033988749895 * i) for the i-th value.
"""

import struct
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

CLASSES = 10
SIDE = 64


class Net:
    def __init__(self, name, opset=17, side=SIDE):
        self.name, self.opset, self.side = name, opset, side
        self.rng = np.random.default_rng(11)
        self.nodes, self.tensors, self.count = [], [], 0

    def op(self, kind, *inputs, outputs=1, **attributes):
        self.count += 1
        names = [f"v{self.count}" + (f"_{i}" if i else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"/{self.name}/{kind}_{self.count}", **attributes))
        return names[0] if outputs == 1 else names

    def const(self, array):
        self.count += 1
        name = f"c{self.count}"
        self.tensors.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def spread(self, array, shape):
        """A constant as large as what it meets, as exporters write it."""
        return self.const(np.broadcast_to(array, shape))

    def ints(self, *values):
        return self.const(np.array(values, np.int64))

    def float(self, value):
        return self.const(np.array(value, np.float32))

    def weight(self, *shape, gain=1.8):
        fan_in = max(1, int(np.prod(shape[1:])))
        stored = self.const(self.rng.integers(-127, 128, shape).astype(np.int8))
        scale = self.float(gain * np.sqrt(3.0 / fan_in) / 127)
        return self.op("Mul", self.op("Cast", stored, to=TensorProto.FLOAT), scale)

    def bias(self, count):
        return self.const(self.rng.uniform(-0.3, 0.3, count).astype(np.float32))

    def conv(self, x, inputs, outputs, k=1, s=1, p=None, g=1, act="silu", bias=True, gain=1.8):
        p = k // 2 if p is None else p
        extra = [self.bias(outputs)] if bias else []
        x = self.op("Conv", x, self.weight(outputs, inputs // g, k, k, gain=gain), *extra, kernel_shape=[k, k], strides=[s, s], pads=[p] * 4,
                    group=g, dilations=[1, 1])
        return self.act(x, act)

    def act(self, x, act):
        if act == "silu":
            return self.op("Mul", x, self.op("Sigmoid", x))
        if act == "hardswish":
            return self.op("Mul", x, self.op("HardSigmoid", x, alpha=1 / 6, beta=0.5))
        if act == "old_hardswish":
            clamped = self.op("Clip", self.op("Add", x, self.float(3)), self.float(0), self.float(6))
            return self.op("Div", self.op("Mul", x, clamped), self.float(6))
        if act == "mish":
            return self.op("Mul", x, self.op("Tanh", self.op("Softplus", x)))
        if act == "gelu":
            erf = self.op("Erf", self.op("Div", x, self.float(np.sqrt(2))))
            return self.op("Mul", self.op("Mul", x, self.op("Add", erf, self.float(1))), self.float(0.5))
        return self.op(act, x) if act else x

    def norm(self, x, c):
        scale = self.const(self.rng.uniform(0.5, 1.5, c).astype(np.float32))
        return self.op("BatchNormalization", x, scale, self.bias(c), self.bias(c),
                       self.const(self.rng.uniform(0.5, 1.5, c).astype(np.float32)))

    def cat(self, *parts, axis=1):
        return self.op("Concat", *parts, axis=axis)

    def up(self, x):
        scales = self.const(np.array([1, 1, 2, 2], np.float32))
        return self.op("Resize", x, self.const(np.array([], np.float32)), scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")

    def bottleneck(self, x, c, add, k=(3, 3)):
        y = self.conv(self.conv(x, c, c, k[0]), c, c, k[1])
        return self.op("Add", x, y) if add else y

    def c3(self, x, inputs, outputs, n=1, add=True, k=(1, 3)):
        c = outputs // 2
        a = self.conv(x, inputs, c)
        for _ in range(n):
            a = self.bottleneck(a, c, add, k)
        return self.conv(self.cat(a, self.conv(x, inputs, c)), 2 * c, outputs)

    def c2f(self, x, inputs, outputs, n=1, add=True, inner=None, inside=None):
        c = inside or max(1, outputs // 2)
        parts = self.op("Split", self.conv(x, inputs, 2 * c), self.ints(c, c), outputs=2, axis=1)
        for _ in range(n):
            last = parts[-1]
            parts.append(inner(last, c) if inner else self.bottleneck(last, c, add))
        return self.conv(self.cat(*parts), (2 + n) * c, outputs)

    def sppf(self, x, c):
        parts = [self.conv(x, c, c // 2)]
        for _ in range(3):
            parts.append(self.op("MaxPool", parts[-1], kernel_shape=[5, 5], strides=[1, 1], pads=[2] * 4))
        return self.conv(self.cat(*parts), 2 * c, c)

    def model(self, outputs, tensors, batch=1):
        info = helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, self.side, self.side])
        graph = helper.make_graph(self.nodes, self.name, [info], outputs, tensors)
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name=self.name)

    def run(self, model):
        """What ONNX Runtime gives for a model, its bytes or its path."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model, options)
        shape = (1, 3, self.side, self.side)
        steps = np.arange(np.prod(shape), dtype=np.float64) * 0.618033988749895
        expected = session.run(None, {"images": (steps - np.floor(steps)).reshape(shape).astype(np.float32)})
        print(self.name, [(e.shape, float(np.abs(e).max()), float(e.std())) for e in expected])
        return expected

    def record(self, outputs, batch=1):
        blank = [helper.make_empty_tensor_value_info(name) for name in outputs]
        expected = self.run(self.model(blank, self.tensors, batch).SerializeToString())
        kept = [numpy_helper.from_array(value, f"expected/{i}") for i, value in enumerate(expected)]
        typed = [helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in zip(outputs, expected)]
        return self.model(typed, self.tensors + kept, batch).SerializeToString()


def pan(net, p3, p4, p5, c3, c4, c5, block):
    n4 = block(net.cat(net.up(p5), p4), c5 + c4, c4)
    out3 = block(net.cat(net.up(n4), p3), c4 + c3, c3)
    out4 = block(net.cat(net.conv(out3, c3, c3, 3, 2), n4), c3 + c4, c4)
    out5 = block(net.cat(net.conv(out4, c4, c4, 3, 2), p5), c4 + c5, c5)
    return [(out3, c3, 8), (out4, c4, 16), (out5, c5, 32)]


def yolov5():
    """Anchors decoded in the graph, the batch fixed to 1 by the export (Ultralytics YOLOv5, release 7)."""
    net = Net("yolov5", opset=12)
    x = net.conv("images", 3, 2, 6, 2, 2)
    x = net.c3(net.conv(x, 2, 4, 3, 2), 4, 4)
    p3 = net.c3(net.conv(x, 4, 8, 3, 2), 8, 8, 2)
    p4 = net.c3(net.conv(p3, 8, 16, 3, 2), 16, 16, 3)
    p5 = net.sppf(net.c3(net.conv(p4, 16, 32, 3, 2), 32, 32), 32)
    heads = pan(net, p3, p4, p5, 8, 16, 32, lambda x, i, o: net.c3(x, i, o, add=False))
    return net.record([anchored(net, heads)])


def anchored(net, heads, classes=CLASSES):
    """The head of YOLOv5, three anchors a cell, boxes decoded in the graph."""
    anchors = {8: [10, 13, 16, 30, 33, 23], 16: [30, 61, 62, 45, 59, 119], 32: [116, 90, 156, 198, 373, 326]}
    found, per = [], 5 + classes
    for x, c, stride in heads:
        n = net.side // stride
        x = net.conv(x, c, 3 * per, act=None)
        x = net.op("Transpose", net.op("Reshape", x, net.ints(1, 3, per, n, n)), perm=[0, 1, 3, 4, 2])
        x = net.op("Sigmoid", x)
        cut = lambda a, b: net.op("Slice", x, net.ints(a), net.ints(b), net.ints(4))
        ys, xs = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
        grid = np.stack([xs, ys], -1).astype(np.float32).reshape(1, 1, n, n, 2) - 0.5
        sizes = np.array(anchors[stride], np.float32).reshape(1, 3, 1, 1, 2)
        xy = net.op("Mul", net.op("Add", net.op("Mul", cut(0, 2), net.float(2)), net.spread(grid, (1, 3, n, n, 2))), net.float(stride))
        wh = net.op("Mul", net.op("Pow", net.op("Mul", cut(2, 4), net.float(2)), net.float(2)), net.spread(sizes, (1, 3, n, n, 2)))
        found.append(net.op("Reshape", net.cat(xy, wh, cut(4, per), axis=4), net.ints(1, 3 * n * n, per)))
    return net.cat(*found, axis=1)


def distances(net, heads, branch, classes=CLASSES):
    """The anchor-free head of YOLOv8 and later, bins and boxes decoded in the graph."""
    rows, places, strides = [], [], []
    for x, c, stride in heads:
        n = net.side // stride
        rows.append(net.op("Reshape", net.cat(*branch(x, c)), net.ints(1, 64 + classes, n * n)))
        ys, xs = np.meshgrid(np.arange(n) + 0.5, np.arange(n) + 0.5, indexing="ij")
        places.append(np.stack([xs.ravel(), ys.ravel()]).astype(np.float32))
        strides.append(np.full((1, n * n), stride, np.float32))
    rows = net.cat(*rows, axis=2)
    count = sum(s.shape[1] for s in strides)
    boxes, scores = net.op("Split", rows, net.ints(64, classes), outputs=2, axis=1)
    bins = net.op("Transpose", net.op("Reshape", boxes, net.ints(1, 4, 16, count)), perm=[0, 2, 1, 3])
    bins = net.op("Conv", net.op("Softmax", bins, axis=1), net.const(np.arange(16, dtype=np.float32).reshape(1, 16, 1, 1)))
    sides = net.op("Reshape", bins, net.ints(1, 4, count))
    low, high = net.op("Split", sides, net.ints(2, 2), outputs=2, axis=1)
    place = net.const(np.concatenate(places, 1)[None])
    a, b = net.op("Sub", place, low), net.op("Add", place, high)
    box = net.cat(net.op("Div", net.op("Add", a, b), net.float(2)), net.op("Sub", b, a))
    box = net.op("Mul", box, net.const(np.concatenate(strides, 1)))
    return net.cat(box, net.op("Sigmoid", scores))


def yolov8():
    net = Net("yolov8")
    x = net.conv(net.conv("images", 3, 2, 3, 2), 2, 4, 3, 2)
    x = net.c2f(x, 4, 4)
    p3 = net.c2f(net.conv(x, 4, 8, 3, 2), 8, 8, 2)
    p4 = net.c2f(net.conv(p3, 8, 16, 3, 2), 16, 16, 2)
    p5 = net.sppf(net.c2f(net.conv(p4, 16, 32, 3, 2), 32, 32), 32)
    heads = pan(net, p3, p4, p5, 8, 16, 32, lambda x, i, o: net.c2f(x, i, o, add=False))

    def branch(x, c):
        box = net.conv(net.conv(net.conv(x, c, 8, 3), 8, 8, 3), 8, 64, act=None)
        return box, net.conv(net.conv(net.conv(x, c, 8, 3), 8, 8, 3), 8, CLASSES, act=None)

    return net.record([distances(net, heads, branch)])


def attention(net, x, c, heads, n):
    """The attention of YOLO11's C2PSA: keys half as wide as values, a depthwise convolution for position."""
    dim, key = c // heads, c // heads // 2
    qkv = net.conv(x, c, c + 2 * key * heads, act=None)
    qkv = net.op("Reshape", qkv, net.ints(1, heads, 2 * key + dim, n * n))
    q, k, v = net.op("Split", qkv, net.ints(key, key, dim), outputs=3, axis=2)
    weights = net.op("MatMul", net.op("Transpose", q, perm=[0, 1, 3, 2]), k)
    weights = net.op("Softmax", net.op("Mul", weights, net.float(key**-0.5)), axis=-1)
    y = net.op("MatMul", v, net.op("Transpose", weights, perm=[0, 1, 3, 2]))
    y = net.op("Reshape", y, net.ints(1, c, n, n))
    position = net.conv(net.op("Reshape", v, net.ints(1, c, n, n)), c, c, 3, g=c, act=None)
    return net.conv(net.op("Add", y, position), c, c, act=None)


def yolo11():
    net = Net("yolo11")
    c3k2 = lambda x, i, o: net.c2f(x, i, o, inner=lambda y, c: net.c3(y, c, c, 2, k=(3, 3)))
    x = net.conv(net.conv("images", 3, 2, 3, 2), 2, 4, 3, 2)
    x = net.c2f(x, 4, 8)
    p3 = net.c2f(net.conv(x, 8, 8, 3, 2), 8, 16)
    p4 = c3k2(net.conv(p3, 16, 16, 3, 2), 16, 16)
    p5 = net.sppf(c3k2(net.conv(p4, 16, 32, 3, 2), 32, 32), 32)
    a, b = net.op("Split", net.conv(p5, 32, 32), net.ints(16, 16), outputs=2, axis=1)
    b = net.op("Add", b, attention(net, b, 16, 2, SIDE // 32))
    b = net.op("Add", b, net.conv(net.conv(b, 16, 32), 32, 16, act=None))
    p5 = net.conv(net.cat(a, b), 32, 32)
    heads = pan(net, p3, p4, p5, 16, 16, 32, lambda x, i, o: net.c2f(x, i, o, add=False))

    def branch(x, c):
        box = net.conv(net.conv(net.conv(x, c, 8, 3), 8, 8, 3), 8, 64, act=None)
        y = net.conv(net.conv(x, c, c, 3, g=c), c, 8)
        y = net.conv(net.conv(y, 8, 8, 3, g=8), 8, 8)
        return box, net.conv(y, 8, CLASSES, act=None)

    return net.record([distances(net, heads, branch)])


def rep_vgg(net, x, inputs, outputs, s=1):
    """The block of YOLO-NAS before its branches are joined (Chu et al. 2022, QARepVGG): normalization after the sum too."""
    wide = net.norm(net.conv(x, inputs, outputs, 3, s, act=None, bias=False, gain=0.8), outputs)
    y = net.op("Add", wide, net.op("Mul", net.conv(x, inputs, outputs, 1, s, act=None, gain=0.8), net.float(0.8)))
    if s == 1 and inputs == outputs:
        y = net.op("Add", y, x)
    return net.op("Relu", net.norm(y, outputs))


def nas_stage(net, x, inputs, outputs, n):
    """Two ways through, of which the longer one keeps what its blocks give."""
    c = outputs // 2
    relu = lambda x, i, o: net.conv(x, i, o, act="Relu", gain=1)
    parts = [relu(x, inputs, c), relu(x, inputs, c)]
    for _ in range(n):
        y = rep_vgg(net, rep_vgg(net, parts[-1], c, c), c, c)
        parts.append(net.op("Add", net.op("Mul", parts[-1], net.float(0.7)), y))
    return relu(net.cat(*parts), (2 + n) * c, outputs)


def nas_up(net, x, inputs, skips, strides):
    """Twice the rows and columns by a transposed convolution, beside what earlier stages gave at that scale."""
    x = net.op("ConvTranspose", x, net.weight(inputs, 4, 2, 2), net.bias(4), kernel_shape=[2, 2], strides=[2, 2])
    beside = [net.conv(skip, c, 4, 3 if s == 2 else 1, s, act="Relu") for (skip, c), s in zip(skips, strides)]
    return net.conv(net.cat(x, *beside), 12, 4, act="Relu")


def yolo_nas():
    """Corners and probabilities apart, 17 bins a side, decoded in the graph (Deci, super-gradients 3, tables `yolo_nas_s`)."""
    net = Net("yolo_nas")
    x = rep_vgg(net, "images", 3, 4, 2)
    c2 = nas_stage(net, rep_vgg(net, x, 4, 4, 2), 4, 4, 1)
    c3 = nas_stage(net, rep_vgg(net, c2, 4, 6, 2), 6, 6, 1)
    c4 = nas_stage(net, rep_vgg(net, c3, 6, 8, 2), 8, 8, 2)
    c5 = nas_stage(net, rep_vgg(net, c4, 8, 12, 2), 12, 12, 1)
    pooled = [net.conv(c5, 12, 6, act="Relu")]
    pooled += [net.op("MaxPool", pooled[0], kernel_shape=[k, k], strides=[1, 1], pads=[k // 2] * 4) for k in (5, 9, 13)]
    c5 = net.conv(net.cat(*pooled), 24, 12, act="Relu")
    n4 = nas_stage(net, nas_up(net, c5, 12, [(c4, 8), (c3, 6)], [1, 2]), 4, 8, 1)
    p3 = nas_stage(net, nas_up(net, n4, 8, [(c3, 6), (c2, 4)], [1, 2]), 4, 6, 1)
    p4 = nas_stage(net, net.cat(net.conv(p3, 6, 6, 3, 2, act="Relu"), n4), 14, 8, 1)
    p5 = nas_stage(net, net.cat(net.conv(p4, 8, 8, 3, 2, act="Relu"), c5), 20, 12, 1)
    corners, scores = [], []
    for x, c, stride in [(p3, 6, 8), (p4, 8, 16), (p5, 12, 32)]:
        n = SIDE // stride
        x = net.conv(x, c, 8, act="Relu")
        flat = lambda x, numbers: net.op("Reshape", x, net.ints(1, numbers, n * n))
        sides = flat(net.conv(net.conv(x, 8, 8, 3, act="Relu"), 8, 68, act=None, gain=1), 68)
        sides = net.op("Reshape", net.op("Transpose", sides, perm=[0, 2, 1]), net.ints(1, n * n, 4, 17))
        bins = net.op("Softmax", sides, axis=-1)
        sides = net.op("ReduceSum", net.op("Mul", bins, net.const(np.arange(17, dtype=np.float32))), net.ints(-1), keepdims=0)
        low, high = net.op("Split", sides, net.ints(2, 2), outputs=2, axis=-1)
        ys, xs = np.meshgrid(np.arange(n) + 0.5, np.arange(n) + 0.5, indexing="ij")
        place = net.const(np.stack([xs.ravel(), ys.ravel()], -1).astype(np.float32))
        box = net.cat(net.op("Sub", place, low), net.op("Add", place, high), axis=-1)
        corners.append(net.op("Mul", box, net.float(stride)))
        logits = flat(net.conv(net.conv(x, 8, 8, 3, act="Relu"), 8, CLASSES, act=None, gain=1), CLASSES)
        scores.append(net.op("Sigmoid", net.op("Transpose", logits, perm=[0, 2, 1])))
    return net.record([net.cat(*corners, axis=1), net.cat(*scores, axis=1)])


def mobile():
    """What mobile networks and old exporters do: normalization apart, gates, a shuffle, shapes computed in the graph."""
    net = Net("mobile", opset=13)
    x = "images"
    cut = lambda a, b: net.op("Slice", net.op("Slice", x, net.ints(a), net.ints(10**6), net.ints(2), net.ints(2)),
                              net.ints(b), net.ints(10**6), net.ints(3), net.ints(2))
    x = net.cat(cut(0, 0), cut(1, 0), cut(0, 1), cut(1, 1))
    x = net.act(net.norm(net.conv(x, 12, 8, 3, act=None, bias=False), 8), "old_hardswish")
    pad = net.op("Pad", x, net.ints(0, 0, 0, 0, 0, 0, 1, 1))
    x = net.act(net.norm(net.conv(pad, 8, 8, 3, 2, 0, g=8, act=None), 8), "hardswish")
    gate = net.op("GlobalAveragePool", x)
    gate = net.conv(net.conv(gate, 8, 4, act="Relu"), 4, 8, act="Sigmoid")
    x = net.op("Mul", x, gate)
    x = net.op("PRelu", net.conv(x, 8, 8, 3, act=None), net.const(net.rng.uniform(0, 0.5, (8, 1, 1)).astype(np.float32)))
    n = SIDE // 4
    y = net.op("Transpose", net.op("Reshape", x, net.ints(-1, 2, 4, n, n)), perm=[0, 2, 1, 3, 4])
    x = net.op("Reshape", y, net.ints(-1, 8, n, n))
    low, high = net.op("Split", x, outputs=2, axis=1)
    low = net.act(net.conv(low, 4, 4, 3, act="mish"), "gelu")
    high = net.op("LeakyRelu", net.conv(high, 4, 4, 3, 1, act=None), alpha=0.1)
    x = net.op("MaxPool", net.cat(low, high), kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    x = net.op("Add", net.op("Mul", net.conv(x, 8, 8, act=None), net.const(np.full((1, 8, 1, 1), 0.7, np.float32))), net.float(0.1))
    shape = net.op("Shape", x)
    batch = net.op("Gather", shape, net.const(np.array(0, np.int64)), axis=0)
    batch = net.op("Unsqueeze", batch, net.ints(0))
    flat = net.op("Reshape", x, net.op("Concat", batch, net.ints(-1), axis=0))
    features = net.op("Gemm", flat, net.weight(6, 8 * (n // 2) ** 2), net.bias(6), transB=1)
    norm2 = net.op("ReduceL2", features, axes=[1], keepdims=1)
    means = net.op("ReduceMean", x, axes=[2, 3], keepdims=0)
    return net.record([net.op("Div", features, norm2), net.op("Softmax", means, axis=1)], batch="batch")


def branching(by_picture):
    """Branches: one that shapes decide, the other of which cannot be run, around one that the picture may decide."""
    net = Net("branching by picture" if by_picture else "branching")
    node, value = helper.make_node, helper.make_tensor_value_info
    graph = lambda name, nodes, output: helper.make_graph(nodes, name, [], [value(output, TensorProto.FLOAT, None)])
    x = net.conv("images", 3, 4, 3, 4)
    mean = net.op("ReduceMean", x, axes=[0, 1, 2, 3], keepdims=0)
    weight, bias = net.weight(4, 4, 3, 3), net.bias(4)
    bright = net.op("Greater", mean, net.float(-1e3)) if by_picture else net.const(np.array(True))
    inner = node("If", [bright], ["y"], then_branch=graph("bright", [node("Conv", [x, weight, bias], ["y"], pads=[1] * 4)], "y"),
                 else_branch=graph("dark", [node("Neg", [x], ["y"])], "y"))
    is_four = net.op("Equal", net.op("Gather", net.op("Shape", x), net.const(np.array(1, np.int64))), net.const(np.array(4, np.int64)))
    y = net.op("If", is_four, then_branch=graph("four", [inner, node("Relu", ["y"], ["z"])], "z"),
               else_branch=graph("other", [node("Det", [x], ["z"])], "z"))
    return net.record([net.conv(y, 4, 6, act=None)], batch="batch")


def main():
    with open(sys.argv[1], "wb") as file:
        for model in [yolov5(), yolov8(), yolo11(), mobile(), branching(False), branching(True), yolo_nas()]:
            file.write(struct.pack("<I", len(model)) + model)


if __name__ == "__main__":
    main()
