#!/usr/bin/env python3
"""Doxygen's filter for our headers: says in Doxygen's words what ours say to a reader.

    python3 tools/website/comments.py HEADER

Each line keeps its number, because Doxygen shows the lines of the header itself.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def translate(path):
    lines = path.read_text(encoding="utf-8").split("\n")
    about_the_file(lines, path.resolve().relative_to(ROOT))
    lines = with_code(lines)
    for_overloads(lines)
    without_friends(lines)
    expand_catalogue(lines)
    return "\n".join(lines)


def about_the_file(lines, name):
    """The paragraph at the top."""
    head = 0
    while lines[head].startswith("//"):
        lines[head] = "/" + lines[head]
        head += 1
    if head and lines[head] == "#pragma once":
        lines[head] = f"/// @file {name}"


def with_code(lines):
    """Markdown takes lines for code from the fourth space on; ours begin at the third."""
    result, in_code, after_blank = [], False, True
    for line in lines:
        comment = re.match(r"(\s*///)(?!<)( *)(.*)", line)
        if not comment:
            in_code, after_blank = False, False
        elif not comment[3]:
            after_blank = True
        else:
            in_code = len(comment[2]) >= 3 and (in_code or after_blank)
            after_blank = False
            if in_code:
                line = comment[1] + "   " + comment[2] + comment[3]
            else:
                line = line.replace("\\", "\\\\")  # ours are no commands
        result.append(line)
    return result


def for_overloads(lines):
    """A comment is about all overloads that follow."""
    comment, name, indent = [], "", ""
    for i, line in enumerate(lines):
        text = re.match(r"(\s*)///(?!<) ?(.*)", line)
        function = re.match(r"(\s*)(?![\s}/#]).*?\b([a-z]\w*|operator\W+)\(", line)
        if text:
            if name:
                comment, name = [], ""
            indent = text[1]
            comment.append(text[2])
        elif not line.strip():
            comment, name = [], ""
        elif function and function[1] == indent and comment:
            if name and name != function[2]:
                comment, name = [], ""
            elif name and lines[i - 1].rstrip().endswith((";", "}")):
                if not any(part.startswith("   ") for part in comment):
                    lines[i] = f"{indent}/** {' '.join(comment)} */ {line.strip()}"
            else:
                name = function[2]


def without_friends(lines):
    """Doxygen links friends to where they are not."""
    for i, line in enumerate(lines):
        if re.match(r"\s*friend .*;", line):
            lines[i] = ""


def expand_catalogue(lines):
    """core/catalogue.def, included: its ops in one line, each declaration with its formula."""
    functions = (ROOT / "core/functions.h").read_text(encoding="utf-8")
    formulas = dict(re.findall(r"struct (\w+)\b[^;]*?\(\)\([^)]*\) const \{ return (.*?); \}", functions))
    ops = (ROOT / "core/catalogue.def").read_text(encoding="utf-8")
    ops = re.findall(r"^KERATIN_(\w+)\((?:(\w+), )?(\w+)\)", ops, re.M)
    macros = {}
    for i, line in enumerate(lines):
        define = re.match(r"#define KERATIN_(\w+)\((?:(\w+), )?Functor\)\s*(.*)", line)
        if define and define[1] in ("UNARY", "BINARY", "FUNCTOR", "STEP"):
            macros[define[1]] = define[2], define[3]
            lines[i] = "" if not line.endswith("\\") else line
        elif line == "#include <keratin/core/catalogue.def>":
            lines[i] = "".join(expand(*macros[kind], name, functor, formulas) for kind, name, functor in ops)
            macros = {}


def expand(parameter, body, name, functor, formulas):
    if "#" in body or "\\" in body or "KERATIN" in body:  # no declaration
        return ""
    text = re.sub(r"\bFunctor\b", functor, body)
    if parameter:
        text = re.sub(rf"\b{parameter}\b", name, text)
    if ";" in text and functor in formulas:
        text = f"/** At each position `{formulas[functor]}` (fn::{functor}). */ " + text
    return text + " "


if __name__ == "__main__":
    print(translate(pathlib.Path(sys.argv[1])), end="")
