"""Cases of layers.npz for the layers made of a few ops: activations with options, noise, normalisation, and the axes
between batch and channels. A table like LAYERS in layers.py, which takes it in."""

import numpy as np
from keras import layers as L
from keras import regularizers

from .common import generator, numbered, pullback, randomize

MATRIX, CUBE, IMAGE, VOLUME = (3, 4), (3, 5, 2), (2, 3, 4, 2), (2, 3, 2, 4, 2)
FIRST = {"data_format": "channels_first"}
STEPS = np.array([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=bool)  # (batch, time) for CUBE
CELLS = np.array([[0, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 1]], dtype=bool)           # each number of MATRIX
ENTRIES = np.stack([STEPS, ~STEPS], axis=-1)                                       # each number of CUBE
MASKED = {"mask": STEPS}
TRAINING = {"training": True}
AT_REST = {"training": False}
GAMMA_AND_BETA = {"gamma_regularizer": "l2", "beta_regularizer": regularizers.L1(0.5), "gamma_constraint": "non_neg",
                  "beta_constraint": "unit_norm", "gamma_initializer": "he_normal", "beta_initializer": "ones"}

# case: (layer, shape of the input, options of record())
LAYERS = {
    # --- activations
    "relu/default": (lambda: L.ReLU(), CUBE, {}),
    "relu/mask": (lambda: L.ReLU(), CUBE, MASKED),
    "relu/max_value": (lambda: L.ReLU(max_value=0.75), CUBE, {}),
    "relu/max_value_6": (lambda: L.ReLU(max_value=6.0), CUBE, {}),
    "relu/negative_slope": (lambda: L.ReLU(negative_slope=0.25), CUBE, {}),
    "relu/threshold": (lambda: L.ReLU(threshold=0.5), CUBE, {}),
    "relu/slope_threshold": (lambda: L.ReLU(negative_slope=0.25, threshold=0.5), CUBE, {}),
    "relu/everything": (lambda: L.ReLU(max_value=1.0, negative_slope=0.25, threshold=0.5), CUBE, {}),
    "leaky_relu/default": (lambda: L.LeakyReLU(), CUBE, {}),
    "leaky_relu/mask": (lambda: L.LeakyReLU(negative_slope=0.125), CUBE, MASKED),
    "prelu/default": (lambda: L.PReLU(), CUBE, {}),
    "prelu/shared_axes_1": (lambda: L.PReLU(shared_axes=1), CUBE, {}),
    "prelu/shared_axes_1_2": (lambda: L.PReLU(shared_axes=[1, 2]), IMAGE, {}),
    "prelu/mask": (lambda: L.PReLU(alpha_initializer="ones", alpha_regularizer="l1", alpha_constraint="non_neg"), CUBE,
                   MASKED),
    "elu/default": (lambda: L.ELU(), CUBE, {}),
    "elu/mask": (lambda: L.ELU(alpha=0.5), CUBE, MASKED),
    "softmax/default": (lambda: L.Softmax(), CUBE, {}),
    "softmax/axis_1": (lambda: L.Softmax(axis=1), CUBE, {}),
    "softmax/axis_1_2": (lambda: L.Softmax(axis=[1, 2]), CUBE, {}),
    "softmax/mask": (lambda: L.Softmax(), MATRIX, {"mask": CELLS}),
    "softmax/mask_axis_1": (lambda: L.Softmax(axis=1), CUBE, {"mask": ENTRIES}),
    "softmax/mask_axis_1_2": (lambda: L.Softmax(axis=[1, 2]), CUBE, {"mask": ENTRIES}),

    # --- noise: nothing where it is not training, or the rate is 0
    "dropout/noise_shape": (lambda: L.Dropout(0.25, noise_shape=(None, 1, 2), seed=3), CUBE, {}),
    "spatial_dropout1d/inference": (lambda: L.SpatialDropout1D(0.25), CUBE, MASKED),
    "spatial_dropout1d/training": (lambda: L.SpatialDropout1D(0.0, seed=3), CUBE, TRAINING),
    "spatial_dropout2d/inference": (lambda: L.SpatialDropout2D(0.25, seed=3), IMAGE, {}),
    "spatial_dropout2d/training": (lambda: L.SpatialDropout2D(0.0, **FIRST), IMAGE, TRAINING),
    "spatial_dropout3d/inference": (lambda: L.SpatialDropout3D(0.25), VOLUME, {}),
    "spatial_dropout3d/training": (lambda: L.SpatialDropout3D(0.0, **FIRST, seed=3), VOLUME, TRAINING),
    "gaussian_noise/inference": (lambda: L.GaussianNoise(0.5), CUBE, MASKED),
    "gaussian_noise/training": (lambda: L.GaussianNoise(0.0, seed=3), CUBE, TRAINING),
    "gaussian_dropout/inference": (lambda: L.GaussianDropout(0.5), CUBE, MASKED),
    "gaussian_dropout/training": (lambda: L.GaussianDropout(0.0, seed=3), CUBE, TRAINING),
    "alpha_dropout/inference": (lambda: L.AlphaDropout(0.5), CUBE, MASKED),
    "alpha_dropout/training": (lambda: L.AlphaDropout(0.0, noise_shape=(None, 1, 2), seed=3), CUBE, TRAINING),
    "activity_regularization/default": (lambda: L.ActivityRegularization(), CUBE, {}),
    "activity_regularization/mask": (lambda: L.ActivityRegularization(l1=0.5, l2=0.25), CUBE, MASKED),

    # --- images: where nothing is drawn, or from a range of one number
    "resizing/bilinear": (lambda: L.Resizing(5, 3), IMAGE, {}),
    "resizing/nearest_first": (lambda: L.Resizing(2, 6, interpolation="nearest", **FIRST), (2, 2, 3, 4), {}),
    "resizing/crop": (lambda: L.Resizing(4, 4, crop_to_aspect_ratio=True), IMAGE, {}),
    "resizing/pad": (lambda: L.Resizing(4, 4, pad_to_aspect_ratio=True, fill_value=0.5), IMAGE, {}),
    "resizing/antialias": (lambda: L.Resizing(2, 3, antialias=True), (2, 5, 6, 1), {}),
    "center_crop/default": (lambda: L.CenterCrop(2, 1), IMAGE, {}),
    "center_crop/first": (lambda: L.CenterCrop(2, 3, **FIRST), (2, 2, 3, 4), {}),
    "center_crop/larger": (lambda: L.CenterCrop(5, 3), IMAGE, {}),
    "random_flip/inference": (lambda: L.RandomFlip("horizontal", seed=3), IMAGE, AT_REST),
    "random_rotation/inference": (lambda: L.RandomRotation(0.25), IMAGE, AT_REST),
    "random_rotation/training_reflect": (lambda: L.RandomRotation([0.125, 0.125], seed=3), IMAGE, TRAINING),
    "random_rotation/training_constant": (
        lambda: L.RandomRotation([-0.0625, -0.0625], fill_mode="constant", fill_value=0.5), IMAGE, TRAINING),
    "random_rotation/training_nearest_first": (
        lambda: L.RandomRotation([0.3125, 0.3125], fill_mode="nearest", **FIRST), (2, 2, 3, 4), TRAINING),
    "random_zoom/inference": (lambda: L.RandomZoom(0.25), IMAGE, AT_REST),
    "random_zoom/training_out": (lambda: L.RandomZoom([0.75, 0.75]), IMAGE, TRAINING),
    "random_zoom/training_wrap": (
        lambda: L.RandomZoom([0.875, 0.875], [-0.5, -0.5], fill_mode="wrap"), IMAGE, TRAINING),
    "random_zoom/training_nearest": (lambda: L.RandomZoom([-0.375, -0.375], interpolation="nearest"), IMAGE, TRAINING),
    "random_translation/inference": (lambda: L.RandomTranslation(0.25, [0.125, 0.25]), IMAGE, AT_REST),
    "random_translation/training_reflect": (lambda: L.RandomTranslation([0.75, 0.75], [-0.875, -0.875]), IMAGE, TRAINING),
    "random_translation/training_constant": (
        lambda: L.RandomTranslation([-0.5, -0.5], [0.3125, 0.3125], fill_mode="constant"), IMAGE, TRAINING),
    "random_brightness/inference": (lambda: L.RandomBrightness(0.5), IMAGE, AT_REST),
    "random_brightness/training": (lambda: L.RandomBrightness([0.25, 0.25], value_range=[-1.0, 1.5]), IMAGE, TRAINING),
    "random_contrast/inference": (lambda: L.RandomContrast(0.5), IMAGE, AT_REST),
    "random_contrast/training": (lambda: L.RandomContrast(0.0, value_range=[-0.5, 1.0]), IMAGE, TRAINING),

    # --- normalisation
    "group_norm/default": (lambda: L.GroupNormalization(), (2, 3, 64), {}),
    "group_norm/groups_2": (lambda: L.GroupNormalization(2), (2, 3, 2, 6), {}),
    "group_norm/groups_1": (lambda: L.GroupNormalization(1, epsilon=0.1), IMAGE, {}),
    "group_norm/instance": (lambda: L.GroupNormalization(-1), IMAGE, {}),
    "group_norm/axis_1": (lambda: L.GroupNormalization(2, axis=1), (2, 6, 3, 2), {}),
    "group_norm/axis_minus_2": (lambda: L.GroupNormalization(3, axis=-2), (2, 3, 6, 2), {}),
    "group_norm/rank_2": (lambda: L.GroupNormalization(2), MATRIX, {}),
    "group_norm/mask": (lambda: L.GroupNormalization(2), CUBE, MASKED),
    "group_norm/no_scale": (lambda: L.GroupNormalization(2, scale=False), CUBE, {}),
    "group_norm/no_center": (lambda: L.GroupNormalization(2, center=False), CUBE, {}),
    "group_norm/no_scale_no_center": (lambda: L.GroupNormalization(2, scale=False, center=False), CUBE, {}),
    "group_norm/weights": (lambda: L.GroupNormalization(2, **GAMMA_AND_BETA), CUBE, {}),
    "unit_norm/default": (lambda: L.UnitNormalization(), CUBE, {}),
    "unit_norm/axis_1": (lambda: L.UnitNormalization(axis=1), CUBE, MASKED),
    "unit_norm/axis_1_2": (lambda: L.UnitNormalization(axis=[1, 2]), CUBE, {}),
    "rms_norm/default": (lambda: L.RMSNormalization(), CUBE, {}),
    "rms_norm/mask": (lambda: L.RMSNormalization(epsilon=0.1), CUBE, MASKED),
    "rms_norm/axis_1_2": (lambda: L.RMSNormalization(axis=[1, 2]), CUBE, {}),

    # --- shapes and values
    "identity/default": (lambda: L.Identity(), CUBE, MASKED),
    "rescaling/default": (lambda: L.Rescaling(0.5), CUBE, MASKED),
    "rescaling/offset": (lambda: L.Rescaling(0.5, offset=-1.0), IMAGE, {}),
    "rescaling/channels": (lambda: L.Rescaling([0.5, 2.0], offset=[1.0, -1.0]), IMAGE, {}),
    "flatten/channels_first": (lambda: L.Flatten(**FIRST), IMAGE, {}),
    "flatten/channels_first_rank_2": (lambda: L.Flatten(**FIRST), MATRIX, {}),
    "flatten/channels_first_rank_1": (lambda: L.Flatten(**FIRST), (3,), {}),
    "zero_padding1d/default": (lambda: L.ZeroPadding1D(), CUBE, MASKED),
    "zero_padding1d/pair": (lambda: L.ZeroPadding1D((2, 0)), CUBE, {}),
    "zero_padding1d/channels_first": (lambda: L.ZeroPadding1D(2, **FIRST), CUBE, {}),
    "zero_padding2d/default": (lambda: L.ZeroPadding2D(), IMAGE, {}),
    "zero_padding2d/pair": (lambda: L.ZeroPadding2D((0, 2)), IMAGE, {}),
    "zero_padding2d/channels_first": (lambda: L.ZeroPadding2D(((1, 2), (0, 3)), **FIRST), IMAGE, {}),
    "zero_padding3d/default": (lambda: L.ZeroPadding3D(), VOLUME, {}),
    "zero_padding3d/triple": (lambda: L.ZeroPadding3D((0, 1, 2)), VOLUME, {}),
    "zero_padding3d/channels_first": (lambda: L.ZeroPadding3D(((1, 0), (0, 2), (0, 1)), **FIRST), VOLUME, {}),
    "cropping1d/default": (lambda: L.Cropping1D(), CUBE, MASKED),
    "cropping1d/pair": (lambda: L.Cropping1D((3, 0)), CUBE, {}),
    "cropping2d/one": (lambda: L.Cropping2D(1), (2, 3, 4, 2), {}),
    "cropping2d/default": (lambda: L.Cropping2D(), IMAGE, {}),
    "cropping2d/pair": (lambda: L.Cropping2D((1, 0)), IMAGE, {}),
    "cropping2d/channels_first": (lambda: L.Cropping2D(((1, 2), (0, 1)), **FIRST), (2, 2, 5, 3), {}),
    "cropping3d/default": (lambda: L.Cropping3D(), (1, 3, 4, 5, 2), {}),
    "cropping3d/triple": (lambda: L.Cropping3D((1, 0, 1)), VOLUME, {}),
    "cropping3d/channels_first": (lambda: L.Cropping3D(((0, 1), (2, 0), (1, 1)), **FIRST), (1, 2, 2, 3, 4), {}),
    "up_sampling1d/default": (lambda: L.UpSampling1D(), CUBE, MASKED),
    "up_sampling1d/size_3": (lambda: L.UpSampling1D(3), CUBE, {}),
    "up_sampling2d/default": (lambda: L.UpSampling2D(), IMAGE, {}),
    "up_sampling2d/size_1_3": (lambda: L.UpSampling2D((1, 3)), IMAGE, {}),
    "up_sampling2d/channels_first": (lambda: L.UpSampling2D((3, 2), **FIRST), IMAGE, {}),
    "up_sampling2d/bilinear": (lambda: L.UpSampling2D(interpolation="bilinear"), IMAGE, {}),
    "up_sampling2d/bilinear_3_4": (lambda: L.UpSampling2D((3, 4), interpolation="bilinear"), IMAGE, {}),
    "up_sampling2d/bilinear_channels_first": (
        lambda: L.UpSampling2D((2, 1), interpolation="bilinear", **FIRST), IMAGE, {}),
    "up_sampling3d/default": (lambda: L.UpSampling3D(), VOLUME, {}),
    "up_sampling3d/size": (lambda: L.UpSampling3D((1, 3, 2)), VOLUME, {}),
    "up_sampling3d/channels_first": (lambda: L.UpSampling3D(2, **FIRST), VOLUME, {}),
}

# case: (layer, shape of the input). A call in training changes the kernel.
SPECTRAL = {
    "spectral_norm/inference": (lambda: L.SpectralNormalization(L.Dense(3, name="d")), MATRIX),
    "spectral_norm/training": (lambda: L.SpectralNormalization(L.Dense(3, name="d")), MATRIX),
    "spectral_norm/training_rank_3": (lambda: L.SpectralNormalization(L.Dense(4, use_bias=False, name="d")), CUBE),
    "spectral_norm/training_power_iterations_3": (
        lambda: L.SpectralNormalization(L.Dense(3, name="d"), power_iterations=3), MATRIX),
}


def objects():
    """case -> how its layer is made."""
    yield from ((case, row[0]) for case, row in (LAYERS | SPECTRAL).items())


def spectral(arrays):
    """One call, all weights after it, and the gradients with respect to those."""
    for case, (make, shape) in SPECTRAL.items():
        layer, rng = make(), generator(case)
        x = rng.normal(size=shape)
        layer.build(shape)
        randomize(layer.weights, rng)
        weights = layer.weights
        arrays.put(case, x=x, **numbered("w", weights))
        y = layer(x, training="training" in case)
        fixed = [np.asarray(w) for w in layer.non_trainable_variables]

        def call(x, *weights):
            return [layer.stateless_call(list(weights), fixed, x)[0]]

        (again,), (gy,), (gx, *g) = pullback(call, [x, *(np.asarray(w) for w in layer.trainable_variables)], rng)
        np.testing.assert_array_equal(again, y)
        arrays.put(case, y=y, gy=gy, gx=gx, **numbered("g", g), **{f"w{i}_after": w for i, w in enumerate(weights)})
