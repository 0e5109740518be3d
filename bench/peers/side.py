"""What the peers share: the sizes of bench/workloads.cpp, and the protocol of a participant.

    PROGRAM serve WORKLOAD  makes the model and warms up, prints "ready" and its version, then
                            answers each line of input with milliseconds per step, measured over a
                            slice of about a quarter of a second
    PROGRAM first WORKLOAD  makes the model, does one training step and exits

A workload that a product does not do is answered "skip" and the reason.
"""

import os
import sys
import time
from dataclasses import dataclass, replace

import numpy as np

SLICE_SECONDS = 0.25
ATTENTION = 64
DROPOUT = 0.2
HEADS = 4
DILATIONS = 1, 2, 4, 8
CHAIN = 1000  # ops, in the workloads op and op-tanh
DEVICE = os.environ.get("BENCH_DEVICE", "cpu").partition(":")[0]  # or cuda


@dataclass(frozen=True)
class Workload:
    kind: str  # of model: what torch_steps.py and keras_steps.py build
    batch: int
    shape: tuple  # of one sample, the features last
    units: int
    classes: int = 10
    training: bool = True


SEED = Workload("lstm", 64, (10, 32), 128)
WORKLOADS = {
    "seed": SEED,
    "vowels": Workload("lstm", 16, (29, 12), 32, classes=9),
    "long": Workload("lstm", 32, (100, 64), 256),
    "wide": Workload("lstm", 64, (50, 128), 512),
    "mlp": Workload("mlp", 128, (784,), 512),
    "conv": Workload("conv", 64, (28, 28, 1), 32),
    "separable": Workload("separable", 64, (28, 28, 32), 64),
    "temporal": Workload("temporal", 64, (64, 32), 64),
    "transformer": Workload("transformer", 32, (64, 128), 512),
    "transformer-long": Workload("transformer", 2, (2048, 128), 512),
    "gru": replace(SEED, kind="gru"),
    "bidirectional": replace(SEED, kind="bidirectional"),
    "masked": replace(SEED, kind="masked"),
    "dropout": replace(SEED, kind="dropout"),
    "own-cell": replace(SEED, kind="own-cell"),
    "predict-1": replace(SEED, batch=1, training=False),
    "predict-64": replace(SEED, training=False),
    "predict-conv": Workload("conv", 64, (28, 28, 1), 32, training=False),
}


class Skip(Exception):
    """This product does not do this workload, and why."""


def workload(name, kinds=None, training=None):
    """The workload of that name; Skip if it is not of these kinds, or not (or only) training."""
    if name not in WORKLOADS:
        raise Skip("not measured with this product")
    found = WORKLOADS[name]
    if kinds and found.kind not in kinds:
        raise Skip(f"no {found.kind} model is written for this product")
    if training is not None and found.training != training:
        raise Skip("trains only" if training else "predicts only")
    return found


def data(work, batches=1):
    """Random samples and their classes, enough for so many batches."""
    random = np.random.default_rng(1)
    samples = work.batch * batches
    x = random.standard_normal((samples, *work.shape), dtype=np.float32)
    return x, random.integers(0, work.classes, samples)


def cores():
    return len(os.sched_getaffinity(0))


def per_call(call, wait=lambda: None):
    """Milliseconds per call: as many calls as fit into a slice, at least two, and until `wait` has
    seen the last of them done."""
    start = end = time.perf_counter()
    calls = 0
    while end - start < SLICE_SECONDS or calls < 2:
        call()
        calls += 1
        end = time.perf_counter()
        if end - start >= SLICE_SECONDS:
            wait()  # calls that were only queued take their time here
            end = time.perf_counter()
    return (end - start) / calls * 1e3


_out = sys.stdout


def keep_stdout():
    """For the protocol: what libraries print goes to standard error."""
    global _out
    _out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)


def say(line):
    print(line, file=_out, flush=True)


def asked():
    """Waits for a line of input; False at its end."""
    return sys.stdin.readline() != ""


def main(prepare, first):
    """Does what the last two arguments say. `prepare(name)` makes a warm model and returns its
    version and a function that measures a slice; `first(name)` does a single training step."""
    keep_stdout()
    command, name = sys.argv[-2:]
    try:
        if command == "first":
            return first(name)
        version, measure = prepare(name)
    except Skip as reason:
        return say(f"skip {reason}")
    say(f"ready {version}")
    while asked():
        say(measure())
