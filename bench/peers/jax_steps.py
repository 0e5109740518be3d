"""JAX without Keras: the whole training step, Adam included, in one jax.jit.

    jax_steps.py serve|first WORKLOAD

The scan over time is unrolled for predicting, where that is faster; for training it is slower.
"""

from functools import partial

import jax
import jax.numpy as jnp

import side

KINDS = ("lstm", "gru", "mlp")
RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-7


def weights(work):
    """The parameters of a model, as a dictionary of arrays."""
    key = iter(jax.random.split(jax.random.key(1), 8))

    def matrix(rows, columns):
        return 0.05 * jax.random.normal(next(key), (rows, columns))

    features, units = work.shape[-1], work.units
    dense = {"V": matrix(units, work.classes), "c": jnp.zeros(work.classes)}
    if work.kind == "mlp":
        return dense | {
            "W1": matrix(features, units), "b1": jnp.zeros(units),
            "W2": matrix(units, units), "b2": jnp.zeros(units),
        }  # fmt: skip
    gates = 3 if work.kind == "gru" else 4
    return dense | {
        "W": matrix(features, gates * units), "U": matrix(units, gates * units),
        "b": jnp.zeros(gates * units), "Wa": matrix(units, side.ATTENTION),
        "ba": jnp.zeros(side.ATTENTION), "u": matrix(side.ATTENTION, 1),
    } | ({"bu": jnp.zeros(gates * units)} if work.kind == "gru" else {})  # fmt: skip


def lstm(w, z, h0, unroll):
    def step(state, z):
        h, c = state
        i, f, g, o = jnp.split(z + h @ w["U"], 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return jax.lax.scan(step, (h0, h0), z, unroll=unroll)[1]


def gru(w, z, h0, unroll):
    def step(h, z):
        zu, zr, zh = jnp.split(z, 3, axis=1)
        hu, hr, hh = jnp.split(h @ w["U"] + w["bu"], 3, axis=1)
        u = jax.nn.sigmoid(zu + hu)
        h = u * h + (1 - u) * jnp.tanh(zh + jax.nn.sigmoid(zr + hr) * hh)
        return h, h

    return jax.lax.scan(step, h0, z, unroll=unroll)[1]


def logits(kind, w, x, unroll=False):
    if kind == "mlp":
        h = jax.nn.relu(x @ w["W1"] + w["b1"])
        h = jax.nn.relu(h @ w["W2"] + w["b2"])
        return h @ w["V"] + w["c"]
    z = x.swapaxes(0, 1) @ w["W"] + w["b"]  # (time, batch, gates * units), in one product
    rnn = gru if kind == "gru" else lstm
    h = rnn(w, z, jnp.zeros((x.shape[0], w["U"].shape[0])), unroll)
    a = jax.nn.softmax(jnp.tanh(h @ w["Wa"] + w["ba"]) @ w["u"], axis=0)
    return (h * a).sum(0) @ w["V"] + w["c"]


def loss(kind, w, x, labels):
    log_p = jax.nn.log_softmax(logits(kind, w, x))
    return -jnp.take_along_axis(log_p, labels[:, None], axis=1).mean()


@partial(jax.jit, static_argnums=0, donate_argnums=1)
def update(kind, state, x, labels):
    """One step of Adam."""
    w, m, v, t = state
    g = jax.grad(partial(loss, kind))(w, x, labels)
    t += 1
    rate = RATE * jnp.sqrt(1 - BETA2**t) / (1 - BETA1**t)
    m = jax.tree.map(lambda m, g: m + (1 - BETA1) * (g - m), m, g)
    v = jax.tree.map(lambda v, g: v + (1 - BETA2) * (g * g - v), v, g)
    w = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + EPSILON), w, m, v)
    return w, m, v, t


def train_step(work):
    x, labels = map(jnp.asarray, side.data(work))
    w = weights(work)
    m, v = (jax.tree.map(jnp.zeros_like, w) for _ in range(2))
    state = w, m, v, jnp.zeros(())

    def step():
        nonlocal state
        state = update(work.kind, state, x, labels)

    return step, lambda: jax.block_until_ready(state)


def predict(work):
    w = weights(work)
    x = jnp.asarray(side.data(work)[0])
    probabilities = jax.jit(lambda w, x: jax.nn.softmax(logits(work.kind, w, x, unroll=True)))
    return lambda: probabilities(w, x).block_until_ready(), lambda: None


def prepare(name):
    work = side.workload(name, KINDS)
    step, wait = train_step(work) if work.training else predict(work)
    side.per_call(step, wait)
    device = jax.devices()[0].platform
    if (device == "gpu") != (side.DEVICE == "cuda"):
        raise side.Skip(f"this JAX computes on {device}")
    where = "CUDA" if device == "gpu" else f"{side.cores()} threads"
    version = f"JAX {jax.__version__} jit, {where}"
    return version, partial(side.per_call, step, wait)


def first(name):
    step, wait = train_step(side.workload(name, KINDS, training=True))
    step()
    wait()


if __name__ == "__main__":
    side.main(prepare, first)
