"""Seeds faults in autograd/ and core/, one at a time, and counts how many the tests find (mutation testing).

    python3 tools/mutate.py --list               # the mutants, without running any
    python3 tools/mutate.py                      # build once, then about 20 seconds of one core for each mutant
    python3 tools/mutate.py --only 10            # only the first ten of those not run yet
    python3 tools/mutate.py --report             # what is known so far

Everything happens in the folder of --build, outside the repository: a copy of the tree, its build, and results.jsonl
with a line for each mutant. After an interruption (Ctrl-C) the same command goes on from there. To test a changed tree,
name another folder or delete this one.

The mutants are chosen by the seed, spread over the files in proportion to their lines and over the kinds of fault
evenly; the kinds are in mutation/faults.py, what is left out and why in mutation/skipped.py. A mutant that does not
compile, or whose object code is that of the original, is replaced by another of the same file. Every test case with a
bearing on autograd and core is run, the slow ones only on mutants that survived all others; see mutation/trial.py.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from mutation.faults import KINDS
from mutation.skipped import FILES, SKIPS, Skipped
from mutation.source import Source
from mutation.trial import SIMD, Stopped, Trial

ROOT = Path(__file__).resolve().parent.parent
PLAIN = "core/cpu/plain_kernels.cpp"

# The headers in which faults are seeded, and the sources that have their code; the others only include them.
HEADERS = {
    "core/dual.h": [SIMD, PLAIN, "autograd/ops_pointwise.cpp", "tests/core/test_dual.cpp"],
    "core/functions.h": [SIMD, PLAIN, "autograd/ops_pointwise.cpp"],
    "core/cpu/loops.h": [SIMD, PLAIN, "core/cpu/cpu_kernels.cpp"],
    "core/cpu/plain_loops.h": ["core/cpu/cpu_kernels.cpp"],
    "core/internal/comparison.h": ["core/cpu/cpu_kernels.cpp"],
    "core/cpu/reductions.h": [SIMD, PLAIN],
    "core/cpu/packed.h": [SIMD],
    "core/cpu/simd.h": [SIMD],
    "autograd/internal/pointwise_op.h": ["autograd/ops_pointwise.cpp"],
    "autograd/internal/scan_steps.h": ["autograd/scan.cpp", "autograd/scan_steps.cpp"],
}
HEADER_SHARE = 1 / 6  # of all mutants: they take longer


class Mutant(NamedTuple):
    file: str
    kind: str
    line: int
    start: int
    end: int
    new: str

    @property
    def key(self):
        return f"{self.file}:{self.line}:{self.start}-{self.end} {self.kind} {self.new!r}"


class File:
    """The possible mutants of a file, in the order in which they are tried."""

    def __init__(self, root, name, seed):
        self.name, self.source = name, Source(name, (root / name).read_text())
        self.skipped = Skipped(self.source)
        self.weight = len({t.line for t in self.source.tokens if t.kind != "directive"})
        self.sources = HEADERS.get(name, [name])
        self.mutants = self._in_order(random.Random(f"{seed} {name}"))
        self.next = 0

    # The kinds take turns, and the first mutants lie on different lines.
    def _in_order(self, generator):
        source, piles = self.source, []
        for kind in KINDS:
            pile, seen = [], set()
            for start, end, new in kind(source):
                line = source.text.count("\n", 0, start) + 1
                if (start, end, new) in seen or source.text[start:end] == new:
                    continue
                seen.add((start, end, new))
                if (kind.__name__, line, start, end) not in self.skipped:
                    pile.append(Mutant(self.name, kind.__name__, line, start, end, new))
            generator.shuffle(pile)
            piles.append(pile)
        generator.shuffle(piles)
        rest, chosen, lines = [m for row in zip_all(piles) for m in row], [], set()
        while rest:
            later = []
            for mutant in rest:
                (later if mutant.line in lines else chosen).append(mutant)
                lines.add(mutant.line)
            rest, lines = later, set()
        return chosen

    def changed(self, mutant):
        return self.source.text[: mutant.start] + mutant.new + self.source.text[mutant.end :]


def zip_all(piles):
    for k in range(max(map(len, piles), default=0)):
        yield [pile[k] for pile in piles if k < len(pile)]


def all_files(root, seed):
    names = sorted(
        str(path.relative_to(root))
        for folder in ("autograd", "core", "core/cpu")
        for path in (root / folder).glob("*.cpp")
        if str(path.relative_to(root)) not in FILES
    )
    for name, sources in HEADERS.items():
        if (root / name).exists() and any(source == SIMD or (root / source).exists() for source in sources):
            names.append(name)
    return [file for file in (File(root, name, seed) for name in names) if file.mutants]


def share_out(files, count):
    """The files of `count` mutants, in proportion to their lines and well mixed; the headers last."""
    headers = [file for file in files if file.name in HEADERS]
    sources = [file for file in files if file.name not in HEADERS]
    of_headers = round(count * HEADER_SHARE) if headers else 0
    order = []
    for group, n in ((sources, count - of_headers), (headers, of_headers)):
        total = sum(file.weight for file in group)
        exact = {file.name: n * file.weight / total for file in group}
        quota = {name: int(share) for name, share in exact.items()}
        for name in sorted(exact, key=lambda name: quota[name] - exact[name])[: n - sum(quota.values())]:
            quota[name] += 1
        turns = [((k + 0.5) / quota[file.name], file.name, file) for file in group for k in range(quota[file.name])]
        order += [file for _, _, file in sorted(turns, key=lambda turn: turn[:2])]
    return order


def shown(file, mutant):
    """The line before and after the change; of several lines the first that differ."""
    before, after = file.source.lines, file.changed(mutant).split("\n")
    k = next((k for k, (a, b) in enumerate(zip(before, after)) if a != b), len(before) - 1)
    return before[k].strip(), after[k].strip() if k < len(after) else ""


def print_list(files, order):
    for file in order:
        if file.next >= len(file.mutants):
            continue
        mutant = file.mutants[file.next]
        file.next += 1
        before, after = shown(file, mutant)
        print(f"{file.name}:{mutant.line} {mutant.kind}\n    {before}\n    {after}")
    chosen = Counter(file.name for file in order)
    print(f"\n{len(order)} mutants; candidates in each file:")
    for file in files:
        kinds = Counter(m.kind for m in file.mutants)
        text = ", ".join(f"{kind} {n}" for kind, n in sorted(kinds.items()))
        print(f"  {file.name:36}{chosen[file.name]:4} of {len(file.mutants):4}: {text}")
    print(f"  {sum(len(f.mutants) for f in files)} candidates in all")
    used = {rule for file in files for rule in file.skipped.used}
    for rule in SKIPS:
        if rule not in used:
            print(f"note: a rule of mutation/skipped.py fits no line: {rule.files} {rule.pattern}")


class Results:
    def __init__(self, path):
        self.path, self.lock, self.known = path, threading.Lock(), {}
        if path.exists():
            for line in path.read_text().splitlines():
                try:
                    entry = json.loads(line)
                except ValueError:  # half a line: the last run was cut off
                    continue
                self.known[entry["key"]] = entry

    def add(self, entry):
        with self.lock:
            self.known[entry["key"]] = entry
            with open(self.path, "a") as out:
                out.write(json.dumps(entry) + "\n")


def try_next(file, trial, results, worker, slow, budget, lock):
    """Runs mutants of a file until one counts; its entry, or None where none is left to run."""
    while True:
        with lock:
            if file.next >= len(file.mutants):
                return None
            mutant = file.mutants[file.next]
            known = results.known.get(mutant.key)
            if known is None:
                if budget[0] == 0:
                    return None
            file.next += 1
        if known is None:
            before, after = shown(file, mutant)
            sources = [source for source in file.sources if source in trial.compile]
            known = {"key": mutant.key, "file": mutant.file, "line": mutant.line, "kind": mutant.kind}
            known |= {"before": before, "after": after}
            known |= trial.run(mutant, file.changed(mutant), sources, worker, slow)
            results.add(known)
            print(f"{known['status']:10} {known['file']}:{known['line']} {known['kind']}  {after}", flush=True)
            if counts(known):
                with lock:
                    budget[0] -= budget[0] > 0
        if counts(known):
            return known


def counts(entry):
    return entry["status"] in ("killed", "timeout", "survived")


def report(entries):
    status = Counter(entry["status"] for entry in entries)
    counted = [entry for entry in entries if counts(entry)]
    found = status["killed"] + status["timeout"]
    print(f"\n{len(counted)} mutants: {found} killed, {status['timeout']} of them by a timeout")
    print(f"survived: {status['survived']}")
    print(f"replaced: {status['discarded']} that do not compile, {status['equivalent']} with the same object code")
    if not counted:
        return
    print(f"kill rate: {100 * found / len(counted):.1f} %")
    for what in ("kind", "file"):
        print(f"by {what}:")
        for name in sorted({entry[what] for entry in counted}):
            own = [entry for entry in counted if entry[what] == name]
            print(f"  {name:36}{sum(e['status'] != 'survived' for e in own):4} of {len(own)}")
    print("survivors:")
    for entry in sorted(counted, key=lambda e: (e["file"], e["line"])):
        if entry["status"] == "survived":
            print(f"{entry['file']}:{entry['line']} {entry['kind']}\n    {entry['before']}\n    {entry['after']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="chooses the mutants")
    parser.add_argument("--count", type=int, default=160, help="how many mutants")
    parser.add_argument("--only", type=int, default=-1, metavar="N", help="run at most N mutants, those known aside")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time")
    parser.add_argument("--build", type=Path, default=Path(tempfile.gettempdir()) / "keratin-mutants", metavar="DIR")
    parser.add_argument("--list", action="store_true", help="print the mutants and the number of candidates")
    parser.add_argument("--report", action="store_true", help="print the report on the results so far")
    parser.add_argument("--fast", action="store_true", help="leave out the slow test cases, also for survivors")
    given = parser.parse_args()

    trial, results = Trial(ROOT, given.build.resolve()), Results(given.build / "results.jsonl")
    if given.report:
        return report(results.known.values())
    if ROOT in trial.folder.parents or trial.folder == ROOT:
        sys.exit("--build: expected a folder outside the repository")
    if not given.list:
        trial.prepare()
    files = all_files(trial.tree if trial.tree.exists() else ROOT, given.seed)
    order = share_out(files, given.count)
    if given.list:
        return print_list(files, order)

    trial.make(given.jobs)
    free, lock, budget = list(range(given.jobs)), threading.Lock(), [given.only]

    def one(file):
        with lock:
            worker = free.pop()
        try:
            return try_next(file, trial, results, worker, not given.fast, budget, lock)
        except Stopped:
            return None
        finally:
            with lock:
                free.append(worker)

    with ThreadPoolExecutor(given.jobs) as pool:
        futures = [pool.submit(one, file) for file in order]
        try:
            for future in futures:
                future.result()
        except BaseException as error:
            for future in futures:
                future.cancel()
            trial.stop()
            if not isinstance(error, KeyboardInterrupt):
                raise
    report(results.known.values())


if __name__ == "__main__":
    main()
