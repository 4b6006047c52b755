"""Ten shapes, drawn in two sizes, and ten colours."""

from functools import cache

import numpy as np

SHAPES = ("ring", "plus", "x", "square", "triangle", "corner", "H", "T", "L", "Z")
COLOURS = ("cyan", "blue", "violet", "magenta", "coral", "orange", "sand", "olive", "green", "mint")
# Found by maximizing the smallest distance in CIELAB (35) at L* between 64.9 and 67.3.
RGB = np.array(
    [
        *([0, 175, 200], [85, 165, 250], [180, 140, 245], [255, 80, 250], [255, 110, 130]),
        *([245, 130, 0], [180, 160, 95], [135, 170, 0], [5, 190, 40], [75, 180, 140]),
    ],
    np.uint8,
)
# '#' is the stroke; 'o' is where the white dot goes when the candidate is marked.
GLYPHS = {
    7: """
    ..###..  ...#...  #.oo..#  #######  oo.#...  #######  #.....#  #######  #......  #######
    .#...#.  .oo#...  .#oo.#.  #.....#  oo#.#..  ......#  #.....#  ...#...  #......  .oo..#.
    #.oo..#  .oo#...  ..#.#..  #.oo..#  ..#.#..  ..oo..#  #.oo..#  .oo#...  #..oo..  .oo.#..
    #.oo..#  #######  ...#...  #.oo..#  .#...#.  ..oo..#  #.oo..#  .oo#...  #..oo..  ...#...
    #.....#  ...#...  ..#.#..  #.....#  .#...#.  ......#  #######  ...#...  #......  ..#....
    .#...#.  ...#...  .#...#.  #.....#  #.....#  ......#  #.....#  ...#...  #......  .#.....
    ..###..  ...#...  #.....#  #######  #######  ......#  #.....#  ...#...  #######  #######
    """,
    5: """
    ..#..  oo#..  #.o.#  #####  oo#..  #####  #.o.#  #####  #....  #####
    .#.#.  ..#..  .#o#.  #...#  .#.#.  ....#  #.o.#  ..#..  #.oo.  oo.#.
    #.oo#  #####  ..#..  #oo.#  .#.#.  .oo.#  #####  oo#..  #....  ..#..
    .#.#.  ..#..  .#.#.  #...#  #...#  ....#  #...#  ..#..  #....  .#...
    ..#..  ..#..  #...#  #####  #####  ....#  #...#  ..#..  #####  #####
    """,
}
DISC = len(SHAPES)  # index of the colour cue among the strokes


def vocabulary(size: int) -> np.ndarray:
    """(size,): indices of the shapes, and of the colours, that are used, evenly spread over the ten."""
    return np.arange(size) * len(SHAPES) // size


@cache
def glyphs(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Strokes of SHAPES and, last, the disc (11, size, size) bool; the white dots (10, size, size) bool."""
    lines = [list(map(list, line.split())) for line in GLYPHS[size].splitlines() if line.strip()]
    cells = np.array(lines).swapaxes(0, 1)
    squared = (np.arange(size) - size // 2) ** 2
    disc = squared[:, None] + squared <= (size // 2) ** 2 + 1
    return np.concatenate([cells == "#", disc[None]]), cells == "o"
