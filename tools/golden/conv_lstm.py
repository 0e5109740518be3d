"""conv_lstm.npz: convolutional LSTMs; the fields are those of layers.npz."""

from functools import partial

from keras import layers as L

from .common import Arrays, generator
from .layers import MASK, record, stateful

LINES, PICTURES, VOLUMES = (2, 3, 5, 2), (2, 3, 4, 5, 2), (2, 2, 3, 2, 3, 2)
MASKED = (5, 4, 3, 3, 2)    # batch and time as in MASK
CHANNELS_FIRST = (2, 3, 2, 4, 5)
SEQUENCES, STATE, BACKWARDS = {"return_sequences": True}, {"return_state": True}, {"go_backwards": True}
FIRST = {"data_format": "channels_first"}

# variant: class, shape of x, options; "mask", "initial_state" and "stateful" are read by cases().
TABLE = {
    "conv_lstm_1d/default": (L.ConvLSTM1D, LINES, {}),
    "conv_lstm_1d/same_return_sequences": (L.ConvLSTM1D, LINES, {"padding": "same"} | SEQUENCES),
    "conv_lstm_1d/strides": (L.ConvLSTM1D, LINES, {"strides": 2}),
    "conv_lstm_2d/default": (L.ConvLSTM2D, PICTURES, {}),
    "conv_lstm_2d/same": (L.ConvLSTM2D, PICTURES, {"padding": "same"}),
    "conv_lstm_2d/return_sequences_return_state": (L.ConvLSTM2D, PICTURES, SEQUENCES | STATE),
    "conv_lstm_2d/strides_same": (L.ConvLSTM2D, PICTURES, {"strides": (2, 1), "padding": "same"} | SEQUENCES),
    "conv_lstm_2d/dilation": (L.ConvLSTM2D, PICTURES, {"dilation_rate": (1, 2)}),
    "conv_lstm_2d/kernel_1_3": (L.ConvLSTM2D, PICTURES, {"kernel_size": (1, 3)}),
    "conv_lstm_2d/go_backwards": (L.ConvLSTM2D, PICTURES, BACKWARDS | SEQUENCES),
    "conv_lstm_2d/no_bias": (L.ConvLSTM2D, PICTURES, {"use_bias": False}),
    "conv_lstm_2d/activations": (L.ConvLSTM2D, PICTURES, {"activation": "relu", "recurrent_activation": "hard_sigmoid"}),
    "conv_lstm_2d/initial_state": (L.ConvLSTM2D, PICTURES, STATE),
    "conv_lstm_2d/mask": (L.ConvLSTM2D, MASKED, STATE),
    "conv_lstm_2d/mask_return_sequences": (L.ConvLSTM2D, MASKED, SEQUENCES),
    "conv_lstm_2d/mask_zero_output": (L.ConvLSTM2D, MASKED, SEQUENCES | {"zero_output_for_mask": True}),
    "conv_lstm_2d/stateful": (L.ConvLSTM2D, PICTURES, {"stateful": True} | SEQUENCES),
    "conv_lstm_3d/default": (L.ConvLSTM3D, VOLUMES, SEQUENCES),
    "conv_lstm_3d/same": (L.ConvLSTM3D, VOLUMES, {"padding": "same"} | STATE),
    "conv_lstm_1d/channels_first": (L.ConvLSTM1D, (2, 3, 2, 5), FIRST),
    "conv_lstm_2d/channels_first": (L.ConvLSTM2D, CHANNELS_FIRST, FIRST | SEQUENCES | STATE),
    "conv_lstm_2d/channels_first_initial_state": (L.ConvLSTM2D, CHANNELS_FIRST, FIRST | {"padding": "same"}),
}


def layer(kind, options):
    return kind(**({"filters": 3, "kernel_size": 2} | options))


def objects():
    """case -> how its layer is made."""
    yield from ((case, partial(layer, kind, options)) for case, (kind, _, options) in TABLE.items())


def cases():
    arrays = Arrays()
    for case, (kind, shape, options) in TABLE.items():
        rng = generator(case)
        x, made = rng.normal(size=shape), layer(kind, options)
        if options.get("stateful"):
            stateful(arrays, case, made, x, rng)
            continue
        state = None
        if "initial_state" in case:
            made.build(shape)
            step = (shape[0], *shape[2:])
            state = [rng.normal(size=made.cell.compute_output_shape(step)[0]) for _ in range(2)]
            made = layer(kind, options)
        masked = "mask" in case.split("/")[1]
        # On JAX a mask (batch, time) does not broadcast to pictures.
        record(arrays, case, made, x, rng, mask=MASK[:, :, None, None, None] if masked else None, initial_state=state)
        for field in ("mask", "ymask"):
            if f"{case}/{field}" in arrays:
                arrays[f"{case}/{field}"] = MASK.astype("int32")
    return arrays
