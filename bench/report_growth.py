"""Curves of how figures change as a map grows: a drawing for each family of sets, a panel for each operation, keys
across and figures up, both logarithmic."""
import math
import os

from report_threads import COLOURS, line, words_at

WIDTH, HEIGHT, GAP_X, GAP_Y, TOP, LEFT, COLUMNS = 300, 220, 60, 60, 90, 50, 4
DASHES = ["", "5 3", "2 3", "8 2 2 2"]


class Panel:
    def __init__(self, x, y, sizes, figures):
        self.x, self.y = x, y
        self.across = math.log10(sizes[0]), math.log10(sizes[-1])
        self.up = math.log10(min(figures)) - 0.05, math.log10(max(figures)) + 0.05

    def at(self, size, figure):
        low, high = self.across
        x = (math.log10(size) - low) / max(high - low, 0.1)
        y = (math.log10(figure) - self.up[0]) / (self.up[1] - self.up[0])
        return self.x + WIDTH * x, self.y + HEIGHT * (1 - y)

    def frame(self, title, sizes):
        out = words_at(self.x, self.y - 6, title, 12)
        for power in range(math.floor(self.up[0]), math.ceil(self.up[1]) + 1):
            for figure in (10.0 ** power, 2 * 10.0 ** power, 5 * 10.0 ** power):
                if self.up[0] <= math.log10(figure) <= self.up[1]:
                    left, right = self.at(sizes[0], figure), self.at(sizes[-1], figure)
                    out += line([left, right], "#ddd") + words_at(left[0] - 4, left[1] + 4, "%g" % figure, 9, "end")
        for size in sizes:
            x, _ = self.at(size, 10.0 ** self.up[0])
            out += words_at(x, self.y + HEIGHT + 12, "%.0e" % size, 9, "middle")
        return out

    def curve(self, points, colour, width, dash):
        return line([self.at(n, v) for n, v in points], colour, width, dash)


def drawing(family, ours, panels):
    """`panels`: [(title, {engine: [(keys, figure), ..]}), ..]"""
    engines = list(dict.fromkeys(e for _, curves in panels for e in curves))
    looks = {e: (COLOURS[i % len(COLOURS)], 3 if e in ours else 1.4, DASHES[i // len(COLOURS) % len(DASHES)])
             for i, e in enumerate(engines)}
    columns = min(COLUMNS, len(panels))
    out = ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" fill="#222">\n'
           '<rect width="100%%" height="100%%" fill="#fff"/>\n'
           % (LEFT + columns * (WIDTH + GAP_X), TOP + math.ceil(len(panels) / columns) * (HEIGHT + GAP_Y)))
    out += words_at(LEFT, 20, "%s: by the number of keys" % family, 13)
    for i, engine in enumerate(engines):
        x, y = LEFT + i % 7 * 190, 38 + i // 7 * 16
        colour, width, dash = looks[engine]
        out += line([(x, y), (x + 24, y)], colour, width, dash) + words_at(x + 29, y + 4, engine)
    for i, (title, curves) in enumerate(panels):
        points = [p for curve in curves.values() for p in curve]
        sizes = sorted({n for n, _ in points})
        panel = Panel(LEFT + i % columns * (WIDTH + GAP_X), TOP + 10 + i // columns * (HEIGHT + GAP_Y), sizes,
                      [v for _, v in points])
        out += panel.frame(title, sizes) + "".join(panel.curve(c, *looks[e]) for e, c in curves.items())
    return out + "</svg>\n"


def draw(r, ours, tables, folder):
    """Draws FOLDER/FAMILY-growth.svg of `tables`, [(operation, title), ..]. Returns the paths."""
    paths = []
    for family, sets in r.growth().items():
        panels = []
        for op, title in tables:
            curves = {}
            for engine in ours + [e for e, kind in r.kinds.items() if "rival" in kind]:
                points = [(r.sizes[d][0], r.get(engine, d, op)) for d in sets]
                points = [p for p in points if p[1]]
                if len(points) > 1:
                    curves[engine] = points
            if curves:
                panels.append((title, curves))
        if panels:
            paths.append(os.path.join(folder, family + "-growth.svg"))
            with open(paths[-1], "w", encoding="utf-8") as out:
                out.write(drawing(family, ours, panels))
    return paths
