"""Charts as plain SVG: rectangles, lines and texts do, and a library for them would weigh more than the bench.

A chart brings its own background and follows the reader's choice of light or dark; no script, no font of its own.
"""

from collections.abc import Iterable
from xml.etree import ElementTree

_STYLE = """
svg { font-family: system-ui, sans-serif; font-size: 12px }
.page { fill: #ffffff } .text { fill: #24262e } .soft { fill: #62656f }
.rule { stroke: #d9dbe1 } .range { stroke: #24262e }
@media (prefers-color-scheme: dark) {
  .page { fill: #1c1e26 } .text { fill: #e4e5ea } .soft { fill: #a3a6b1 }
  .rule { stroke: #3a3d48 } .range { stroke: #e4e5ea }
}
.title { font-size: 16px; font-weight: 600 } .head { font-weight: 600 }
"""

Point = tuple[float, float]


class Drawing:
    """An SVG image of a size that is known from the start."""

    def __init__(self, width: int, height: int, title: str, description: str) -> None:
        size = {"width": str(width), "height": str(height), "viewBox": f"0 0 {width} {height}"}
        self._root = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", **size})
        for name, text in (("title", title), ("desc", description), ("style", _STYLE)):
            ElementTree.SubElement(self._root, name).text = text
        self._add("rect", **{"class": "page"}, width=width, height=height, rx=6)

    def text(self, x: float, y: float, text: str, kind: str = "text", anchor: str = "start") -> None:
        """Write one line whose base line is at ``y``; ``kind`` holds classes of the style."""
        self._add("text", x=x, y=y, **{"class": kind, "text-anchor": anchor}).text = text

    def bar(self, x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0) -> None:
        """Fill a rectangle."""
        self._add("rect", x=x, y=y, width=max(width, 1.0), height=height, fill=colour, opacity=opacity)

    def rule(self, start: Point, end: Point, kind: str = "rule") -> None:
        """Draw a thin line: a grid, an axis, a range."""
        self._add("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], **{"class": kind})

    def line(self, points: Iterable[Point], colour: str, width: float = 2.0, dashes: str = "") -> None:
        """Draw a line through the points."""
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        style = {"stroke-width": width, "stroke-linejoin": "round"} | ({"stroke-dasharray": dashes} if dashes else {})
        self._add("polyline", points=places, fill="none", stroke=colour, **style)

    def dot(self, x: float, y: float, radius: float, colour: str, *, filled: bool = True) -> None:
        """Draw a circle."""
        fill = {"fill": colour} if filled else {"fill": "none", "stroke": colour, "stroke-width": 2}
        self._add("circle", cx=x, cy=y, r=radius, **fill)

    def as_text(self) -> str:
        """Return the image, one element a line so that a change of it can be read."""
        ElementTree.indent(self._root, space="")
        return ElementTree.tostring(self._root, encoding="unicode") + "\n"

    def _add(self, name: str, **attributes: object) -> ElementTree.Element:
        texts = {key: f"{value:.1f}" if isinstance(value, float) else str(value) for key, value in attributes.items()}
        return ElementTree.SubElement(self._root, name, texts)
