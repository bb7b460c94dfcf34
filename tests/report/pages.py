"""Reads the pages of reports, for their tests."""

import html.parser

VOID = {"meta", "hr"}


class Page(html.parser.HTMLParser):
    """Reads a page: checks that tags are closed, collects text and attributes."""

    def __init__(self, path):
        super().__init__()
        self.open, self.text, self.links, self.ids = [], "", [], []
        self.rows = []
        self.pictures = {}  # name -> attributes of the SVG
        with open(path, encoding="utf-8") as reader:
            self.source = reader.read()
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "svg":
            self.pictures[self.ids[-1]] = attrs
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        names = ("src", "href", "xlink:href")
        self.links += [attrs[name] for name in names if name in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def read_page(folder):
    """Returns the page of the report in a run's folder."""
    return Page(str(folder / "report" / "index.html"))
