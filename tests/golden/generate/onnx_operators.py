"""Records what ONNX Runtime gives for small graphs, one or more for every operator of `src/torch/onnx/operators`.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install onnx onnxruntime numpy
    /tmp/venv/bin/python tests/golden/generate/onnx_operators.py tests/golden/onnx_operators.bin

The file is a row of ONNX models, each behind its length (4 bytes, little-endian). A model takes no input: what the node
reads are initializers, and what ONNX Runtime gave are initializers called expected/0, expected/1, ... that no node reads.
"""

import struct
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(7)
CASES = []


def floats(*shape, low=-3.0, high=3.0):
    # Few digits, so that the file packs well and ties are seen.
    return np.round(RNG.uniform(low, high, shape) * 64).astype(np.float32) / 64


def ints(*values):
    return np.array(values, dtype=np.int64)


def case(op, inputs, outputs=1, opset=17, **attributes):
    CASES.append((op, inputs, outputs, opset, attributes))


X = floats(2, 4, 5, 6)
Y = floats(2, 4, 5, 6)

# --- one value in, one out
for op in ["Abs", "Atan", "Ceil", "Cos", "Erf", "Exp", "Floor", "HardSwish", "Neg", "Reciprocal", "Relu", "Round", "Sigmoid"]:
    case(op, [floats(3, 5)])
for op in ["Sign", "Sin", "Softplus", "Softsign", "Tan", "Tanh", "Identity", "Cosh", "Sinh"]:
    case(op, [floats(3, 5)])
case("Round", [np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], np.float32)])
case("Acos", [floats(7, low=-1, high=1)])
case("Asin", [floats(7, low=-1, high=1)])
case("Log", [floats(7, low=0.1)])
case("Sqrt", [floats(7, low=0)])
case("Mish", [floats(7)], opset=18)
case("Not", [np.array([True, False])])
special = np.array([1.0, np.nan, np.inf, -np.inf], np.float32)
case("IsNaN", [special])
case("IsInf", [special])
case("IsInf", [special], detect_negative=0)
case("Dropout", [floats(4)], opset=13)
case("Clip", [floats(9), np.float32(-1), np.float32(1.5)])
case("Clip", [floats(9), None, np.float32(1.5)])
case("Clip", [floats(9)], opset=7, min=-0.5, max=2.0)
case("LeakyRelu", [floats(9)], alpha=0.1)
case("LeakyRelu", [floats(9)])
case("Elu", [floats(9)], alpha=1.5)
case("Celu", [floats(9)], alpha=0.7)
case("Selu", [floats(9)])
case("Gelu", [floats(9)], opset=20)
case("Gelu", [floats(9)], opset=20, approximate="tanh")
case("HardSigmoid", [floats(9)])
case("HardSigmoid", [floats(9)], alpha=1 / 6, beta=0.5)
case("ThresholdedRelu", [floats(9)], alpha=1.0)

# --- several in, one out
for op in ["Add", "Sub", "Mul", "Div"]:
    case(op, [floats(2, 3, 4), floats(3, 1)])
    case(op, [floats(4), floats(2, 3, 4)])
case("Div", [ints(7, -7, 9, -9), ints(2, 2, -4, -4)])
case("Add", [ints(1, 2), ints(5)])
case("Pow", [floats(5, low=0), np.float32(2)])
case("Pow", [floats(5, low=0), floats(5)])
case("Pow", [ints(2, 3), ints(3, 2)])
for op in ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"]:
    case(op, [ints(1, 2, 3), ints(2, 2, 2)])
case("Equal", [np.array([True, False]), np.array([True, True])])
for op in ["And", "Or", "Xor"]:
    case(op, [np.array([[True], [False]]), np.array([True, False])])
case("PRelu", [X[:1], floats(4, 1, 1)])
for op in ["Max", "Min", "Sum", "Mean"]:
    case(op, [floats(3, 1), floats(4), floats(3, 4)])
case("Max", [ints(1, 5), ints(3)])
case("Mod", [ints(7, -7, 7, -7), ints(3, 3, -3, -3)])
case("Mod", [ints(7, -7, 7, -7), ints(3, 3, -3, -3)], fmod=1)
case("Mod", [floats(6), np.float32(0.75)], fmod=1)
case("Where", [np.array([[True], [False]]), floats(3), floats(2, 3)])

# --- from the graph
case("Shape", [X], opset=13)
case("Shape", [X], start=1, end=-1)
case("Size", [X])
case("Range", [np.int64(2), np.int64(11), np.int64(3)])
case("Range", [np.float32(1), np.float32(-1), np.float32(-0.5)])
case("ConstantOfShape", [ints(2, 3)])
case("ConstantOfShape", [ints(2)], value=numpy_helper.from_array(np.array([7], np.int64)))
case("Constant", [], value=numpy_helper.from_array(floats(2, 2)))
case("Constant", [], value_ints=[3, 4])
case("Constant", [], value_float=1.5)
case("Constant", [], value_int=5)
case("Constant", [], value_floats=[0.5, 2.5])
case("Cast", [floats(5)], to=TensorProto.INT64)
case("Cast", [ints(0, 2, -1)], to=TensorProto.BOOL)
case("Cast", [ints(3, 4)], to=TensorProto.FLOAT)
case("CastLike", [ints(3, 4), np.float32(1)], opset=19)
case("EyeLike", [floats(3, 4)], k=1)

# --- convolutions
case("Conv", [X, floats(3, 4, 3, 3), floats(3)], pads=[1, 1, 1, 1])
case("Conv", [X, floats(3, 4, 3, 2)], strides=[2, 1], dilations=[1, 2])
case("Conv", [X, floats(4, 1, 3, 3)], group=4, pads=[0, 0, 1, 1], strides=[2, 2])
case("Conv", [X, floats(6, 2, 1, 1)], group=2)
case("Conv", [X, floats(2, 4, 3, 3)], auto_pad="SAME_UPPER", strides=[2, 2])
case("Conv", [X, floats(2, 4, 4, 2)], auto_pad="SAME_LOWER", strides=[1, 2])
case("Conv", [X, floats(2, 4, 3, 3)], auto_pad="VALID")
case("Conv", [floats(1, 2, 9), floats(3, 2, 3)], pads=[1, 1])
case("Conv", [floats(1, 1, 3, 4, 3), floats(2, 1, 2, 2, 2)])
case("ConvTranspose", [X, floats(4, 3, 2, 2), floats(3)], strides=[2, 2])
case("ConvTranspose", [X, floats(4, 1, 3, 3)], group=4, strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])
case("ConvTranspose", [X, floats(4, 2, 3, 3)], pads=[0, 1, 1, 0])

# --- pooling
case("MaxPool", [X], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])
case("MaxPool", [X], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
case("MaxPool", [X], kernel_shape=[2, 2], pads=[0, 0, 1, 1])
case("MaxPool", [X], kernel_shape=[5, 5], pads=[2, 2, 2, 2])
case("MaxPool", [X], kernel_shape=[2, 2], dilations=[2, 2])
case("MaxPool", [X], kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
case("AveragePool", [X], kernel_shape=[2, 2], strides=[2, 2])
case("AveragePool", [X], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
case("AveragePool", [X], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
case("AveragePool", [X], kernel_shape=[2, 2], pads=[0, 0, 1, 1])
case("GlobalAveragePool", [X])
case("GlobalMaxPool", [X])

# --- normalization
C = [floats(4, low=0.5), floats(4), floats(4), floats(4, low=0.5)]
case("BatchNormalization", [X, *C], opset=15)
case("BatchNormalization", [X, *C], opset=9, epsilon=0.01, momentum=0.9)
case("InstanceNormalization", [X, *C[:2]])
case("GroupNormalization", [X, *C[:2]], opset=21, num_groups=2)
case("LayerNormalization", [X, floats(6), floats(6)], opset=17)
case("LayerNormalization", [X, floats(5, 6), floats(5, 6)], opset=17, axis=-2, epsilon=0.001)
case("LpNormalization", [X], axis=1)
case("LpNormalization", [X], axis=-1, p=1)
case("LRN", [X], size=3)
case("LRN", [X], size=5, alpha=0.1, beta=0.5, bias=2.0)
case("Softmax", [floats(2, 3, 4)])
case("Softmax", [floats(2, 3, 4)], axis=1)
case("Softmax", [floats(2, 3, 4)], opset=11, axis=1)
case("LogSoftmax", [floats(2, 3, 4)], axis=1)

# --- matrices
case("MatMul", [floats(2, 3), floats(3, 4)])
case("MatMul", [floats(2, 1, 2, 3), floats(5, 3, 2)])
case("MatMul", [floats(3), floats(3, 2)])
case("Gemm", [floats(2, 3), floats(3, 4), floats(4)])
case("Gemm", [floats(3, 2), floats(4, 3), floats(2, 1)], transA=1, transB=1, alpha=0.5, beta=2.0)
case("Gemm", [floats(2, 3), floats(3, 4)], opset=13)
case("Einsum", [floats(2, 3, 4), floats(2, 4, 5)], equation="bij,bjk->bik")

# --- shapes
case("Reshape", [X, ints(2, -1, 6)])
case("Reshape", [X, ints(0, 0, 30)])
case("Flatten", [X])
case("Flatten", [X], axis=0)
case("Flatten", [X], axis=-1)
case("Transpose", [X], perm=[0, 2, 3, 1])
case("Transpose", [floats(2, 3)])
case("Squeeze", [floats(1, 3, 1), ints(0)])
case("Squeeze", [floats(1, 3, 1)])
case("Squeeze", [floats(1, 3, 1)], opset=11, axes=[-1])
case("Unsqueeze", [floats(3, 2), ints(0, -1)])
case("Unsqueeze", [floats(3, 2)], opset=11, axes=[1, 3])
case("Expand", [floats(3, 1), ints(2, 1, 4)])
case("Tile", [floats(2, 3), ints(2, 2)])
case("Concat", [floats(2, 3), floats(2, 1)], axis=1)
case("Concat", [floats(2, 3), floats(1, 3)], axis=-2)
case("Split", [floats(2, 6)], outputs=3, axis=1, opset=13)
case("Split", [floats(2, 6), ints(1, 5)], outputs=2, axis=-1)
case("Split", [floats(2, 6)], outputs=2, opset=11, axis=1, split=[2, 4])
case("Split", [floats(7)], outputs=3, opset=18, num_outputs=3)
case("Slice", [X, ints(1, 0), ints(3, 100), ints(1, -1), ints(1, 2)])
case("Slice", [X, ints(-1), ints(-100), ints(3), ints(-2)])
case("Slice", [X, ints(1, 1), ints(2, -1)])
case("Slice", [X], opset=9, starts=[1], ends=[4], axes=[2])
case("Pad", [floats(2, 3), ints(1, 0, 0, 2), np.float32(0.5)])
case("Pad", [X, ints(0, 0, 1, 2, 0, 0, 2, 1)], mode="reflect")
case("Pad", [X, ints(0, 0, 1, 2, 0, 0, 2, 1)], mode="edge")
case("Pad", [floats(2, 3), ints(1, 2), np.float32(1), ints(1)], opset=18)
case("Pad", [floats(2, 3)], opset=9, pads=[0, 1, 1, 0], value=2.0)
case("Pad", [floats(3, 4), ints(0, -1, 1, -1)])
case("DepthToSpace", [floats(1, 8, 2, 3)], blocksize=2)
case("DepthToSpace", [floats(1, 8, 2, 3)], blocksize=2, mode="CRD")
case("SpaceToDepth", [floats(1, 2, 4, 6)], blocksize=2)
case("Trilu", [floats(3, 4)])
case("Trilu", [floats(3, 4), np.int64(-1)], upper=0)

# --- picking and placing
case("Gather", [X, ints(3, -1)], axis=1)
case("Gather", [X, np.array(1, np.int64)], axis=2)
case("Gather", [floats(4, 2), np.array([[0, 1], [3, 2]], np.int32)])
case("GatherElements", [floats(3, 3), np.array([[0, -1, 2], [1, 1, 0]], np.int64)], axis=0)
case("GatherND", [floats(2, 3, 2), np.array([[0, 1], [1, -1]], np.int64)])
case("ScatterElements", [floats(3, 3), np.array([[1, 0, 2]], np.int64), floats(1, 3)], axis=0)
case("ScatterElements", [floats(1, 4), np.array([[1, 1]], np.int64), floats(1, 2)], axis=1, reduction="add", opset=18)
case("ScatterND", [floats(4, 3), np.array([[1], [-1]], np.int64), floats(2, 3)])
case("ScatterND", [floats(4), np.array([[1], [1]], np.int64), floats(2)], opset=18, reduction="add")
distinct = RNG.permutation(24).astype(np.float32).reshape(2, 12)
case("TopK", [distinct, ints(5)], outputs=2)
case("TopK", [distinct, ints(1)], outputs=2, axis=0, largest=0)
case("OneHot", [ints(0, 2, -1, 5), np.array(4, np.int64), np.array([0.5, 2], np.float32)])
case("OneHot", [ints(0, 2), ints(3), np.array([0, 1], np.float32)], axis=0)
case("NonZero", [np.array([[1, 0, 2], [0, 3, 0]], np.float32)])

# --- reductions
for op in ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2"]:
    old = {"ReduceSum": 11}.get(op, 13)
    case(op, [floats(2, 3, 4)], opset=old, axes=[1])
    case(op, [floats(2, 3, 4)], opset=old, axes=[-1, 0], keepdims=0)
for op in ["ReduceSumSquare", "ReduceLogSumExp"]:
    case(op, [floats(2, 3, 4)], opset=13, axes=[2])
case("ReduceLogSum", [floats(2, 3, low=0.5)], opset=13, axes=[1])
case("ReduceMean", [floats(2, 3, 4), ints(2)], opset=18)
case("ReduceSum", [floats(2, 3, 4), ints(0, 2)], opset=13, keepdims=0)
case("ReduceMax", [floats(2, 3)], opset=13)
case("ReduceSum", [floats(2, 3)], opset=13, noop_with_empty_axes=1)
case("ReduceMax", [ints(3, 1, 2)], opset=13, keepdims=0)
case("ArgMax", [distinct], axis=1)
case("ArgMin", [distinct], axis=0, keepdims=0)
case("CumSum", [floats(2, 4), np.array(1, np.int64)])
case("CumSum", [floats(2, 4), np.array(1, np.int64)], exclusive=1, reverse=1)

# --- resizing
P = floats(1, 2, 4, 5)
NO = np.array([], np.float32)


def resize(scales=None, sizes=None, opset=13, **attributes):
    scales = NO if scales is None else np.array([1, 1, *scales], np.float32)
    inputs = [P, NO, scales] if sizes is None else [P, None, None, ints(1, 2, *sizes)]
    case("Resize", inputs, opset=opset, **attributes)


resize([2, 2], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
resize([2, 2], mode="nearest")
resize([1.5, 2.4], mode="nearest")
resize([0.5, 0.6], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
resize([1.5, 1.5], mode="nearest", nearest_mode="ceil", coordinate_transformation_mode="asymmetric")
resize([1.5, 1.5], mode="nearest", nearest_mode="round_prefer_ceil", coordinate_transformation_mode="align_corners")
resize(sizes=[8, 10], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
resize([2, 2], mode="linear")
resize([2, 2], mode="linear", coordinate_transformation_mode="pytorch_half_pixel")
resize(sizes=[7, 9], mode="linear", coordinate_transformation_mode="align_corners")
resize([2, 2], mode="linear", coordinate_transformation_mode="asymmetric")
resize(sizes=[7, 9], mode="linear", coordinate_transformation_mode="pytorch_half_pixel")
resize(sizes=[8, 10], mode="cubic")
resize(sizes=[8, 10], mode="cubic", coordinate_transformation_mode="align_corners")
case("Resize", [P, np.array([1, 1, 2, 2], np.float32)], opset=10, mode="nearest")
case("Upsample", [P, np.array([1, 1, 2, 3], np.float32)], opset=9, mode="nearest")
case("Upsample", [P, np.array([1, 1, 2, 2], np.float32)], opset=9, mode="linear")
GRID = floats(1, 3, 4, 2, low=-1.3, high=1.3)
for mode in ["bilinear", "nearest", "bicubic"]:
    for padding in ["zeros", "border", "reflection"]:
        case("GridSample", [P, GRID], opset=16, mode=mode, padding_mode=padding, align_corners=int(padding == "border"))

# --- suppression; in a block of its own so that the numbers above stay what they were
SPREAD = np.random.default_rng(7).uniform(0, 10, (2, 12, 2)).astype(np.float32)
CORNERS = np.concatenate([SPREAD, SPREAD + np.random.default_rng(8).uniform(2, 6, (2, 12, 2)).astype(np.float32)], 2)
RATED = np.random.default_rng(9).uniform(0, 1, (2, 3, 12)).astype(np.float32)
case("NonMaxSuppression", [CORNERS, RATED, ints(4), np.float32(0.3), np.float32(0.2)], opset=11)
case("NonMaxSuppression", [CORNERS, RATED, ints(20), np.float32(0.6)], opset=11)
case("NonMaxSuppression", [CORNERS, RATED, ints(3), np.float32(0.4), np.float32(0.5)], opset=11, center_point_box=1)
case("NonMaxSuppression", [CORNERS, RATED], opset=11)


# --- regions
BOXES = np.array([[1, 1, 9, 7], [0, 0, 20, 20], [4, 3, 4.5, 3.25], [-3, 2, 6, 30]], np.float32)
FEATURES = np.round(np.random.default_rng(10).uniform(-3, 3, (2, 3, 7, 9)) * 64).astype(np.float32) / 64
case("RoiAlign", [FEATURES, BOXES, ints(0, 1, 1, 0)], opset=16, output_height=2, output_width=3, sampling_ratio=2)
case("RoiAlign", [FEATURES, BOXES, ints(1, 1, 0, 0)], opset=16, output_height=3, output_width=2, spatial_scale=0.5)
case("RoiAlign", [FEATURES, BOXES, ints(0, 1, 1, 0)], opset=10, output_height=2, output_width=2, spatial_scale=0.5)


# --- graphs inside nodes; they read A and B from outside
def graph(nodes, outputs, inputs=(), tensors=()):
    info = lambda name, kind, shape: helper.make_tensor_value_info(name, kind, shape)
    ins = [info(name, kind, []) for name, kind in inputs]
    return helper.make_graph(nodes, "inner", ins, [info(name, kind, None) for name, kind in outputs], tensors)


def branches():
    node, one_third = helper.make_node, numpy_helper.from_array(np.float32(1 / 3), "third")
    plus = graph([node("Mul", ["in1", "third"], ["m"]), node("Add", ["m", "in2"], ["p"])], [("p", 1)], tensors=[one_third])
    either = graph([node("Neg", ["in2"], ["n"])], [("n", 1)])
    inner = node("If", ["in3"], ["chosen"], then_branch=either, else_branch=plus)
    return plus, graph([inner, node("Abs", ["chosen"], ["a"])], [("a", 1)])


A, B = floats(2, 3), floats(2, 3)
PLUS, INNER = branches()
for outer in [True, False]:
    for within in [True, False]:
        case("If", [np.array(outer), A, B, np.array(within)], opset=16, read=1, then_branch=PLUS, else_branch=INNER)


def body(goes_on):
    node = helper.make_node
    nodes = [node("Add", ["sum", "in3"], ["sum_out"]), node("Cast", ["turn"], ["t"], to=TensorProto.FLOAT),
             node("Mul", ["sum_out", "t"], ["stacked"]), goes_on]
    ins = [("turn", TensorProto.INT64), ("on", TensorProto.BOOL), ("sum", 1)]
    return graph(nodes, [("on_out", TensorProto.BOOL), ("sum_out", 1), ("stacked", 1)], ins)


ALWAYS = helper.make_node("Identity", ["on"], ["on_out"])
UNTIL = helper.make_node("Less", ["turn", "in4"], ["on_out"])
case("Loop", [ints(4)[0], np.array(True), np.float32(1), A], outputs=2, opset=16, read=1, body=body(ALWAYS))
case("Loop", [None, np.array(True), np.float32(1), A, ints(2)[0]], outputs=2, opset=16, read=2, body=body(UNTIL))
case("Loop", [ints(0)[0], None, A, B], opset=16, read=1, body=graph(
    [ALWAYS, helper.make_node("Add", ["sum", "in3"], ["sum_out"])], [("on_out", TensorProto.BOOL), ("sum_out", 1)],
    [("turn", TensorProto.INT64), ("on", TensorProto.BOOL), ("sum", 1)]))


def record(op, inputs, outputs, opset, attributes):
    names = ["" if value is None else f"in{i}" for i, value in enumerate(inputs)]
    given = {name: np.asarray(value) for name, value in zip(names, inputs) if name}
    results = [f"out{i}" for i in range(outputs)]
    # Inputs after these are read by graphs inside the node only.
    named = names[:1] if op == "If" else names[: len(names) - attributes.get("read", 0)]
    attributes = {name: value for name, value in attributes.items() if name != "read"}
    node = helper.make_node(op, named, results, name=f"a {op}", **attributes)
    kind = lambda array: helper.np_dtype_to_tensor_dtype(array.dtype)
    infos = [helper.make_tensor_value_info(name, kind(array), array.shape) for name, array in given.items()]
    blank = [helper.make_empty_tensor_value_info(name) for name in results]
    imports = [helper.make_opsetid("", opset)]
    running = helper.make_model(helper.make_graph([node], op, infos, blank), opset_imports=imports, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(running.SerializeToString(), options, providers=["CPUExecutionProvider"])
    expected = session.run(None, given)
    tensors = [numpy_helper.from_array(array, name) for name, array in given.items()]
    tensors += [numpy_helper.from_array(np.asarray(value), f"expected/{i}") for i, value in enumerate(expected)]
    typed = [helper.make_tensor_value_info(n, kind(np.asarray(v)), np.asarray(v).shape) for n, v in zip(results, expected)]
    graph = helper.make_graph([node], op, [], typed, tensors)
    return helper.make_model(graph, opset_imports=imports, ir_version=8, producer_name="").SerializeToString()


def main():
    recorded = 0
    with open(sys.argv[1], "wb") as file:
        for op, inputs, outputs, opset, attributes in CASES:
            try:
                model = record(op, inputs, outputs, opset, attributes)
            except Exception as error:
                sys.exit(f"{op} opset {opset} {attributes}: {error}")
            file.write(struct.pack("<I", len(model)) + model)
            recorded += 1
    print(f"{recorded} cases, ONNX Runtime {onnxruntime.__version__}, onnx {onnx.__version__}")


main()
