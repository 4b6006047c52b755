"""Thin first version."""

from pathlib import Path
import pandas as pd
from cnntention import files, plan
from cnntention.config import Study


def write_report(study: Study, tables: Path, out: Path) -> None:
    card = files.read_json(tables / "card.json")
    html = "".join(
        f"<h2>{p.stem}</h2>" + pd.read_csv(p).to_html()
        for p in sorted(tables.glob("*.csv"))
        if p.stem != "curves"
    )
    files.write_text(out / "index.html", html)
    files.write_json(out / "card.json", {"key": plan.report_key(study, card["key"])})
