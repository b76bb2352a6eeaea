"""Tree edits: put text in the place of an element; what follows it stays. And what several modules ask of an element.

The element remains, as a <span>: moving its tail to what stands before it would take quadratic time on a page of
nothing but such elements.
"""

from collections.abc import Callable, Iterator
from typing import cast

from lxml import etree


def replace(element: etree._Element, text: str, own_line: bool = False) -> None:
    """Put `text` in the place of the element and all that it contains; with own_line, between two line breaks."""
    tail = element.tail
    element.clear()
    element.tail, element.tag = tail, "span"
    if own_line:
        etree.SubElement(element, "br").tail = text
        etree.SubElement(element, "br")
    else:
        element.text = text


def drop(element: etree._Element) -> None:
    replace(element, "")


def text_before(element: etree._Element) -> str:
    """The text right before the element, within its parent."""
    before, parent = element.getprevious(), element.getparent()
    return (before.tail if before is not None else parent.text if parent is not None else "") or ""


def set_text_before(element: etree._Element, text: str) -> None:
    before, parent = element.getprevious(), element.getparent()
    if before is not None:
        before.tail = text
    elif parent is not None:
        parent.text = text


# --- reading, with the types that lxml's stubs leave open ------------------------------------------


def finder(path: str) -> Callable[[etree._Element], list[etree._Element]]:
    """A function that finds the elements at an XPath."""
    return cast(Callable[[etree._Element], list[etree._Element]], etree.XPath(path))


def texts_in(element: etree._Element) -> Iterator[str]:
    return cast(Iterator[str], element.itertext())


def text_in(element: etree._Element) -> str:
    return "".join(texts_in(element))


def attributes_of(element: etree._Element) -> dict[str, str]:
    """All at once: looking up each takes lxml longer."""
    return cast("dict[str, str]", dict(element.items()))


def is_hidden(attributes: dict[str, str]) -> bool:
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    style = attributes.get("style", "")
    return "display" in style and "none" in style
