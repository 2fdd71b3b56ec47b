"""Records what ONNX Runtime gives for YOLOv5n, YOLOv8n and YOLO11n at their full width, with made-up weights.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install onnx onnxruntime numpy
    /tmp/venv/bin/python tests/golden/generate/onnx_nano.py tests/golden/onnx_nano.bin

The networks are written down here from the published tables of their layers; that none is missing shows in the number of their
weights, which is the published one. What is recorded is small, because weights are not: they lie in a file `weights.bin` beside the
model that `weights` makes here and `tests/onnx_nano.rs` makes again.

The file is a row of blocks, each behind its length (4 bytes, little-endian), two for a network: its ONNX model, which keeps every
STEP-th value of what ONNX Runtime gave as the initializer expected/0, and its weights' recipe: for each tensor the number of values (32
bits) and the largest (a 32-bit float).
"""

import pathlib
import struct
import sys
import tempfile

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnx_networks import Net, anchored, attention, distances

CLASSES = 80
SIDE = 320
STEP = 97
# Standard deviation of a layer's weights times the root of what it reads: with more, scores are all 0 or 1, with less all alike.
GAIN = 1.55
GOLDEN, MIX_A, MIX_B = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def weights(recipe):
    """Values from -1 up to 1 (splitmix64, Steele et al. 2014), counted through all tensors, times the largest of their tensor."""
    with np.errstate(over="ignore"):
        z = np.arange(1, 1 + sum(count for count, _ in recipe), dtype=np.uint64) * np.uint64(GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(MIX_A)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(MIX_B)
        z ^= z >> np.uint64(31)
    values = (z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    return values * np.repeat(np.array([most for _, most in recipe], np.float32), [count for count, _ in recipe])


class FullWidth(Net):
    """A network whose weights lie beside it."""

    def __init__(self, name, opset):
        super().__init__(name, opset, SIDE)
        self.recipe = []

    def stored(self, shape, most):
        self.count += 1
        offset = 4 * sum(count for count, _ in self.recipe)
        self.recipe.append((int(np.prod(shape)), most))
        tensor = TensorProto(name=f"w{self.count}", dims=shape, data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
        for key, value in [("location", "weights.bin"), ("offset", offset), ("length", 4 * self.recipe[-1][0])]:
            tensor.external_data.add(key=key, value=str(value))
        self.tensors.append(tensor)
        return tensor.name

    def spread(self, array, shape):
        return self.const(array)

    def weight(self, *shape, gain=None):
        return self.stored(shape, float(np.float32(GAIN * np.sqrt(3 / np.prod(shape[1:])))))

    def bias(self, count):
        return self.stored((count,), float(np.float32(0.3)))

    def narrow(self, x, c):
        """YOLO11's bottleneck: half as wide inside."""
        return self.op("Add", x, self.conv(self.conv(x, c, c // 2, 3), c // 2, c, 3))

    def recorded(self, output):
        blank = helper.make_empty_tensor_value_info(output)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "model.onnx")
            path.write_bytes(self.model([blank], self.tensors).SerializeToString())
            weights(self.recipe).tofile(path.with_name("weights.bin"))
            (expected,) = self.run(str(path))
        print(f"  {sum(count for count, _ in self.recipe)} weights")
        kept = numpy_helper.from_array(expected.ravel()[::STEP].copy(), "expected/0")
        typed = helper.make_tensor_value_info(output, TensorProto.FLOAT, expected.shape)
        model = self.model([typed], self.tensors + [kept]).SerializeToString()
        return [model, b"".join(struct.pack("<If", *row) for row in self.recipe)]


def yolov5n():
    """Ultralytics YOLOv5, release 7 (table `yolov5n.yaml`: a third of the depth, a quarter of the width)."""
    net = FullWidth("yolov5n", 12)
    x = net.conv(net.conv("images", 3, 16, 6, 2, 2), 16, 32, 3, 2)
    p3 = net.c3(net.conv(net.c3(x, 32, 32), 32, 64, 3, 2), 64, 64, 2)
    p4 = net.c3(net.conv(p3, 64, 128, 3, 2), 128, 128, 3)
    p5 = net.sppf(net.c3(net.conv(p4, 128, 256, 3, 2), 256, 256), 256)
    n5 = net.conv(p5, 256, 128)
    n4 = net.conv(net.c3(net.cat(net.up(n5), p4), 256, 128, add=False), 128, 64)
    out3 = net.c3(net.cat(net.up(n4), p3), 128, 64, add=False)
    out4 = net.c3(net.cat(net.conv(out3, 64, 64, 3, 2), n4), 128, 128, add=False)
    out5 = net.c3(net.cat(net.conv(out4, 128, 128, 3, 2), n5), 256, 256, add=False)
    return net.recorded(anchored(net, [(out3, 64, 8), (out4, 128, 16), (out5, 256, 32)], CLASSES))


def boxes(net, x, c):
    """Of each side the distribution over 16 distances."""
    return net.conv(net.conv(net.conv(x, c, 64, 3), 64, 64, 3), 64, 64, act=None)


def yolov8n():
    """Ultralytics YOLOv8 (table `yolov8.yaml`, scale n)."""
    net = FullWidth("yolov8n", 17)
    x = net.c2f(net.conv(net.conv("images", 3, 16, 3, 2), 16, 32, 3, 2), 32, 32)
    p3 = net.c2f(net.conv(x, 32, 64, 3, 2), 64, 64, 2)
    p4 = net.c2f(net.conv(p3, 64, 128, 3, 2), 128, 128, 2)
    p5 = net.sppf(net.c2f(net.conv(p4, 128, 256, 3, 2), 256, 256), 256)
    n4 = net.c2f(net.cat(net.up(p5), p4), 384, 128, add=False)
    out3 = net.c2f(net.cat(net.up(n4), p3), 192, 64, add=False)
    out4 = net.c2f(net.cat(net.conv(out3, 64, 64, 3, 2), n4), 192, 128, add=False)
    out5 = net.c2f(net.cat(net.conv(out4, 128, 128, 3, 2), p5), 384, 256, add=False)

    def branch(x, c):
        return boxes(net, x, c), net.conv(net.conv(net.conv(x, c, 80, 3), 80, 80, 3), 80, CLASSES, act=None)

    return net.recorded(distances(net, [(out3, 64, 8), (out4, 128, 16), (out5, 256, 32)], branch, CLASSES))


def yolo11n():
    """Ultralytics YOLO11 (table `yolo11.yaml`, scale n)."""
    net = FullWidth("yolo11n", 17)
    plain = lambda x, i, o: net.c2f(x, i, o, inner=net.narrow)
    nested = lambda x, i, o: net.c2f(x, i, o, inner=lambda y, c: net.c3(y, c, c, 2, k=(3, 3)))
    # The first two stages are half as wide inside as the others.
    quarter = lambda x, c: net.c2f(x, c, 2 * c, inner=net.narrow, inside=c // 2)
    x = quarter(net.conv(net.conv("images", 3, 16, 3, 2), 16, 32, 3, 2), 32)
    p3 = quarter(net.conv(x, 64, 64, 3, 2), 64)
    p4 = nested(net.conv(p3, 128, 128, 3, 2), 128, 128)
    p5 = net.sppf(nested(net.conv(p4, 128, 256, 3, 2), 256, 256), 256)
    a, b = net.op("Split", net.conv(p5, 256, 256), net.ints(128, 128), outputs=2, axis=1)
    b = net.op("Add", b, attention(net, b, 128, 2, SIDE // 32))
    b = net.op("Add", b, net.conv(net.conv(b, 128, 256), 256, 128, act=None))
    p5 = net.conv(net.cat(a, b), 256, 256)
    n4 = plain(net.cat(net.up(p5), p4), 384, 128)
    out3 = plain(net.cat(net.up(n4), p3), 256, 64)
    out4 = plain(net.cat(net.conv(out3, 64, 64, 3, 2), n4), 192, 128)
    out5 = nested(net.cat(net.conv(out4, 128, 128, 3, 2), p5), 384, 256)

    def branch(x, c):
        y = net.conv(net.conv(x, c, c, 3, g=c), c, 80)
        y = net.conv(net.conv(y, 80, 80, 3, g=80), 80, 80)
        return boxes(net, x, c), net.conv(y, 80, CLASSES, act=None)

    return net.recorded(distances(net, [(out3, 64, 8), (out4, 128, 16), (out5, 256, 32)], branch, CLASSES))


def main():
    with open(sys.argv[1], "wb") as file:
        for block in yolov5n() + yolov8n() + yolo11n():
            file.write(struct.pack("<I", len(block)) + block)


main()
