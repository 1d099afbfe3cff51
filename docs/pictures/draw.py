"""Makes the pictures and the tables of ``docs/whatif.md`` anew, from the shipped cases: ``make pictures``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from PIL import Image

from resilix.testing.simulation.picture import draw
from resilix.whatif import shipped
from resilix.whatif.play import Progress, play
from resilix.whatif.scenario import scenario_of
from resilix.whatif.words import report_of

HERE = Path(__file__).parent
PAGE = HERE.parent / "whatif.md"
COLOURS = 256
"""Of the colours of a picture, so many are kept, those that occur most; it takes a third of the bytes."""


def main() -> None:
    """Draw each case, and put what the command prints of it into the page."""
    text = PAGE.read_text(encoding="utf-8")
    for name in shipped.CASES:
        scenario = scenario_of(shipped.read(name), name)
        results = play(
            scenario.candidates,
            scenario.load,
            scenario.dependency,
            seconds=scenario.seconds,
            seed=scenario.seed,
            progress=Progress(),
        )
        picture = draw(results, HERE / f"{name}.png")
        shrink(picture)
        printed = f"$ resilix simulate {name}\n{report_of(scenario, results, scenario.seconds, scenario.seed)}"
        block = re.compile(rf"```text\n\$ resilix simulate {re.escape(name)}\n.*?```", re.DOTALL)
        text, found = block.subn(lambda match, printed=printed: f"```text\n{printed}\n```", text)
        if found != 1:
            raise SystemExit(f"{PAGE}: it needs one block of text that begins with $ resilix simulate {name}")
    PAGE.write_text(text, encoding="utf-8")


def shrink(picture: Path) -> None:
    """Write a picture again, with fewer colours, all of which are among its own."""
    with Image.open(picture) as whole:
        plain = whole.convert("RGB")
    counted = sorted(plain.getcolors(plain.width * plain.height) or [], reverse=True)[:COLOURS]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in counted for part in cast(tuple[int, int, int], colour)])
    plain.quantize(palette=palette, dither=Image.Dither.NONE).save(picture, optimize=True)


if __name__ == "__main__":
    main()
