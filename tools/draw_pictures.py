#!/usr/bin/env python3
"""Draws the pictures of the documents into docs/pictures.

    python3 tools/draw_pictures.py

Python's standard library is enough, and the files are the same each time. The numbers in the
pictures are computed here.
"""

import math
import pathlib
from xml.sax.saxutils import escape

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "docs" / "pictures"

SANS = "Helvetica, Arial, 'Liberation Sans', sans-serif"
MONO = "Menlo, Consolas, 'Liberation Mono', 'DejaVu Sans Mono', monospace"
INK, GREY, LINE = "#222222", "#6b6b6b", "#b9b9b9"
BLUE, ORANGE = "#1f5fa8", "#b8500a"
PALE_BLUE, PALE_ORANGE, PALE_GREY = "#e6effa", "#fbeadb", "#f4f4f4"
COLOURS = {INK: "ink", BLUE: "blue", ORANGE: "orange"}


class Picture:
    def __init__(self, width, height, title):
        self.width, self.height, self.title = width, height, title
        self.parts = []

    def add(self, part):
        self.parts.append(part)

    def box(self, x, y, width, height, fill="#ffffff", stroke=LINE, radius=5, dash=None):
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.add(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}" '
            f'fill="{fill}" stroke="{stroke}"{dashes}/>'
        )

    def circle(self, x, y, radius, sign, colour=INK):
        self.add(
            f'<circle cx="{x:g}" cy="{y:g}" r="{radius}" fill="#ffffff" stroke="{colour}" '
            'stroke-width="1.4"/>'
        )
        self.text(x, y + 6, sign, size=18, colour=colour)

    def text(self, x, y, text, size=13, colour=INK, anchor="middle", mono=False, bold=False):
        weight = ' font-weight="600"' if bold else ""
        font = f' font-family="{MONO}"' if mono else ""
        self.add(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" '
            f'text-anchor="{anchor}"{weight}{font}>{escape(text)}</text>'
        )

    def lines(self, x, y, texts, step=17, **style):
        for i, text in enumerate(texts):
            self.text(x, y + i * step, text, **style)

    def path(self, d, colour=INK, arrow=True, width=1.4, dash=None):
        head = f' marker-end="url(#{COLOURS[colour]})"' if arrow else ""
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.add(
            f'<path d="{d}" fill="none" stroke="{colour}" stroke-width="{width}"{dashes}{head}/>'
        )

    def arrow(self, *points, colour=INK, **style):
        self.path("M" + " L".join(f"{x:g} {y:g}" for x, y in points), colour, **style)

    def save(self, name):
        markers = "".join(
            f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0 0.8 L10 5 L0 9.2 z" fill="{colour}"/></marker>'
            for colour, name in COLOURS.items()
        )
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img" '
            f'aria-label="{escape(self.title)}" font-family="{SANS}">'
        )
        parts = [head, f"<title>{escape(self.title)}</title>", f"<defs>{markers}</defs>"]
        parts.append(f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>')
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text("\n".join(parts + self.parts + ["</svg>", ""]), encoding="utf-8")


def numbers(values):
    return "(" + ", ".join(f"{v:.2f}" for v in values) + ")"


def draw_tape():
    """y = sum(tanh(x) * x): recorded from left to right, differentiated from right to left."""
    x = [0.5, 1.0, 2.0]
    t = [math.tanh(v) for v in x]
    m = [a * b for a, b in zip(t, x)]
    from_multiply = t
    g_t = x
    from_tanh = [g * (1 - a * a) for g, a in zip(g_t, t)]
    g_x = [a + b for a, b in zip(from_multiply, from_tanh)]

    p = Picture(880, 432, "The tape of y = sum(tanh(x) * x), and the gradients that flow back")
    width, height, top, below = 178, 58, 118, 236
    left = [24 + i * 220 for i in range(4)]
    middle = [v + width / 2 for v in left]
    cells = [
        ("%1: x, watched", numbers(x), PALE_GREY),
        ("%2 = tanh(%1)", numbers(t), PALE_BLUE),
        ("%3 = multiply(%2, %1)", numbers(m), PALE_BLUE),
        ("%4 = sum(%3)", f"{sum(m):.2f}", PALE_BLUE),
    ]
    gradients = [numbers(g_x), numbers(g_t), numbers([1, 1, 1]), "1"]
    p.text(24, 26, "Forward: each op appends a node", anchor="start", colour=BLUE, bold=True)
    for i, (op, value, fill) in enumerate(cells):
        p.box(left[i], top, width, height, fill, BLUE if i else LINE)
        p.text(middle[i], top + 24, op, mono=True, size=12.5)
        p.text(middle[i], top + 45, value)
        p.arrow(
            (middle[i], top + height),
            (middle[i], below),
            colour=GREY,
            arrow=False,
            dash="3 3",
            width=1,
        )
        p.box(left[i], below, width, 36, PALE_ORANGE, ORANGE)
        p.text(middle[i], below + 23, gradients[i])
    for i in range(3):
        p.arrow((left[i] + width, top + 29), (left[i + 1] - 2, top + 29), colour=BLUE)
    p.path(f"M{middle[0]} {top} C{middle[0]} 48, {middle[2]} 48, {middle[2]} {top - 2}", BLUE)

    line = below + 18
    p.arrow((left[3], line), (left[2] + width + 2, line), colour=ORANGE)
    p.arrow((left[2], line), (left[1] + width + 2, line), colour=ORANGE)
    p.arrow((left[1], line), (left[0] + width + 2, line), colour=ORANGE)
    low = below + 36
    p.path(
        f"M{middle[2]} {low} C{middle[2]} {low + 66}, {middle[0]} {low + 66}, {middle[0]} {low + 2}",
        ORANGE,
    )
    p.text(middle[1], low + 68, f"g · tanh(x) = {numbers(from_multiply)}", colour=ORANGE)
    p.text((left[0] + width + left[1]) / 2, below - 26, "g · (1 − tanh²)", colour=ORANGE)
    p.text((left[0] + width + left[1]) / 2, below - 10, numbers(from_tanh), colour=ORANGE, size=12)
    p.text((left[1] + width + left[2]) / 2, below - 10, "g · x", colour=ORANGE)
    p.text((left[2] + width + left[3]) / 2, below - 10, "g", colour=ORANGE)
    p.text(
        24,
        382,
        "Backward: one loop from the last node; each node hands the gradient g of its output on",
        anchor="start",
        colour=ORANGE,
        bold=True,
    )
    p.text(
        24,
        402,
        f"x is used twice, so its gradient is a sum: {numbers(from_multiply)} + {numbers(from_tanh)} = {numbers(g_x)}.",
        anchor="start",
    )
    p.save("tape.svg")


def draw_lstm_cell():
    """The names are those of LSTMCell::step in layers/rnn_cells.cpp, with sigmoid and tanh."""
    p = Picture(880, 452, "One step of an LSTM cell")
    gates = {"z[1]": 270, "z[0]": 400, "z[2]": 530, "z[3]": 710}
    names = {"z[1]": "forget", "z[0]": "input", "z[2]": "candidate", "z[3]": "output"}
    line, product, activation, part, top = 96, 174, 236, 316, 372
    forget, entry, candidate, output = gates.values()

    p.text(24, 32, "c1 = sigmoid(z[1]) · c + sigmoid(z[0]) · tanh(z[2])", anchor="start", mono=True)
    p.text(500, 32, "h1 = sigmoid(z[3]) · tanh(c1)", anchor="start", mono=True)

    # z = x kernel + h recurrent_kernel + bias, and its four parts
    p.box(190, top, 600, 42, PALE_GREY)
    p.text(490, top + 26, "z = x · kernel + h · recurrent_kernel + bias", mono=True)
    p.text(
        490,
        top + 64,
        "z has 4 · units columns: z[0], z[1], z[2], z[3] side by side",
        colour=GREY,
        size=12,
    )
    for name, size, y in (("x", "(batch, features)", top + 10), ("h", "(batch, units)", top + 32)):
        p.text(24, y + 4, name, anchor="start", mono=True, bold=True)
        p.text(38, y + 4, size, anchor="start", colour=GREY, size=12)
        p.arrow((144, y), (188, y))
    for gate, x in gates.items():
        p.arrow((x, top), (x, part + 28))
        p.box(x - 26, part, 52, 26)
        p.text(x, part + 17, gate, mono=True, size=12.5)
        p.text(x + 34, part + 17, names[gate], colour=GREY, size=12, anchor="start")
        p.arrow((x, part), (x, activation + 30))
        p.box(x - 32, activation, 64, 28, PALE_BLUE, BLUE)
        p.text(x, activation + 19, "tanh" if gate == "z[2]" else "sigmoid", colour=BLUE)

    # the state c along the top
    p.text(24, line + 5, "c", anchor="start", mono=True, bold=True)
    p.arrow((42, line), (forget - 18, line))
    p.circle(forget, line, 15, "×")
    p.arrow((forget, activation), (forget, line + 18))
    p.text(forget - 12, line + 62, "keep some of c", colour=GREY, size=12, anchor="end")
    p.arrow((forget + 15, line), (candidate - 18, line))
    p.circle(candidate, line, 15, "+")
    p.circle(candidate, product, 15, "×")
    p.arrow((entry, activation), (entry, product), (candidate - 18, product))
    p.arrow((candidate, activation), (candidate, product + 18))
    p.arrow((candidate, product - 15), (candidate, line + 18))
    p.text(candidate - 12, line + 46, "add some new", colour=GREY, size=12, anchor="end")
    p.arrow((candidate + 15, line), (822, line))
    p.text(830, line + 5, "c1", anchor="start", mono=True, bold=True)

    # the output
    branch = 620
    p.add(f'<circle cx="{branch}" cy="{line}" r="3" fill="{INK}"/>')
    p.arrow((branch, line), (branch, product - 16))
    p.box(branch - 32, product - 14, 64, 28, PALE_BLUE, BLUE)
    p.text(branch, product + 5, "tanh", colour=BLUE)
    p.arrow((branch + 32, product), (output - 18, product))
    p.circle(output, product, 15, "×")
    p.arrow((output, activation), (output, product + 18))
    p.text(output + 20, product - 10, "show some of it", colour=GREY, size=12, anchor="start")
    p.arrow((output + 15, product), (822, product))
    p.text(830, product + 5, "h1", anchor="start", mono=True, bold=True)
    p.save("lstm_cell.svg")


def draw_strides():
    p = Picture(880, 404, "Strides of a matrix, of its transposed view, and of a broadcast view")
    size, memory_top = 38, 276

    def panel(left, code, shape, strides, memory, note):
        p.text(left, 30, code, mono=True, size=12.5, anchor="start", bold=True)
        p.text(
            left,
            52,
            f"shape ({shape[0]}, {shape[1]}), strides ({strides[0]}, {strides[1]})",
            anchor="start",
        )
        grid_left, grid_top = left + 60, 96
        for i in range(shape[0]):
            for j in range(shape[1]):
                x, y = grid_left + j * size, grid_top + i * size
                p.box(x, y, size, size, PALE_GREY, LINE, 0)
                p.text(x + size / 2, y + 24, str(memory[i * strides[0] + j * strides[1]]), size=14)
        p.arrow((grid_left + 6, grid_top - 10), (grid_left + size + 20, grid_top - 10), colour=BLUE)
        p.text(grid_left + size + 28, grid_top - 6, "axis 1", colour=BLUE, size=12, anchor="start")
        p.arrow(
            (grid_left - 10, grid_top + 6), (grid_left - 10, grid_top + size + 20), colour=ORANGE
        )
        p.text(grid_left - 20, grid_top + size, "axis 0", colour=ORANGE, size=12, anchor="end")

        p.text(
            left + len(memory) * size + 8,
            memory_top + 24,
            "memory",
            colour=GREY,
            anchor="start",
            size=12,
        )
        for n, value in enumerate(memory):
            x = left + n * size
            p.box(x, memory_top, size, size, "#ffffff", INK, 0)
            p.text(x + size / 2, memory_top + 24, str(value), size=14)
        draw_step(left + size / 2, strides[1], BLUE, memory_top - 2, -30)
        draw_step(left + size / 2, strides[0], ORANGE, memory_top + size + 2, 30)
        terms = [f"{s} · {name}" if s != 1 else name for s, name in zip(strides, "ij")]
        p.text(left, 370, f"element (i, j) is at {' + '.join(terms)}", anchor="start")
        p.text(left, 390, note, anchor="start", colour=GREY, size=12)

    def draw_step(start, stride, colour, y, bend):
        end, label = start + stride * size, start + stride * size + 14
        if stride > 0:
            p.path(f"M{start:g} {y} C{start:g} {y + bend}, {end:g} {y + bend}, {end:g} {y}", colour)
        else:
            p.path(
                f"M{start - 8:g} {y} C{start - 26:g} {y + bend}, {start + 26:g} {y + bend}, {start + 8:g} {y}",
                colour,
            )
            label += 6
        p.text(
            label,
            y + (-14 if bend < 0 else 24),
            f"+{stride}",
            colour=colour,
            anchor="start",
            bold=True,
        )

    matrix = [1, 2, 3, 4, 5, 6]
    panel(24, "a = tensor({{1, 2, 3}, {4, 5, 6}})", (2, 3), (3, 1), matrix, "row-major: contiguous")
    panel(330, "a.transpose()", (3, 2), (1, 3), matrix, "the same memory; nothing is copied")
    panel(636, "broadcast_to(c, {2, 3})", (2, 3), (0, 1), [7, 8, 9], "stride 0 repeats the row c")
    p.save("strides.svg")


def draw_layers():
    p = Picture(880, 564, "From fit to the matrix product")
    bands = [
        ("training", 16, 90),
        ("layers, optim", 118, 84),
        ("autograd", 214, 116),
        ("core", 342, 84),
        ("core/cpu", 438, 110),
    ]
    for name, top, height in bands:
        p.box(16, top, 848, height, PALE_GREY, "#e2e2e2", 8)
        p.text(30, top + 24, name, anchor="start", bold=True, colour=GREY)

    def node(x, y, width, title, *notes, fill="#ffffff", stroke=INK):
        p.box(x, y, width, 26 + 16 * len(notes), fill, stroke)
        p.text(x + width / 2, y + 18, title, mono=True, size=12.5)
        for i, note in enumerate(notes):
            p.text(x + width / 2, y + 35 + 16 * i, note, size=12, colour=GREY)

    # training
    node(150, 32, 150, "Model::fit", "epochs and batches")
    node(350, 32, 190, "Trainer::train", "forward, gradient, apply")
    node(600, 32, 190, "Sequential::call", "one layer after the other")
    p.arrow((300, 53), (348, 53))
    p.arrow((540, 53), (598, 53))

    # layers, optim
    node(150, 140, 150, "Optimizer::apply", "Adam: one loop")
    node(350, 140, 150, "RNN, LSTMCell", "the formula, the loop")
    node(534, 140, 150, "AttentionLayer", "its formula")
    node(718, 140, 128, "Dense", "linear, activation")
    p.arrow((445, 74), (445, 96), (225, 96), (225, 138))
    p.arrow((695, 74), (695, 96), (782, 96), (782, 138))
    p.arrow((695, 96), (609, 96), (609, 138))
    p.arrow((609, 96), (470, 96), (470, 138))

    # autograd
    node(150, 250, 150, "GradientTape", "nodes; one loop back", fill=PALE_ORANGE, stroke=ORANGE)
    node(372, 232, 128, "scan", "all time steps", "as one op")
    node(
        534,
        232,
        312,
        "dot, tanh, softmax, sum, multiply ...",
        "values by kernels;",
        "a function for the way back",
    )
    p.arrow((436, 182), (436, 230))
    p.arrow((609, 182), (609, 230))
    p.arrow((782, 182), (782, 230))
    p.arrow((372, 264), (302, 264), colour=ORANGE)
    p.arrow((560, 290), (560, 314), (336, 314), (336, 280), (302, 280), colour=ORANGE)
    p.text(337, 256, "record", colour=ORANGE, size=12)

    # core
    node(150, 364, 150, "parallel_for", "OpenMP tasks")
    node(372, 364, 290, "Kernels", "a device's work on strided memory")
    node(690, 364, 156, "functions.h, dual.h", "scalar functions")
    p.arrow((436, 290), (436, 362))
    p.arrow((609, 290), (609, 362))
    p.arrow((372, 385), (302, 385), colour=BLUE)
    p.text(337, 377, "share out", colour=BLUE, size=12)

    # core/cpu
    node(350, 460, 156, "gemm.cpp", "choose_product:", "OpenBLAS or packed.h")
    node(534, 460, 128, "reductions.h", "sums, softmax")
    node(690, 460, 156, "loops.h", "SIMD along rows")
    p.arrow((428, 406), (428, 458))
    p.arrow((598, 406), (598, 458))
    p.arrow((640, 406), (640, 432), (730, 432), (730, 458))
    p.arrow((790, 406), (790, 458))
    p.save("layers.svg")


if __name__ == "__main__":
    draw_tape()
    draw_lstm_cell()
    draw_strides()
    draw_layers()
