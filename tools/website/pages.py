"""Our Markdown pages as Doxygen's: labels for headings, formulas, and links that lead to pages.

A link in a page is relative to its file, as code-hosting sites have it. Here it leads to the page of
that file, to the header's page, to the picture, or, for any other file of the tree, to a page with
its source, which is made when first asked for.
"""

import os
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```")
LANGUAGES = {"cpp": "cpp", "c++": "cpp", "c": "cpp", "python": "py"}
LINK = re.compile(r"(!?)\[((?:`[^`]*`|[^\[\]`])*)\]\(([^()\s]+)\)")
CODE = re.compile(r"(`[^`]+`)")


class BrokenLink(Exception):
    pass


def tracked_files():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True, check=True).stdout.split("\n")
    return {name for name in listed if name and (ROOT / name).is_file()}


def is_public(name):
    """The headers that CMakeLists.txt installs."""
    folders = ("core", "autograd", "layers", "optim", "io", "training", "export")
    private = ("internal", "core/cpu", "core/cuda")
    return name == "keratin.h" or (name.endswith(".h") and name.split("/")[0] in folders and
                                   not any(f"/{part}/" in f"/{name}" for part in private))


def slug(text):
    """The anchor that code-hosting sites give to a heading."""
    kept = re.sub(r"[^\w\- ]", "", text.lower())
    return kept.strip().replace(" ", "-")


def label_of(name):
    """docs/new-op.md -> new-op; tests/README.md -> tests-readme; core/dual.h -> source-core-dual-h."""
    if name == "README.md":
        return "index"
    if name.endswith(".md"):
        return re.sub(r"\W+", "-", re.sub(r"^docs/|\.md$", "", name)).lower()
    return "source-" + re.sub(r"\W", "-", name.replace("_", "-")).lower()


def anchor_label(name, anchor):
    return f"{label_of(name)}-{re.sub(r'[^a-z0-9-]', '', anchor) or 'section'}"


class Pages:
    def __init__(self, folder):
        self.folder = folder
        self.pictures = folder / "pictures"
        self.pictures.mkdir(parents=True)
        self.files = tracked_files()
        self.headers = sorted(filter(is_public, self.files))
        self.made = {}

    def add(self, name):
        """The page of a Markdown file; returns its label."""
        if name not in self.made:
            self.made[name] = label_of(name)
            self.write(name, self.translate(name, (ROOT / name).read_text(encoding="utf-8")))
        return self.made[name]

    def write(self, name, text):
        (self.folder / f"{label_of(name)}.md").write_text(text, encoding="utf-8")

    def translate(self, name, text):
        result, in_code, headings = [], False, {}
        for line in text.split("\n"):
            if FENCE.match(line):
                in_code = not in_code
                if in_code:
                    line = f"```{{.{LANGUAGES.get(line[3:], 'unparsed')}}}"
            elif not in_code and re.match(r"#+ ", line):
                line = self.heading(name, line, headings)
            elif not in_code:
                line = self.prose(name, line)
            result.append(line)
        return "\n".join(result)

    def heading(self, name, line, headings):
        marks, text = line.split(" ", 1)
        if marks == "#" and not headings:
            headings[""] = 0
            return f"# {text} {{#{label_of(name) if name != 'README.md' else 'mainpage'}}}"
        anchor = slug(text)
        count = headings[anchor] = headings.get(anchor, -1) + 1
        if count:
            anchor += f"-{count}"
        line = f"{marks} {text.replace('`', '')} {{#{anchor_label(name, anchor)}}}"
        sources = [self.link_code(name, code) for code in CODE.findall(text)]
        sources = [link for link in sources if link.startswith("[")]
        return line + ("\n\nSources: " + ", ".join(sources) if sources else "")

    def prose(self, name, line):
        line = LINK.sub(lambda match: self.link(name, *match.groups()), line)
        parts = CODE.split(line)
        for i, part in enumerate(parts):
            if i % 2 == 0:
                parts[i] = re.sub(r"\$([^$]+)\$", r"\\f$\1\\f$", part)
            elif not parts[i - 1].endswith("["):
                parts[i] = self.link_code(name, part)
        return "".join(parts)

    def link_code(self, name, code):
        """`core/dual.h`, when it is a file of the tree, leads there."""
        path = code.strip("`")
        if path not in self.files or path == name:
            return code
        return f"[{path}]({self.reference(path)})"

    def link(self, name, mark, text, target):
        if re.match(r"\w+:", target):
            return f"{mark}[{text}]({target})"
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
        if not (ROOT / path).exists():
            raise BrokenLink(f"{name}: a link to {target}, which is not there")
        text = text.strip("`")
        if mark:
            picture = pathlib.Path(path).name
            shutil.copy(ROOT / path, self.pictures / picture)
            return f"![{text}]({picture})"
        if anchor and path.endswith(".md"):
            self.add(path)
            return f"[{text}](@ref {anchor_label(path, anchor)})"
        return f"[{text}]({self.reference(path)})"

    def reference(self, path):
        if path in self.headers:
            return f"@ref {path}"
        if path == "examples" or path.startswith("examples/") and path.endswith(".cpp"):
            return f"@ref {label_of(path)}"
        if path.endswith(".md"):
            label = self.add(path)
            return f"@ref {label}"
        if (ROOT / path).is_dir():
            return f"@ref {self.folder_page(path)}"
        return f"@ref {self.source_page(path)}"

    def source_page(self, path):
        if path not in self.made:
            if path not in self.files:
                raise BrokenLink(f"a link to {path}, which is no file of the tree")
            self.made[path] = label_of(path)
            self.write(path, f"# {path} {{#{label_of(path)}}}\n\n\\includelineno {path}\n")
        return self.made[path]

    def folder_page(self, path):
        if path not in self.made:
            inside = sorted(name for name in self.files if name.startswith(path + "/"))
            self.made[path] = label_of(path)
            lines = [f"# {path}/ {{#{label_of(path)}}}", ""]
            lines += [f"- [{name}]({self.reference(name)})" for name in inside]
            self.write(path, "\n".join(lines) + "\n")
        return self.made[path]

    def sources(self, elsewhere):
        """A page above those that only other pages lead to."""
        lines = ["# Sources {#sources}", "", "The files of the tree that other pages speak of.", ""]
        lines += [f"- @subpage {label}" for name, label in sorted(self.made.items()) if name not in elsewhere]
        self.write("docs/sources.md", "\n".join(lines) + "\n")
