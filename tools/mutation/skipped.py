"""What no fault is seeded in, with the reason. Mostly: a change there gives another program that is as right as this
one (an equivalent mutant), because it chooses among ways to the same result.
"""

import fnmatch
import re
from typing import NamedTuple

# Files without arithmetic of their own.
FILES = {
    "core/print.cpp": "prints tensors",
    "autograd/tape_print.cpp": "prints tapes",
    "core/cpu/dispatch.cpp": "chooses the instruction set; the suite here runs with one",
    "core/cpu/simd_kernels.cpp": "instantiates loops.h",
    "core/cpu/plain_kernels.cpp": "instantiates loops.h",
}


class Skip(NamedTuple):
    files: str  # a glob
    pattern: str  # of a line
    reason: str
    kinds: str = ""  # only these; all where empty
    block: bool = False  # from that line to the end of its block


THREADS = "how many threads share the work, which changes no result"
BLOCKS = "how work is cut for the cache or the threads, which changes no result but for rounding"
ORDER = "the order in memory of a result or of a walk, not its values"
FAST = "a fast path: the general one gives the same"
TUNING = "a bound or factor of a heuristic that has no right value"
LIMIT = "a limit that a test cannot reach: 2^31 elements, 2^48 bytes, the end of an int"
PACKING = "whether a matrix is packed: both ways give the same product"
TERNARY = "x < y ? x : y is the same with <="

SKIPS = [
    Skip("*", r"(.+) [<>] (.+) \? \1 : \2\b", TERNARY, "tail"),
    Skip("*", r"if \((\w+) [<>] ([^()]+)\) \1 = \2;", "x = min(x, y) is the same with <=", "tail"),
    Skip("*", r"INT32_MAX|<< 59|<< 48|numeric_limits<int>::max|1 << 31", LIMIT),
    Skip("*", r"max_rank = |max_operands = |alignas|alignment = ", "a capacity or an alignment"),
    Skip("*", r"std::ostream& operator<<", "prints", block=True),
    Skip(
        "*", r"const char\* name_of|std::string name_of|std::string Shape::str", "makes text for messages", block=True
    ),
    Skip("*", r"\{&\w+, 1\}", "the length of a span over one object: more is undefined", "constant axis"),
    Skip("core/random.cpp", r"std::thread::id\(\)", "before main, when no test runs"),
    # autograd
    Skip("autograd/gradcheck.cpp", r".", TUNING, "constant"),
    Skip("autograd/gradcheck.cpp", r"error|apart|bend", "a tie of two errors of rounding does not occur", "tail"),
    Skip("autograd/numeric_slope.cpp", r".", TUNING, "constant"),
    Skip(
        "autograd/numeric_slope.cpp", r"error|noise|bend|h <=", "a tie of two errors of rounding does not occur", "tail"
    ),
    Skip("autograd/numeric_slope.cpp", r"double smallest_step|double noise_of", TUNING, block=True),
    Skip("autograd/ops_reduce.cpp", r"bool reduces_one_axis", ORDER, block=True),
    Skip("autograd/ops_reduce.cpp", r"reduces_one_axis\(|order\.dense", ORDER),
    Skip("autograd/ops_product.cpp", r"is_contiguous\(\)\) \{|order\.dense", ORDER),
    Skip("autograd/ops_product.cpp", r"return z\.shape\(\) == shape|if \(x\.rank\(\) != 2\) x = reshape", FAST),
    Skip("autograd/ops_pointwise.cpp", r'compare\("(equal|not_eq|logical)', "x op y is y op x", "order"),
    Skip("autograd/pointwise.cpp", r"return Pointwise::Abs;", "not reached"),
    Skip("autograd/*scan*", r"blocks_\.resize|multiplications =|products \* batch_", BLOCKS),
    Skip("autograd/*scan*", r"void Scan::for_blocks", BLOCKS, "term sign constant", block=True),
    Skip("autograd/*", r"return Factor\(|= Factor\(|packed_shape\(", PACKING),
    Skip("autograd/factor.cpp", r"packed_shape|rows, std::int64_t products", PACKING),
    Skip(
        "autograd/*scan*", r"memory\(.*, recorded \? time_ : 1\)|\? time_ \+ 1 : 2\)",
        "more memory than needed", "constant",
    ),
    Skip("autograd/*scan*", r"return g\.overwrite \? gates", "another memory for the same gradients"),
    # core
    Skip(
        "core/parallel.cpp", r"^(std::int64_t threads_for|void with_team|bool take_team|int num_threads)",
        THREADS, block=True,
    ),
    Skip("core/parallel.cpp", r"pthread_atfork|work_alone|chosen\{|team_taken", THREADS),
    Skip("core/parallel.cpp", r"awake|ended = 2048|most_threads|look = 0", THREADS),
    Skip(
        "core/pool.cpp", r"class_count = |cache_limit|mine->bytes [-+]=|bytes = 0",
        "matters from 2 GiB of freed blocks on",
    ),
    Skip("core/pool.cpp", r"lists_of_thread == ended|ended = ", "tensors that outlive their thread"),
    Skip("core/pool.cpp", r"caching", "chooses whether blocks are kept, by the kind of build"),
    Skip("core/create.cpp", r"count > 2147483647", LIMIT),
    Skip(
        "core/tensor.cpp", r"bool is_blas_matrix\(std",
        "a stricter rule costs a copy and changes no value", "tail stride", block=True,
    ),
    Skip("core/tensor.cpp", r"order\.dense|if \(x\.is_contiguous\(\)\) break|strides\[a\] > strides\[b\]", ORDER),
    Skip("core/cpu/gemm.cpp", r"class SerialBlas", THREADS, block=True),
    Skip(
        "core/cpu/gemm.cpp", r"ProductKernel choose_product|bool packing_pays",
        "chooses between two kernels for the same product", block=True,
    ),
    Skip(
        "core/cpu/gemm.cpp", r"worth|threads|parts =|height =|depth = 256|work|by_rows = m|blocks = work|blocks > 1",
        BLOCKS,
    ),
    Skip(
        "core/cpu/gemm.cpp", r"accumulate, *$|choose_product\(",
        "chooses between two kernels for the same product", "condition",
    ),
    Skip("core/cpu/cpu_kernels.cpp", r"1'500'000|piece = 16384|n <= piece|height = 16", BLOCKS),
    Skip("core/cpu/cpu_kernels.cpp", r"pieces = \(n \+ piece - 1\)", "an empty piece more adds 0", "sign constant"),
    Skip("autograd/scan.cpp", r"for_blocks\(\d,", THREADS, "constant"),
    Skip("core/cpu/*", r"if \((s\[\d\]|to_stride) == 1\b", FAST, "condition constant"),
    Skip("core/cpu/cpu_kernels.cpp", r"y\.numel\(\) == 1\) return|s\[1\] == 0\)", FAST, "constant"),
    Skip("core/cpu/cpu_kernels.cpp", r"if \(m\.(outer|inner) > 1\)", BLOCKS, "tail constant"),
    Skip("core/loop.cpp", r"while \(first <|int j = i; j > 0|int i = 1; i < count", ORDER),
    Skip("core/loop.cpp", r"std::abs\(loop\.stride|swap_axes\(loop, j", ORDER),
    Skip("core/cpu/run_loop.cpp", r"unit = loop\.rank|begin == 0 && end == items|accesses_per_thread", BLOCKS),
    Skip("core/cpu/loops.h", r"9e18", LIMIT),
    Skip("core/cpu/loops.h", r"\+ Lane::width <= n", "the last whole batch goes the way of a part", "tail"),
    Skip(
        "core/cpu/loops.h", r"if \(stride == [01]\) return|if \(stride\(k\) == 0\)|dense && Lane::width > 1",
        FAST, "condition constant",
    ),
    Skip(
        "core/cpu/reductions.h", r"j \+ (4 \* )?W <= (n|inner)", "the last whole batch goes the way of a part", "tail"
    ),
    Skip("core/cpu/packed.h", r"i \+ \w+ <= m|tile_rows|block = 16|group|whole = (whole|last|group)", BLOCKS),
    Skip(
        "core/cpu/packed.h", r"row_stride == 1 && columns == width|column_stride == 1 && columns == width",
        FAST, "condition constant",
    ),
    Skip("core/cpu/simd.h", r"__aarch64__|vdivq|vsqrtq", "compiled on another processor"),
    Skip("core/cpu/simd.h", r"to_the_end|squared_root|88\.0f", TUNING, "constant tail"),
    Skip("core/cpu/simd.h", r"quick_tanh|multiply_add\(u", "coefficients of a fit: its last digits", "constant"),
]

# Words after which a bracket holds no code to seed faults in.
MESSAGES = {"fail", "static_assert", "fail_unknown", "OutOfMemory", "format", "alignas", "reserve", "bad"}

DECLARING = {"throw", "using", "enum", "case"}  # up to the next bracket, colon or semicolon


class Skipped:
    """Which places of a source no fault is seeded in."""

    def __init__(self, source):
        self.spans, self.lines, self.used = [], {}, set()
        for i, token in enumerate(source.tokens):
            if token.kind in ("directive", "string"):
                self.spans.append((token.start, token.end))
            elif token.text in MESSAGES and source.word(i + 1) == "(":
                self.spans.append((token.start, source.tokens[source.partner[i + 1]].end))
            elif token.text == "parallel_for" and source.word(i + 1) == "(" and len(source.parts(i + 1)) > 2:
                first, last = source.parts(i + 1)[1]  # how many threads the work is worth
                self.spans.append((source.tokens[first].start, source.tokens[last].end))
            elif token.text in DECLARING or token.text == "operator" and source.word(i + 1) != "(":
                end = next((t.end for t in source.tokens[i:] if t.text in (";", "{", ":", "(")), token.end)
                self.spans.append((token.start, end))
            elif token.text == "template" and source.word(i + 1) == "<" and i + 1 in source.partner:
                self.spans.append((token.start, source.tokens[source.partner[i + 1]].end))
        for rule in SKIPS:
            if fnmatch.fnmatch(source.path, rule.files):
                self._skip_lines(source, rule)

    def _skip_lines(self, source, rule):
        for n, line in enumerate(source.lines, 1):
            code = re.sub(r"//.*", "", line)
            if not re.search(rule.pattern, code):
                continue
            self.used.add(rule)
            last = n
            if rule.block and "}" not in code:
                indent = re.match(r" *", line).group()
                while last < len(source.lines) and not source.lines[last - 1].startswith(indent + "}"):
                    last += 1
            for k in range(n, last + 1):
                self.lines.setdefault(k, []).append(rule)

    def __contains__(self, place):
        """Whether a fault of this kind, from character start to end on this line, is left out."""
        kind, line, start, end = place
        if any(start < b and a < end and not (start <= a and b <= end) for a, b in self.spans):
            return True
        if any(a <= start and end <= b for a, b in self.spans):
            return True
        return any(not rule.kinds or kind in rule.kinds.split() for rule in self.lines.get(line, []))
