"""Holds what eyeline computes for ONNX files against ONNX Runtime, on a made-up picture.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install onnxruntime numpy
    cargo build --release --example onnx_outputs
    /tmp/venv/bin/python models/compare_onnx.py target/release/examples/onnx_outputs FILE.onnx ...

Prints for each output the largest difference, relative to the largest value of its kind: of the whole output, and of a row or a
column by itself, whichever are fewer, so that pixels of boxes do not hide scores. Lists of detections are compared as sets too,
because equal scores may be ranked either way: how many rows of ONNX Runtime's list are in ours to a thousandth. A network that
keeps the best of thousands keeps others where scores differ by less than rounding: how far ONNX Runtime agrees with itself is said
too, its optimizations left out. Where the batch or the size is free, it is 1 and 640. Inputs that ask for the picture's size are
told that of the input.
"""

import struct
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime


def outputs(path):
    data, at, found = open(path, "rb").read(), 0, []
    while at < len(data):
        (rank,) = struct.unpack_from("<I", data, at)
        shape = struct.unpack_from(f"<{rank}I", data, at + 4)
        at += 4 + 4 * rank
        count = int(np.prod(shape, dtype=np.int64))
        found.append(np.frombuffer(data, np.float32, count, at).reshape(shape))
        at += 4 * count
    return found


def feed(session):
    fed, side, is_free = {}, None, False
    for info in session.get_inputs():
        if len(info.shape) == 4:
            shape = [1] + [size if isinstance(size, int) else (3 if i == 0 else 640) for i, size in enumerate(info.shape[1:])]
            side, is_free = shape[-1], not all(isinstance(size, int) for size in info.shape[1:])
            steps = np.arange(np.prod(shape), dtype=np.float64) * 0.618033988749895
            fed[info.name] = (steps - np.floor(steps)).reshape(shape).astype(np.float32)
    for info in session.get_inputs():
        if info.name not in fed:
            kind = np.int64 if "int64" in info.type else np.float32
            value = [[1, 1]] if info.name == "scale_factor" else [[side, side]]
            fed[info.name] = np.array(value, kind)
    return fed, [str(side)] if is_free else []


def difference(a, b):
    if b.size == 0:
        return 0.0
    axes = tuple(range(b.ndim))
    if b.ndim >= 3:
        # One scale a number of a box: the shorter of the last two axes.
        kept = b.ndim - 1 if b.shape[-1] <= b.shape[-2] else b.ndim - 2
        axes = tuple(axis for axis in axes if axis != kept)
    scale = np.maximum(np.abs(b).max(axis=axes, keepdims=True), 1e-6)
    return float((np.abs(a - b) / scale).max())


def rows(outputs):
    """The outputs as one table of detections, where they are lists of them."""
    outputs = [o[0] if o.ndim == 3 and o.shape[0] == 1 else o for o in outputs]
    outputs = [o[0] if o.ndim == 2 and o.shape[0] == 1 else o for o in outputs]
    count = len(outputs[0])
    if not 0 < count <= 1000 or any(o.ndim > 2 or len(o) != count for o in outputs):
        return None
    return np.concatenate([o.reshape(count, -1) for o in outputs], 1)


def alike(got, expected):
    """How many rows of a list are in another to a thousandth of the largest number of their column; None where there is no list."""
    a, b = rows(got), rows(expected)
    if a is None or b is None or a.shape[1] != b.shape[1] or b.shape[1] < 6:
        return None
    scale = np.maximum(np.abs(b).max(axis=0), 1e-6)
    nearest = (np.abs(b[:, None] - a[None]) / scale).max(axis=2).min(axis=1)
    return int((nearest < 1e-3).sum())


def found(model, fed, got, expected):
    same = alike(got, expected)
    if same is None:
        return []
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = floats(onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(None, fed))
    return [f"as sets {same} of {len(rows(expected))} rows, ONNX Runtime of itself {alike(plain, expected)}"]


def floats(outputs):
    return [output.astype(np.float32) for output in outputs]


def compare(program, model):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    fed, side = feed(session)
    expected = floats(session.run(None, fed))
    with tempfile.NamedTemporaryFile() as file:
        done = subprocess.run([program, model, file.name, *side], capture_output=True, text=True)
        if done.returncode:
            return [done.stderr.strip()[-2000:]]
        said, got = done.stderr.strip().splitlines()[-1], outputs(file.name)
    lines = [said]
    for info, a, b in zip(session.get_outputs(), got, expected):
        if a.size != b.size:
            lines.append(f"{info.name}: {a.shape}, expected {b.shape}")
            continue
        lines.append(f"{info.name} {b.shape}: {difference(a.reshape(b.shape), b):.1e}")
    return lines + found(model, fed, got, expected)


def main():
    for model in sys.argv[2:]:
        print(model.rsplit("/", 1)[-1], "|", "; ".join(compare(sys.argv[1], model)), flush=True)


main()
