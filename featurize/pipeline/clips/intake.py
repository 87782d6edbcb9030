"""What comes of clips goes into their store: the only one of a run that writes, wherever clips are computed."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

import numpy as np

from featurize.pipeline.classifiers import keep_classifiers
from featurize.pipeline.clips.account import Account
from featurize.pipeline.plan import UNREACHED, Plan
from featurize.pipeline.source import FeatureSource
from featurize.pipeline.summary import Progress
from store import ClipFacts, ClipFeatures, FeatureStore, Status
from store.access.writer import PartWriter
from store.errors import InvalidRecordError


class Intake:
    """Writers of a plan's features and clip facts, for as long as it is entered, and the count of what they got."""

    def __init__(
        self,
        plan: Plan,
        sources: Sequence[FeatureSource],
        store: FeatureStore,
        progress: Progress,
        *,
        clips_per_part: int,
    ) -> None:
        self._plan = plan
        self._sources = sources
        self._store = store
        self._progress = progress
        self._clips_per_part = clips_per_part
        self._stack = ExitStack()
        self._writers: dict[FeatureSource, PartWriter[ClipFeatures]] = {}
        self._facts: PartWriter[ClipFacts] | None = None

    def tell(self, account: Account) -> bool:
        """Take in what is told of a clip, before its features; False where nothing of it is to be kept."""
        if account.unreached:
            self._progress.unreached.append((account.clip_id, UNREACHED))
            return False
        assert self._facts is not None
        self._facts.add(account.facts)
        self._progress.count(account)
        return True

    def add(self, source: FeatureSource, row: ClipFeatures) -> None:
        """Take in a clip's features; where the store refuses them, the clip has failed with that reason."""
        writer = self._writers[source]
        try:
            writer.add(row)
        except InvalidRecordError as error:
            nothing = np.empty((0, source.backbone.dim), np.float32)
            reason = f"{source.backbone.name} gives nothing that can be stored: {error}"
            failed = replace(
                row,
                status=Status.FAILED,
                reason=reason,
                times_s=np.empty(0),
                features=nothing,
                per_frame={},
                pictures=(),
            )
            writer.add(failed)
            self._progress.refuse(row.clip_id, reason)

    def __enter__(self) -> Self:
        keys = self._plan.keys
        # The last to enter is the first to commit: facts go before features, and a clip without facts is done again.
        self._writers = {
            source: self._stack.enter_context(self._store.writer(keys[source], clips_per_part=self._clips_per_part))
            for source in self._sources
        }
        self._facts = self._stack.enter_context(self._store.clip_writer(clips_per_part=self._clips_per_part))
        keep_classifiers({source: keys[source] for source in self._sources}, self._store)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
