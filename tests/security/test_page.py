"""What others wrote into results is text on the report, whatever it looks like."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from analysis.report.law_results import LawOptions
from analysis.report.page import write_report
from tests.analysis.worlds import small, write_results

EVIL = "</script><img src=x onerror=alert(1)>\"'`${7*7}{{7*7}}<b onmouseover=x>"


class Tags(HTMLParser):
    """All tags with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.slow
def test_nothing_that_others_wrote_is_markup_on_the_page(tmp_path):
    path = write_results(small(), tmp_path, "ev<img src=x onerror=alert(2)>il")
    plan = pd.read_csv(path / "plan.csv", dtype=str, keep_default_na=False)
    for name in ("overrides", "family", "data", "optim", "lr_rule", "schedule", "augment"):
        plan[name] = EVIL
    plan["<b onmouseover=x>"] = EVIL
    plan.to_csv(path / "plan.csv", index=False)
    (path / "sweep.yaml").write_text(f"# {EVIL}\n# command: scaling run {EVIL}\n")
    for run in (path.parent / "runs").iterdir():
        record = json.loads((run / "record.json").read_text())
        record["how"] |= {"host": EVIL, "device": EVIL, "versions": {EVIL: EVIL}}
        record["points"] = [{**point, EVIL: EVIL} for point in record["points"]]
        (run / "record.json").write_text(json.dumps(record))
        (run / "log.jsonl").write_text(json.dumps({"step": 1, EVIL: EVIL, "train_loss": EVIL}) + "\n")
    write_report(path, law_options=LawOptions(0))
    html = (path / "report.html").read_text()
    tags = Tags()
    tags.feed(html)
    assert EVIL[:12] not in re.sub(r"</script>\s*(<script|</body)", "", html)
    assert not [name for _, attributes in tags.found for name in attributes if name.startswith("on")]
    assert not [kind for kind, attributes in tags.found if kind == "img" and attributes.get("src") == "x"]
