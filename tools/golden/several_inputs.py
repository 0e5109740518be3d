"""several_inputs.npz: layers that are called on several inputs: merges and attention."""

import keras
import numpy as np
from keras import layers as L
from keras.src import backend

from .common import Arrays, generator, numbered, pullback, randomize

# --- inputs: shapes, masks of their first two axes, and masks of queries and keys

VECTORS = [(3, 4), (3, 4)]
SEQUENCES = [(4, 5, 3), (4, 5, 3)]   # (batch, time, features)
FIRST = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [1, 0, 0, 0, 0]], dtype=bool)
SECOND = np.array([[1, 1, 0, 0, 0], [1, 0, 0, 1, 1], [1, 1, 1, 1, 0], [1, 0, 0, 0, 0]], dtype=bool)
THIRD = np.array([[0, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 1], [1, 1, 0, 0, 0]], dtype=bool)

QUERY, VALUE, KEY = (3, 4, 6), (3, 5, 6), (3, 5, 6)
QUERIES = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [0, 1, 0, 1]], dtype=bool)
VALUES = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 1, 0, 0]], dtype=bool)
KEYS = np.array([[1, 1, 0, 1, 1], [1, 0, 1, 1, 1], [1, 1, 1, 1, 1]], dtype=bool)
MAY_ATTEND = np.random.default_rng(1).random((3, 4, 5)) < 0.6
MAY_ATTEND[:, :, 0] = True  # each query has something to attend to
WIDE_VALUE, WIDE_KEY = (3, 5, 2), (3, 5, 7)
PICTURES = [(2, 3, 4, 5), (2, 3, 4, 5)]

CAUSAL = {"use_causal_mask": True}
SCORES = {"return_attention_scores": True}


# --- merges: case -> (layer, shapes, masks)

MERGES = {}
for kind in (L.Add, L.Multiply, L.Average, L.Maximum, L.Minimum):
    case = kind.__name__.lower()
    MERGES |= {
        f"{case}/two": (kind, VECTORS, []),
        f"{case}/three": (kind, [*SEQUENCES, (4, 5, 3)], []),
        f"{case}/one": (kind, VECTORS[:1], []),
        f"{case}/broadcast": (kind, [(3, 1, 4), (3, 2, 1), (3, 1, 1)], []),
        f"{case}/ranks": (kind, [(3, 4), (3, 5, 4), (3, 2, 5, 4)], []),
        f"{case}/masks": (kind, SEQUENCES, [FIRST, SECOND]),
        f"{case}/three_masks": (kind, [*SEQUENCES, (4, 5, 3)], [FIRST, SECOND, THIRD]),
        f"{case}/first_mask": (kind, SEQUENCES, [FIRST, None]),
        f"{case}/second_mask": (kind, SEQUENCES, [None, SECOND]),
        f"{case}/mask_and_rank": (kind, [(4, 3), (4, 5, 3)], [None, SECOND]),
    }
MERGES |= {
    "subtract/two": (L.Subtract, VECTORS, []),
    "subtract/broadcast": (L.Subtract, [(3, 1, 4), (3, 2, 1)], []),
    "subtract/ranks": (L.Subtract, [(3, 4), (3, 5, 4)], []),
    "subtract/masks": (L.Subtract, SEQUENCES, [FIRST, SECOND]),
    "subtract/second_mask": (L.Subtract, SEQUENCES, [None, SECOND]),
    "concatenate/default": (L.Concatenate, [(3, 4), (3, 2), (3, 1)], []),
    "concatenate/one": (L.Concatenate, VECTORS[:1], []),
    "concatenate/axis_1": (lambda: L.Concatenate(axis=1), [(3, 4, 2), (3, 1, 2)], []),
    "concatenate/axis_minus_2": (lambda: L.Concatenate(axis=-2), [(3, 4, 2), (3, 1, 2)], []),
    "concatenate/axis_2": (lambda: L.Concatenate(axis=2), [(3, 2, 4, 2), (3, 2, 1, 2)], []),
    "concatenate/masks": (L.Concatenate, [(4, 5, 3), (4, 5, 2)], [FIRST, SECOND]),
    "concatenate/one_mask": (L.Concatenate, [(4, 5, 3), (4, 5, 2)], [FIRST, None]),
    "concatenate/axis_1_masks": (lambda: L.Concatenate(axis=1), SEQUENCES, [FIRST, SECOND]),
    "concatenate/axis_1_one_mask": (lambda: L.Concatenate(axis=1), SEQUENCES, [None, SECOND]),
    "dot/vectors": (lambda: L.Dot(axes=1), VECTORS, []),
    "dot/last_axis": (lambda: L.Dot(axes=-1), [(3, 5, 4), (3, 2, 4)], []),
    "dot/axis_1": (lambda: L.Dot(axes=1), [(3, 5, 4), (3, 5, 2)], []),
    "dot/axes_2_1": (lambda: L.Dot(axes=(2, 1)), [(3, 5, 4), (3, 4, 2)], []),
    "dot/axes_1_minus_1": (lambda: L.Dot(axes=(1, -1)), [(3, 5, 4), (3, 2, 5)], []),
    "dot/vector_and_matrices": (lambda: L.Dot(axes=(1, 2)), [(3, 4), (3, 5, 4)], []),
    "dot/matrices_and_vector": (lambda: L.Dot(axes=(2, 1)), [(3, 5, 4), (3, 4)], []),
    "dot/rank_4": (lambda: L.Dot(axes=(3, 2)), [(3, 2, 5, 4), (3, 2, 4, 2)], []),
    "dot/normalize": (lambda: L.Dot(axes=1, normalize=True), VECTORS, []),
    "dot/normalize_matrices": (lambda: L.Dot(axes=(2, 1), normalize=True), [(3, 5, 4), (3, 4, 2)], []),
    "dot/masks": (lambda: L.Dot(axes=-1), SEQUENCES, [FIRST, SECOND]),
}


# --- attention: case -> (layer, shapes, masks, arguments of the call)

ATTENTION = {}
for name, kind, options in (("dot_attention", L.Attention, {"scale": {"use_scale": True},
                                                           "concat": {"score_mode": "concat"},
                                                           "concat_scale": {"score_mode": "concat", "use_scale": True}}),
                            ("additive_attention", L.AdditiveAttention, {"no_scale": {"use_scale": False}})):
    def make(kind=kind, **options):
        return lambda: kind(**options)

    variants = {"default": {}, "dropout_at_rest": {"dropout": 0.5, "seed": 3}} | options
    for variant, given in variants.items():
        ATTENTION |= {
            f"{name}/{variant}": (make(**given), [QUERY, VALUE], [], {}),
            f"{name}/{variant}_scores": (make(**given), [QUERY, VALUE, KEY], [QUERIES, VALUES, None], SCORES),
        }
    ATTENTION |= {
        f"{name}/key": (make(), [QUERY, WIDE_VALUE, KEY], [], {}),
        f"{name}/value_mask": (make(), [QUERY, VALUE], [None, VALUES], {}),
        f"{name}/query_mask": (make(), [QUERY, VALUE], [QUERIES, None], {}),
        f"{name}/masks": (make(), [QUERY, VALUE, KEY], [QUERIES, VALUES, KEYS], {}),
        f"{name}/causal": (make(), [QUERY, VALUE], [], CAUSAL),
        f"{name}/causal_fewer_values": (make(), [VALUE, QUERY], [], CAUSAL),
        f"{name}/causal_masks_scores": (make(), [QUERY, VALUE], [QUERIES, VALUES], CAUSAL | SCORES),
    }


def heads(**options):
    return lambda: L.MultiHeadAttention(**({"num_heads": 2, "key_dim": 3} | options))


def groups(**options):
    return lambda: L.GroupQueryAttention(**({"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2} | options))


for name, make in (("multi_head_attention", heads), ("group_query_attention", groups)):
    ATTENTION |= {
        f"{name}/default": (make(), [QUERY, VALUE], [], {}),
        f"{name}/scores": (make(), [QUERY, VALUE], [], SCORES),
        f"{name}/key": (make(), [QUERY, WIDE_VALUE, WIDE_KEY], [], {}),
        f"{name}/no_bias": (make(use_bias=False), [QUERY, VALUE], [], {}),
        f"{name}/gate": (make(use_gate=True), [QUERY, VALUE], [], {}),
        f"{name}/gate_no_bias_scores": (make(use_gate=True, use_bias=False), [QUERY, VALUE], [], SCORES),
        f"{name}/dropout_at_rest": (make(dropout=0.5, seed=3), [QUERY, VALUE], [], {}),
        f"{name}/window": (make(sliding_window=2), [QUERY, VALUE], [], {}),
        f"{name}/window_1": (make(sliding_window=1), [QUERY, VALUE], [], SCORES),
        f"{name}/window_causal": (make(sliding_window=2), [QUERY, VALUE], [], CAUSAL),
        f"{name}/causal": (make(), [QUERY, VALUE], [], CAUSAL),
        f"{name}/causal_scores": (make(), [QUERY, VALUE], [], CAUSAL | SCORES),
        f"{name}/value_mask": (make(), [QUERY, VALUE], [None, VALUES], {}),
        f"{name}/value_mask_causal": (make(), [QUERY, VALUE], [None, VALUES], CAUSAL),
        f"{name}/key_mask": (make(), [QUERY, VALUE, KEY], [None, VALUES, KEYS], {}),
        f"{name}/masks_scores": (make(), [QUERY, VALUE, KEY], [QUERIES, VALUES, KEYS], SCORES),
        f"{name}/masks_dropout": (make(dropout=0.5), [QUERY, VALUE], [QUERIES, VALUES], {}),
        f"{name}/attention_mask": (make(), [QUERY, VALUE, KEY, MAY_ATTEND], [], {}),
        f"{name}/attention_mask_scores": (make(), [QUERY, VALUE, KEY, MAY_ATTEND], [], SCORES),
        f"{name}/attention_mask_for_all": (make(), [QUERY, VALUE, KEY, MAY_ATTEND[0]], [], {}),
        f"{name}/attention_mask_and_others": (
            make(), [QUERY, VALUE, KEY, MAY_ATTEND], [QUERIES, VALUES, None], CAUSAL | SCORES),
    }
ATTENTION |= {
    "multi_head_attention/attention_mask_of_heads": (
        heads(), [QUERY, VALUE, KEY, np.stack([MAY_ATTEND, ~MAY_ATTEND | (np.arange(5) == 0)], axis=1)], [], {}),
    "multi_head_attention/one_head": (heads(num_heads=1), [QUERY, VALUE], [], {}),
    "multi_head_attention/value_dim": (heads(value_dim=4), [QUERY, VALUE], [], {}),
    "multi_head_attention/value_dim_gate": (heads(value_dim=4, use_gate=True), [QUERY, VALUE], [], {}),
    "multi_head_attention/output_shape": (heads(output_shape=5), [QUERY, VALUE], [], {}),
    "multi_head_attention/output_shape_of_two": (heads(output_shape=(2, 4)), [QUERY, VALUE], [], {}),
    "multi_head_attention/rank_4": (heads(), PICTURES, [], {}),
    "multi_head_attention/rank_4_scores": (heads(), [(2, 3, 4, 5), (2, 2, 3, 5)], [], SCORES),
    "multi_head_attention/axes_1": (heads(attention_axes=1), PICTURES, [], SCORES),
    "multi_head_attention/axes_2": (heads(attention_axes=(2,)), [(2, 3, 4, 5), (2, 3, 2, 5)], [], SCORES),
    "multi_head_attention/axes_minus_2": (heads(attention_axes=(-2,)), PICTURES, [], {}),
    "multi_head_attention/axes_2_1": (heads(attention_axes=(2, 1)), PICTURES, [], SCORES),
    "multi_head_attention/axes_2_masks": (
        heads(attention_axes=(2,)), PICTURES, [np.array([[[1, 1, 1, 0]] * 3, [[1, 0, 1, 1]] * 3], bool),
                                               np.array([[[1, 0, 1, 0]] * 3, [[0, 1, 1, 1]] * 3], bool)], SCORES),
    "multi_head_attention/axes_1_2_attention_mask": (
        heads(), [*PICTURES, PICTURES[1], np.arange(2 * 12 * 12).reshape(2, 3, 4, 3, 4) % 5 != 1], [], SCORES),
    "group_query_attention/one_key_head": (groups(num_key_value_heads=1), [QUERY, VALUE], [], SCORES),
    "group_query_attention/a_key_head_each": (groups(num_key_value_heads=4), [QUERY, VALUE], [], {}),
}


def rows():
    """case -> layer, shapes or arrays of the inputs, masks of each or none at all, arguments of the call."""
    yield from ((case, *row, {}) for case, row in MERGES.items())
    yield from ((case, *row) for case, row in ATTENTION.items())


def objects():
    """case -> how its layer is made."""
    yield from ((case, make) for case, make, *_ in rows())


def called(layer, inputs, masks, arguments):
    """Outputs as a list. The masks travel on the tensors, which is how Keras's layers find them."""
    inputs = [backend.convert_to_tensor(x) for x in inputs]
    for x, mask in zip(inputs, masks):
        if mask is not None:
            backend.set_keras_mask(x, backend.convert_to_tensor(mask))
    if isinstance(layer, (L.MultiHeadAttention, L.GroupQueryAttention)):
        # Without scores Keras takes a way on which JAX computes in float32.
        named = dict(zip(["query", "value", "key", "attention_mask"], inputs))
        outputs = layer(**named, **arguments | SCORES)
        outputs = outputs if arguments.get("return_attention_scores") else outputs[0]
    else:
        outputs = layer(inputs, **arguments)
    outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    if isinstance(layer, L.Attention) and len(outputs) > 1 and masks and masks[0] is not None:
        # What a padded query attends to concerns nobody; Keras leaves numbers there, Keratin zeros.
        outputs[1] = outputs[1] * backend.cast(masks[0][:, :, None], outputs[1].dtype)
    return outputs


def record(arrays, case, layer, inputs, rng, masks, arguments):
    """Builds the layer, sets its weights, and stores one call with the gradients of every input and weight."""
    called(layer, inputs, [], arguments)
    randomize(layer.weights, rng)
    weights = [np.asarray(w) for w in layer.weights]
    variables = layer.trainable_variables

    def call(*values):
        scope = keras.StatelessScope(state_mapping=list(zip(variables, values[len(inputs):])))
        with scope:
            return called(layer, values[:len(inputs)], masks, arguments)

    outputs, cotangents, gradients = pullback(call, [*inputs, *weights], rng)
    # Scores have no mask; that of a Softmax inside Keras's layers stays on them by chance.
    output_masks = [backend.get_keras_mask(y) for y in called(layer, inputs, masks, arguments)[:1]]
    given = {f"mask{i}": mask for i, mask in enumerate(masks) if mask is not None}
    out = {f"ymask{i}": mask for i, mask in enumerate(output_masks) if mask is not None}
    arrays.put(case, **numbered("x", inputs), **given, **numbered("w", weights), **numbered("y", outputs),
               **numbered("gy", cotangents), **numbered("gx", gradients[:len(inputs)]),
               **numbered("g", gradients[len(inputs):]), **out, **arguments)


def cases():
    arrays = Arrays()
    for case, make, shapes, masks, arguments in rows():
        rng = generator(case)
        inputs = [rng.normal(size=x) if isinstance(x, tuple) else x for x in shapes]
        record(arrays, case, make(), inputs, rng, masks, arguments)
    keras.backend.clear_session()
    return arrays
