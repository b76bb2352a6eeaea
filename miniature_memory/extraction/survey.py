"""Survey: which elements of a page may have a form that is to be read as text, by tag, found in one walk of the tree.

A walk for each tag, or for a class name, would take longer than all else that is done to the tree.
"""

from collections import defaultdict

from lxml import etree

VERSE_TAGS = ("div", "blockquote", "section", "p")
TAGS = ("math", "m:math", "mml:math", "mjx-container", "script", "style", "img", "noscript", "rt", "rp", "rtc", "sup",
        "a", "pre", "code", "samp", "kbd", "tt", "listing", "xmp", "plaintext", "table", "ol", "ul", "br", "span",
        "small", "cite", *VERSE_TAGS)


class Survey:
    """The elements of TAGS, in the order of the page."""

    def __init__(self, root: etree._Element) -> None:
        self.root = root
        self.of_tag: dict[str, list[etree._Element]] = defaultdict(list)
        for element in root.iter(*TAGS):
            self.of_tag[element.tag].append(element)

    def all(self, *tags: str) -> list[etree._Element]:
        """The elements of these tags, tag by tag."""
        return [element for tag in tags for element in self.of_tag.get(tag, ())]
