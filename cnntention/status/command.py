"""The status subcommand: look, print; look again every two seconds; or estimate before the start."""

import time
from pathlib import Path

from rich.console import Console, Group

from cnntention.config import Study
from cnntention.errors import UserError
from cnntention.status import show
from cnntention.status.findings import found, later
from cnntention.status.outlook import share_done, time_left
from cnntention.status.runs import Phase, look_at
from cnntention.status.speed import Speeds, image_facts, measured_speeds
from cnntention.status.terminal import console, write

PAUSE = 2.0  # s between two looks
UNASKED = 30.0  # s: how long an estimate that nobody asked for may take
DEFAULT = "config.yaml"


def overlaid(paths: list[str]) -> list[str]:
    """The files as `snakemake --configfile` reads them: over config.yaml."""
    known = Path(DEFAULT).exists() and DEFAULT not in paths
    return [DEFAULT, *paths] if known else paths


def show_status(study: Study, watched: bool, estimated: bool | None) -> None:
    """Print the study's state; `estimated`: also what it costs; None: only if no run has begun."""
    out = console()
    if watched:
        if estimated:
            raise UserError("--watch and --estimate do not go together; give one of them.")
        if not out.is_terminal:
            raise UserError("--watch redraws a terminal, and the output is none; leave --watch out.")
        watch(study, out)
        return
    picture = look(study)
    write(out, show.parts(picture, out))
    asked = estimated is not None
    if estimated or (not asked and all(status.phase is Phase.WAITING for status in picture.statuses)):
        print_estimate(study, picture, out, budget=None if asked else UNASKED)


def look(study: Study) -> show.Picture:
    """The study as its files are now."""
    statuses, images = look_at(study), image_facts(study)
    left = time_left(study, statuses, Speeds(study, images, measured_speeds(statuses)))
    return show.Picture(
        study, statuses, share_done(study, statuses, images), left, later(study, statuses), found(study, statuses)
    )


def watch(study: Study, out: Console, pause: float = PAUSE) -> None:
    """Redraw until Ctrl-C or until the report is there; what was seen last stays on the terminal."""
    from rich.live import Live

    picture = look(study)
    try:
        with Live(console=out, screen=True, auto_refresh=False) as live:
            while not picture.complete:
                live.update(Group(*show.parts(picture, out)), refresh=True)
                time.sleep(pause)
                picture = look(study)
    except KeyboardInterrupt:
        pass
    write(out, show.parts(picture, out))


def print_estimate(study: Study, picture: show.Picture, out: Console, budget: float | None) -> None:
    from cnntention.status.estimate import estimate

    messages = console(stderr=True)
    # on stderr, and only where a person watches: a pipe gets no spinner
    with messages.status("timing a few training steps of each model") as spinner:
        made = estimate(study, picture.statuses, spinner.update, budget)
    write(out, show.estimate_parts(made))
