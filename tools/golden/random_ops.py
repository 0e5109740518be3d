"""random_ops.npz: keras.ops on random tensors: x0, x1, ... in the order of the arguments, y, gy and gx0, gx1, ...

int32 arguments (indices, conditions) have no gradient. Options stand in the name of the case.
"""

import numpy as np
from keras import ops

from .common import Arrays, generator, numbered, pullback

A = (3, 4, 2)
TIES = np.array([[1.0, 3, 3, -2], [0, 0, 0, 0], [-1, 5, 2, 5]])
POSITIVE = "positive"  # a shape marked (POSITIVE, ...) is filled with numbers between 0.2 and 3


def ids(*values):
    return np.array(values, dtype=np.int32)


# case: (function, arguments: a shape to fill, or the array itself)
OPS = {
    "softmax/axis_-1": (lambda x: ops.softmax(x, axis=-1), A),
    "softmax/axis_0": (lambda x: ops.softmax(x, axis=0), A),
    "softmax/axis_1": (lambda x: ops.softmax(x, axis=1), A),
    "log_softmax/axis_-1": (lambda x: ops.log_softmax(x, axis=-1), A),
    "log_softmax/axis_1": (lambda x: ops.log_softmax(x, axis=1), A),
    "logsumexp/all": (ops.logsumexp, A),
    "logsumexp/axis_1": (lambda x: ops.logsumexp(x, axis=1), A),
    "logsumexp/axis_0_2_keepdims": (lambda x: ops.logsumexp(x, axis=(0, 2), keepdims=True), A),
    "logsumexp/large": (lambda x: ops.logsumexp(500 * x, axis=-1), A),
    "sum/axis_0_2": (lambda x: ops.sum(x, axis=(0, 2)), A),
    "mean/axis_1_keepdims": (lambda x: ops.mean(x, axis=1, keepdims=True), A),
    "var/all": (ops.var, A),
    "var/axis_1": (lambda x: ops.var(x, axis=1), A),
    "var/axis_0_2_keepdims": (lambda x: ops.var(x, axis=(0, 2), keepdims=True), A),
    "std/all": (ops.std, A),
    "std/axis_-1": (lambda x: ops.std(x, axis=-1), A),
    "cumsum/axis_0": (lambda x: ops.cumsum(x, axis=0), A),
    "cumsum/axis_1": (lambda x: ops.cumsum(x, axis=1), A),
    "cumsum/flat": (ops.cumsum, A),
    "cumprod/axis_1": (lambda x: ops.cumprod(x, axis=1), A),
    "norm/all": (ops.norm, (3, 4)),
    "norm/axis_1": (lambda x: ops.norm(x, axis=1), A),
    "norm/ord_1_axis_1": (lambda x: ops.norm(x, ord=1, axis=1), A),
    "norm/axis_-1_keepdims": (lambda x: ops.norm(x, axis=-1, keepdims=True), A),
    "prod/all": (ops.prod, A),
    "prod/axis_1": (lambda x: ops.prod(x, axis=1), A),
    "prod/one_zero": (lambda x: ops.prod(x, axis=1), np.array([[2.0, 0, 3], [1, 4, 5]])),
    "prod/two_zeros": (lambda x: ops.prod(x, axis=1), np.array([[0.0, 0, 3], [1, 4, 5]])),
    "max/all_ties": (ops.max, TIES),
    "max/axis_1_ties": (lambda x: ops.max(x, axis=1), TIES),
    "max/axis_0": (lambda x: ops.max(x, axis=0), A),
    "min/axis_1_ties": (lambda x: ops.min(x, axis=1), TIES),
    "min/axis_0_2_keepdims": (lambda x: ops.min(x, axis=(0, 2), keepdims=True), A),
    "dot/2_2": (ops.dot, (3, 4), (4, 2)),
    "dot/3_2": (ops.dot, (3, 5, 4), (4, 2)),
    "dot/3_3": (ops.dot, (3, 2, 4), (5, 4, 2)),
    "dot/4_3": (ops.dot, (2, 3, 1, 4), (2, 4, 3)),
    "dot/2_1": (ops.dot, (3, 4), (4,)),
    "dot/1_1": (ops.dot, (4,), (4,)),
    "matmul/3_3": (ops.matmul, (3, 2, 4), (3, 4, 5)),
    "matmul/3_2": (ops.matmul, (3, 2, 4), (4, 5)),
    "matmul/2_3": (ops.matmul, (2, 4), (3, 4, 5)),
    "matmul/broadcast": (ops.matmul, (3, 1, 2, 4), (5, 4, 2)),
    "matmul/3_1": (ops.matmul, (3, 2, 4), (4,)),
    "matmul/1_3": (ops.matmul, (4,), (3, 4, 2)),
    "einsum/bij,bjk->bik": (lambda x, y: ops.einsum("bij,bjk->bik", x, y), (3, 2, 4), (3, 4, 5)),
    "einsum/abc,cd->abd": (lambda x, y: ops.einsum("abc,cd->abd", x, y), (3, 2, 4), (4, 5)),
    "einsum/btnh,bsnh->bnts": (lambda x, y: ops.einsum("btnh,bsnh->bnts", x, y), (2, 3, 2, 4), (2, 5, 2, 4)),
    "einsum/ij->ji": (lambda x: ops.einsum("ij->ji", x), (3, 4)),
    "einsum/ij->i": (lambda x: ops.einsum("ij->i", x), (3, 4)),
    "einsum/i,j->ij": (lambda x, y: ops.einsum("i,j->ij", x, y), (3,), (4,)),
    "einsum/ij,ij->": (lambda x, y: ops.einsum("ij,ij->", x, y), (3, 4), (3, 4)),
    "tensordot/axes_1": (lambda x, y: ops.tensordot(x, y, axes=1), (3, 2, 4), (4, 5)),
    "tensordot/axes_0_2_and_1_0": (lambda x, y: ops.tensordot(x, y, axes=[[0, 2], [1, 0]]), (3, 2, 4), (4, 3, 2)),
    "take/axis_0": (lambda x, i: ops.take(x, i, axis=0), A, ids(2, 0, 2, 1)),
    "take/axis_1": (lambda x, i: ops.take(x, i, axis=1), A, ids([3, 0], [0, 1])),
    "take/flat": (ops.take, (3, 4), ids(11, 0, 5, 5)),
    "take_along_axis/axis_1": (lambda x, i: ops.take_along_axis(x, i, axis=1), (3, 4), ids([0, 0], [3, 1], [2, 3])),
    "take_along_axis/axis_0": (lambda x, i: ops.take_along_axis(x, i, axis=0), (3, 4), ids([2, 0, 0, 1])),
    "one_hot/5_classes": (lambda i: ops.one_hot(i, 5), ids([0, 4, 2], [1, 1, 3])),
    "one_hot/outside": (lambda i: ops.one_hot(i, 3), ids(-1, 0, 3)),
    "one_hot/axis_0": (lambda i: ops.one_hot(i, 5, axis=0), ids([0, 4, 2], [1, 1, 3])),
    "tile/2_1_3": (lambda x: ops.tile(x, (2, 1, 3)), A),
    "tile/2_of_rank_2": (lambda x: ops.tile(x, 2), (3, 4)),
    "tile/longer_than_rank": (lambda x: ops.tile(x, (2, 1, 2)), (3, 2)),
    "repeat/2_axis_1": (lambda x: ops.repeat(x, 2, axis=1), A),
    "repeat/counts_axis_0": (lambda x: ops.repeat(x, ids(2, 1, 3), axis=0), A),
    "repeat/3_flat": (lambda x: ops.repeat(x, 3), (3, 2)),
    "pad/constant": (lambda x: ops.pad(x, ((1, 2), (0, 1), (0, 0))), A),
    "pad/constant_-1.5": (lambda x: ops.pad(x, ((1, 0), (2, 1)), constant_values=-1.5), (3, 4)),
    "pad/reflect": (lambda x: ops.pad(x, ((1, 2), (2, 1)), mode="reflect"), (3, 4)),
    "pad/symmetric": (lambda x: ops.pad(x, ((1, 2), (2, 1)), mode="symmetric"), (3, 4)),
    "where/same_shape": (lambda c, x, y: ops.where(c != 0, x, y), ids([1, 0, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0]),
                         (3, 4), (3, 4)),
    "where/broadcast": (lambda c, x, y: ops.where(c != 0, x, y), ids([1], [0], [1]), (3, 4), (4,)),
    "gelu/exact": (lambda x: ops.gelu(x, approximate=False), (3, 4)),
    "gelu/tanh": (ops.gelu, (3, 4)),
    "erf/default": (ops.erf, (3, 4)),
    "log1p/default": (ops.log1p, (POSITIVE, 3, 4)),
    "log1p/small": (ops.log1p, np.array([1e-12, -1e-9, 1e-5, 0.0])),
    "expm1/default": (ops.expm1, (3, 4)),
    "expm1/small": (ops.expm1, np.array([1e-12, -1e-9, 1e-5, 0.0])),
    "power/x_3": (lambda x: ops.power(x, 3.0), (3, 4)),
    "power/x_y": (ops.power, (POSITIVE, 3, 4), (3, 4)),
    "power/x_y_broadcast": (ops.power, (POSITIVE, 3, 1), (4,)),
    "power/x_0.5": (lambda x: ops.power(x, 0.5), (POSITIVE, 3, 4)),
    "sqrt/default": (ops.sqrt, (POSITIVE, 3, 4)),
    "rsqrt/default": (ops.rsqrt, (POSITIVE, 3, 4)),
    "clip/-0.5_1": (lambda x: ops.clip(x, -0.5, 1.0), (3, 4)),
    "clip/at_bounds": (lambda x: ops.clip(x, -1.0, 2.0), np.array([-2.0, -1.0, 0.0, 2.0, 3.0])),
    "maximum/default": (ops.maximum, (3, 4), (4,)),
    "maximum/ties": (ops.maximum, np.array([1.0, 2, 3]), np.array([1.0, 3, 2])),
    "minimum/default": (ops.minimum, (3, 4), (3, 1)),
    "minimum/ties": (ops.minimum, np.array([1.0, 2, 3]), np.array([1.0, 3, 2])),
    "absolute/zero": (ops.absolute, np.array([-1.5, 0.0, 2.0])),
    "floor_divide/default": (ops.floor_divide, np.array([7.5, -7.5, 7.5, -7.5]), np.array([2.0, 2, -2, -2])),
    "mod/default": (ops.mod, np.array([7.5, -7.5, 7.5, -7.5]), np.array([2.0, 2, -2, -2])),
    "round/half": (ops.round, np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4])),
    "log10/default": (ops.log10, (POSITIVE, 3, 4)),
    "tril/default": (ops.tril, (3, 4)),
    "tril/-1": (lambda x: ops.tril(x, k=-1), A),
    "triu/default": (ops.triu, (3, 4)),
    "triu/1": (lambda x: ops.triu(x, k=1), A),
    "roll/2_axis_1": (lambda x: ops.roll(x, 2, axis=1), A),
    "roll/-1_axis_-1": (lambda x: ops.roll(x, -1, axis=-1), A),
    "roll/5_flat": (lambda x: ops.roll(x, 5), (3, 4)),
    "top_k/values": (lambda x: ops.top_k(x, 3)[0], (2, 3, 5)),
    "top_k/indices": (lambda x: ops.top_k(x, 3)[1], (2, 3, 5)),
    "top_k/values_ties": (lambda x: ops.top_k(x, 2)[0], TIES),
    "top_k/indices_ties": (lambda x: ops.top_k(x, 2)[1], TIES),
    "searchsorted/left": (ops.searchsorted, np.array([-1.0, 0, 0, 2, 3]), TIES),
    "searchsorted/right": (lambda s, v: ops.searchsorted(s, v, side="right"), np.array([-1.0, 0, 0, 2, 3]), TIES),
    "resize/default": (lambda x: ops.image.resize(x, (6, 7)), (2, 4, 3, 2)),
    "resize/smaller": (lambda x: ops.image.resize(x, (3, 2)), (2, 7, 5, 1)),
    "resize/one_image": (lambda x: ops.image.resize(x, (2, 8)), (4, 3, 2)),
    "resize/antialias": (lambda x: ops.image.resize(x, (3, 2), antialias=True), (2, 7, 5, 1)),
    "resize/nearest": (lambda x: ops.image.resize(x, (3, 7), interpolation="nearest"), (2, 5, 3, 2)),
    "resize/channels_first": (lambda x: ops.image.resize(x, (6, 2), data_format="channels_first"), (2, 3, 4, 5)),
    "resize/crop": (lambda x: ops.image.resize(x, (2, 4), crop_to_aspect_ratio=True), (2, 7, 5, 1)),
    "resize/pad": (lambda x: ops.image.resize(x, (2, 4), pad_to_aspect_ratio=True, fill_value=0.5), (2, 7, 5, 1)),
    "sign/default": (ops.sign, np.array([-1.5, 0.0, 2.0])),
}


def fill(argument, rng):
    if not isinstance(argument, tuple):
        return argument
    if argument[0] == POSITIVE:
        return rng.uniform(0.2, 3, size=argument[1:])
    return rng.normal(size=argument)


def cases():
    arrays = Arrays()
    for case, (function, *arguments) in OPS.items():
        rng = generator(case)
        x = [fill(a, rng) for a in arguments]
        (y,), (gy,), gx = pullback(lambda *x: [function(*x)], x, rng)
        smooth = any(g is not None for g in gx)
        arrays.put(case, y=y, gy=gy if smooth else None, **numbered("x", x), **numbered("gx", gx))
    return arrays
