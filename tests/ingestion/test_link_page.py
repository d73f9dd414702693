"""What the page about links says is what the code does."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

from ingestion import links
from ingestion.link_signatures import sign
from tests.ingestion.link_apps import SECRET, hit, pairs_of, touch
from tests.ingestion.rig import Running

PAGE = (Path(__file__).parents[2] / "docs" / "links.md").read_text(encoding="utf-8")


def test_the_table_of_parameters_is_that_of_the_code() -> None:
    table = PAGE.partition("## Parameters")[2].partition("## Signed links")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) ?\| (.+) \|$", table, flags=re.MULTILINE)
    documented = {name: (tuple(re.findall(r"`(\w+)`", aliases)), doc) for name, aliases, doc in rows}
    assert documented == {name: (links.ALIASES.get(name, ()), f.doc) for name, f in links.FIELDS.items()}
    for macro in re.findall(r"`([^`]+)`", table.partition("null: ")[2].partition("\n")[0]):
        assert links.is_macro(macro), macro


def test_the_example_of_what_is_signed_is_what_is_signed() -> None:
    example = PAGE.partition("under the secret of\n\n")[2].partition("\n\nthree lines")[0]
    text = "\n".join(row.strip() for row in example.splitlines())
    expected = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert sign(SECRET, "click", "game", pairs_of("partner=meta&campaign_id=c9")) == expected


def test_the_example_of_the_page_is_recorded(link_endpoint: Running) -> None:
    path = re.search(r'curl -i "http://127\.0\.0\.1:8080(.+)"', PAGE)
    assert path is not None
    row = touch(link_endpoint, hit(link_endpoint, path[1]))
    assert (row["partner"], row["campaign_id"], row["gaid"] is None) == ("meta", "c9", False)
