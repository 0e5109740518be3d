"""ONNX Runtime: the seed model with random weights, predicting only."""

from functools import partial

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import side


def model(work):
    """Time comes first inside, the only order that ONNX Runtime's LSTM takes."""
    random = np.random.default_rng(2)
    (time, features), units, gates = work.shape, work.units, 4 * work.units
    shapes = {
        "W": (1, gates, features), "R": (1, gates, units), "B": (1, 2 * gates),
        "Wa": (units, side.ATTENTION), "ba": (side.ATTENTION,), "u": (side.ATTENTION, 1),
        "V": (units, work.classes), "c": (work.classes,),
    }  # fmt: skip
    weights = {
        name: 0.05 * random.standard_normal(shape, dtype=np.float32)
        for name, shape in shapes.items()
    }
    weights |= {"directions": np.array([1]), "time": np.array([0])}
    node = helper.make_node
    nodes = [
        node("Transpose", ["x"], ["xt"], perm=[1, 0, 2]),
        node("LSTM", ["xt", "W", "R", "B"], ["hs"], hidden_size=units),
        node("Squeeze", ["hs", "directions"], ["h"]),  # (time, batch, units)
        node("MatMul", ["h", "Wa"], ["hWa"]),
        node("Add", ["hWa", "ba"], ["e1"]),
        node("Tanh", ["e1"], ["e2"]),
        node("MatMul", ["e2", "u"], ["e"]),
        node("Softmax", ["e"], ["a"], axis=0),
        node("Mul", ["h", "a"], ["ha"]),
        node("ReduceSum", ["ha", "time"], ["context"], keepdims=0),
        node("Gemm", ["context", "V", "c"], ["logits"]),
        node("Softmax", ["logits"], ["y"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "seed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (work.batch, time, features))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (work.batch, work.classes))],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()


def prepare(name):
    work = side.workload(name, kinds=("lstm",), training=False)
    options = onnxruntime.SessionOptions()
    if work.batch == 1:
        options.intra_op_num_threads = 1  # too little work to share: faster than the default
    session = onnxruntime.InferenceSession(model(work), options)
    x, _ = side.data(work)
    measure = partial(side.per_call, partial(session.run, None, {"x": x}))
    measure()
    threads = options.intra_op_num_threads or side.cores()
    return f"ONNX Runtime {onnxruntime.__version__}, threads: {threads}", measure


def first(name):
    raise side.Skip("predicts only")


if __name__ == "__main__":
    side.main(prepare, first)
