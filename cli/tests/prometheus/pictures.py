"""Draws the panels of a dashboard from what Prometheus has, as one SVG: not Grafana's pixels, but the same numbers."""

import math
from xml.sax.saxutils import escape

COLOURS = ("#3d7ab5", "#c8743a", "#4b9a5e", "#b54a4f", "#8467ad", "#8a6d4f", "#c97fb4", "#6f6f6f", "#a9a13c", "#3fa7b0")
GOOD, WARNING, BAD = "#4b9a5e", "#c79a2c", "#b54a4f"
# Pixels of Grafana's grid.
COLUMN, LINE = 50, 30
MARGIN, ROW_TITLE = 8, 30
POINTS = 90
LEGENDS = 10


def draw(dashboard, queries, prometheus, start, end):
    """The picture as text. `queries` gives the expressions of a panel, without variables."""
    place = dashboard["panels"][-1]["gridPos"]
    width, height = 24 * COLUMN, (place["y"] + place["h"]) * LINE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="11" fill="#333">',
        f'<rect width="{width}" height="{height}" fill="#f4f5f5"/>',
    ]
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        x, y = place["x"] * COLUMN, place["y"] * LINE
        if panel["type"] == "row":
            parts.append(_text(MARGIN, y + 20, panel["title"], size=15, weight="bold"))
            continue
        wide, high = place["w"] * COLUMN - MARGIN, place["h"] * LINE - MARGIN
        drawing = {"timeseries": _lines, "stat": _number, "table": _table}[panel["type"]]
        parts += [
            f'<g transform="translate({x + MARGIN / 2},{y + MARGIN / 2})">',
            f'<rect width="{wide}" height="{high}" rx="3" fill="#fff" stroke="#dcdcdc"/>',
            _text(10, 19, panel["title"], size=12, weight="bold"),
            *drawing(panel, queries(panel), prometheus, (start, end), (wide, high)),
            "</g>",
        ]
    return "\n".join(parts + ["</svg>", ""])


def _lines(panel, queries, prometheus, span, size):
    start, end = span
    step = max((end - start) / POINTS, 1)
    series = [
        (_legend(legend, labels), values)
        for legend, expression in queries
        for labels, values in prometheus.range(expression, start, end, step)
    ]
    series = [(name, [(at, value) for at, value in values if math.isfinite(value)]) for name, values in series]
    series = [(name, values) for name, values in series if values]
    series.sort(key=lambda item: -max(value for _, value in item[1]))
    custom = panel["fieldConfig"]["defaults"]["custom"]
    stacked = custom["stacking"]["mode"] == "normal"
    if stacked:
        series = _pile_up([(name, values) for name, values in series if any(value for _, value in values)], step)
    left, top, bottom = 62, 30, 58
    wide, high = size[0] - left - 12, size[1] - top - bottom
    unit = panel["fieldConfig"]["defaults"]["unit"]
    ticks = _ticks(max((value for _, values in series for _, value in values), default=1), unit)
    most = ticks[-1]

    def x(at):
        return round(left + (at - start) / (end - start) * wide, 1)

    def y(value):
        return round(top + high - min(value, most) / most * high, 1)

    parts = []
    for tick in ticks:
        parts.append(f'<path d="M{left} {y(tick)}h{wide}" stroke="#e8e8e8"/>')
        parts.append(_text(left - 6, y(tick) + 4, with_unit(tick, unit), anchor="end"))
    for minutes in range(int((end - start) // 60) + 1):
        at = end - minutes * 60
        if at >= start and (end - start < 600 or minutes % 5 == 0):
            name, anchor = (f"-{minutes} min", "middle") if minutes else ("now", "end")
            parts.append(_text(x(at), top + high + 14, name, anchor=anchor))
    for bound, colour in _bounds(panel):
        if bound <= most:
            parts.append(f'<path d="M{left} {y(bound)}h{wide}" stroke="{colour}" stroke-dasharray="5 4"/>')
    for index, (_, values) in enumerate(series):
        colour = COLOURS[index % len(COLOURS)]
        for stretch in _stretches(values, step):
            line = " ".join(f"{x(at)},{y(value)}" for at, value in stretch)
            if stacked:
                corners = f"{x(stretch[-1][0])},{y(0)} {x(stretch[0][0])},{y(0)}"
                parts.append(f'<polygon points="{line} {corners}" fill="{colour}" fill-opacity="0.25"/>')
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.4"/>')
    return parts + _legends([name for name, _ in series], size)


def _pile_up(series, step):
    """Each on top of those before it. The topmost comes first, so that the others are drawn over it."""
    below, piled = {}, []
    for name, values in series:
        values = [(at, value + below.get(round(at / step), 0)) for at, value in values]
        below |= {round(at / step): value for at, value in values}
        piled.append((name, values))
    return piled[::-1]


def _stretches(values, step):
    """Where nothing was scraped the line is broken."""
    stretches = [[]]
    for at, value in values:
        if stretches[-1] and at - stretches[-1][-1][0] > 1.5 * step:
            stretches.append([])
        stretches[-1].append((at, value))
    return [stretch for stretch in stretches if stretch]


def _legends(names, size):
    parts, x, y = [], 12, size[1] - 26
    for index, name in enumerate(names[:LEGENDS]):
        wide = 22 + 6 * len(name)
        if x + wide > size[0]:
            x, y = 12, y + 15
        if y > size[1] - 6:
            break
        parts.append(f'<rect x="{x}" y="{y - 7}" width="10" height="4" fill="{COLOURS[index % len(COLOURS)]}"/>')
        parts.append(_text(x + 14, y, name))
        x += wide
    return parts


def _number(panel, queries, prometheus, span, size):
    found = [
        (_legend(legend, labels), values[-1][1])
        for legend, expression in queries
        for labels, values in prometheus.range(expression, span[1] - 60, span[1], 5)
    ]
    unit, middle = panel["fieldConfig"]["defaults"]["unit"], size[1] / 2 + 16
    parts = []
    for index, (name, value) in enumerate(found):
        colour, x = GOOD, size[0] * (index + 0.5) / len(found)
        for bound, beyond in _bounds(panel):
            colour = beyond if value >= bound else colour
        big = 26 if len(found) == 1 else 16
        parts.append(_text(x, middle, with_unit(value, unit), size=big, weight="bold", anchor="middle", fill=colour))
        if len(found) > 1:
            parts.append(_text(x, middle + 20, name, anchor="middle"))
    return parts or [_text(size[0] / 2, middle, "no data", anchor="middle")]


def _table(panel, queries, prometheus, span, size):
    organize = next(change["options"] for change in panel["transformations"] if change["id"] == "organize")
    labels = sorted(organize["renameByName"], key=lambda label: organize["indexByName"][label])
    titles = [organize["renameByName"][label] for label in labels]
    unit = panel["fieldConfig"]["defaults"]["unit"]
    rows = [
        (value, [with_unit(value, unit) if label == "Value" else metric.get(label, "") for label in labels])
        for _, expression in queries
        for metric, value in prometheus.query(expression)
    ]
    rows.sort(key=lambda row: -row[0])
    longest = [max(map(len, column)) + 3 for column in zip(*[titles, *[cells for _, cells in rows]])]
    left = [12 + sum(longest[:index]) * (size[0] - 24) / sum(longest) for index in range(len(labels))]
    parts = [_text(x, 42, title, fill="#777") for x, title in zip(left, titles)]
    for index, (_, cells) in enumerate(rows[: int((size[1] - 50) // 17)]):
        y = 60 + 17 * index
        parts.append(f'<path d="M10 {y - 13}h{size[0] - 20}" stroke="#eee"/>')
        parts += [_text(x, y, cell) for x, cell in zip(left, cells)]
    return parts


def _bounds(panel):
    """From where on a value is worth a look, or bad, with its colour."""
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {"steps": []})["steps"][1:]
    colours = {"yellow": WARNING, "red": BAD}
    return [(step["value"], colours[step["color"]]) for step in steps]


def _legend(legend, labels):
    for label, value in labels.items():
        legend = legend.replace("{{" + label + "}}", value)
    return legend


def _ticks(most, unit):
    """Four or five round numbers from 0 to at least so much."""
    if most <= 0:
        return [0, 1]
    scale = 1
    if unit == "bytes" and most >= 1024:
        scale = 1024 ** min(int(math.log2(most) // 10), 4)
    elif unit == "s" and most >= 120:
        scale = 60
    if scale > 1:
        return [tick * scale for tick in _ticks(most / scale, "")]
    rough = most / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [step * count for count in range(math.ceil(most / step * 0.999) + 1)]


def with_unit(value, unit):
    """As Grafana writes it, about."""
    match unit:
        case "s":
            for size, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")):
                if abs(value) >= size:
                    return f"{_short(value / size)} {name}"
            return f"{_short(value * 1e6)} µs" if value else "0 s"
        case "bytes":
            power = min(int(math.log2(abs(value)) // 10), 4) if abs(value) >= 1 else 0
            return f"{_short(value / 1024**power)} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"
        case "percentunit":
            return f"{_short(value * 100)} %"
        case "reqps" | "ops":
            return f"{_short(value)} /s"
        case _:
            return _short(value)


def _short(value):
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g} M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:.3g} k"
    return f"{value:.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def _text(x, y, text, size=11, weight="normal", anchor="start", fill="#333"):
    look = "" if size == 11 else f' font-size="{size}"'
    look += "" if weight == "normal" else f' font-weight="{weight}"'
    look += "" if anchor == "start" else f' text-anchor="{anchor}"'
    look += "" if fill == "#333" else f' fill="{fill}"'
    return f'<text x="{round(x, 1)}" y="{round(y, 1)}"{look}>{escape(text)}</text>'
