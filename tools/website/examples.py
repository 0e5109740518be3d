"""A page for each example: what it says of itself, what it prints, its pictures, its source."""

import os
import pathlib
import re
import shutil
import subprocess

from website.pages import ROOT, label_of

TIME_LIMIT = 120  # seconds
SKIPPED = {}  # an example's name, and why it is not run


def run(program, folder):
    """What the program prints, run where it finds the data and may write to out/."""
    (folder / "out").mkdir(parents=True, exist_ok=True)
    if not (folder / "examples").exists():
        (folder / "examples").symlink_to(ROOT / "examples")
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run([str(program)], cwd=folder, env=environment, text=True, timeout=TIME_LIMIT,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit(f"{program.name} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def head_of(source):
    """The comment at the top: its paragraphs, of which the indented ones are code."""
    lines = []
    for line in source.split("\n"):
        if not line.startswith("//"):
            break
        text = line[2:].removeprefix(" ")
        lines.append("  " + text if text.startswith("  ") else text)
    return "\n".join(lines)


def written_by(source, folder, pages):
    """Markdown for the files in out/ that the example names: pictures are shown, reports linked."""
    shown = []
    for name in sorted(set(re.findall(r'"out/([\w.]+)"', source))):
        file = folder / "out" / name
        if file.suffix in (".svg", ".png"):
            shutil.copy(file, pages.folder / "written" / name)
            shown.append(f'<img src="{name}" alt="out/{name}"/>')
        elif file.suffix == ".html":
            shutil.copy(file, pages.folder / "written" / name)
            shown.append(f'<a href="{name}">The report that it wrote</a>')
    return shown


def add_examples(pages, programs):
    folder = pages.folder / "run"
    (pages.folder / "written").mkdir()
    index = ["# Examples {#source-examples}", "",
             "Each program with its output, as run when these pages were made.", ""]
    for path in sorted((ROOT / "examples").glob("[0-9][0-9]_*.cpp")):
        name, source = path.stem, path.read_text(encoding="utf-8")
        file, label = f"examples/{path.name}", label_of(f"examples/{path.name}")
        head = head_of(source)
        paths = re.sub(r"[\w-]+(/[\w.-]+)+\.\w+", lambda path: f"`{path[0]}`", head)
        lines = [f"# {name} {{#{label}}}", "", pages.translate(file, paths), ""]
        if name in SKIPPED:
            lines += ["**Output**", "", f"Not run here: {SKIPPED[name]}."]
        else:
            output = run(programs / name, folder)
            shown = written_by(source, folder, pages)
            lines += ["**Output**", "", "```{.unparsed}", output.rstrip("\n"), "```", ""] + shown
        lines += ["", "**Source**", "", f"\\includelineno {file}", ""]
        pages.write(file, "\n".join(lines))
        first = re.split(r"(?<=[.?])\s", head.replace("\n", " "))[0]
        index.append(f"- @subpage {label} — {first}")
    pages.write("examples", "\n".join(index) + "\n")
