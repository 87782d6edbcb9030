"""What does clips somewhere else than where their store is: an assignment in, an account and rows out.

It knows nothing of how it is reached. It opens no store; whoever sends it clips writes down what comes of them.
"""

import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np

from featurize.backbones.detectors import find_detector
from featurize.backbones.runner import DeviceName, RuntimeName
from featurize.backbones.spec import Backbone
from featurize.backbones.weights import Weights, content_sha256, locate_weights
from featurize.decoding.decoded import no_frames
from featurize.decoding.ffmpeg import Probe
from featurize.detection.over_time import Detect
from featurize.errors import WeightsError
from featurize.pipeline.clips.account import Account, account_of
from featurize.pipeline.clips.lanes import Lane, open_lanes
from featurize.pipeline.clips.prefetch import CLIPS_AHEAD, DecodedTask, decode_task
from featurize.pipeline.discover import Clip
from featurize.pipeline.networks import detector_of
from featurize.pipeline.places.backgrounds import NO_BACKGROUNDS, Backgrounds
from featurize.pipeline.plan import Task, fingerprint_or_blank
from featurize.pipeline.source import FeatureSource
from featurize.views.registry import find_view
from featurize.views.sampling import Sampling
from store import ClipFeatures, Status

# Pictures of a rare size wait for others to fill a batch: so many clips may, then batches go as they are.
_MOST_WAITING = 16


@dataclass(frozen=True, kw_only=True)
class WorkOrder:
    """What is to be done with every clip.

    Attributes:
        sources: what features are made of; weights lie where they lie on the machine that gives the order.
        sampling: which frames.
        runtime: what runs the networks.
        device: where.
        threads: threads that networks and pictures may take.
        networks: the quantised networks of the sources, by their sha256.
    """

    sources: tuple[FeatureSource, ...]
    sampling: Sampling
    runtime: RuntimeName
    device: DeviceName
    threads: int
    networks: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A clip to do.

    Attributes:
        clip: the clip, under an absolute path.
        sources: places among those of the order.
        known: whether the store knows the content of a clip of this id.
        backgrounds: what it is seen against, if a view asks for it.
    """

    clip: Clip
    sources: tuple[int, ...]
    known: bool
    backgrounds: Backgrounds = NO_BACKGROUNDS


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a clip.

    Attributes:
        account: what is told of it.
        rows: (place of the source in the order, features) for each that was wanted, unless nothing is to be kept.
    """

    account: Account
    rows: tuple[tuple[int, ClipFeatures], ...]


@dataclass(eq=False)
class _Open:
    """A clip whose features are not all there yet."""

    account: Account
    lacking: int
    rows: dict[int, ClipFeatures] = field(default_factory=dict)


class ClipWorker:
    """Does one clip after the other, decoding some while another goes through the networks; threads may call `take`.

    Networks see batches that cross clips, so that a clip may come out of a later call than the one that took it in.
    """

    def __init__(self, order: WorkOrder) -> None:
        self._order = order
        self._lock = threading.Lock()
        self._decoders = threading.Semaphore(order.threads)
        self._room = threading.Semaphore(order.threads * CLIPS_AHEAD)
        self._networks = ThreadPoolExecutor(1, thread_name_prefix="networks")
        self._open: dict[str, _Open] = {}
        self._finished: list[Outcome] = []
        self._broken: Exception | None = None
        self._sources: tuple[FeatureSource, ...] = ()
        self._lanes: dict[FeatureSource, Lane] = {}
        self._places: dict[FeatureSource, int] = {}
        self._detect: Detect | None = None

    def start(self) -> None:
        """Make the networks ready.

        Raises:
            FeaturizeError: weights are not here, or this machine lacks what they are to be run with.
        """
        order = self._order
        cv2.setNumThreads(order.threads)
        self._sources = tuple(_sources_here(order))
        self._places = {source: place for place, source in enumerate(self._sources)}
        self._lanes = open_lanes(self._sources, order.runtime, order.device, self._add)
        self._detect = detector_of((source.view for source in self._sources), order.runtime)

    def take(self, assignment: Assignment) -> list[Outcome]:
        """Decode a clip and have it sent to the networks, and give the clips that are complete now.

        Raises:
            Exception: the networks broke, over this clip or one that was taken before.
        """
        task = Task(
            clip=assignment.clip,
            sources=tuple(self._sources[place] for place in assignment.sources),
            known=assignment.known,
        )
        with self._decoders:
            decoded = decode_task(task, self._order.sampling, assignment.backgrounds, self._detect)
        account = account_of(decoded)
        if account.unreached:
            return [*self._given(), Outcome(account=account, rows=())]
        self._room.acquire()
        self._networks.submit(self._push, account, decoded)
        return self._given()

    def finish(self) -> list[Outcome]:
        """Give all clips that were taken; those that wait for a full batch go in batches that are not.

        Raises:
            Exception: the networks broke.
        """
        self._networks.submit(self._flush).result()
        return self._given()

    def take_alone(self, assignment: Assignment) -> list[Outcome]:
        """Do a clip from beginning to end."""
        return [*self.take(assignment), *self.finish()]

    def _push(self, account: Account, decoded: DecodedTask) -> None:
        """Send a clip through the networks, as far as batches are full."""
        try:
            self._open[account.clip_id] = _Open(account, len(decoded.task.sources))
            for source in decoded.task.sources:
                self._lanes[source].push(decoded)
            if len(self._open) > _MOST_WAITING:
                self._flush()
        except Exception as error:  # noqa: BLE001  raised by the next call
            self._broken = error
        finally:
            self._room.release()

    def _add(self, source: FeatureSource, row: ClipFeatures) -> None:
        clip = self._open.get(row.clip_id)
        if clip is None:  # it was sent twice, and is complete by what came of it first
            return
        clip.rows[self._places[source]] = row
        if len(clip.rows) == clip.lacking:
            del self._open[row.clip_id]
            with self._lock:
                self._finished.append(Outcome(account=clip.account, rows=tuple(clip.rows.items())))

    def _flush(self) -> None:
        for lane in self._lanes.values():
            lane.finish()

    def _given(self) -> list[Outcome]:
        if self._broken is not None:
            raise self._broken
        with self._lock:
            finished, self._finished = self._finished, []
        return finished


def failed_outcome(assignment: Assignment, order: WorkOrder, reason: str) -> Outcome:
    """What is written down of a clip that could not be done anywhere, for `reason`."""
    decoded = DecodedTask(
        task=Task(clip=assignment.clip, sources=(), known=assignment.known),
        fingerprint=fingerprint_or_blank(assignment.clip),
        clip=no_frames(reason, Probe()),
        uncompared=False,
        sound=None,
    )
    rows = tuple(
        (
            place,
            ClipFeatures(
                clip_id=assignment.clip.clip_id,
                fingerprint=decoded.fingerprint,
                status=Status.FAILED,
                reason=reason,
                times_s=np.empty(0),
                features=np.empty((0, order.sources[place].backbone.dim), np.float32),
            ),
        )
        for place in assignment.sources
    )
    account = account_of(decoded)
    return Outcome(account=account, rows=() if account.unreached else rows)


def weights_here(backbone: Backbone, wanted: Weights) -> Weights:
    """The weights of a backbone on this machine: where it has them by itself, or else at the very path.

    Raises:
        WeightsError: there are none, or others.
    """
    if wanted.path is None:
        return wanted
    try:
        found = locate_weights(backbone, offline=True)
        if found.sha256 == wanted.sha256:
            return found
    except WeightsError:
        if not wanted.path.exists():
            raise
    if not wanted.path.exists():
        raise WeightsError(f"{backbone.name}: there is no weights file {wanted.path}")
    sha256 = content_sha256(wanted.path)
    if sha256 != wanted.sha256:
        raise WeightsError(
            f"{backbone.name}: the sha256 of its weights is {sha256[:12]}…, expected {wanted.sha256[:12]}…"
        )
    return wanted


def require_weights(sources: Sequence[FeatureSource]) -> None:
    """Raise WeightsError unless this machine has the weights of all sources and of the detectors that views ask."""
    for source in dict.fromkeys(
        replace(each, view=sources[0].view, contrast=False, quantised=None) for each in sources
    ):
        if source.precision != "int8":
            weights_here(source.backbone, source.weights)
    for name in dict.fromkeys(find_view(source.view).needs_detector for source in sources):
        if name:
            locate_weights(find_detector(name))


def _sources_here(order: WorkOrder) -> list[FeatureSource]:
    """The sources of an order, with weights where they lie here."""
    return [
        replace(source, quantised=_network_here(source.quantised, order.networks))
        if source.quantised is not None
        else replace(source, weights=weights_here(source.backbone, source.weights))
        for source in order.sources
    ]


def _network_here(wanted: Weights, networks: Mapping[str, bytes]) -> Weights:
    """A quantised network that came with the order, in a file of this process."""
    path = Path(tempfile.gettempdir()) / f"trapline-network-{wanted.sha256}.zip"
    if not path.is_file() or content_sha256(path) != wanted.sha256:
        from store.files import atomic_path

        with atomic_path(path) as temporary:
            temporary.write_bytes(networks[wanted.sha256])
    return replace(wanted, path=path)
