# SPDX-License-Identifier: Apache-2.0
"""Draws report's pictures: SVG files that need nothing else, on a light background. A value is
a summary of measure.py: its median, with a bar between its quartiles."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 860, 440
TOP, BOTTOM = 62, 64  # margins: title and legend above, axis below
INK, QUIET, GRID = "#222222", "#595959", "#dddddd"


class Axis:
    """Maps values to pixels between `first` and `last`."""

    def __init__(self, values, first, last, log=True):
        self.first, self.last, self.log = first, last, log
        low, high = min(values), max(values)
        if log:
            self.low, self.high = math.log10(low), math.log10(high)
            room = 0.06 * (self.high - self.low) + 0.02
            self.low, self.high = self.low - room, self.high + room
        else:
            self.low, self.high = 0.0, 1.08 * high

    def __call__(self, value):
        if self.log:
            value = math.log10(value)
        part = (value - self.low) / (self.high - self.low)
        return self.first + part * (self.last - self.first)

    def ticks(self):
        """[(value, whether it has a label)]"""
        if not self.log:
            step = 10 ** math.floor(math.log10(self.high / 2))
            while self.high / step > 8:
                step *= 5 if self.high / step > 20 else 2
            return [(step * index, True) for index in range(int(self.high / step) + 1)]
        wide = self.high - self.low > 2.6
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        marks = [
            (digit * 10.0**decade, digit == 1 or (digit in (2, 5) and not wide))
            for decade in decades
            for digit in range(1, 10)
        ]
        return [mark for mark in marks if self.low <= math.log10(mark[0]) <= self.high]


def number(value):
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


class Picture:
    def __init__(self, title, height=HEIGHT):
        self.height = height
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        ]
        self.text(20, 28, title, size=17, weight="bold")

    def text(self, x, y, text, anchor="start", size=13, colour=INK, weight="normal", turn=None):
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
            f'font-weight="{weight}" fill="{colour}"{turned}>{escape(text)}</text>'
        )

    def line(self, points, colour=GRID, width=1.0, dash=""):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" '
            f'stroke-width="{width}"{dashed}/>'
        )

    def mark(self, shape, x, y, colour):
        if shape == "circle":
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>')
            return
        corners = {
            "square": ((-4, -4), (4, -4), (4, 4), (-4, 4)),
            "triangle": ((0, -5.5), (5.2, 4), (-5.2, 4)),
        }[shape]
        points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
        self.parts.append(f'<polygon points="{points}" fill="{colour}"/>')

    def horizontal_axis(self, axis, label, top, bottom):
        for value, labelled in axis.ticks():
            x = axis(value)
            self.line([(x, top), (x, bottom)], GRID, 1.0 if labelled else 0.4)
            if labelled:
                self.text(x, bottom + 18, number(value), "middle", 12, QUIET)
        self.line([(axis.first, bottom), (axis.last, bottom)], INK)
        self.text((axis.first + axis.last) / 2, bottom + 42, label, "middle")

    def vertical_axis(self, axis, label, left, right):
        for value, labelled in axis.ticks():
            y = axis(value)
            self.line([(left, y), (right, y)], GRID, 1.0 if labelled else 0.4)
            if labelled:
                self.text(left - 8, y + 4, number(value), "end", 12, QUIET)
        self.line([(left, axis.first), (left, axis.last)], INK)
        self.text(24, (axis.first + axis.last) / 2, label, "middle", turn=-90)

    def write(self, path):
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join([*self.parts, "</svg>", ""]))


def draw_lines(path, title, x_label, y_label, series, log_y=True):
    """A line for each of `series`: {"name", "colour", "dash", "points": [(x, summary)]}. The x
    axis is logarithmic."""
    left, right, bottom = 92, WIDTH - 250, HEIGHT - BOTTOM
    points = [point for one in series for point in one["points"]]
    picture = Picture(title)
    x_axis = Axis([x for x, _ in points], left, right)
    extremes = [value[key] for _, value in points for key in ("low", "high")]
    y_axis = Axis(extremes, bottom, TOP, log_y)
    picture.vertical_axis(y_axis, y_label, left, right)
    for x in sorted({x for x, _ in points}):
        picture.line([(x_axis(x), bottom), (x_axis(x), bottom + 5)], INK)
        picture.text(x_axis(x), bottom + 20, number(x), "middle", 12, QUIET)
    picture.line([(left, bottom), (right, bottom)], INK)
    picture.text((left + right) / 2, bottom + 44, x_label, "middle")

    for index, one in enumerate(series):
        colour = one["colour"]
        places = [(x_axis(x), y_axis(value["median"])) for x, value in one["points"]]
        picture.line(places, colour, 2.0, one["dash"])
        for (x, value), (pixel, y) in zip(one["points"], places):
            picture.line(
                [(pixel, y_axis(value["low"])), (pixel, y_axis(value["high"]))], colour, 1.5
            )
            picture.mark("circle", pixel, y, colour)
        y = TOP + 12 + 24 * index
        picture.line([(right + 16, y - 4), (right + 46, y - 4)], colour, 2.0, one["dash"])
        picture.text(right + 54, y, one["name"])
    picture.write(path)


def draw_dots(path, title, x_label, kinds, rows):
    """A line of marks for each of `rows`: (name, [summary or None of each kind]); `kinds` is
    [(name, shape, colour)]. The x axis is logarithmic; the medians stand behind."""
    left, right, step = 230, WIDTH - 160, 34
    bottom = TOP + 20 + step * len(rows)
    picture = Picture(title, bottom + BOTTOM)
    values = [value for _, of_kinds in rows for value in of_kinds if value is not None]
    axis = Axis([value[key] for value in values for key in ("low", "high")], left, right)
    picture.horizontal_axis(axis, x_label, TOP, bottom)
    picture.text(right + 12, TOP + 2, "medians", size=12, colour=QUIET)
    for index, (name, of_kinds) in enumerate(rows):
        y = TOP + 26 + step * index
        picture.text(left - 12, y + 4, name, "end")
        picture.line([(left, y), (right, y)], GRID, 0.6)
        for (_, shape, colour), value in zip(kinds, of_kinds):
            if value is not None:
                picture.line([(axis(value["low"]), y), (axis(value["high"]), y)], colour, 2.0)
                picture.mark(shape, axis(value["median"]), y, colour)
        medians = (f"{value['median']:.1f}" if value else "-" for value in of_kinds)
        picture.text(right + 12, y + 4, " · ".join(medians), size=12, colour=QUIET)
    x = left
    for name, shape, colour in kinds:
        picture.mark(shape, x, TOP - 14, colour)
        picture.text(x + 10, TOP - 10, name, size=12)
        x += 40 + 7 * len(name)
    picture.write(path)
