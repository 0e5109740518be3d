"""A copy of the tree, built once, in which one mutant after the other is compiled, linked and tested.

The copy itself is never changed. A mutant is a changed file beside it: its objects are compiled by the build's own
commands, with the changed file in place of the original (a source), or in a folder that comes first among the include
paths (a header). They are linked in front of the original objects, whose definitions the linker then ignores. So each
mutant costs the compilation of what it changes and one link, and nothing has to be put back.
"""

import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

FLAGS = """-G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE=-O1
           -DKERATIN_TESTS=ON -DKERATIN_BENCH=OFF -DKERATIN_EXAMPLES=OFF""".split()


def patterns(names):
    return ",".join(f"*test_{name}.cpp" for name in names.split())


# Tests that compute nothing with tensors, or whose failure tells nothing about autograd and core.
UNRELATED = patterns("tour includes csv npy npz file report progress ops_complete")

# Run first: small and decisive.
FIRST = patterns("tensor tape ops_* scan dual create products random gradient_sum one_page")

# The slow test cases, each with the files for whose mutants it is run when all else has passed. A comma in a name is
# written as ?, as doctest takes it for the end of a pattern.
SLOW = {
    "the tape's gradients of random graphs are*": "autograd|core",
    "every op agrees with its reference on large tensors*": "autograd/ops|autograd/pointwise|core/",
    "large tensors agree with differences*": "autograd/ops|autograd/pointwise|core/",
    "products large enough for several threads*": "core/cpu|core/parallel|autograd/ops_product",
    "long and wide models have the same bits*": "scan|rnn|factor|core/cpu|core/parallel|autograd/ops_product",
    "GRU? Bidirectional? masks and dropout have the same bits*": "scan|rnn|factor|core/cpu|core/parallel",
    "* model has the same bits for any number*": "autograd|core",
    "a perceptron has the same bits*": "autograd|core",
    "the number of threads changes no bit? *": "core/cpu|core/parallel",
    "the number of threads changes no random number": "core/random|core/parallel",
    "float64 uniform numbers have 53 bits*": "core/random",
    "a wide sum of 100?000 terms*": "autograd/(tape|backward|gradient|internal)",
    "a chain of 100?000 ops*": "autograd/(tape|backward|gradient|internal)|core/pool",
    "truncated normal numbers stay*": "core/random",
}

EVERY_FILE = "autograd/ops autograd/tape scan core/cpu core/random core/pool"  # fits all of these

SIMD = "(simd)"  # core/cpu/simd_kernels.cpp, compiled for this processor


class Stopped(Exception):
    """The user pressed Ctrl-C."""


class Trial:
    def __init__(self, root, folder):
        self.root, self.folder = Path(root), Path(folder)
        self.tree, self.build = self.folder / "tree", self.folder / "build"
        self.simd = instruction_set()
        self.running, self.stopped, self.lock = set(), False, threading.Lock()

    # --- the pristine build

    def prepare(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.tree.exists():
            print(f"copying {self.root} to {self.tree}", flush=True)
            partial = self.folder / "tree.partial"
            shutil.rmtree(partial, ignore_errors=True)
            for name in files_of(self.root):
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.root / name, partial / name)
            partial.rename(self.tree)
        if not (self.build / "build.ninja").exists():
            subprocess.run(["cmake", "-S", self.tree, "-B", self.build, *FLAGS], check=True, stdout=subprocess.DEVNULL)

    def make(self, jobs):
        subprocess.run(["ninja", "-C", self.build, f"-j{jobs}", "keratin_tests"], check=True)
        self._read_commands()
        self.baseline = self._baseline()

    def _read_commands(self):
        self.compile = {}
        for entry in json.loads((self.build / "compile_commands.json").read_text()):
            name = str(Path(entry["file"]).relative_to(self.tree))
            simd = re.search(r"keratin_simd_(\w+)\.dir", entry["command"])
            if simd and simd.group(1) != self.simd:
                continue
            self.compile[SIMD if simd else name] = shlex.split(entry["command"])
        lines = subprocess.run(
            ["ninja", "-C", self.build, "-t", "commands", "keratin_tests"], check=True, capture_output=True, text=True
        ).stdout.splitlines()
        link = next(line for line in reversed(lines) if "-o tests/keratin_tests " in line)
        self.link = shlex.split(link.removeprefix(": && ").removesuffix(" && :"))

    # Passes of the unchanged code: how long each part of the suite takes, in seconds of the processor.
    def _baseline(self):
        path = self.folder / "baseline.json"
        if path.exists():
            return json.loads(path.read_text())
        print("the unchanged code:", flush=True)
        workplace = self.workplace(0)
        self._link(workplace, {}, first=False)
        seconds = {}
        for part in ("first", "fast", "slow"):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            status, detail, cases = self._test(workplace, part, EVERY_FILE, 1000)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds[part] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            if status != "passed" or cases == 0:
                raise SystemExit(f"the unchanged code fails the {part} part: {status}, {detail}, {cases} test cases")
            print(f"  {part}: {cases} test cases in {seconds[part]:.1f} s", flush=True)
        path.write_text(json.dumps(seconds))
        return seconds

    # --- one mutant

    def workplace(self, worker):
        place = self.folder / f"worker{worker}"
        shutil.rmtree(place, ignore_errors=True)
        for part in ("tmp", "include"):
            (place / part).mkdir(parents=True)
        return place

    def run(self, mutant, text, sources, worker, slow):
        """What becomes of a mutant: {status, by, compile, test}."""
        place, began = self.workplace(worker), time.monotonic()
        header = mutant.file.endswith(".h")
        changed = place / "include" / "keratin" / mutant.file
        changed.parent.mkdir(parents=True)
        changed.write_text(text)
        objects = {}
        for source in sources:
            target = place / f"{len(objects)}.o"
            if not self._compile(source, target, place, None if header else changed):
                return {"status": "discarded", "by": f"{source} does not compile"}
            objects[source] = target
        if all(self._same_code(source, target) for source, target in objects.items()):
            return {"status": "equivalent", "by": "the object code is the same"}
        if not self._link(place, objects, first=header):
            return {"status": "discarded", "by": "does not link"}
        compiled = time.monotonic()
        result = {"status": "survived", "by": ""}
        for part in ("first", "fast", "slow") if slow else ("first", "fast"):
            status, detail, _ = self._test(place, part, mutant.file, 5 * self.baseline[part] + 10)
            if status != "passed":
                result = {"status": status, "by": detail, "part": part}
                break
        result |= {"compile": round(compiled - began, 1), "test": round(time.monotonic() - compiled, 1)}
        return result

    def _compile(self, source, target, place, changed):
        command = list(self.compile[source])
        command[command.index("-o") + 1] = str(target)
        original = command.index("-c") + 1
        if changed is not None:
            command[original] = str(changed)
        at = next(i for i, word in enumerate(command) if word.startswith("-"))
        command[at:at] = ["-w", f"-I{place / 'include'}"]
        return self._process(command, cwd=self.build, seconds=600)[0] == 0

    def _object_of(self, source):
        command = self.compile[source]
        return self.build / command[command.index("-o") + 1]

    def _same_code(self, source, target):
        return self._object_of(source).read_bytes() == target.read_bytes()

    # Headers' functions are in many objects, and the linker takes the first: so theirs go to the front.
    def _link(self, place, objects, first):
        command = list(self.link)
        command[command.index("-o") + 1] = str(place / "keratin_tests")
        for source, target in objects.items():
            replaced = str(self._object_of(source).relative_to(self.build))
            if replaced in command:
                command.remove(replaced)
        wanted = (lambda word: word.endswith(".o")) if first else (lambda word: word.endswith("libkeratin.a"))
        at = next(i for i, word in enumerate(command) if wanted(word))
        command[at:at] = map(str, objects.values())
        return self._process(command, cwd=self.build, seconds=300)[0] == 0

    def _test(self, place, part, file, seconds):
        """(status, the first test case that failed, how many ran)."""
        command = [str(place / "keratin_tests"), "--abort-after=1", "--no-colors=true"]
        slow = [name for name, files in SLOW.items() if re.search(files, file)]
        if part == "slow":
            command += ["-tc=" + ",".join(slow)]
        else:
            command += ["-tce=" + ",".join(SLOW)]
            command += ["-sf=" + FIRST] if part == "first" else ["-sfe=" + FIRST + "," + UNRELATED]
        code, output = self._process(command, place / "tmp", seconds, address_space=16 << 30)
        ran = re.search(r"test cases: *(\d+)", output)
        if code == 0:
            return "passed", "", int(ran.group(1)) if ran else 0
        failed = re.search(r"TEST CASE: +(.*)", output)
        name = failed.group(1).strip() if failed else f"exit status {code}"
        return "timeout" if code in ("timeout", -signal.SIGXCPU, -signal.SIGKILL) else "killed", name, 0

    def _process(self, command, cwd, seconds, address_space=None):
        """(exit status, output). `seconds` are the processor's; a process that waits for ever is ended as well."""

        def limit():
            resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 5))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if address_space is not None:
                resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))

        environment = os.environ | {"TMPDIR": str(cwd), "KERATIN_SIMD": self.simd, "CCACHE_DISABLE": "1"}
        with open(self.folder / f"output{threading.get_ident()}", "w+b") as output:
            with self.lock:
                if self.stopped:
                    raise Stopped
                process = subprocess.Popen(
                    command,
                    cwd=cwd,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=limit,
                )
                self.running.add(process)
            try:
                code = process.wait(timeout=3 * seconds + 30)
            except subprocess.TimeoutExpired:
                code = "timeout"
            finally:
                self._end(process)
            output.seek(0)
            text = output.read(1 << 20).decode(errors="replace")
        os.unlink(output.name)
        if self.stopped:
            raise Stopped
        return code, text

    def _end(self, process):
        try:
            os.killpg(process.pid, signal.SIGKILL)  # what it forked as well
        except ProcessLookupError:
            pass
        process.wait()
        self.running.discard(process)

    def stop(self):
        """Ends all that runs; every later process raises Stopped."""
        with self.lock:
            self.stopped = True
            for process in list(self.running):
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


def instruction_set():
    flags = set()
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        flags = set(found.group(1).split()) if found else set()
    if {"avx512f", "avx512cd", "avx512dq", "avx512bw"} <= flags:
        return "avx512"
    return "avx2" if {"avx2", "fma"} <= flags else "baseline"


def files_of(root):
    """The files of the tree, as git sees them."""
    command = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [name for name in listed.split("\0") if name and (Path(root) / name).is_file()]
