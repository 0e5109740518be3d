"""schedules.npz: learning rates at steps 0 to 30 and at some large ones (`steps`, shared by all cases)."""

from keras.optimizers import schedules

from .common import Arrays

STEPS = list(range(31)) + [50, 100, 1000, 100000]

SCHEDULES = {
    "exponential_decay/plain": schedules.ExponentialDecay(0.1, 7, 0.8),
    "exponential_decay/staircase": schedules.ExponentialDecay(0.1, 7, 0.8, staircase=True),
    "cosine_decay/plain": schedules.CosineDecay(0.1, 20),
    "cosine_decay/alpha": schedules.CosineDecay(0.1, 20, alpha=0.3),
    "cosine_decay/warmup": schedules.CosineDecay(0.02, 20, warmup_target=0.1, warmup_steps=6),
    "cosine_decay/warmup_alpha": schedules.CosineDecay(0.0, 20, alpha=0.1, warmup_target=0.1, warmup_steps=6),
    "cosine_decay_restarts/default": schedules.CosineDecayRestarts(0.1, 5),
    "cosine_decay_restarts/options": schedules.CosineDecayRestarts(0.1, 5, t_mul=1.5, m_mul=0.8, alpha=0.1),
    "piecewise_constant_decay/plain": schedules.PiecewiseConstantDecay([5, 12, 20], [0.1, 0.05, 0.01, 0.001]),
    "polynomial_decay/plain": schedules.PolynomialDecay(0.1, 20),
    "polynomial_decay/power_2": schedules.PolynomialDecay(0.1, 20, end_learning_rate=0.01, power=2.0),
    "polynomial_decay/cycle": schedules.PolynomialDecay(0.1, 8, end_learning_rate=0.01, power=0.5, cycle=True),
    "inverse_time_decay/plain": schedules.InverseTimeDecay(0.1, 7, 0.5),
    "inverse_time_decay/staircase": schedules.InverseTimeDecay(0.1, 7, 0.5, staircase=True),
}


def objects():
    """case -> how its schedule is made."""
    return ((case, lambda schedule=schedule: schedule) for case, schedule in SCHEDULES.items())


def cases():
    arrays = Arrays()
    arrays.put("shared", steps=STEPS)
    for case, schedule in SCHEDULES.items():
        arrays.put(case, learning_rate=[float(schedule(step)) for step in STEPS])
    return arrays
