"""Times ONNX Runtime on a model: `time_onnxruntime.py MODEL THREADS`, or `time_onnxruntime.py CFG,WEIGHTS THREADS` for a Darknet
network at 416 pixels, of which an ONNX model with the same layers is made. Prints milliseconds a picture: the median with all
threads for one picture, and with as many sessions of one thread side by side.

Started by `cargo bench --bench inference` with $EYELINE_BENCH_PYTHON, a Python that has numpy, onnx and onnxruntime.
"""

import sys
import threading
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

RUNS = 40


def sections(path):
    found = []
    for line in open(path):
        line = line.split("#")[0].strip()
        if line.startswith("["):
            found.append((line.strip("[]"), {}))
        elif "=" in line:
            key, value = line.split("=", 1)
            found[-1][1][key.strip()] = value.strip()
    return found


def from_darknet(cfg, weights, side=416):
    """Convolutions (normalization folded in), pooling, routes and upsampling, as YOLOv3-tiny has them."""
    floats = np.fromfile(weights, np.float32)[5:]
    nodes, tensors, outputs, layers = [], [], [], []

    def const(name, array):
        tensors.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def take(*shape):
        nonlocal floats
        count = int(np.prod(shape))
        part, floats = floats[:count].reshape(shape), floats[count:]
        return part

    value, channels = "images", 3
    for index, (kind, keys) in enumerate(sections(cfg)[1:]):
        number, out = lambda key, default=0: int(keys.get(key, default)), f"layer{index}"
        if kind == "convolutional":
            filters, size = number("filters"), number("size")
            bias, scale = take(filters), np.ones(filters, np.float32)
            if number("batch_normalize"):
                gamma, mean, variance = take(filters), take(filters), take(filters)
                scale = gamma / np.sqrt(variance + 1e-5)
                bias = bias - mean * scale
            kernel = take(filters, channels, size, size) * scale.reshape(-1, 1, 1, 1)
            inputs = [value, const(out + ".weight", kernel), const(out + ".bias", bias)]
            linear = keys["activation"] == "linear"
            name = out if linear else out + ".conv"
            nodes.append(helper.make_node("Conv", inputs, [name], strides=[number("stride")] * 2, pads=[size // 2] * 4))
            if not linear:
                nodes.append(helper.make_node("LeakyRelu", [name], [out], alpha=0.1))
            channels = filters
        elif kind == "maxpool":
            size, stride = number("size"), number("stride")
            after = size - 1 if stride == 1 else 0
            nodes.append(helper.make_node("MaxPool", [value], [out], kernel_shape=[size] * 2, strides=[stride] * 2,
                                          pads=[0, 0, after, after]))
        elif kind == "upsample":
            scales = const(out + ".scales", np.array([1, 1, 2, 2], np.float32))
            nodes.append(helper.make_node("Resize", [value, "", scales], [out], mode="nearest", nearest_mode="floor",
                                          coordinate_transformation_mode="asymmetric"))
        elif kind == "route":
            parts = [layers[int(n) if int(n) >= 0 else index + int(n)] for n in keys["layers"].split(",")]
            nodes.append(helper.make_node("Concat", [name for name, _ in parts], [out], axis=1))
            channels = sum(count for _, count in parts)
        elif kind == "yolo":
            outputs.append(value)
            out = value
        else:
            sys.exit(f"section [{kind}] is not known here")
        value = out
        layers.append((value, channels))
    info = [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, side, side])]
    graph = helper.make_graph(nodes, "darknet", info, [helper.make_empty_tensor_value_info(name) for name in outputs], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8).SerializeToString()


def opened(source, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    taken = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in taken.shape]
    picture = {taken.name: np.random.default_rng(0).random(shape, np.float32)}
    session.run(None, picture)
    return lambda: session.run(None, picture)


def alone(source, threads):
    run, times = opened(source, threads), []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return sorted(times)[RUNS // 2]


def side_by_side(source, threads):
    runs = [opened(source, 1) for _ in range(threads)]
    workers = [threading.Thread(target=lambda run=run: [run() for _ in range(RUNS)]) for run in runs]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return (time.perf_counter() - start) * 1e3 / (RUNS * threads)


def main():
    model, threads = sys.argv[1], int(sys.argv[2])
    source = from_darknet(*model.split(",")) if "," in model else model
    print(alone(source, threads), side_by_side(source, threads))


main()
