"""PyTorch: a bare training loop, without data feeding and metrics.

    torch_steps.py eager|compile|graphs serve|first WORKLOAD

All use the fused Adam, which on a CPU must be asked for and is the faster one. torch.compile
leaves nn.LSTM and nn.GRU as they are and compiles what is around them; a recurrence written out in
Python, which it does compile, was slower than nn.LSTM in eager mode. On a GPU nn.LSTM is cuDNN's,
and graphs is a step of eager mode, Adam included, as one CUDA graph.
"""

import sys

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import side

MODE = sys.argv[1]


class Attention(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.project = nn.Linear(features, side.ATTENTION)
        self.score = nn.Linear(side.ATTENTION, 1, bias=False)

    def forward(self, x):  # (batch, time, features)
        a = torch.softmax(self.score(torch.tanh(self.project(x))), dim=1)
        return (x * a).sum(1)


class Recurrent(nn.Module):
    """LSTM, GRU or a loop over a cell, attention, Dense: logits."""

    def __init__(self, work):
        super().__init__()
        both = work.kind == "bidirectional"
        if work.kind == "own-cell":
            self.rnn = CellLoop(work.shape[1], work.units)
        else:
            rnn = nn.GRU if work.kind == "gru" else nn.LSTM
            self.rnn = rnn(work.shape[1], work.units, batch_first=True, bidirectional=both)
        features = 2 * work.units if both else work.units
        self.attention = Attention(features)
        self.dense = nn.Linear(features, work.classes)

    def forward(self, x):
        return self.dense(self.attention(self.rnn(x)[0]))


class CellLoop(nn.Module):
    """nn.LSTMCell in a loop over time, which is how a cell of one's own is run."""

    def __init__(self, features, units):
        super().__init__()
        self.cell = nn.LSTMCell(features, units)

    def forward(self, x):
        state, outputs = None, []
        for step in x.unbind(1):
            state = self.cell(step, state)
            outputs.append(state[0])
        return torch.stack(outputs, 1), state


class Masked(nn.Module):
    """The last state of an LSTM that leaves out steps of zeros at the end, Dense: logits."""

    def __init__(self, work):
        super().__init__()
        self.rnn = nn.LSTM(work.shape[1], work.units, batch_first=True)
        self.dense = nn.Linear(work.units, work.classes)

    def forward(self, x):
        lengths = (x != 0).any(2).sum(1)
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, (h, _) = self.rnn(packed)
        return self.dense(h[-1])


class Convolutional(nn.Module):
    """Two convolutions of 3 by 3, each with a pooling, and Dense: logits."""

    def __init__(self, work):
        super().__init__()
        self.first = nn.Conv2d(work.shape[2], work.units, 3)
        self.second = nn.Conv2d(work.units, 2 * work.units, 3)
        self.dense = nn.Linear(2 * work.units * 25, work.classes)

    def forward(self, x):  # (batch, rows, columns, channels)
        x = F.max_pool2d(F.relu(self.first(x.permute(0, 3, 1, 2))), 2)
        x = F.max_pool2d(F.relu(self.second(x)), 2)
        return self.dense(x.flatten(1))


class Separable(nn.Module):
    """Two separable convolutions of 3 by 3, a pooling between, the average, and Dense: logits."""

    def __init__(self, work):
        super().__init__()
        channels, units = work.shape[2], work.units
        self.first = nn.Sequential(nn.Conv2d(channels, channels, 3, groups=channels, bias=False),
                                   nn.Conv2d(channels, units, 1))  # fmt: skip
        self.second = nn.Sequential(nn.Conv2d(units, units, 3, groups=units, bias=False),
                                    nn.Conv2d(units, 2 * units, 1))  # fmt: skip
        self.dense = nn.Linear(2 * units, work.classes)

    def forward(self, x):  # (batch, rows, columns, channels)
        x = F.max_pool2d(F.relu(self.first(x.permute(0, 3, 1, 2))), 2)
        return self.dense(F.relu(self.second(x)).mean((2, 3)))


class Temporal(nn.Module):
    """Causal dilated convolutions, the average over time, and Dense: logits."""

    def __init__(self, work):
        super().__init__()
        widths = [work.shape[1]] + [work.units] * len(side.DILATIONS)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(widths[i], widths[i + 1], 3, dilation=d) for i, d in enumerate(side.DILATIONS)
        )
        self.dense = nn.Linear(work.units, work.classes)

    def forward(self, x):  # (batch, time, features)
        x = x.transpose(1, 2)
        for dilation, convolution in zip(side.DILATIONS, self.convolutions):
            x = F.relu(convolution(F.pad(x, (2 * dilation, 0))))
        return self.dense(x.mean(2))


class Transformer(nn.Module):
    """An encoder block with normalisation after each part, the average, and Dense: logits."""

    def __init__(self, work):
        super().__init__()
        width = work.shape[1]
        self.block = nn.TransformerEncoderLayer(width, side.HEADS, work.units, dropout=0.0,
                                                batch_first=True)  # fmt: skip
        self.dense = nn.Linear(width, work.classes)

    def forward(self, x):  # (batch, time, features)
        return self.dense(self.block(x).mean(1))


MODELS = {"conv": Convolutional, "separable": Separable, "temporal": Temporal,
          "transformer": Transformer, "masked": Masked}  # fmt: skip


def build(work):
    if work.kind == "dropout":
        raise side.Skip("nn.LSTM has no recurrent dropout")
    if work.kind in MODELS:
        return MODELS[work.kind](work)
    if work.kind == "mlp":
        hidden = work.units
        return nn.Sequential(
            nn.Linear(work.shape[0], hidden), nn.ReLU(),
            nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Linear(hidden, work.classes),
        )  # fmt: skip
    return Recurrent(work)


def compiled(f):
    return torch.compile(f) if MODE == "compile" else f


def train_step(work):
    model = build(work).to(side.DEVICE)
    adam = torch.optim.Adam(model.parameters(), fused=True, capturable=MODE == "graphs")
    x, labels = (torch.from_numpy(array).to(side.DEVICE) for array in side.data(work))

    @compiled
    def loss():
        return F.cross_entropy(model(x), labels)

    def step():
        adam.zero_grad(set_to_none=True)
        loss().backward()
        adam.step()

    return captured(step) if MODE == "graphs" else step


def captured(step):
    """A step as a CUDA graph, noted after a few in a stream of their own, as PyTorch's notes on
    CUDA graphs ask."""
    if side.DEVICE != "cuda":
        raise side.Skip("CUDA graphs need a GPU")
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def wait():
    if side.DEVICE == "cuda":
        torch.cuda.synchronize()


def predict(work):
    if MODE == "graphs":
        raise side.Skip("trains only")
    model = build(work).eval().to(side.DEVICE)
    x = torch.from_numpy(side.data(work)[0]).to(side.DEVICE)
    probabilities = compiled(lambda x: torch.softmax(model(x), dim=1))

    @torch.inference_mode()
    def step():
        probabilities(x)

    return step


def chain(op):
    """A chain of one op on four numbers, and its gradient."""
    x = torch.tensor([0.1, 0.2, 0.3, 0.4], requires_grad=True)
    ones = torch.ones(4)

    def step():
        y = x
        for _ in range(side.CHAIN):
            y = op(y, x)
        torch.autograd.grad(y, x, ones)

    return step


OPS = {"op": lambda y, x: y * x, "op-tanh": lambda y, x: torch.tanh(y)}


def prepare(name):
    if name in OPS:
        if MODE != "eager":
            raise side.Skip("the cost of recording an op is that of eager mode")
        step, parts = chain(OPS[name]), side.CHAIN
    else:
        work = side.workload(name)
        step, parts = train_step(work) if work.training else predict(work), 1

    def measure():
        return side.per_call(step, wait) / parts

    try:
        for _ in range(3):
            step()
    except Exception as error:
        if MODE == "eager":
            raise
        message = str(error).partition("\n")[0]
        raise side.Skip(f"torch.compile: {type(error).__name__}: {message}") from None
    measure()
    where = "CUDA" if side.DEVICE == "cuda" else f"{torch.get_num_threads()} threads"
    return f"PyTorch {torch.__version__} {MODE}, {where}", measure


def first(name):
    train_step(side.workload(name, training=True))()


if __name__ == "__main__":
    side.main(prepare, first)
