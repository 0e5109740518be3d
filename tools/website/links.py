"""Whether the links of a folder of HTML lead somewhere: files, anchors, and what scripts load."""

import html.parser
import re
import urllib.parse

ATTRIBUTES = {"href", "src", "data"}


class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for key, value in attributes:
            if key == "id" or (key == "name" and tag == "a"):
                self.anchors.add(value)
            elif key in ATTRIBUTES and value:
                self.links.append(value)


def links_in_script(text):
    """The navigation and the search keep their links in strings: "page.html#anchor". The last part of
    the navigation's data says which page is in which file."""
    text = text.partition("var NAVTREEINDEX")[0]
    return re.findall(r"""["'](?:\.\./)?([\w.-]+\.html(?:#[\w.:-]*)?)["']""", text)


def repair(site):
    """Doxygen's navigation looks for functions on their header's page; they are on their namespace's.
    And a class with hidden classes inside has a link to a list of them, which is not there."""
    anchors = {}
    for path in site.glob("*.html"):
        anchors[path.name] = Page(path).anchors
        if "nested-classes" not in anchors[path.name]:
            text = path.read_text(encoding="utf-8")
            kept = re.sub(r'<a href="#nested-classes">[^<]*</a>( &#124;\s*)?', "", text)
            if kept != text:
                path.write_text(kept, encoding="utf-8")
    namespaces = [name for name in sorted(anchors) if name.startswith("namespacekeratin")]

    def lead(match):
        page, anchor = match[1], match[2]
        if page not in anchors or anchor in anchors[page]:
            return match[0]
        return next((f'"{name}#{anchor}"' for name in namespaces if anchor in anchors[name]), match[0])

    for script in set(site.glob("*.js")) - set(site.glob("navtree*.js")):
        text = script.read_text(encoding="utf-8")
        script.write_text(re.sub(r'"([\w.-]+\.html)#([\w.:-]+)"', lead, text), encoding="utf-8")


def check(site):
    """Returns the dead links, and how many there were in how many pages. Nothing is fetched."""
    pages = {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))
             if "mathjax" not in path.parts}
    links = [(name, link) for name, page in pages.items() for link in page.links]
    scripts = [path for path in [*site.glob("*.js"), *site.glob("search/*.js")]
               if not path.name.startswith("navtreeindex")]  # a page's place in the navigation: no links
    for script in scripts:
        links += [("index.html", link) for link in links_in_script(script.read_text(encoding="utf-8"))]
    dead = set()
    for name, link in links:
        parts = urllib.parse.urlsplit(link)
        if parts.scheme or parts.netloc:
            if parts.scheme not in ("http", "https", "mailto", "javascript", "data"):
                dead.add(f"{name}: {link}")
            continue
        path = urllib.parse.unquote(parts.path)
        target = (site / name).parent / path if path else site / name
        anchor = urllib.parse.unquote(parts.fragment)
        if not target.is_file():
            dead.add(f"{name}: {link}: no such file")
        elif anchor and target.suffix == ".html":
            page = pages[target.resolve().relative_to(site.resolve()).as_posix()]
            if anchor not in page.anchors:
                dead.add(f"{name}: {link}: no such anchor")
    return sorted(dead), len(links), len(pages)
