"""What real Keras computes with a model that it has opened from a file, and whether two opened models are the same.

The numbers beside a file (`reference`) are those of the opened file, not of the model that was saved: what a file does
not hold, such as the delta of a Huber loss, has no part in them.
"""

import warnings

import h5py
import keras
import numpy as np

STEPS, LATER_STEPS = 4, 2


class Unsuitable(ValueError):
    """Real Keras computes something here that another program cannot be held to."""


def listed(x):
    return list(x) if isinstance(x, (list, tuple)) else [x]


def structured(x, model, struct):
    """Arrays in the order of model.inputs or model.outputs as the model takes them: one, a list, or by name."""
    names = getattr(model, struct, None)
    if isinstance(names, dict):
        return dict(zip(sorted(names), x))
    return x[0] if len(x) == 1 else x


def values(tensors):
    return [np.asarray(keras.ops.convert_to_numpy(t)) for t in tensors]


def numbered(prefix, arrays):
    return {f"{prefix}_{i}": np.asarray(a) for i, a in enumerate(arrays)}


def collected(prefix, arrays):
    """The arrays of prefix_0, prefix_1, ..."""
    found = []
    while f"{prefix}_{len(found)}" in arrays:
        found.append(arrays[f"{prefix}_{len(found)}"])
    return found


def set_floatx(arrays):
    """The learning rate of an optimizer has the dtype of floatx, which no file holds."""
    double = any(a.dtype == np.float64 for a in arrays)
    keras.config.set_floatx("float64" if double else "float32")


def opened(path, floatx_of):
    """The model in a file."""
    keras.backend.clear_session()
    set_floatx(floatx_of)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = keras.saving.load_model(path)
    if str(path).endswith(".h5") and model.compiled:
        restore_legacy_optimizer(model, path)
    return model


def restore_legacy_optimizer(model, path):
    """From a legacy .h5, Keras 3 builds the optimizer for no variables (`model._trainable_variables` are those that no
    layer owns), restores nothing, and then refuses to train. This does what is meant."""
    optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
    with h5py.File(path) as file:
        if "optimizer_weights" in file:
            group = file["optimizer_weights"]
            saved = [group[name][()] for name in group.attrs["weight_names"]]
            optimizer.build(model.trainable_variables)
            if len(saved) == len(optimizer.variables):
                for variable, value in zip(optimizer.variables, saved):
                    variable.assign(value)
    model.optimizer = optimizer


def predictions(model, x):
    x = [keras.ops.convert_to_tensor(a) for a in x]
    return values(keras.tree.flatten(model(structured(x, model, "_inputs_struct"), training=False)))


def train(model, x, y, steps):
    """The loss of each step on the whole batch."""
    x, y = structured(x, model, "_inputs_struct"), structured(y, model, "_outputs_struct")
    return np.array([listed(model.train_on_batch(x, y))[0] for _ in range(steps)])


def shaken(model, amount):
    """Moves every weight a little: what is far away after that has no digits worth comparing."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.dtype.startswith("float"):
            weight.assign(values([weight])[0] * (1 + amount * rng.uniform(-1, 1, weight.shape)))


def distance(ours, theirs):
    """The largest difference, relative to the largest number of an array and at least to 0.01."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        return float("inf")
    if theirs.dtype.kind not in "fc":
        return 0.0 if np.array_equal(ours, theirs) else float("inf")
    if not theirs.size:
        return 0.0
    scale = max(np.abs(theirs).max(), 0.01)
    return float(np.abs(ours.astype("float64") - theirs.astype("float64")).max() / scale)


def tolerance(arrays):
    return 1e-5 if any(a.dtype == np.float32 for a in arrays) else 1e-9


def finite(arrays):
    return all(np.isfinite(a).all() for a in arrays.values() if a.dtype.kind == "f")


def reference(path, x, y, trains):
    """The arrays beside a file: x_0.., y_0.. (only where the model is compiled), predictions p_0.., and the optimizer's
    variables o_0... If `trains`: losses of 4 steps on the whole batch, predictions q_0.. and variables o_0.. after
    these, and losses2 of 2 further steps."""
    floats = x + y + predictions(opened(path, x + y), x)  # inputs and targets may all be ids
    model = opened(path, floats)
    arrays = numbered("x", x)
    p = predictions(model, x)
    arrays |= numbered("p", p)
    if not finite(arrays):
        raise Unsuitable("not finite")
    if not model.compiled:
        return arrays
    arrays |= numbered("y", y)
    if trains:
        arrays["losses"] = train(model, x, y, STEPS)
        q = predictions(model, x)
        arrays |= numbered("q", q) | numbered("o", values(model.optimizer.variables))
        arrays["losses2"] = train(model, x, y, LATER_STEPS)
        if not finite(arrays):
            raise Unsuitable("not finite")
        near = opened(path, floats)
        shaken(near, 4 * np.finfo(q[0].dtype).eps)
        close = [distance(train(near, x, y, STEPS), arrays["losses"])]
        close += [distance(a, b) for a, b in zip(predictions(near, x), q)]
        if max(close) > tolerance(p) / 4:
            raise Unsuitable("rounding errors grow too much")
    else:
        arrays |= numbered("o", values(model.optimizer.variables))
    return arrays


def plain(config):
    """A config without what says nothing of the model: the numbers by which equal objects are known."""
    if isinstance(config, dict):
        return {key: plain(value) for key, value in config.items() if key != "shared_object_id"}
    if isinstance(config, (list, tuple)):
        return [plain(value) for value in config]
    return config


def differences(ours, theirs, path="config"):
    """What is not the same in two configs, one line for each place."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        found = [f"{path}: no {key!r}" for key in theirs if key not in ours]
        found += [f"{path}: {key!r} is new" for key in ours if key not in theirs]
        for key in theirs:
            if key in ours:
                found += differences(ours[key], theirs[key], f"{path}.{key}")
        return found
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [line for i, (a, b) in enumerate(zip(ours, theirs)) for line in differences(a, b, f"{path}[{i}]")]
    return [] if ours == theirs and type(ours) is type(theirs) else [f"{path}: {ours!r} instead of {theirs!r}"]


def configs(model):
    """All that the file of a model says in words."""
    found = {"class": type(model).__name__, "model": model.get_config(), "compiled": model.compiled}
    if model.compiled:
        found["compile"] = model.get_compile_config()
    return plain(found)


def disagreements(model, original, arrays):
    """What an opened model does otherwise than `arrays` says and otherwise than the original is configured."""
    found = differences(configs(model), configs(original))
    trains = "losses" in arrays
    x, y = collected("x", arrays), collected("y", arrays)
    name = "q" if trains else "p"
    theirs = collected(name, arrays)
    allowed = tolerance(theirs)
    ours = predictions(model, x)
    if len(ours) != len(theirs):
        return found + [f"{len(ours)} outputs instead of {len(theirs)}"]
    for i, (a, b) in enumerate(zip(ours, theirs)):
        if not distance(a, b) <= allowed:
            found.append(f"{name}_{i} {b.shape}: {distance(a, b):.1e}, allowed {allowed:.0e}")
    if not model.compiled or not original.compiled:
        return found
    variables, theirs = model.optimizer.variables, collected("o", arrays)
    if len(variables) != len(theirs):
        return found + [f"{len(variables)} variables of the optimizer instead of {len(theirs)}"]
    for variable, a, b in zip(variables, values(variables), theirs):
        if not distance(a, b) <= (1e-4 if allowed > 1e-6 else 1e-8):
            found.append(f"optimizer's {variable.path} {b.shape}: {distance(a, b):.1e}; {a.flat[:3]} and {b.flat[:3]}")
    if trains:
        found_losses = train(model, x, y, LATER_STEPS)
        if not distance(found_losses, arrays["losses2"]) <= 1e-4:
            found.append(f"further losses {found_losses} instead of {arrays['losses2']}")
    return found
