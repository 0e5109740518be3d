"""Compares a training step of Keratin with the same step of other frameworks, slice by slice.

    compare.py [--workloads seed mlp ...] [--participants NAME ...] [--rounds 9] [--out FOLDER]
               [--device cuda]

For each workload all participants are started, one at a time until each is ready; then every round
asks each in turn for one slice, so that they share whatever else happens on the machine. README.md
has the protocol and says how to read table.md, table.csv and times.svg.
"""

import argparse
import datetime
import os
import platform
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from report import LIMITS, OURS, Result, cell, draw, markdown, write_csv
from side import WORKLOADS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
START_SECONDS, SLICE_SECONDS = 400, 60  # patience
STARTS = 5
PAUSE_SECONDS = 0.2  # before a slice: threads of the one before may still watch for work
IDLE_LIMIT = 0.02  # of a core; what is busier while others are measured is noted


@dataclass
class Participant:
    name: str
    command: list
    op_command: list = None  # if another program serves the workloads op and op-tanh


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def cpu_seconds(pid):
    """The processor time that a process and its threads have used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def machine_seconds():
    """The processor time that everything on this machine has used so far."""
    user, nice, system, _, _, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def log(text):
    print(text, file=sys.stderr, flush=True)


def launch(command, stdin, stderr):
    try:
        return subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
    except OSError as error:
        raise Failed(f"{Path(command[0]).name}: {error.strerror}") from None


class Side:
    """A running participant that answers lines."""

    def __init__(self, command, name):
        self.name = name
        self.version, self.times = "", []
        self.idle_cpu = self.idle_wall = self.busy_cpu = self.busy_wall = 0
        self.errors = tempfile.TemporaryFile("w+", errors="replace")
        self.process = launch(command, subprocess.PIPE, self.errors)
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self._expect_ready()
        except (Skipped, Failed):
            self.stop(patience=0)
            raise

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def _line(self, seconds):
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            raise Failed(f"gave no answer for {seconds} s") from None
        if line is None:
            raise Failed(end_of(self.process, self.errors))
        return line

    def _expect_ready(self):
        word, _, rest = self._line(START_SECONDS).partition(" ")
        if word == "skip":
            raise Skipped(rest)
        if word != "ready":
            raise Failed(f'said "{word} {rest}" instead of "ready"')
        self.version = rest
        self._mark()

    def _mark(self):
        self.answered = time.perf_counter(), cpu_seconds(self.process.pid)

    def slice(self):
        """Asks for one slice, and counts how busy the process was since the one before."""
        wall, cpu = self.answered
        self.idle_wall += time.perf_counter() - wall
        self.idle_cpu += cpu_seconds(self.process.pid) - cpu
        self._mark()
        wall, cpu = self.answered
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the line that does not come says why
        answer = self._line(SLICE_SECONDS)
        if not re.fullmatch(r"[\d.]+(e-?\d+)?", answer) or not float(answer) > 0:
            raise Failed(f'answered "{answer}"')
        self.times.append(float(answer))
        self._mark()
        self.busy_wall += self.answered[0] - wall
        self.busy_cpu += self.answered[1] - cpu

    def idle_load(self):
        """The part of a core that it kept busy while others were measured."""
        return self.idle_cpu / self.idle_wall if self.idle_wall else 0

    def busy_load(self):
        """The part of a core that it kept busy while it was measured."""
        return self.busy_cpu / self.busy_wall if self.busy_wall else 0

    def peak_mib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)  # not there once it has ended
        return int(found[1]) / 1024 if found else None

    def stop(self, patience=20):
        try:
            self.process.stdin.close()
            self.process.wait(timeout=patience)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def end_of(process, errors):
    """How a process ended, with the last line of its standard error."""
    code = process.wait()
    errors.seek(0)
    said = [line.strip() for line in errors if line.strip()]
    return f"ended with status {code}" + (f": {said[-1][:160]}" if said else "")


def participants(keratin, device):
    folder = keratin.parent
    python = [sys.executable]
    if device == "cuda":
        torch = [*python, str(HERE / "torch_steps.py")]
        return [
            Participant(OURS, [str(keratin)]),
            Participant("torch", [*torch, "eager"]),
            Participant("torch.compile", [*torch, "compile"]),
            Participant("torch graphs", [*torch, "graphs"]),
            Participant("jax.jit", [*python, str(HERE / "jax_steps.py")]),
        ]
    ours = [Participant(OURS, [str(keratin)], [str(folder / "bench_op_cost")])]
    for name in LIMITS:
        program = folder / f"bench_limit_{name.replace(' ', '_')}"
        if program.exists():
            ours.append(Participant(name, [str(program)]))
    peers = {
        "torch": ["torch_steps.py", "eager"],
        "torch.compile": ["torch_steps.py", "compile"],
        "Keras JAX": ["keras_steps.py", "jax"],
        "Keras TensorFlow": ["keras_steps.py", "tensorflow"],
        "Keras torch": ["keras_steps.py", "torch"],
        "jax.jit": ["jax_steps.py"],
        "ONNX Runtime": ["onnx_steps.py"],
    }
    return ours + [
        Participant(name, [*python, str(HERE / script), *options])
        for name, (script, *options) in peers.items()
    ]


def start(participant, workload, results):
    """Its running side, or None and a result that says why."""
    is_op = workload.startswith("op")
    command = participant.op_command if is_op and participant.op_command else participant.command
    try:
        log(f"{workload}: starting {participant.name}")
        return Side([*command, "serve", workload], participant.name)
    except Skipped as skipped:
        reason = str(skipped)
    except Failed as failed:
        reason = f"did not start: {failed}"
    results.append(Result(workload, participant.name, reason=reason))
    log(f"{workload}: no {participant.name}: {reason}")


def measure(workload, chosen, rounds):
    """The results of all participants for a workload, and how busy the machine was besides."""
    results = []
    sides = [side for p in chosen if (side := start(p, workload, results))]
    wall, outside = time.perf_counter(), outside_seconds(sides)
    answering = list(sides)
    for turn in range(rounds):
        first = turn % len(sides) if sides else 0  # nobody always follows the same other
        for side in [s for s in sides[first:] + sides[:first] if s in answering]:
            time.sleep(PAUSE_SECONDS)
            try:
                side.slice()
            except Failed as failed:
                answering.remove(side)
                side.stop(patience=0)  # or it would go on beside the others
                reason = f"failed in round {len(side.times) + 1}: {failed}"
                results.append(Result(workload, side.name, side.version, reason=reason))
                log(f"{workload}: no {side.name}: {reason}")
    if len(answering) == len(sides):
        outside = (outside_seconds(sides) - outside) / (time.perf_counter() - wall)
    else:
        outside = 0  # not known: the time of a process that ended is gone
    for side in answering:
        result = Result(workload, side.name, side.version, side.times)
        if side.idle_load() > IDLE_LIMIT:
            result.note = f"kept {side.idle_load():.0%} of a core busy while others were measured"
        if "BENCH_DEVICE" in os.environ:
            result.note = f"kept {side.busy_load():.0%} of a processor core busy"
        result.rss_mib = side.peak_mib()
        results.append(result)
        log(f"{workload}: {side.name} {cell(result)} ms")
    for side in answering:
        side.stop()
    return results, outside


def outside_seconds(sides):
    """The processor time used so far by all but these sides."""
    return machine_seconds() - sum(cpu_seconds(side.process.pid) for side in sides)


def measure_startup(chosen):
    """From the start of a process to its end after one training step of the seed model."""
    results = {p.name: Result("startup", p.name) for p in chosen}
    for name in LIMITS:
        if name in results:
            results[name].reason = "has no framework to start"
    for _ in range(STARTS):
        for participant in chosen:
            result = results[participant.name]
            if result.reason:
                continue
            try:
                result.times.append(first_step(participant))
            except Skipped as skipped:
                result.reason = str(skipped)
            except Failed as failed:
                result.reason, result.times = f"first step: {failed}", []
    for result in results.values():
        log(f"startup: {result.participant} {result.reason or cell(result)}")
    return list(results.values())


def first_step(participant):
    """Milliseconds."""
    command = [*participant.command, "first", "seed"]
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        begin = time.perf_counter()
        process = launch(command, subprocess.DEVNULL, errors)
        try:
            said, _ = process.communicate(timeout=START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Failed(f"did not end within {START_SECONDS} s") from None
        milliseconds = (time.perf_counter() - begin) * 1e3
        if said.startswith("skip "):
            raise Skipped(said[5:].strip())
        if process.returncode != 0:
            raise Failed(end_of(process, errors))
    return milliseconds


def machine_line():
    info = Path("/proc/cpuinfo").read_text()
    cpu = dict(re.findall(r"^(model name|cpu family|model)\s*: (.*)$", info, re.MULTILINE))
    kind = f"{cpu.get('model name', platform.machine())}"
    if "model" in cpu:
        kind += f" (family {cpu['cpu family']}, model {cpu['model']})"
    cores = len(os.sched_getaffinity(0))
    return f"{kind}, {cores} cores, {platform.system()}, {datetime.date.today()}"


def gpu_line():
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    found = subprocess.run(query, stdout=subprocess.PIPE, text=True, check=True).stdout
    return found.splitlines()[0].replace(",", ", driver")


def main():
    known = [*WORKLOADS, "op", "op-tanh", "startup"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workloads", nargs="+", choices=known, default=known, metavar="NAME",
                        help=f"of {', '.join(known)}; all when left out")  # fmt: skip
    parser.add_argument("--participants", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--keratin",
        type=Path,
        default=ROOT / "build/bench/bench_steps",
        help="our program; the limits and bench_op_cost are looked for beside it",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "out/bench")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu",
                        help="cuda: on a GPU, with a program of ours that was built for it")  # fmt: skip
    options = parser.parse_args()

    if options.device == "cuda":
        os.environ["BENCH_DEVICE"] = "cuda:0"
    chosen = participants(options.keratin, options.device)
    if options.participants:
        strangers = set(options.participants) - {p.name for p in chosen}
        if strangers:
            parser.error(f"no such participant: {', '.join(sorted(strangers))}")
        chosen = [p for p in chosen if p.name in options.participants]
    names = [p.name for p in chosen]
    machine = machine_line()
    if options.device == "cuda":
        machine = f"{gpu_line()}; {machine}"
    options.out.mkdir(parents=True, exist_ok=True)

    results, cautions = [], {}
    for workload in options.workloads:
        if workload == "startup":
            results += measure_startup(chosen)
        else:
            found, outside = measure(workload, chosen, options.rounds)
            results += sorted(found, key=lambda result: names.index(result.participant))
            if outside > IDLE_LIMIT:
                cautions[workload] = (
                    f"something else kept {outside:.0%} of a core busy during this measurement"
                )
                log(f"{workload}: {cautions[workload]}")
        # After each workload, so that an interrupted run leaves what it has.
        (options.out / "table.md").write_text(markdown(results, names, machine, cautions))
        write_csv(options.out / "table.csv", results)
    draw(options.out / "times.svg", results, names, machine)
    print((options.out / "table.md").read_text())


if __name__ == "__main__":
    main()
