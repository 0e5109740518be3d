"""Makes faults in core/cuda/ and what uses it, one at a time, and says which test finds each: on the emulated device.

    python3 tools/cuda_faults.py --list                 # the faults; checks that each fits its file
    python3 tools/cuda_faults.py --build DIR            # all: a build, then about a minute of one core for each
    python3 tools/cuda_faults.py --build DIR --only pool    # those whose name or file has this text

Everything happens in DIR, outside the repository: a copy of the tree, its build, and results.jsonl with a line for each
fault. Each start brings the copy up to date. After an interruption the same command goes on; what was missed is tried
again. A fault counts as caught when a test fails, crashes or takes too long: of the suite cuda first, then of those
whose tensors are all on the emulated device; where the fault is in a kernel, a few of the latter come before.

core/cuda/runtime.cu, which asks a real device, has no faults here: the emulator stands in its place. "two threads free
blocks at once" is a race, which only the test device_memory_threads of a build with the preset threads finds.
"""

import argparse
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Fault(NamedTuple):
    name: str
    file: str  # as seen from core/cuda
    before: str  # text that occurs once in the file
    after: str


FAULTS = [
    # --- devices
    Fault("a copy to the host is not waited for", "cuda_backend.cpp",
          "copy(to, from, bytes, state.stream());\n    state.synchronize();",
          "copy(to, from, bytes, state.stream());"),
    Fault("an index at fault is not looked at when the host waits", "cuda_backend.cpp",
          "if (fault->found == 0) return;", "if (fault->found < 2) return;"),
    Fault("an index at fault is told again and again", "cuda_backend.cpp", "  *fault = {};\n", ""),
    Fault("the error names the position in the index's place", "cuda_backend.cpp",
          "found.index,\n       found.position", "found.position,\n       found.index"),
    Fault("work of other threads joins a capture", "cuda_backend.cpp",
          "return capturing_thread_.load() == std::this_thread::get_id() ? capture_ : nullptr;", "return capture_;"),
    Fault("a capture takes the stream in which other threads queue their work", "cuda_backend.cpp",
          "capture.stream = capture_stream();", "capture.stream = stream_;"),
    Fault("a forked process is not told that it cannot use the device", "cuda_backend.cpp",
          "if (forked) fail(", "if (forked && device < 0) fail("),
    Fault("a forked process gives its parent's memory back", "cuda_backend.cpp", "    if (forked) return;\n", ""),
    Fault("a wait within a capture is not refused", "cuda_backend.cpp",
          "if (capture() != nullptr) throw", "if (capture() != nullptr && debug_) throw"),
    Fault("a copy to the host within a capture is not refused", "cuda_backend.cpp",
          "    if (state.capture() != nullptr) state.synchronize();  // which refuses\n", ""),
    Fault("debug mode does not keep the op's name", "cuda_backend.cpp", "  who_ = who;\n", ""),
    Fault("debug mode does not wait for each op", "cuda_backend.cpp",
          "  synchronize();\n  who_ = who;", "  who_ = who;"),
    Fault("a graph's tensors are in memory that others share", "cuda_backend.cpp",
          "capture == nullptr ? nullptr : &capture->reserve", "nullptr"),
    Fault("it is not noted that a graph replaces a tensor", "cuda_backend.cpp",
          "reserve != &capture->reserve;", "reserve == nullptr && memory == nullptr;"),
    Fault("every device is the first one", "cuda_backend.cpp",
          "std::make_unique<Entry>(device)", "std::make_unique<Entry>(0)"),
    # --- from tensors to kernels
    Fault("a running sum ignores that it is to run backward", "cuda_kernels.cpp",
          "cuda::cumulative_sum(y, x, size, reverse,", "cuda::cumulative_sum(y, x, size, false,"),
    Fault("softmax runs along the last axis, whichever was asked for", "cuda_kernels.cpp",
          "cuda::softmax(y, x, middle_of(x.shape(), axis)",
          "cuda::softmax(y, x, middle_of(x.shape(), std::max(axis, x.rank() - 1))"),
    Fault("a product transposes one factor where the other is meant", "cuda_kernels.cpp",
          ".transpose_a = one.by_rows != flip,", ".transpose_a = two.by_rows != flip,"),
    Fault("a product takes the second factor's leading dimension for the first", "cuda_kernels.cpp",
          ".lda = one.leading,", ".lda = two.leading,"),
    Fault("a matrix for all products of a batch is taken for many", "cuda_kernels.cpp",
          "x.rank() == 3 ? x.strides()[0] : 0", "x.rank() == 3 ? x.size(1) * x.size(2) : 0"),
    Fault("a product overwrites what it should be added to", "cuda_kernels.cpp",
          ".accumulate = accumulate,", ".accumulate = false,"),
    Fault("a product overwrites its bias", "cuda_kernels.cpp",
          "multiply(c, a, b, accumulate || bias.defined());", "multiply(c, a, b, accumulate);"),
    Fault("a product over nothing leaves its result unwritten", "cuda_kernels.cpp",
          "if (k == 0) return accumulate ? void() : fill(c, 0);", "if (k == 0) return;"),
    Fault("TF32 is never used", "cuda_kernels.cpp", ".tf32 = tf32(),", ".tf32 = false,"),
    Fault("TF32 is always used", "cuda_kernels.cpp", ".tf32 = tf32(),", ".tf32 = true,"),
    Fault("products of a batch that lie apart are not written", "cuda_kernels.cpp",
          "    if (!c.is_contiguous()) copy(c, apart);\n", ""),
    Fault("a batch that runs backward is given to cuBLAS as it is", "cuda_kernels.cpp",
          "x.strides()[0] < 0 ? contiguous(x) : x", "x"),
    Fault("a step ignores whether it is allowed", "cuda_kernels.cpp",
          "dense[0][0].dtype(), part, allowed,", "dense[0][0].dtype(), part, Tensor(),"),
    Fault("a weight that is not dense does not get its step", "cuda_kernels.cpp",
          "if (!groups[i][k].is_contiguous()) copy(groups[i][k], dense[i][k]);", "(void)k;"),
    Fault("weights beyond those of one launch are left out", "cuda_kernels.cpp",
          "      f(part);\n      part.count = 0;", "      f(part);\n      return;"),
    Fault("a long row is cut into pieces without its tail", "cuda_kernels.cpp",
          "    if (rest > 0) reduce(op, part(partial, pieces, {1}), part(x, pieces * piece, {1, rest}), 1);\n", ""),
    Fault("pieces of a row are always added up", "cuda_kernels.cpp",
          "reduce(op, y, partial, 0);", "reduce(Reduction::sum, y, partial, 0);"),
    Fault("the indices' last digit is not sorted by", "cuda_kernels.cpp",
          "(rows - 1) >> shift > 0", "(rows - 1) >> shift > 15"),
    Fault("only the first pass of the sort says where the keys were", "cuda_kernels.cpp",
          "      places = places_out;\n", "      if (shift == 0) places = places_out;\n"),
    Fault("elements that overlap are added to at once", "cuda_kernels.cpp",
          "if (axis < 0)\n", "if (axis < 0 || x.defined())\n"),
    Fault("all generators of a graph stand where the first does", "cuda_kernels.cpp",
          "return capture.places + (found - capture.generators.begin());", "return capture.places;"),
    Fault("a graph draws the same random numbers in every run", "cuda_kernels.cpp",
          "there.place = place_of(draw.generator, *capture);", "place_of(draw.generator, *capture);"),
    Fault("a kernel reads a number in the host's memory", "cuda_kernels.cpp",
          "          loop.data[k] = nullptr;\n", ""),
    Fault("tensors of different devices meet", "cuda_kernels.cpp",
          "if (x.defined() && x.device() != here)", "if (x.defined() && x.device() != here && x.rank() > 8)"),
    # --- elements
    Fault("less_equal is less", "../internal/comparison.h", "f(std::less_equal<>{})", "f(std::less<>{})"),
    Fault("a conversion keeps to no bounds", "elements.cu",
          "convert<To>(place.load<From>(1))", "static_cast<To>(place.load<From>(1))"),
    Fault("elements are replaced in place of added to", "elements.cu",
          "static_cast<T>(place.load<T>(0) + place.load<T>(1))", "place.load<T>(1)"),
    Fault("each thread looks only at its last number for whether it is finite", "elements.cu",
          "sum += x[i] - x[i];", "sum = x[i] - x[i];"),
    Fault("infinity counts as finite", "elements.cu", "sum += x[i] - x[i];", "sum += x[i] != x[i] ? x[i] : T(0);"),
    Fault("what was not finite is forgotten at the next look", "elements.cu",
          "*finite = *finite && sum", "*finite = sum"),
    Fault("an index at fault does not stop a step", "elements.cu", " && fault->found == 0;", " && fault != nullptr;"),
    Fault("a range is computed in float32", "elements.cu",
          "convert<T>(start + static_cast<double>(i) * step)",
          "convert<T>(static_cast<float>(start + static_cast<double>(i) * step))"),
    Fault("random numbers begin with the second", "elements.cu",
          "static_cast<std::uint64_t>(i))", "static_cast<std::uint64_t>(i) + 1)"),
    Fault("normal numbers are drawn where truncated ones are asked for", "elements.cu", "with_kind(draw.kind,",
          "with_kind(draw.kind == Draw::Kind::truncated_normal ? Draw::Kind::normal : draw.kind,"),
    Fault("a kernel does not look where its generator stands", "elements.cu", "now = draw.placed();", "now = draw;"),
    # --- graphs
    Fault("the memory of graphs is not given back", "graphs.cpp",
          "~Memory() { device_.pool.dissolve(reserve); }", "~Memory() {}"),
    Fault("the memory of a graph is given back before it runs", "graphs.cpp",
          "    draws_ = capture.drawn;", "    draws_ = capture.drawn;\n    device().pool.dissolve(memory_->reserve);"),
    Fault("a graph keeps the block in which its generators' places are", "graphs.cpp",
          "    device().pool.free(places_, places_bytes());\n", ""),
    Fault("to note work draws random numbers", "graphs.cpp",
          "      d.generator->set_state(d.before);\n    }\n    draws_", "    }\n    draws_"),
    Fault("work that cannot be noted has drawn random numbers", "graphs.cpp",
          "      for (const Drawn& d : drawn) d.generator->set_state(d.before);\n", ""),
    Fault("a graph that replaces a tensor runs again", "graphs.cpp",
          "if (capture.replaced) only_once_", "if (capture.replaced && kept()) only_once_"),
    Fault("a graph that keeps a tensor runs again", "graphs.cpp",
          "if (kept()) only_once_", "if (capture.replaced && kept()) only_once_"),
    Fault("work that failed and has replaced a tensor is done op by op", "graphs.cpp",
          "if (capture.replaced || kept()) throw", "if (kept()) throw"),
    Fault("work that failed and has kept a tensor is done op by op", "graphs.cpp",
          "if (capture.replaced || kept()) throw", "if (capture.replaced) throw"),
    Fault("the tensors that a graph returns count as kept", "graphs.cpp",
          "if (t.defined() && !t.device().is_cpu()) known", "if (t.defined() && t.device().is_cpu()) known"),
    Fault("a capture that failed does not end", "graphs.cpp",
          "release(end_capture(stream));", "if (stream == nullptr) release(end_capture(stream));"),
    Fault("random numbers do not move on between runs of a graph", "graphs.cpp",
          "now.counter - d.before.counter}", "0}"),
    Fault("a run of a graph leaves its generators where they were", "graphs.cpp",
          "        d.generator->set_state({now.seed, now.counter + (d.after.counter - d.before.counter)});\n", ""),
    Fault("a graph is not told where its generators stand", "graphs.cpp",
          "      copy(places_, places.data(), places_bytes(), device().stream());\n", ""),
    # --- indexing
    Fault("the lowest index is out of range", "index.cu", "index >= lowest &&", "index > lowest &&"),
    Fault("the index behind the last is in range", "index.cu", "place < extent;", "place <= extent;"),
    Fault("an index out of range is looked up", "index.cu",
          "in_range ? static_cast<std::int32_t>(place) : 0;", "static_cast<std::int32_t>(place);"),
    Fault("each thread tells of its last index out of range", "index.cu",
          "if (!in_range && own == count) {", "if (!in_range) {"),
    Fault("a later index out of range replaces an earlier one", "index.cu",
          "own == first && fault->found == 0)", "own == first)"),
    Fault("the tree over few indices has no power of two for its leaves", "index.cu",
          "std::bit_ceil(static_cast<unsigned>", "(static_cast<unsigned>"),
    Fault("indices beyond the first of each thread are not looked at", "index.cu", "i += blockDim.x)", "i += count)"),
    Fault("gather takes rows as far apart as those of its result", "index.cu",
          "place.quotient * size.n + indices[place.remainder]", "place.quotient * count + indices[place.remainder]"),
    Fault("scatter takes neighbours of a row for rows", "index.cu", "column[j * size.inner]", "column[j]"),
    Fault("sorted scatter adds in the order of the keys' places", "index.cu",
          "column[places[first] * size.inner]", "column[first * size.inner]"),
    Fault("equal keys change their order in a pass of the sort", "index.cu",
          "for (std::int64_t i = std::min(count, begin + keys_per_thread) - 1; i >= begin; --i) {",
          "for (std::int64_t i = begin; i < std::min(count, begin + keys_per_thread); ++i) {"),
    Fault("the last thread counts keys behind the end", "index.cu",
          "end = std::min(count, (t + 1) * keys_per_thread);", "end = (t + 1) * keys_per_thread;"),
    Fault("the sort has no thread for the last few keys", "index.cu",
          "return (count + keys_per_thread - 1) / keys_per_thread;",
          "return std::max<std::int64_t>(1, count / keys_per_thread);"),
    # --- steps of an LSTM, long running sums, one product at a time
    Fault("the rows behind the last are written", "recurrent.cu",
          "return first_row + r < rows && first_unit + u < units;", "return first_unit + u < units;"),
    Fault("the barrier before the gates are read is dropped", "recurrent.cu",
          "reads before\n  __syncthreads();", "reads before"),
    Fault("the barrier before the parts are overwritten is dropped", "recurrent.cu",
          "[thread % sums];\n  __syncthreads();", "[thread % sums];"),
    Fault("a block that has numbers does not add them up", "elements.cu",
          "if (blockIdx.x * blockDim.x < arrays.size[array]) sum = sum_of_block(sum);",
          "if (blockIdx.x * blockDim.x + 64 < arrays.size[array]) sum = sum_of_block(sum);"),
    Fault("a quarter of the gates' gradients is left out", "recurrent.cu",
          "k < gates * s.units; k += parts", "k < 3 * s.units; k += parts"),
    Fault("the output's gradient has the wrong rows", "recurrent.cu",
          "s.gy[here.row(r) * s.gy_stride", "s.gy[here.row(r) * s.units"),
    Fault("the gates of the next step are taken for this one's", "recurrent.cu",
          "s.next_gz[place(", "s.gz[place("),
    Fault("the last sum of a piece is taken from the one before", "cuda_kernels.cpp",
          "{summed, 1}, summed - 1));", "{summed, 1}, summed - 2));"),
    Fault("two threads use cuBLAS at once", "cuda_kernels.cpp",
          "    std::lock_guard lock(device_.multiplying);\n", ""),
    Fault("only the first block's numbers are looked at", "elements.cu",
          "for_elements(count, [&](std::int64_t i) { sum += sums[i]; });", "if (threadIdx.x == 0) sum = sums[0];"),
    # --- which steps a graph repeats
    Fault("a graph is repeated with TF32 or without, whatever is asked for", "../../training/step_graphs.cpp",
          "Key key{tf32()};", "Key key{false};"),
    Fault("a graph is repeated for batches of another length", "../../training/step_graphs.cpp",
          "        key.push_back(static_cast<std::uint64_t>(t.size(axis)));\n", ""),
    Fault("a graph is repeated for batches of another dtype", "../../training/step_graphs.cpp",
          "key.push_back(t.defined() ? static_cast<std::uint64_t>(t.dtype()) : 0xff);",
          "key.push_back(t.defined() ? 0 : 0xff);"),
    Fault("a graph is repeated though a weight is elsewhere", "../../training/step_graphs.cpp",
          "    key.push_back(reinterpret_cast<std::uintptr_t>(raw<void>(weight)));\n", ""),
    Fault("a graph is repeated though a weight is frozen", "../../training/step_graphs.cpp",
          "<< 1 | weight.trainable()", "<< 1"),
    Fault("graphs do not share their memory", "graphs.cpp", "std::make_unique<CudaGraph>(memory_, drawn)",
          "std::make_unique<CudaGraph>(std::make_shared<Memory>(memory_->device()), drawn)"),
    Fault("a capture's second error hides the first", "graphs.cpp",
          "    } catch (const std::runtime_error&) {\n    }\n", "    } catch (const std::logic_error&) {\n    }\n"),
    Fault("captures of the second device are on the first", "cuda_backend.cpp",
          "capture_stream_ = make_stream(index);", "capture_stream_ = make_stream(0);"),
    Fault("a recurrent cell keeps its dropout masks", "../../layers/rnn.cpp", "  EndOfSequence end(cell());\n", ""),
    Fault("stacked cells keep their dropout masks", "../../layers/rnn_cells.cpp",
          "as_cell(cell).end_sequence();", "(void)cell;"),
    # --- steps of the optimizer
    Fault("a weight without elements stops the step of the others", "pointwise.h",
          "*std::max_element(groups.size", "*std::min_element(groups.size"),
    Fault("all weights have the size of the first", "pointwise.h",
          "for_elements(groups.size[group],", "for_elements(groups.size[0],"),
    # --- reductions
    Fault("the barrier after the lanes' shares is dropped", "block.h",
          "part[thread] = x;\n  __syncthreads();", "part[thread] = x;"),
    Fault("the barrier between two levels of the tree is dropped", "block.h",
          "part[thread + half * place.apart]);\n    __syncthreads();", "part[thread + half * place.apart]);"),
    Fault("a column has half of its lanes", "reduce.cu", "lane = size.inner == 1 ? thread % lanes : thread / columns;",
          "lane = size.inner == 1 ? thread % lanes / 2 * 2 : thread / columns;"),
    Fault("the barrier before a running sum's look back is dropped", "reduce.cu",
          "part[thread] = x;\n    __syncthreads();", "part[thread] = x;"),
    Fault("the barrier after a running sum's look back is dropped", "reduce.cu",
          "distance * share.apart], x);\n    __syncthreads();", "distance * share.apart], x);"),
    Fault("the largest of negative numbers is 0", "reduce.cu", "? -INFINITY\n", "? 0.0\n"),
    Fault("the last columns have no block", "reduce.cu",
          "(total + columns - 1) / columns)", "std::max<std::int64_t>(1, total / columns))"),
    Fault("the shortcut for one long row is taken for columns", "cuda_kernels.cpp",
          "if (size.outer * size.inner != 1 ||", "if (size.outer != 1 ||"),
    Fault("the shortcut for the sums of one long row is taken for several rows", "cuda_kernels.cpp",
          "if (size.outer * size.inner == 1 && size.n > 2", "if (size.inner == 1 && size.n > 2"),
    Fault("of equal elements argmax finds the last", "reduce.cu",
          "return x.index < y.index ? x : y;", "return x.index > y.index ? x : y;"),
    Fault("argmax passes over NaN", "reduce.cu", " || (x != x && y == y);", ";"),
    Fault("a running sum starts anew with each piece of a column", "reduce.cu",
          "    if (share.lane == 0) own = add(before, own);\n", ""),
    Fault("softmax subtracts no maximum", "reduce.cu",
          "top = where(top == N(-INFINITY), 0.0, top);", "top = N(0.0);"),
    Fault("softmax of nothing but -inf divides by 0", "reduce.cu",
          "where(sum == 0.0, 0.0, 1.0 / sum);", "1.0 / sum;"),
    Fault("the gradient of log softmax of nothing but -inf is not 0", "reduce.cu",
          "where(top == N(-INFINITY), 0.0, g - exp(value) * sum)", "g - exp(value) * sum"),
    # --- memory
    Fault("a block has two owners", "pool.cpp", "  blocks.pop_back();\n", ""),
    Fault("a freed block counts as one of the next size", "pool.cpp",
          "[block_bytes(bytes)].push_back(memory);", "[block_bytes(block_bytes(bytes) + 1)].push_back(memory);"),
    Fault("a block is rounded down to its size", "pool.cpp",
          "return (bytes + step - 1) / step * step;", "return bytes / step * step;"),
    Fault("a block of a reserve is handed out to anyone", "pool.cpp",
          "(reserve != nullptr ? reserve->free : free_)[", "free_["),
    Fault("a reserve's free blocks are lost with it", "pool.cpp",
          "    free_[size].insert(free_[size].end(), blocks.begin(), blocks.end());\n", "    (void)size;\n"),
    Fault("a block that was freed counts as kept by a graph", "pool.cpp", "    reserve->used.erase(memory);\n", ""),
    Fault("out of memory, the free blocks are not given back", "pool.cpp",
          "if (block == nullptr && may_release) {", "if (block == nullptr && may_release && bytes == 0) {"),
    Fault("the error of memory that has run out tells the size of the block", "pool.cpp",
          "throw OutOfMemory(bytes,", "throw OutOfMemory(size,"),
    Fault("blocks given back to the device are handed out again", "pool.cpp",
          "size * blocks.size());\n    blocks.clear();", "size * blocks.size());"),
    Fault("blocks given back to the device still count as reserved", "pool.cpp",
          "    stats_.bytes_reserved -= static_cast<std::int64_t>(size * blocks.size());\n", "    (void)size;\n"),
    Fault("two threads capture at once", "cuda_backend.cpp",
          "  std::lock_guard lock(capturing_);\n", ""),
    Fault("two threads free blocks at once", "pool.cpp",
          "noexcept {\n  std::lock_guard lock(mutex_);", "noexcept {"),
    # --- loops and numbers, which all kernels include
    Fault("elements beyond the largest grid are left out", "loop.h",
          "i < total; i += threads)", "i < total && i < threads; i += threads)"),
    Fault("all operands are walked with the output's strides", "loop.h",
          "index.remainder * loop.stride[k][axis];", "index.remainder * loop.stride[0][axis];"),
    Fault("float64 runs by the kernels of float32", "pointwise.cu",
          "return float64_pointwise;", "return float32_pointwise;"),
    Fault("the larger of NaN and a number is the number", "number.h",
          "x.v > y.v || x.v != x.v ? x : y", "x.v > y.v ? x : y"),
]

# The environment, the tests and the most seconds of the processor for them: what is run of the suite, in this order.
ON_DEVICE = {"KERATIN_DEVICE": "cuda:0"}
RUNS = [
    ({}, ["--test-suite=cuda"], 180),
    ({"KERATIN_CUDA_DEBUG": "1"}, ["--test-case=a fault in a kernel*"], 60),
    (ON_DEVICE, ["--test-suite-exclude=threads,documents,cuda"], 900),
]
# For faults in kernels before the others: a few seconds.
OPS = (ON_DEVICE, ["--source-file=*test_ops_golden*,*test_ops_values*", "--test-case-exclude=*large*"], 60)
CMAKE = "-G Ninja -DCMAKE_BUILD_TYPE=Release -DKERATIN_EXAMPLES=OFF -DKERATIN_BENCH=OFF".split()


def run(command, seconds, **environment):
    """(exit status, output); the status is "timeout" where it takes longer. What it has started ends with it."""

    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   start_new_session=True, env=os.environ | environment, preexec_fn=limit)
        try:
            status = process.wait(5 * seconds)  # it may wait for ever
        except subprocess.TimeoutExpired:
            status = "timeout"
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        output.seek(0)
        timeout = status in ("timeout", -signal.SIGXCPU, -signal.SIGKILL)
        return "timeout" if timeout else status, output.read().decode(errors="replace")


class Trial:
    """A copy of the tree and its build."""

    def __init__(self, folder, jobs):
        self.tree, self.jobs, self.folder = folder / "tree", jobs, folder
        self.tree.mkdir(parents=True, exist_ok=True)
        listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                check=True, capture_output=True, text=True).stdout
        state = hashlib.sha256()
        names = sorted(filter(None, listed.split("\0")))
        for copy in [file for file in self.tree.rglob("*") if file.is_file()]:
            if str(copy.relative_to(self.tree)) not in names:
                copy.unlink()  # it was deleted, or has another name now
        for name in names:
            text, copy = (ROOT / name).read_bytes(), self.tree / name
            if not name.startswith("tools/"):
                state.update(name.encode() + text)
            if not copy.exists() or copy.read_bytes() != text:
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(text)
        self.state = state.hexdigest()

    def build(self):
        """Whether it compiles, and what the compiler says."""
        folder = self.folder / "build"
        if not (folder / "build.ninja").exists():
            subprocess.run(["cmake", "-S", self.tree, "-B", folder, *CMAKE], check=True, stdout=subprocess.DEVNULL)
        status, output = run(["ninja", "-C", folder, f"-j{self.jobs}", "keratin_tests"], 7200)
        return status == 0, output

    def find(self, runs):
        """The test that finds something wrong, or ""."""
        for environment, tests, seconds in runs:
            command = [self.folder / "build/tests/keratin_tests", *tests, "--abort-after=1", "--no-colors=true"]
            status, output = run(command, seconds, **environment)
            if re.search(r"test cases: +0 ", output):
                sys.exit(f"there is no test case for {tests}")
            if status != 0:
                named = re.search(r"TEST CASE: +(.*)", output)
                where = named.group(1) if named else "no test case"
                return f"{where} ({status})" if status == "timeout" or status < 0 else where
        return ""


def check(faults):
    for fault in faults:
        count = (ROOT / "core/cuda" / fault.file).read_text().count(fault.before)
        if count != 1 or fault.before == fault.after:
            sys.exit(f"{fault.name}: {fault.file} has its text {count} times")
    if len({fault.name for fault in faults}) < len(faults):
        sys.exit("two faults have one name")


def try_fault(fault, trial):
    """Its status, and the test that finds it."""
    path = trial.tree / "core/cuda" / fault.file
    good = path.read_text()
    path.write_text(good.replace(fault.before, fault.after))
    try:
        compiles, output = trial.build()
        if not compiles:
            return "does not compile", output[-2000:]
        in_kernel = not fault.file.endswith(("backend.cpp", "graphs.cpp", "pool.cpp", "rnn.cpp", "rnn_cells.cpp"))
        found = trial.find([OPS, *RUNS] if in_kernel else RUNS)
        return ("caught", found) if found else ("missed", "MISSED")
    finally:
        path.write_text(good)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the faults")
    parser.add_argument("--build", type=Path, metavar="DIR", default=Path(tempfile.gettempdir()) / "keratin-faults")
    parser.add_argument("--only", default="", metavar="TEXT", help="faults whose name or file has this text")
    parser.add_argument("--jobs", type=int, default=1, help="compilers at a time")
    given = parser.parse_args()
    check(FAULTS)
    faults = [f for f in FAULTS if given.only in f.name or given.only in f.file]
    if given.list:
        for fault in faults:
            print(f"{fault.file:18}{fault.name}")
        return print(len(faults), "faults")
    folder = given.build.resolve()
    if ROOT in [folder, *folder.parents]:
        sys.exit("--build: expected a folder outside the repository")

    trial, path, known = Trial(folder, given.jobs), folder / "results.jsonl", {}
    for line in path.read_text().splitlines() if path.exists() else []:
        entry = json.loads(line)
        known[entry["fault"]] = entry
    compiles, output = trial.build()
    if not compiles:
        sys.exit(output)
    good = folder / f"good-{trial.state}"
    if not good.exists() and not os.environ.get("SKIP_GOOD"):
        if failed := trial.find([OPS, *RUNS]):
            sys.exit(f"the unchanged code fails: {failed}")
        good.touch()
    count = Counter()
    for fault in faults:
        key = json.dumps(fault)
        if key not in known or known[key]["status"] != "caught":
            began = time.monotonic()
            status, by = try_fault(fault, trial)
            known[key] = {"fault": key, "status": status, "by": by, "seconds": round(time.monotonic() - began)}
            with open(path, "a") as out:
                out.write(json.dumps(known[key]) + "\n")
        count[known[key]["status"]] += 1
        print(f"{fault.file}: {fault.name} -- {known[key]['by']}", flush=True)
    print(f"{len(faults)} faults: " + ", ".join(f"{n} {status}" for status, n in count.items()))


if __name__ == "__main__":
    main()
