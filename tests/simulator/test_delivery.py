"""A delivery sends the stream, knows when it is finished, and goes on where it broke off."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest

from simulator.delivery import deliver, write_files
from simulator.manifest import Manifest
from simulator.world import World, WorldConfig

CONFIG = WorldConfig(events=4_000, days=6)


def stream(config: WorldConfig = CONFIG) -> bytes:
    return b"".join(c.data for batch in World(config).stream() for c in batch.chunks())


class Receiver:
    """Keeps what is sent; breaks after a number of chunks."""

    def __init__(self, breaks_after: int = 10**9) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        self._left = breaks_after

    def __call__(self, app_id: str, body: bytes) -> None:
        if not self._left:
            raise ConnectionError("gone")
        self._left -= 1
        self.bodies.append((app_id, body))

    @property
    def data(self) -> bytes:
        return b"".join(body for _, body in self.bodies)


def test_everything_is_sent_in_order_with_a_manifest() -> None:
    receiver, told = Receiver(), list[str]()
    manifest = deliver(World(CONFIG), receiver, progress=told.append, chunk_records=50)
    assert receiver.data == stream()
    assert all(b'"record_id"' in body for _, body in receiver.bodies)
    assert manifest.records == receiver.data.count(b"\n")
    assert manifest.records == manifest.unique_records + manifest.copies + manifest.damaged_records
    assert manifest.bytes == len(receiver.data)
    assert manifest.days == tuple(range(6))
    assert told[-1].startswith("day 6 of 6")
    day = b"".join(c.data for c in next(World(CONFIG).stream([2])).chunks())
    assert manifest.entries[2].sha256 == hashlib.sha256(day).hexdigest()


def test_a_finished_delivery_is_not_sent_again(tmp_path: Path) -> None:
    first = deliver(World(CONFIG), Receiver(), truth=tmp_path)
    again = Receiver()
    second = deliver(World(CONFIG), again, truth=tmp_path)
    assert (first.is_new, second.is_new) == (True, False)
    assert again.bodies == []
    assert (second.records, second.sha256) == (first.records, first.sha256)
    assert (tmp_path / CONFIG.world_id / "installs.parquet").is_file()
    assert json.loads((tmp_path / CONFIG.world_id / "manifest.json").read_text())["records"] == first.records


def test_a_broken_delivery_goes_on_with_the_day_it_broke_off(tmp_path: Path) -> None:
    broken = Receiver(breaks_after=7)
    with pytest.raises(ConnectionError):
        deliver(World(CONFIG), broken, truth=tmp_path)
    held = Manifest.load(tmp_path / CONFIG.world_id)
    assert held is not None
    assert 0 < len(held.days) < 6
    assert not (tmp_path / CONFIG.world_id / "installs.parquet").exists()
    rest = Receiver()
    manifest = deliver(World(CONFIG), rest, truth=tmp_path)
    whole = deliver(World(CONFIG), Receiver())
    assert (manifest.records, manifest.sha256) == (whole.records, whole.sha256)
    assert set(stream().split(b"\n")) == set((broken.data + rest.data).split(b"\n"))


def test_one_day_more_is_sent_alone(tmp_path: Path) -> None:
    deliver(World(CONFIG), Receiver(), truth=tmp_path)
    extra = Receiver()
    manifest = deliver(World(CONFIG.extended()), extra, truth=tmp_path)
    assert extra.data == stream(CONFIG.extended()).removeprefix(stream())
    assert manifest.days == tuple(range(7))
    daily = pl.read_parquet(tmp_path / CONFIG.world_id / "daily.parquet")
    assert daily["sent_date"].n_unique() == 7


def test_files_hold_the_stream(tmp_path: Path) -> None:
    files = write_files(World(CONFIG), tmp_path)
    assert [f.name for f in files] == [f"{CONFIG.world_id}-d000-d005.ndjson"]
    assert files[0].read_bytes() == stream()


def test_large_worlds_are_split_between_days(tmp_path: Path) -> None:
    files = write_files(World(CONFIG), tmp_path, days=range(1, 5), file_bytes=1)
    assert [f.name.rsplit("-", 2)[1:] for f in files] == [[f"d00{d}", f"d00{d}.ndjson"] for d in range(1, 5)]
    assert sorted(tmp_path.iterdir()) == sorted(files), "nothing else is left behind"


def test_parquet_holds_the_good_records_as_columns(tmp_path: Path) -> None:
    world = World(CONFIG)
    (file,) = write_files(world, tmp_path, "parquet")
    frame = pl.read_parquet(file)
    assert len(frame) == sum(world.counts(d).unique + world.counts(d).copies for d in range(6))
    ads = frame.filter(pl.col("record_type") == "ad_revenue")
    stated = pl.DataFrame(world.truth().table("revenue")).filter(pl.col("revenue_kind") == "ad")
    assert int(ads.unique("record_id")["revenue"].sum() * 1_000_000) == stated["revenue_micros"].sum()
    assert frame.schema["event_at"] == pl.Datetime("us", "UTC")
    assert frame["event_at"].null_count() == 0
