"""The faults that can be seeded in a source, by kind. Each kind is a function that yields (first character, end, new
text); what the rules cannot tell apart (a declaration from a call, say) gives a fault that does not compile, and such a
one is discarded later.
"""

import re

# Names that mean the other side of the same thing.
OPPOSITES = [
    ("row_stride", "column_stride"),
    ("a_row_stride", "a_column_stride"),
    ("to_stride", "from_stride"),
    ("c_stride", "a_stride"),
    ("x_stride", "y_stride"),
    ("inner", "outer"),
    ("rows", "columns"),
    ("first", "last"),
    ("begin", "end"),
]
OPPOSITE = {a: b for pair in OPPOSITES for a, b in (pair, pair[::-1])}

# Calls whose two arguments may change places without harm, or whose order is that of a message.
SYMMETRIC = set(
    "max min add equal not_equal multiply logical_and logical_or logical_xor record broadcast_shapes promote swap "
    "common_dtype same_as is_same_v maximum minimum Add Multiply mul check_same_rank".split()
)


def sign(s):
    """+ for -, += for -=, and a unary minus left out."""
    for i, token in enumerate(s.tokens):
        if token.text in ("+", "-") and s.is_binary(i):
            yield token.start, token.end, "-" if token.text == "+" else "+"
        elif token.text in ("+=", "-=") and s.tokens[i + 1].kind != "string":
            yield token.start, token.end, "-=" if token.text == "+=" else "+="
        elif token.text == "-" and not s.spaced(i) and s.tokens[i + 1].text not in ("inf", "1"):
            if s.word(i - 1) in ("(", ",", "return", "=", "?", ":", "{", "[", "*", "+") and s.word(i - 1):
                yield token.start, token.end, ""


def operands_after(s):
    """(operator, last token of its right operand) for each sum, difference, product, quotient and remainder."""
    for i, token in enumerate(s.tokens):
        if token.text in ("+", "-", "*", "/", "%") and s.is_binary(i):
            end = (s.chain_end if token.text in "+-" else s.operand_end)(i + 1)
            if end is not None:
                yield i, end


def dropped(s, wanted):
    for i, end in operands_after(s):
        if wanted(s.slice(i, end)):
            yield s.tokens[i - 1].end, s.tokens[end].end, ""


def is_tail(text):
    return re.fullmatch(r"[-+] (1|15|63)|% .*", text) is not None


def term(s):
    """A term or a factor left out."""
    yield from dropped(s, lambda text: "stride" not in text and not is_tail(text))
    for i, token in enumerate(s.tokens):  # a * b becomes b
        if token.text == "*" and s.is_binary(i):
            begin = s.operand_begin(i - 1)
            if begin is not None and s.word(begin - 1) not in ("*", "/", "%", ".", "-", "!"):
                yield s.tokens[begin].start, s.tokens[i + 1].start, ""


def stride(s):
    """A factor that is a stride left out, or the other one of two strides or sizes taken."""
    yield from dropped(s, lambda text: "stride" in text)
    for i, token in enumerate(s.tokens):
        if token.kind == "word" and token.text in OPPOSITE and is_used(s, i):
            other = OPPOSITE[token.text]
            if re.search(rf"(?<![.\w]){other}\b", s.text[max(token.start - 800, 0) : token.start]):
                yield token.start, token.end, other


def is_used(s, i):
    """Whether the name at token i is read, rather than declared or called."""
    before, after = s.tokens[i - 1], s.word(i + 1)
    if before.kind == "word" and before.text not in ("return", "case") or before.text in ("&", ">", "*"):
        return before.text in ("&", ">", "*") and s.is_binary(i - 1) and after != "("
    return after not in ("(", "{", "::", "=", ":", ";") or (after == ";" and before.kind == "op")


def axis(s):
    """Another axis: 0 for 1, -1 for -2, one before or behind."""
    for i, token in enumerate(s.tokens):
        opening = s.word(i - 1)
        if token.kind == "number" and token.text in ("0", "1", "2"):
            last = i
            negative = opening == "-" and not s.spaced(i - 1)
            begin = i - 1 if negative else i
            if names_axis(s, begin, last):
                new = {"0": "1", "1": "-2" if negative else "0", "2": "-1" if negative else "1"}[token.text]
                yield s.tokens[begin].start, token.end, new
        elif token.text in ("axis", "a") and opening == "[" and s.word(i + 1) == "]":
            if s.word(i - 2) in ("shape", ")", "strides", "reduced", "named", "stride", "size"):
                yield token.start, token.end, token.text + " - 1"
        elif token.text == "axis" and opening in (",", "(") and s.word(i + 1) in (",", ")"):
            yield token.start, token.end, "axis - 1"
        elif token.text in ("rank", "rank_") and s.word(i + 1) == "(" and s.word(i + 3) in ("-", "+"):
            if s.word(i + 4) in ("1", "2") and s.is_binary(i + 3):
                new = {"- 1": "- 2", "- 2": "- 1", "+ 1": ""}.get(s.slice(i + 3, i + 4))
                if new is not None:
                    yield s.tokens[i + 3].start, s.tokens[i + 4].end, new


AXIS_CALLS = set(
    "size without with inserted insert erase expand_dims squeeze concatenate stack unstack sum mean max min reduce "
    "swapaxes moveaxis softmax take slice var".split()
)


def names_axis(s, begin, last):
    """Whether the number is an argument of a call that takes an axis, or indexes sizes or strides."""
    opening = begin - 1
    if s.word(opening) == "[" and s.word(last + 1) == "]":
        return re.search(r"(shape|strides?)(\(\))?$|\bs$", s.text[: s.tokens[opening].start]) is not None
    while opening > 0 and s.word(opening) not in ("(", "{", "}", ";"):
        opening = s.partner[opening] - 1 if s.word(opening) == ")" else opening - 1
    return s.word(opening) == "(" and s.word(opening - 1) in AXIS_CALLS and s.word(last + 1) in (",", ")")


RELATIONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}


def tail(s):
    """One element more or less: at a bound, at the start of a loop, where a remainder is rounded up."""
    yield from dropped(s, is_tail)
    for i, token in enumerate(s.tokens):
        if token.text in RELATIONS and s.is_binary(i):
            yield token.start, token.end, RELATIONS[token.text]
        elif token.text == "for" and s.word(i + 1) == "(":
            first = next((k for k in range(i + 2, min(i + 12, len(s.tokens))) if s.word(k) == "="), None)
            if first and s.word(first + 1) in ("0", "1") and s.word(first + 2) in (";", ","):
                number = s.tokens[first + 1]
                yield number.start, number.end, "1" if number.text == "0" else "0"


def condition(s):
    """A condition turned round, == for !=, && for ||, true for false."""
    swapped = {"==": "!=", "!=": "==", "&&": "||", "||": "&&"}
    for i, token in enumerate(s.tokens):
        if token.text in swapped and s.is_binary(i):
            yield token.start, token.end, swapped[token.text]
        elif token.text == "!" and s.text[token.end] not in "= " and s.word(i - 1) != "operator":
            yield token.start, token.end, ""
        elif token.text in ("true", "false") and s.word(i - 1) not in ("bool",):
            yield token.start, token.end, "false" if token.text == "true" else "true"
        elif token.text == "if" and s.word(i + 1) == "(":
            inner, end = s.tokens[i + 2], s.tokens[s.partner[i + 1]]
            text = s.text[inner.start : end.start]
            if ";" not in text and not re.search(r"\w [&*]?\w+ = ", text):
                yield inner.start, end.start, f"!({text})"
        elif token.text == "?" and s.spaced(i):
            begin = s.operand_begin(i - 1)
            if begin and s.word(begin - 1) in ("=", "(", ",", "return", "{", "?", ":", "!"):
                start = s.tokens[begin].start
                yield start, s.tokens[i - 1].end, f"!({s.text[start:s.tokens[i - 1].end]})"


def accumulation(s):
    """= for +=, *=, |= and their like."""
    for i, token in enumerate(s.tokens):
        if token.text in ("+=", "-=", "*=", "/=", "|=", "&=") and s.word(i - 1) != "operator":
            yield token.start, token.end, "="


def order(s):
    """Two operands, arguments or elements of a list change places."""
    for i, token in enumerate(s.tokens):
        if token.text in ("-", "/") and s.is_binary(i):
            begin, end = s.operand_begin(i - 1), s.operand_end(i + 1)
            if begin is None or end is None:
                continue
            if s.word(begin - 1) in ("*", "/", "%", "-", "+", "!") or s.word(end + 1) in ("*", "/", "%"):
                continue
            if s.word(begin - 1) == "(" and s.word(begin - 2) in ("abs", "fabs") and s.word(end + 1) == ")":
                continue  # |a - b| is |b - a|
            swapped = f"{s.slice(i + 1, end)} {token.text} {s.slice(begin, i - 1)}"
            yield s.tokens[begin].start, s.tokens[end].end, swapped
        elif token.text in ("(", "{") and i in s.partner:
            called = s.tokens[i - 1].kind == "word" if token.text == "(" else s.word(i - 1) in ("(", ",", "{", "return")
            if called and s.word(i - 1) not in SYMMETRIC:
                yield from swapped_parts(s, i)


def swapped_parts(s, opening):
    parts = s.parts(opening)
    for (a, b), (c, d) in zip(parts, parts[1:]):
        left, right = s.slice(a, b), s.slice(c, d)
        alike = kind_of(s, left, s.tokens[a].start) == kind_of(s, right, s.tokens[c].start) != ""
        if left != right and (alike or s.word(opening - 1) == "tuple"):
            yield s.tokens[a].start, s.tokens[d].end, f"{right}, {left}"


def kind_of(s, text, place):
    """Equal for two arguments that may be of one type: by the last declaration before, or by the last word."""
    if re.fullmatch(r"[A-Za-z_]\w*", text):
        declared = re.findall(rf"([\w:>]+)[&*]? [&*]?{text}\b(?! [^=])", s.text[max(place - 4000, 0) : place])
        declared = [word for word in declared if word not in ("return", "case", "else", "const")]
        return declared[-1] if declared else "unknown"
    if re.fullmatch(r"[A-Za-z_][\w.:>()\[\]-]*", text):
        words = re.findall(r"\w+", re.sub(r"[(\[].*?[)\]]$", "", text))
        return words[-1] if words else ""
    return ""


def constant(s):
    """Another number."""
    for i, token in enumerate(s.tokens):
        if token.kind == "word" and token.text == "INFINITY":
            yield token.start, token.end, "1.0"
        if token.kind != "number" or s.word(i - 1) in ("=",) and s.word(i + 1) == ";" and token.text == "0":
            continue
        negative = s.word(i - 1) == "-" and not s.spaced(i - 1)
        if names_axis(s, i - 1 if negative else i, i) or s.word(i - 1) == "{" and s.word(i + 1) == "}":
            continue
        yield token.start, token.end, another(token.text)


def another(number):
    plain = number.replace("'", "")
    if plain.startswith("0x"):
        return plain.replace("0x1p", "0x1.8p") if "p" in plain else hex(int(plain, 16) ^ 4)
    whole = re.fullmatch(r"(\d+)([uUlL]*)", plain)
    if whole:
        value = int(whole.group(1))
        return str(value + 1 if value < 2 or value > 64 else value - 1) + whole.group(2)
    known = {"0.0": "1.0", "1.0": "2.0", "0.5": "0.25", "2.0": "1.0"}
    suffix = "f" if plain.endswith("f") else ""
    plain = plain.rstrip("fuUlL")
    return known.get(plain, repr(float(plain) * 1.25)) + suffix


KINDS = [sign, term, axis, stride, tail, condition, accumulation, order, constant]
