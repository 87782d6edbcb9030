"""Any sequence of writing, reopening, dying, superseding, merging, damaging and repairing, beside a plain dict."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from store import ClipFeatures, FeatureKey, FeatureStore, Status
from store.files import temporary_name
from store.format.part_names import list_parts
from store.maintenance.compact import compact_features
from store.maintenance.repair import repair_store
from store.maintenance.verify import verify_store

KEY = FeatureKey(
    backbone="tiny",
    weights_sha256="0" * 64,
    taps=(("low", 1), ("high", 2)),
    input_px=8,
    resize="squash",
    preprocessing="unit",
    view={"name": "whole"},
    sampling={"mode": "frames", "frames": 4},
)
CLIPS = st.sampled_from(["a.mp4", "b/ü.avi", "c d.mov", "e"])
ROWS = st.lists(
    st.tuples(CLIPS, st.sampled_from(["one", "two"]), st.integers(0, 4), st.integers(-100, 100)), min_size=1, max_size=5
)
Row = tuple[str, str, int, int]


def as_features(row: Row) -> ClipFeatures:
    clip_id, content, frames, value = row
    return ClipFeatures(
        clip_id=clip_id,
        fingerprint=content,
        status=Status.SHORT if frames else Status.FAILED,
        reason="by design",
        times_s=np.arange(frames, dtype=np.float64),
        features=np.full((frames, KEY.dim), value, np.float16),
    )


class StoreMachine(RuleBasedStateMachine):
    """The model keeps, oldest first, the rows of each part by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.store = FeatureStore.open(self.root, create=True)
        with self.store.writer(KEY):
            pass
        self.parts: dict[str, list[Row]] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    @property
    def folder(self) -> Path:
        return self.store.folder(KEY)

    def expected(self) -> dict[str, Row]:
        """What counts, by the rule as it is written in the format, without any of the store's code."""
        rows = [row for name in sorted(self.parts) for row in self.parts[name]]
        counting = {}
        for clip_id in {row[0] for row in rows}:
            own = [row for row in rows if row[0] == clip_id]
            same = [row for row in own if row[1] == own[-1][1]]
            counting[clip_id] = ([row for row in same if row[2]] or same)[-1]
        return counting

    @rule(rows=ROWS)
    def write(self, rows: list[Row]) -> None:
        before = set(list_parts(self.folder))
        with self.store.writer(KEY) as writer:
            for row in rows:
                writer.add(as_features(row))
        (new,) = set(list_parts(self.folder)) - before
        self.parts[new] = rows

    @rule()
    def reopen(self) -> None:
        self.store = FeatureStore.open(self.root)

    @rule(rows=ROWS)
    def die_before_committing(self, rows: list[Row]) -> None:
        writer = self.store.writer(KEY)
        for row in rows:
            writer.add(as_features(row))
        host = temporary_name().rsplit("-", 2)[0]
        (self.folder / f"{host}-{2**22 + 1}-{'0' * 16}").write_bytes(b"half a part")

    @rule(clips_per_part=st.sampled_from([1, 3, 256]))
    def compact(self, clips_per_part: int) -> None:
        counting = self.expected()
        compact_features(self.store, KEY, clips_per_part)
        # What counted still counts, and nothing else is left; how the rows are spread is the store's business.
        reader = FeatureStore.open(self.root).reader(KEY)
        self.parts = {part.path.name: [counting[clip_id] for clip_id in part.clip_ids] for part in reader.index.parts}
        assert sorted(row[0] for rows in self.parts.values() for row in rows) == sorted(counting)

    @precondition(lambda self: self.parts)
    @rule(data=st.data())
    def damage_and_repair(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.parts)))
        path = self.folder / name
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(content)
        done = repair_store(FeatureStore.open(self.root))
        assert [old for old, _, _ in done.quarantined] == [path]
        del self.parts[name]

    @invariant()
    def holds_what_counts(self) -> None:
        counting = self.expected()
        reader = self.store.reader(KEY)
        assert reader.ids == sorted(counting)
        features, mask = reader.batch(np.arange(len(reader)))
        for place, clip_id in enumerate(reader.ids):
            _, content, frames, value = counting[clip_id]
            assert reader.fingerprints[place] == content
            assert mask[place].sum() == frames
            assert (features[place][mask[place]] == value).all()
        assert self.store.missing(KEY, {clip_id: row[1] for clip_id, row in counting.items()}) == []

    @invariant()
    def is_sound(self) -> None:
        assert verify_store(self.root).problems == []


StoreMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
TestStoreMachine = StoreMachine.TestCase
