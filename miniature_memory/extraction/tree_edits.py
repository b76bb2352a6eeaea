"""Tree edits: put text in the place of an element; what follows it stays. And what several modules ask of an element.

The element remains, as a <span>: moving its tail to what stands before it would take quadratic time on a page of nothing
but such elements.
"""

from lxml import etree


def replace(element: etree._Element, text: str, own_line: bool = False) -> None:
    """Put `text` in the place of the element and all that it contains; with own_line, between two line breaks."""
    element.clear(keep_tail=True)
    element.tag = "span"
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


def text_in(element: etree._Element) -> str:
    return "".join(element.itertext())


def is_hidden(attributes: dict[str, str]) -> bool:
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    style = attributes.get("style", "")
    return "display" in style and "none" in style
