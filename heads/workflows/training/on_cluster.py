"""Heads on the machines of a cluster of Ray's: each is trained by a task of its own, which writes it into the run.

Store, labels and run must lie where all machines see them under the same path. A head is trained as it would be here,
to the same bits by as many threads.
"""

import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heads.data.history import Epoch
from heads.data.listener import Listener, LoggingListener
from heads.errors import StoppedError, TrainError
from heads.run import RunDirectory
from heads.trainers.checkpoint import stop_after_epoch
from heads.workflows.job import Trained, TrainingJob
from heads.workflows.training.ahead import THREADS
from heads.workflows.training.train import begin, difference, train_head, versions_here
from store.cluster import LOCAL, joined, short
from store.errors import TraplineError

_MOST_TRIES = 3
_TICK_S = 1.0
_PATIENCE_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where heads are trained.

    Attributes:
        address: HOST:PORT of a cluster of Ray's, or `local` for one on this machine.
        cpus: processors a head, and threads.
        insecure: whether a cluster will do that asks nobody for a token.
    """

    address: str = LOCAL
    cpus: int = 1
    insecure: bool = False


def train_on_cluster(
    job: TrainingJob, again: Callable[[], TrainingJob], run: RunDirectory, listener: Listener, cluster: Cluster
) -> list[Trained]:
    """Train every head of a job over its folds, and write the run directory; as `train` does, elsewhere.

    Args:
        job: what is trained on what.
        again: gives the same job on another machine; must be such that it can be pickled.
        run: where everything is written.
        listener: called with each of the job's notes, and with a head's epochs once it is finished.
        cluster: where.

    Returns:
        One entry a head, in the recipe's order.

    Raises:
        ClusterError: the cluster cannot be joined, or lets in anybody.
        TrainError: the run was made with other settings, labels or features, or is being trained by somebody else; a
            machine does not see it, has other versions, or ended the process that trained a head; no machine is left.
        StoppedError: the user asked to stop; what is finished is kept.
    """
    for sentence in job.notes:
        listener.note(sentence)
    with run.in_training():
        begin(job, run)
        with joined(cluster.address, insecure=cluster.insecure) as ray, stop_after_epoch(listener.stopping):
            trained = _Tasks(ray, again, run, cluster).work([head.name for head in job.heads], listener)
    return [trained[head.name] for head in job.heads]


class _Tasks:
    """The heads that are being trained somewhere."""

    def __init__(self, ray: Any, again: Callable[[], TrainingJob], run: RunDirectory, cluster: Cluster) -> None:
        self._ray = ray
        self._again = again
        self._run = run
        self._cluster = cluster
        variables = {**dict.fromkeys(THREADS, str(cluster.cpus)), "RAY_USAGE_STATS_ENABLED": "0"}
        self._task = ray.remote(num_cpus=cluster.cpus, max_retries=0, max_calls=0, runtime_env={"env_vars": variables})(
            _train_there
        )
        self._asked: dict[Any, str] = {}
        self._tries: Counter[str] = Counter()
        self._somebody_at = time.monotonic()

    def work(self, names: list[str], listener: Listener) -> dict[str, Trained]:
        """Have all of the heads trained."""
        trained: dict[str, Trained] = {}
        for name in names:
            self._ask(name)
        while self._asked:
            if listener.stopping.is_set():
                raise StoppedError("stopped; heads that are finished are kept, and the same command goes on from there")
            self._require_somebody()
            answered, _ = self._ray.wait(list(self._asked), num_returns=1, timeout=_TICK_S)
            for answer in answered:
                name = self._asked.pop(answer)
                said = self._hear(name, answer)
                if said is not None:
                    trained[name], epochs = said
                    for epoch in epochs:
                        listener.epoch(name, epoch)
        return trained

    def _ask(self, name: str) -> None:
        self._tries[name] += 1
        answer = self._task.remote(self._again, self._run.path.absolute(), name, versions_here())
        self._asked[answer] = name

    def _hear(self, name: str, answer: Any) -> tuple[Trained, list[Epoch]] | None:
        """What came of a head; None if the process that trained it was lost, and it is trained again."""
        errors = self._ray.exceptions
        try:
            said: tuple[Trained, list[Epoch]] = self._ray.get(answer)
        except errors.RayTaskError as error:
            cause = getattr(error, "cause", None)
            told = str(cause) if isinstance(cause, TraplineError) else short(error)
            raise TrainError(told) from error
        except errors.RayError as error:
            if self._tries[name] >= _MOST_TRIES:
                raise TrainError(
                    f"{self._run.path}: the process that trained {name} was ended {_MOST_TRIES} times "
                    f"({short(error)}), perhaps for want of memory; the same command goes on from what is finished"
                ) from error
            self._ask(name)
            return None
        return said

    def _require_somebody(self) -> None:
        """Raise TrainError if no machine that could train a head has been there for too long."""
        now = time.monotonic()
        if any(
            node["Alive"] and node.get("Resources", {}).get("CPU", 0) >= self._cluster.cpus
            for node in self._ray.nodes()
        ):
            self._somebody_at = now
        elif now - self._somebody_at > _PATIENCE_S:
            raise TrainError(
                f"no node with {self._cluster.cpus} free processors is left, and {len(self._asked)} heads are not "
                "trained; bring nodes back and run the same command again, which goes on from what is finished"
            )


class _Hearing(LoggingListener):
    """Keeps what a head tells of its epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[Epoch] = []

    def epoch(self, head: str, epoch: Epoch) -> None:
        """Keep it."""
        self.epochs.append(epoch)


def _train_there(
    again: Callable[[], TrainingJob], folder: Path, name: str, versions: Mapping[str, str]
) -> tuple[Trained, list[Epoch]]:
    """Train one head of a run, on whichever machine this is called.

    Raises:
        TrainError: this machine has other versions, or does not see the same run, labels and features.
    """
    here, run = f"node {socket.gethostname()}", RunDirectory(folder)
    for what, version in versions_here().items():
        if version != versions[what]:
            raise TrainError(f"{here}: has {what} {version}, expected {versions[what]}; install the same there")
    if not run.config_path.is_file():
        raise TrainError(f"{here}: does not see the run {folder}; mount its folder there under the same path")
    job, hearing = again(), _Hearing()
    other = difference(job, run)
    if other:
        raise TrainError(f"{here}: sees {other} than this machine; mount the same store and labels there")
    head = next(head for head in job.heads if head.name == name)
    return train_head(job, run, head, hearing), hearing.epochs
