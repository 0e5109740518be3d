#!/usr/bin/env python3
"""Makes the documentation as plain HTML in out/site; ./run site calls it.

    python3 tools/make_site.py FOLDER_OF_EXAMPLES

Doxygen writes the pages: from the public headers, from README.md, CHANGELOG.md and docs/, and from
the examples, which are run for their output. At the end every link is followed; a dead one is an
error.
"""

import pathlib
import re
import shutil
import subprocess
import sys

from website import links
from website.examples import add_examples
from website.pages import ROOT, BrokenLink, Pages, label_of

BUILD, SITE = ROOT / "build" / "site", ROOT / "out" / "site"
MATHJAX = pathlib.Path("/usr/share/javascript/mathjax")
# The parts of MathJax that TeX in, SVG out asks for.
MATHJAX_PARTS = ["MathJax.js", "extensions", "jax/input/TeX", "jax/element", "jax/output/SVG/config.js",
                 "jax/output/SVG/jax.js", "jax/output/SVG/autoload", "jax/output/SVG/fonts/TeX",
                 "localization/en"]
# In the order of the navigation.
PAGES = ["README.md", "docs/tour.md", "examples", "docs/coming-from-keras.md", "docs/options.md",
         "docs/training-loop.md", "docs/new-op.md", "docs/export.md", "docs/architecture.md",
         "docs/performance.md", "docs/cuda.md", "CHANGELOG.md"]


def version():
    return re.search(r"project\(keratin VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]


def doxygen(pages):
    first = [pages.folder / f"{label_of(name)}.md" for name in PAGES]
    rest = sorted(set(pages.folder.glob("*.md")) - set(first))
    headers = [f"build/include/keratin/{name}" for name in pages.headers]  # as programs include them
    inputs = [*headers, *(str(path.relative_to(ROOT)) for path in first + rest)]
    settings = (ROOT / "docs" / "Doxyfile").read_text()
    settings += f"PROJECT_NUMBER = {version()}\nINPUT = {' '.join(inputs)}\n"
    done = subprocess.run(["doxygen", "-"], cwd=ROOT, input=settings, text=True)
    if done.returncode:
        sys.exit("Doxygen has warned; see above.")


def count_names():
    """Classes and their members, functions, types and constants."""
    text = (BUILD / "names.xml").read_text(encoding="utf-8")
    members = set(re.findall(r"<anchorfile>(.*?)</anchorfile>\s*<anchor>(.*?)</anchor>", text))
    return len(members) + len(re.findall(r'<compound kind="(?:class|struct|concept)"', text))


def copy_mathjax():
    for part in MATHJAX_PARTS:
        source, target = MATHJAX / part, SITE / "mathjax" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)


def main(programs):
    for folder in (BUILD, SITE):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    pages = Pages(BUILD)
    for name in PAGES:
        if name != "examples":
            pages.add(name)
    add_examples(pages, programs)
    pages.sources(elsewhere=PAGES)
    doxygen(pages)
    copy_mathjax()
    for file in (BUILD / "written").iterdir():
        shutil.copy(file, SITE)
    links.repair(SITE)
    dead, links_count, pages_count = links.check(SITE)
    print(f"{pages_count} pages, {count_names()} names, {links_count} links, {len(dead)} of them dead.")
    if dead:
        sys.exit("\n".join(dead))


if __name__ == "__main__":
    try:
        main(pathlib.Path(sys.argv[1]).resolve())
    except BrokenLink as error:
        sys.exit(error)
