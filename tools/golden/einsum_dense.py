"""The cases of EinsumDense in layers.npz; layers.py adds them to its table."""

from keras import layers

MATRIX = (3, 4)
CUBE = (3, 5, 2)


def dense(equation, output_shape, **options):
    return lambda: layers.EinsumDense(equation, output_shape, **options)


def cases(masked_sequence, mask):
    return {
        "einsum_dense/matrix": (dense("ab,bc->ac", 5), MATRIX, {}),
        "einsum_dense/bias": (dense("ab,bc->ac", 5, bias_axes="c"), MATRIX, {}),
        "einsum_dense/tanh": (dense("ab,bc->ac", 5, bias_axes="c", activation="tanh"), MATRIX, {}),
        "einsum_dense/sequence": (dense("abc,cd->abd", (None, 4), bias_axes="d"), CUBE, {}),
        "einsum_dense/sequence_of_known_size": (dense("abc,cd->abd", (5, 4), bias_axes="d"), CUBE, {}),
        "einsum_dense/bias_of_steps": (dense("abc,cd->abd", (5, 4), bias_axes="b"), CUBE, {}),
        "einsum_dense/bias_of_both": (dense("abc,cd->abd", (5, 4), bias_axes="bd"), CUBE, {}),
        "einsum_dense/two_axes_out": (dense("abc,cde->abde", (None, 2, 3), bias_axes="de"), CUBE, {}),
        "einsum_dense/two_axes_in": (dense("abcd,cde->abe", (None, 3), bias_axes="e"), (3, 2, 4, 5), {}),
        "einsum_dense/transposed": (dense("abc,cd->adb", (4, None), bias_axes="d"), CUBE, {}),
        "einsum_dense/kernel_for_each_step": (dense("abc,bcd->abd", (5, 3), bias_axes="bd"), CUBE, {}),
        "einsum_dense/summed": (dense("abc,cd->ad", 3), CUBE, {}),
        "einsum_dense/left_rank_2": (dense("...x,xy->...y", 3, bias_axes="y"), MATRIX, {}),
        "einsum_dense/left_rank_3": (dense("...x,xy->...y", 3, bias_axes="y"), CUBE, {}),
        "einsum_dense/left_stands_for_nothing": (dense("...ab,bc->...ac", 3, bias_axes="c"), MATRIX, {}),
        "einsum_dense/left_before_two": (dense("...ab,bc->...ac", (None, 3), bias_axes="c"), CUBE, {}),
        "einsum_dense/right_rank_3": (dense("ab...,bc->ac...", 3, bias_axes="c"), CUBE, {}),
        "einsum_dense/right_rank_4": (dense("ab...,bc->ac...", 3), (3, 4, 2, 5), {}),
        "einsum_dense/mask": (dense("abc,cd->abd", (None, 4)), masked_sequence, {"mask": mask}),
    }
