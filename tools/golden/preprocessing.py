"""preprocessing.npz and preprocessing.json: layers that prepare numbers and strings. What is a string stands in the
json. TensorFlow looks words up and cuts texts, whatever the backend is."""

import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from keras import layers as L

from .common import Arrays, generator, numbered, pullback

# --- numbers: case -> layer, x, data for adapt (one array, or several batches in a list, or None)


def normal(case, shape, scale=1.0):
    return scale * generator(case).normal(size=shape) + 1


GIVEN = {"mean": [1.0, -2.0, 0.5], "variance": [4.0, 0.25, 0.0]}
NORMALIZATION = {
    "normalization/adapt": ({}, (4, 3), (7, 3)),
    "normalization/rank_3": ({}, (2, 4, 3), (5, 4, 3)),
    "normalization/axis_1": ({"axis": 1}, (2, 4, 3), (5, 4, 3)),
    "normalization/axes": ({"axis": (-1, 1)}, (2, 4, 3), (5, 4, 3)),
    "normalization/axis_none": ({"axis": None}, (4, 3), (7, 3)),
    "normalization/invert": ({"invert": True}, (4, 3), (7, 3)),
    "normalization/batches": ({}, (4, 3), [(7, 3), (2, 3), (4, 3)]),
    "normalization/given": (GIVEN, (4, 3), None),
    "normalization/given_invert": (GIVEN | {"invert": True}, (2, 2, 3), None),
    "normalization/given_numbers": ({"mean": 0.3, "variance": 2.0, "axis": None}, (4, 3), None),
    "normalization/given_numbers_axis": ({"mean": 0.3, "variance": 2.0}, (4, 3), None),
    "normalization/given_of_two_axes": (
        {"mean": [[1.0, 2.0, 3.0], [0.0, -1.0, 2.0]], "variance": [[1.0, 4.0, 9.0], [0.5, 1.0, 2.0]], "axis": (1, 2)},
        (4, 2, 3), None),
    "normalization/given_of_the_last_of_two_axes": (GIVEN | {"axis": (1, 2)}, (4, 2, 3), None),
}

BOUNDARIES = [-0.5, 0.0, 0.25, 2.0]
EDGES = np.array([[-0.5, 0.0, -3.0], [np.inf, 0.25, 1.0], [2.0, 2.5, -np.inf]])
IDS = np.array([[0, 3, 3], [1, 1, 4]], dtype=np.int32)
WORDS = np.array([[5, -7, 300, 5], [12, 5, 12, 40]], dtype=np.int32)
TOKENS = [12, 300, 5]
MODES = ["one_hot", "multi_hot", "count"]
COLUMN = IDS[:, :1]


def lookup(**options):
    return lambda: L.IntegerLookup(**({"vocabulary": TOKENS} | options))


def learning(**options):
    return lambda: L.IntegerLookup(**options)


def discretization(*arguments, **options):
    return lambda: L.Discretization(*arguments, **options)


def category(mode):
    return lambda: L.CategoryEncoding(5, output_mode=mode)


def hashing(**options):
    return lambda: L.Hashing(**({"num_bins": 7} | options))


MANY = np.arange(-60, 60, dtype=np.int32).reshape(40, 3) ** 3
NUMBERS = {
    "discretization/given": (discretization(BOUNDARIES), EDGES, None),
    "discretization/integers": (discretization(BOUNDARIES), IDS, None),
    "discretization/no_boundaries": (discretization([]), EDGES, None),
    "discretization/adapt": (discretization(num_bins=4), EDGES, normal("adapt", (50, 3))),
    "discretization/adapt_few": (discretization(num_bins=4), EDGES, normal("adapt_few", (3, 1))),
    "discretization/adapt_many": (discretization(num_bins=7), EDGES, normal("adapt_many", (517,))),
    "discretization/adapt_epsilon": (discretization(num_bins=5, epsilon=0.2), EDGES, normal("adapt_epsilon", (61,))),
    "discretization/adapt_batches": (
        discretization(num_bins=5, epsilon=0.05), EDGES, [normal(f"batch{i}", (40, 2), i + 1.0) for i in range(3)]),
    "discretization/adapt_count": (discretization(num_bins=3, output_mode="count"), EDGES, normal("count", (50, 3))),
    "integer_lookup/default": (lookup(), WORDS, None),
    "integer_lookup/rank_1": (lookup(), WORDS[0], None),
    "integer_lookup/mask_token": (lookup(mask_token=-7), WORDS, None),
    "integer_lookup/mask_token_count": (lookup(mask_token=-7, output_mode="count"), WORDS, None),
    "integer_lookup/special_tokens": (lookup(mask_token=0, vocabulary=[0, -1, *TOKENS]), WORDS, None),
    "integer_lookup/no_oov": (lookup(num_oov_indices=0, vocabulary=[-7, 40, *TOKENS]), WORDS, None),
    "integer_lookup/floormod": (lookup(num_oov_indices=3), WORDS, None),
    "integer_lookup/farmhash": (lookup(num_oov_indices=3, oov_method="farmhash"), MANY, None),
    "integer_lookup/siphash": (lookup(num_oov_indices=3, oov_method="farmhash", salt=[3, 5], mask_token=0), MANY, None),
    "integer_lookup/tf_idf": (lookup(output_mode="tf_idf", idf_weights=[0.5, 0.25, 2.0]), WORDS, None),
    "integer_lookup/tf_idf_special_tokens": (
        lookup(output_mode="tf_idf", vocabulary=[-1, *TOKENS], idf_weights=[7.0, 0.5, 0.25, 2.0]), WORDS, None),
    "integer_lookup/pad_count": (lookup(output_mode="count", pad_to_max_tokens=True, max_tokens=8), WORDS, None),
    "integer_lookup/pad_tf_idf": (lookup(output_mode="tf_idf", pad_to_max_tokens=True, max_tokens=6,
                                         idf_weights=[0.5, 0.25, 2.0]), WORDS, None),
    "integer_lookup/invert": (lookup(invert=True, mask_token=0), np.array([[0, 1, 2], [4, 9, -3]], np.int32), None),
    "integer_lookup/adapt": (learning(), WORDS, WORDS),
    "integer_lookup/adapt_rank_1": (learning(output_mode="tf_idf"), WORDS, WORDS[0]),
    "integer_lookup/adapt_max_tokens": (learning(max_tokens=4, mask_token=5), WORDS, WORDS),
    "integer_lookup/adapt_tf_idf": (learning(output_mode="tf_idf", mask_token=-7), WORDS, WORDS),
    "integer_lookup/adapt_pad": (
        learning(output_mode="tf_idf", max_tokens=9, pad_to_max_tokens=True, num_oov_indices=2), WORDS, WORDS),
    "integer_lookup/adapt_invert": (learning(invert=True), IDS, WORDS),
    "hashing/numbers": (hashing(), MANY, None),
    "hashing/salt": (hashing(salt=133), MANY, None),
    "hashing/two_salts": (hashing(salt=[133, 137], num_bins=1000003), MANY, None),
    "hashing/mask_value": (hashing(mask_value=1), MANY, None),
    "hashing/one_bin": (hashing(num_bins=1, mask_value=1), MANY, None),
}
for mode in MODES:
    NUMBERS |= {
        f"discretization/{mode}": (discretization(BOUNDARIES, output_mode=mode), EDGES, None),
        f"discretization/{mode}_column": (discretization(BOUNDARIES, output_mode=mode), EDGES[:, :1], None),
        f"category_encoding/{mode}": (category(mode), IDS, None),
        f"category_encoding/{mode}_column": (category(mode), COLUMN, None),
        f"category_encoding/{mode}_rank_1": (category(mode), IDS[0], None),
        f"integer_lookup/{mode}": (lookup(output_mode=mode), WORDS, None),
        f"integer_lookup/{mode}_rank_1": (lookup(output_mode=mode), WORDS[0], None),
        f"hashing/{mode}": (hashing(output_mode=mode), WORDS, None),
    }
NUMBERS |= {f"category_encoding/{mode}_number": (category(mode), IDS[0, 1], None) for mode in ("multi_hot", "count")}

# --- strings: case -> layer, x, data for adapt

LENGTHS = ["".join(chr(33 + (7 * n + i * i) % 90) for i in range(n)) for n in range(200)]
COLOURS = [["red", "green", "red"], ["", "blue", "grün"]]
KNOWN = ["green", "red", "grün"]
TEXTS = ["The cat, the DOG; and the cat!", "a dog's life -- \tand\n  more", "", "Grün ÄRGER can't_be", "cat cat dog"]


def words(**options):
    return lambda: L.StringLookup(**({"vocabulary": KNOWN} | options))


def learning_words(**options):
    return lambda: L.StringLookup(**options)


def texts(**options):
    return lambda: L.TextVectorization(**options)


LETTERS = ["b", "a", "ä", " ", "€"]
STRINGS = {
    "hashing_strings/lengths": (hashing(num_bins=2**31 - 1), LENGTHS, None),
    "hashing_strings/salt": (hashing(num_bins=2**31 - 1, salt=[2**40 + 5, 7]), LENGTHS, None),
    "hashing_strings/mask_value": (hashing(mask_value=""), COLOURS, None),
    "hashing_strings/count": (hashing(output_mode="count"), COLOURS, None),
    "string_lookup/default": (words(), COLOURS, None),
    "string_lookup/one": (words(), "red", None),
    "string_lookup/rank_1": (words(), COLOURS[0], None),
    "string_lookup/mask_token": (words(mask_token=""), COLOURS, None),
    "string_lookup/mask_token_multi_hot": (words(mask_token="", output_mode="multi_hot"), COLOURS, None),
    "string_lookup/one_hot": (words(output_mode="one_hot"), COLOURS, None),
    "string_lookup/count": (words(output_mode="count"), COLOURS, None),
    "string_lookup/tf_idf": (words(output_mode="tf_idf", idf_weights=[1.0, 0.5, 0.25]), COLOURS, None),
    "string_lookup/hashed": (words(num_oov_indices=4), LENGTHS, None),
    "string_lookup/hashed_salt": (words(num_oov_indices=4, mask_token="", salt=9), LENGTHS, None),
    "string_lookup/invert": (words(invert=True, mask_token=""), np.array([0, 1, 2, 3, 4, 9, -1], np.int32), None),
    "string_lookup/adapt": (learning_words(), COLOURS, COLOURS),
    "string_lookup/adapt_rank_1": (learning_words(max_tokens=3, output_mode="tf_idf"), COLOURS, COLOURS[0]),
    "string_lookup/adapt_tf_idf": (learning_words(output_mode="tf_idf", mask_token=""), COLOURS, COLOURS),
    "text_vectorization/default": (texts(), TEXTS, TEXTS),
    "text_vectorization/column": (texts(), [[text] for text in TEXTS], TEXTS),
    "text_vectorization/one": (texts(), TEXTS[0], TEXTS),
    "text_vectorization/max_tokens": (texts(max_tokens=5), TEXTS, TEXTS),
    "text_vectorization/length_3": (texts(output_sequence_length=3), TEXTS, TEXTS),
    "text_vectorization/length_20": (texts(output_sequence_length=20), TEXTS, TEXTS),
    "text_vectorization/lower": (texts(standardize="lower"), TEXTS, TEXTS),
    "text_vectorization/strip_punctuation": (texts(standardize="strip_punctuation"), TEXTS, TEXTS),
    "text_vectorization/no_standardize": (texts(standardize=None), TEXTS, TEXTS),
    "text_vectorization/character": (texts(split="character"), TEXTS, TEXTS),
    "text_vectorization/character_given": (texts(split="character", vocabulary=LETTERS), ["aä€b 😀", ""], None),
    "text_vectorization/no_split": (texts(split=None), COLOURS, COLOURS),
    "text_vectorization/no_split_length": (texts(split=None, output_sequence_length=4), COLOURS, COLOURS),
    "text_vectorization/no_split_one_hot": (texts(split=None, output_mode="one_hot"), COLOURS, COLOURS),
    "text_vectorization/ngrams": (texts(ngrams=2), TEXTS, TEXTS),
    "text_vectorization/ngrams_3_1": (texts(ngrams=(3, 1)), TEXTS, TEXTS),
    "text_vectorization/ngrams_no_split": (texts(ngrams=2, split=None), COLOURS, COLOURS),
    "text_vectorization/multi_hot": (texts(output_mode="multi_hot"), TEXTS, TEXTS),
    "text_vectorization/count": (texts(output_mode="count"), TEXTS, TEXTS),
    "text_vectorization/count_pad": (texts(output_mode="count", max_tokens=30, pad_to_max_tokens=True), TEXTS, TEXTS),
    "text_vectorization/tf_idf": (texts(output_mode="tf_idf", ngrams=2), TEXTS, TEXTS),
    "text_vectorization/given": (texts(vocabulary=["cat", "dog", "life"], ngrams=(1, 2)), TEXTS, None),
    "text_vectorization/given_tf_idf": (
        texts(vocabulary=["cat", "dog"], output_mode="tf_idf", idf_weights=[0.5, 0.25]), TEXTS, None),
    "text_vectorization/whitespace": (
        texts(vocabulary=["a\u00a0b", "c", "d", "e", "f"]), ["a\u00a0b\u3000c d\x0be\x0cf\r\tc", " c ", "d\n"], None),
}


def objects():
    """case -> how its layer is made."""
    yield from ((case, lambda options=options: L.Normalization(**options))
                for case, (options, _, _) in NORMALIZATION.items())
    yield from ((case, make) for table in (NUMBERS, STRINGS) for case, (make, *_) in table.items())


def adapted(make, data):
    layer = make()
    if data is not None:
        layer.adapt(iter(data) if isinstance(data, list) and isinstance(data[0], np.ndarray) else data)
    return layer


def normalization(arrays, case, options, shape, data):
    rng = generator(case)
    x = rng.normal(size=shape)
    shapes = data if isinstance(data, list) else [data] if data else []
    batches = [2 * rng.normal(size=s) + 1 for s in shapes]
    layer = adapted(lambda: L.Normalization(**options), None if not batches else batches if data is shapes else batches[0])
    if not layer.built:
        layer.build(shape)
    (y,), (gy,), (gx,) = pullback(lambda v: [layer(v)], [x], rng)
    arrays.put(case, x=x, y=y, gy=gy, gx=gx, **numbered("data", batches), **numbered("w", layer.weights))


def cases():
    arrays = Arrays()
    for case, row in NORMALIZATION.items():
        normalization(arrays, case, *row)
    for case, (make, x, data) in NUMBERS.items():
        layer = adapted(make, data)
        arrays.put(case, x=x, y=layer(x), **numbered("data", data if isinstance(data, list) else [data]))
        if isinstance(layer, L.IntegerLookup):
            arrays.put(case, vocabulary=np.array(layer.get_vocabulary()))
        if isinstance(layer, L.Discretization) and data is not None:
            arrays.put(case, boundaries=np.array(layer.bin_boundaries))
    x, weights = IDS, normal("count_weights", IDS.shape)
    arrays.put("count_weights", x=x, weights=weights, y=category("count")()(x, count_weights=weights))
    for case, (make, x, data) in STRINGS.items():
        if case != "string_lookup/invert":
            arrays.put(case, y=adapted(make, data)(x))
    return arrays


def text():
    rows = {}
    for case, (make, x, data) in STRINGS.items():
        layer = adapted(make, data)
        row = rows[case] = {"x": x.tolist() if isinstance(x, np.ndarray) else x}
        if data is not None:
            row["adapt"] = data
        if hasattr(layer, "get_vocabulary"):
            row["vocabulary"] = [str(word) for word in layer.get_vocabulary()]
        if case == "string_lookup/invert":
            import tensorflow as tf
            row["y"] = [word.decode() for word in layer(tf.constant(x)).numpy()]
    lines = (f"{json.dumps(case)}: {json.dumps(row, ensure_ascii=False)}" for case, row in rows.items())
    return "{" + ",\n".join(lines) + "}\n"
