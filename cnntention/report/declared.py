"""Whether claims were sealed before their first score, as English."""

import pandas as pd

from cnntention.report.numbers import count, listing
from cnntention.results.words import Declared

WORDS = {
    Declared.BEFORE: "Declared before its first score: sealed {}.",
    Declared.AFTER: "Declared after its first score: sealed {}.",
    Declared.CHANGED: "Changed after its first score{}.",
    Declared.NOT: "Not sealed.",
}


def of_claim(claim: pd.Series) -> str:
    """Of a row of claims.csv."""
    declared, when = Declared(claim["declared"]), claim["sealed"].replace("T", " ").replace("Z", " UTC")
    if declared is Declared.CHANGED:
        when = f", sealed again {when}" if when else ", not sealed again"
    return WORDS[declared].format(when)


def of_study(claims: pd.DataFrame) -> str:
    """How many of the tested claims were declared before their first score, when, and at which commit."""
    tested = claims[claims["tests"] > 0]
    before = tested[tested["declared"] == Declared.BEFORE]
    if not len(before):
        return "No tested claim was declared before its first score."
    alone = len(before) == 1
    text = f"{len(before)} of {count(len(tested), 'tested claim')} {'was' if alone else 'were'} declared before "
    text += f"{'its' if alone else 'their'} first score"
    return f"{text} (sealed {listing(before['sealed'].str[:10])}, commit {listing(before['sealed_commit'])})."
