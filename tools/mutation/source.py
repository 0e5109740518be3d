"""C++ text as a list of tokens, with as much structure as seeding faults needs: which brackets belong together, where
an operand begins and ends, which operators stand between two operands.

clang-format makes this possible without a parser: a binary operator has a blank on each side, the `*` or `&` of a
type and the `<` of a template do not.
"""

import re
from typing import NamedTuple

PATTERN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
      | (?P<directive>^[ \t]*\#(?:\\\n|[^\n])*)
      | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
      | (?P<number>(?:0x[0-9a-fA-F.]+(?:p[+-]?\d+)?|\d[\d']*\.?\d*(?:e[+-]?\d+)?)[uUlLfF]*)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<op>\.\.\.|<=>|<<=|>>=|->|::|\+\+|--|<<|(?<=\s)>>(?=\s)|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|\S)""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


class Token(NamedTuple):
    kind: str  # directive, string, number, word or op
    text: str
    start: int
    end: int
    line: int


class Source:
    def __init__(self, path, text):
        self.path, self.text, self.lines = path, text, text.split("\n")
        line_of, line = [], 1
        for character in text:
            line_of.append(line)
            line += character == "\n"
        self.tokens = [
            Token(found.lastgroup, found.group(), found.start(), found.end(), line_of[found.start()])
            for found in PATTERN.finditer(text)
            if found.lastgroup != "comment"
        ]
        self.partner = {}
        self._match_brackets()
        self._match_angles()

    def _match_brackets(self):
        open_ones = []
        for i, token in enumerate(self.tokens):
            if token.kind == "op" and token.text in "([{":
                open_ones.append(i)
            elif token.kind == "op" and token.text in ")]}" and open_ones:
                j = open_ones.pop()
                self.partner[i], self.partner[j] = j, i

    # The < and > of templates: no blank before the first, and nothing but a type between them.
    def _match_angles(self):
        for i, token in enumerate(self.tokens):
            if token.text != "<" or i == 0 or self.spaced(i):
                continue
            depth = 0
            for j in range(i, min(i + 60, len(self.tokens))):
                text = self.tokens[j].text
                depth += (text == "<") - (text == ">")
                if depth == 0:
                    self.partner[i], self.partner[j] = j, i
                    break
                if text in (";", "{", "}"):
                    break

    def word(self, i):
        """The text of token i; empty where there is none."""
        return self.tokens[i].text if 0 <= i < len(self.tokens) else ""

    def slice(self, first, last):
        """The text of tokens first..last."""
        return self.text[self.tokens[first].start : self.tokens[last].end]

    def spaced(self, i):
        token = self.tokens[i]
        return self.text[token.start - 1].isspace() and self.text[token.end : token.end + 1].isspace()

    def is_binary(self, i):
        """Whether the operator stands between two operands that are not text."""
        if self.tokens[i].kind != "op" or not self.spaced(i) or i + 1 >= len(self.tokens):
            return False
        before, after = self.tokens[i - 1], self.tokens[i + 1]
        if after.text in ("{", ";", ",", ")", "...") or "string" in (before.kind, after.kind):
            return False
        return before.kind in ("word", "number") or before.text in (")", "]", "}", ">", "...")

    def operand_end(self, i):
        """The last token of the operand that begins at token i, unary operators included; None if that is unclear."""
        while self.word(i) in ("-", "!", "~", "*", "&", "+"):
            i += 1
        if i >= len(self.tokens) or self.tokens[i].kind not in ("word", "number") and self.word(i) != "(":
            return None
        if self.word(i) == "(":
            i = self.partner.get(i)
        while i is not None and i + 1 < len(self.tokens):
            after = self.word(i + 1)
            if after in (".", "->", "::") and self.tokens[i + 2].kind == "word":
                i += 2
            elif after in ("(", "[") or (after in ("<", "{") and self.tokens[i].end == self.tokens[i + 1].start):
                i = self.partner.get(i + 1)
            else:
                return i
        return None

    def operand_begin(self, i):
        """The first token of the operand that ends at token i, without unary operators; None if that is unclear."""
        while True:
            text = self.word(i)
            if text in (")", "]", "}", ">"):
                i = self.partner.get(i)
                if i is None:
                    return None
                before = self.tokens[i - 1]
                called = before.kind == "word" and before.text not in ("return", "if", "while", "case")
                if not (called or before.text in (")", "]", ">", "}")) or before.end != self.tokens[i].start:
                    return i if self.word(i) == "(" else None
                i -= 1
            elif self.tokens[i].kind in ("word", "number"):
                if self.word(i - 1) not in (".", "->", "::"):
                    return i
                i -= 2
            else:
                return None

    def chain_end(self, i):
        """operand_end, with the products and quotients that follow."""
        end = self.operand_end(i)
        while end is not None and self.word(end + 1) in ("*", "/", "%") and self.is_binary(end + 1):
            end = self.operand_end(end + 2)
        return end

    def parts(self, opening):
        """(first, last) of each part between a bracket and its partner that commas separate."""
        found, first, i, end = [], opening + 1, opening + 1, self.partner[opening]
        while i < end:
            if self.word(i) == ",":
                found.append((first, i - 1))
                first = i + 1
            elif self.word(i) in ("(", "[", "{", "<") and i in self.partner:
                i = self.partner[i]
            i += 1
        if first < end:
            found.append((first, end - 1))
        return found
