"""The convolutions and poolings of layers.npz: case -> (layer, shape of the input, options of record())."""

from keras import layers as L

LINE, IMAGE, CUBE = (2, 9, 4), (2, 6, 7, 4), (2, 4, 5, 4, 2)
FIRST_LINE, FIRST_IMAGE = (2, 4, 9), (2, 4, 6, 7)
FIRST = {"data_format": "channels_first"}


def convolutions():
    sizes = {
        "default": {},
        "same": {"padding": "same"},
        "strides": {"strides": 2},
        "same_strides": {"padding": "same", "strides": 3},
        "dilation": {"dilation_rate": 2},
        "groups": {"groups": 2},
        "no_bias_relu": {"use_bias": False, "activation": "relu"},
    }
    for variant, options in sizes.items():
        yield f"conv1d/{variant}", (lambda o=options: L.Conv1D(6, 3, **o)), LINE
        yield f"conv2d/{variant}", (lambda o=options: L.Conv2D(6, (3, 2), **o)), IMAGE
        yield f"conv3d/{variant}", (lambda o=options: L.Conv3D(4, 2, **o)), CUBE
    yield "conv1d/causal", lambda: L.Conv1D(5, 3, padding="causal"), LINE
    yield "conv1d/causal_dilation", lambda: L.Conv1D(5, 3, padding="causal", dilation_rate=3), LINE
    yield "conv1d/causal_strides", lambda: L.Conv1D(5, 4, padding="causal", strides=2), LINE
    yield "conv1d/channels_first", lambda: L.Conv1D(5, 3, **FIRST), FIRST_LINE
    yield "conv2d/channels_first", lambda: L.Conv2D(5, 3, strides=(1, 2), padding="same", **FIRST), FIRST_IMAGE

    transposes = {
        "default": {},
        "same": {"padding": "same"},
        "strides": {"strides": 2},
        "long_strides": {"strides": 4},
        "same_strides": {"padding": "same", "strides": 2},
        "same_long_strides": {"padding": "same", "strides": 4},
        "output_padding": {"strides": 3, "output_padding": 1},
        "same_output_padding": {"strides": 3, "output_padding": 2, "padding": "same"},
        "dilation": {"dilation_rate": 2},
        "no_bias_tanh": {"use_bias": False, "activation": "tanh"},
    }
    for variant, options in transposes.items():
        yield f"conv1d_transpose/{variant}", (lambda o=options: L.Conv1DTranspose(3, 3, **o)), LINE
        yield f"conv2d_transpose/{variant}", (lambda o=options: L.Conv2DTranspose(3, (2, 3), **o)), (2, 3, 4, 2)
    yield "conv3d_transpose/strides", lambda: L.Conv3DTranspose(2, 2, strides=2), (2, 2, 3, 2, 2)
    yield "conv2d_transpose/channels_first", lambda: L.Conv2DTranspose(3, 3, strides=2, **FIRST), (2, 2, 3, 4)

    depthwise = {
        "default": {},
        "same": {"padding": "same", "depth_multiplier": 2},
        "strides": {"strides": 2, "activation": "relu"},
        "dilation": {"dilation_rate": 2, "use_bias": False},
    }
    for variant, options in depthwise.items():
        yield f"depthwise_conv1d/{variant}", (lambda o=options: L.DepthwiseConv1D(3, **o)), LINE
        yield f"depthwise_conv2d/{variant}", (lambda o=options: L.DepthwiseConv2D((3, 2), **o)), IMAGE
        yield f"separable_conv1d/{variant}", (lambda o=options: L.SeparableConv1D(5, 3, **o)), LINE
        yield f"separable_conv2d/{variant}", (lambda o=options: L.SeparableConv2D(5, (3, 2), **o)), IMAGE
    yield "depthwise_conv2d/channels_first", lambda: L.DepthwiseConv2D(3, **FIRST), FIRST_IMAGE
    yield "separable_conv1d/channels_first", lambda: L.SeparableConv1D(5, 3, **FIRST), FIRST_LINE


def poolings():
    windows = {
        "default": {},
        "size_3": {"pool_size": 3},
        "strides_1": {"pool_size": 2, "strides": 1},
        "same": {"pool_size": 3, "strides": 2, "padding": "same"},
    }
    shapes = {1: LINE, 2: IMAGE, 3: CUBE}
    for rank, shape in shapes.items():
        for kind in ("Max", "Average"):
            make = getattr(L, f"{kind}Pooling{rank}D")
            for variant, options in windows.items():
                options = {"pool_size": 2} | options
                yield f"{kind.lower()}_pooling{rank}d/{variant}", (lambda m=make, o=options: m(**o)), shape
            make = getattr(L, f"Global{kind}Pooling{rank}D")
            yield f"global_{kind.lower()}_pooling{rank}d/default", make, shape
            yield f"global_{kind.lower()}_pooling{rank}d/keepdims", (lambda m=make: m(keepdims=True)), shape
            yield (f"global_{kind.lower()}_pooling{rank}d/channels_first",
                   (lambda m=make: m(data_format="channels_first")), shape)
    yield "max_pooling2d/sizes", lambda: L.MaxPooling2D((2, 3), strides=(1, 2)), IMAGE
    yield "max_pooling1d/channels_first", lambda: L.MaxPooling1D(2, **FIRST), FIRST_LINE
    yield "average_pooling2d/channels_first", lambda: L.AveragePooling2D(2, padding="same", **FIRST), FIRST_IMAGE


def table(mask):
    rows = {case: (make, shape, {}) for group in (convolutions, poolings) for case, make, shape in group()}
    some = mask[mask.any(axis=1)]  # a mean over nothing is NaN in Keras
    rows["global_average_pooling1d/mask"] = (
        lambda: L.GlobalAveragePooling1D(), (len(some), *mask.shape[1:], 2), {"mask": some})
    return rows
