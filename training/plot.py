"""The reliability plot of a run, as SVG: how often the model was right where it said how probable."""

from typing import Any
from xml.sax.saxutils import escape

SIDE, MARGIN = 220, 44  # pixels
FILE = "calibration.svg"


def reliability_plot(questions: dict[str, Any]) -> str:
    """One square for each question of a report: mean probability (x) against share that was right (y), both 0 to 1, for each bin.

    The diagonal is perfect calibration; a point's area goes with the number of decisions in its bin.
    """
    width, height = MARGIN + len(questions) * (SIDE + MARGIN), SIDE + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        'font-family="sans-serif" font-size="11">',
        f"<title>{escape(described(questions))}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, (name, item) in enumerate(questions.items()):
        parts += _square(name, item, MARGIN + number * (SIDE + MARGIN), MARGIN)
    return "\n".join([*parts, "</svg>", ""])


def described(questions: dict[str, Any]) -> str:
    """The plot in words."""
    errors = ", ".join(f"{name} {item['calibration_error']:.3f}" for name, item in questions.items())
    return f"Calibration on the test documents; expected calibration error: {errors}"


def _square(name: str, item: dict[str, Any], left: int, top: int) -> list[str]:
    total = sum(found["count"] for found in item["reliability"]) or 1
    parts = [
        f'<rect x="{left}" y="{top}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#333"/>',
        f'<line x1="{left}" y1="{top + SIDE}" x2="{left + SIDE}" y2="{top}" stroke="#999" stroke-dasharray="4 3"/>',
        f'<text x="{left}" y="{top - 20}" font-weight="bold">{escape(name)}</text>',
        f'<text x="{left}" y="{top - 6}">calibration error {item["calibration_error"]:.3f}, {total:,} decisions</text>',
        f'<text x="{left + SIDE / 2}" y="{top + SIDE + 30}" text-anchor="middle">probability that the model gave</text>',
        f'<text transform="translate({left - 26} {top + SIDE / 2}) rotate(-90)" text-anchor="middle">share that was right</text>',
    ]
    for tick in (0.0, 0.5, 1.0):
        parts.append(f'<text x="{left + tick * SIDE}" y="{top + SIDE + 14}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="{left - 5}" y="{top + SIDE - tick * SIDE + 4}" text-anchor="end">{tick:g}</text>')
    places = [(left + found["probability"] * SIDE, top + (1 - found["right"]) * SIDE, found["count"]) for found in item["reliability"]]
    parts.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)}" fill="none" stroke="#0b5cad"/>')
    for x, y, count in places:
        radius = 3 + 8 * (count / total) ** 0.5
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="#0b5cad" fill-opacity="0.6"/>')
    return parts
