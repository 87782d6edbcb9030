"""A runner of work on a cluster of Ray's: workers do clips, and this process alone writes down what comes of them.

A worker has two clips a processor in flight, so that one is decoded while another goes through a network. A worker that
dies takes its clips with it, and nobody knows which of them did it: they are suspects from then on, done one at a time
by a worker that has nothing else. A clip that kills two such workers has failed.
"""

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from featurize.backbones.runner import DeviceName, RuntimeName
from featurize.errors import FeaturizeError, MachineError, SettingsError
from featurize.pipeline.clips.clip_worker import Assignment, ClipWorker, Outcome, WorkOrder, failed_outcome
from featurize.pipeline.clips.intake import Intake
from featurize.pipeline.cluster.node import NodeFacts, describe_node
from featurize.pipeline.cluster.ray_cluster import Node, compare_nodes, nodes_of, on_node, require_alike, surroundings
from featurize.pipeline.estimate import spread
from featurize.pipeline.places.backgrounds import NO_BACKGROUNDS, Backgrounds, learn_backgrounds
from featurize.pipeline.plan import Plan, Task, fingerprint_or_blank
from featurize.pipeline.relink import renew
from featurize.pipeline.source import FeatureSource
from featurize.pipeline.summary import Progress, Summary
from store import ClipFeatures, FeatureStore
from store.cluster import LOCAL, joined, short
from store.ids import counted

CLIPS_IN_FLIGHT = 2  # a processor of a worker
_TRIED_CLIPS = 3
_MOST_DEATHS = 2
_MOST_BAD_STARTS = 3
_TICK_S = 1.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 2.0, 32.0

Kind = Literal["start", "take", "alone", "finish", "probe"]


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long is waited for machines.

    Attributes:
        unavailable_s: for a worker that cannot be reached.
        nobody_s: for any worker at all.
    """

    unavailable_s: float = 300.0
    nobody_s: float = 300.0


def run_on_ray(
    plan: Plan,
    store: FeatureStore,
    *,
    runtime: RuntimeName,
    device: DeviceName = "auto",
    workers: int | None,
    clips_per_part: int,
    on_clip: Callable[[Progress], None],
    address: str = LOCAL,
    insecure: bool = False,
    cpus: int = 1,
    on_warning: Callable[[str], None] = lambda _: None,
    patience: Patience = Patience(),
) -> Summary:
    """Do all of `plan`'s tasks on the machines of a cluster, and say what they came to.

    Args:
        plan: from `make_plan`.
        store: where features and clip facts go; only this process opens it.
        runtime: what runs the networks.
        device: `gpu` gives each worker one; else networks run on processors.
        workers: threads of this process that look at clips before, where a view compares them.
        clips_per_part: clips after which a part is committed.
        on_clip: called after every clip.
        address: HOST:PORT of a cluster, or `local` for one on this machine.
        insecure: whether a cluster will do that asks nobody for a token.
        cpus: processors a worker.
        on_warning: called with a sentence on what may matter and stops nothing.
        patience: how long is waited for machines.

    Raises:
        ClusterError: the cluster cannot be joined, or lets in anybody.
        SettingsError: one of its machines is not to be used; the message says why.
        MachineError: no worker is left, or a machine has run out of something.
    """
    progress = Progress()
    renew(plan.touched, store)
    if not plan.tasks:
        return Summary.of(plan, progress)
    order = _order(plan, runtime, device, cpus)
    with joined(address, insecure=insecure) as ray:
        nodes = nodes_of(ray, cpus, gpu=order.device == "gpu")
        if not nodes:
            raise SettingsError(
                f"--ray {address}: no node has {counted(cpus, 'processor')}{' and a GPU' * (order.device == 'gpu')} "
                "for a worker; start one by `ray start`, or ask for fewer --ray-cpus"
            )
        tried = [task.clip.path.absolute() for task in spread(plan.tasks, _TRIED_CLIPS)]
        secure = not insecure and address != LOCAL
        here = compare_nodes(ray, nodes, order, tried, on_warning, secure=secure)
        backgrounds = NO_BACKGROUNDS
        if plan.compares:
            backgrounds = learn_backgrounds(plan.named, store, workers=workers or 4, deployments=plan.deployments)
        with Intake(plan, order.sources, store, progress, clips_per_part=clips_per_part) as intake:
            crew = _Crew(ray, order, here, _Desk(plan, order, intake, backgrounds), patience, secure, on_warning)
            try:
                crew.work(lambda: on_clip(progress))
            finally:
                crew.dismiss()
    return Summary.of(plan, progress)


def _order(plan: Plan, runtime: RuntimeName, device: DeviceName, cpus: int) -> WorkOrder:
    """What all workers are told; a GPU is used only where it was asked for, since not every node may have one."""
    sources = tuple(plan.lacking)
    on_gpu = device == "gpu" or any(source.precision == "f16" for source in sources)
    return WorkOrder(
        sources=sources,
        sampling=plan.sampling,
        runtime=runtime,
        device="gpu" if on_gpu else "cpu",
        threads=cpus,
        networks={
            source.quantised.sha256: (source.quantised.path or Path()).read_bytes()
            for source in sources
            if source.quantised is not None
        },
    )


class _Desk:
    """The clips that are to be done, and where what comes of them goes."""

    def __init__(self, plan: Plan, order: WorkOrder, intake: Intake, backgrounds: Backgrounds) -> None:
        self._order = order
        self._intake = intake
        self._backgrounds = backgrounds
        self._places: Mapping[FeatureSource, int] = {source: place for place, source in enumerate(order.sources)}
        self._tasks = {task.clip.clip_id: task for task in plan.tasks}
        self._deaths: Counter[str] = Counter()
        self.queue: deque[str] = deque(self._tasks)
        self.suspects: deque[str] = deque()

    @property
    def left(self) -> int:
        """How many clips are not done."""
        return len(self._tasks)

    def assignment(self, clip_id: str) -> Assignment:
        """What a worker is told of a clip."""
        task = self._tasks[clip_id]
        return Assignment(
            clip=replace(task.clip, path=task.clip.path.absolute()),
            sources=tuple(self._places[source] for source in task.sources),
            known=task.known,
            backgrounds=self._backgrounds.about(clip_id),
        )

    def next_of(self, clips: deque[str]) -> str | None:
        """The first of a queue that is not done meanwhile, which leaves it."""
        while clips:
            clip_id = clips.popleft()
            if clip_id in self._tasks:
                return clip_id
        return None

    def give_back(self, clips: deque[str], clip_ids: list[str]) -> None:
        """Put clips that were not done to the end of a queue."""
        clips.extend(clip_id for clip_id in clip_ids if clip_id in self._tasks and clip_id not in clips)

    def is_hidden(self, outcome: Outcome) -> bool:
        """Whether a worker could not read a clip that can be read from here."""
        task: Task | None = self._tasks.get(outcome.account.clip_id)
        return task is not None and not outcome.account.facts.fingerprint and bool(fingerprint_or_blank(task.clip))

    def write(self, outcome: Outcome) -> bool:
        """Write down what came of a clip, unless that has been done; whether it counts."""
        if self._tasks.pop(outcome.account.clip_id, None) is None or not self._intake.tell(outcome.account):
            return False
        for place, row in outcome.rows:
            self._intake.add(self._order.sources[place], _held_here(row))
        return True

    def blame(self, clip_id: str, last: str) -> Outcome | None:
        """A worker died of this clip, of nothing else; what is to be written down if it was not the first time."""
        if clip_id not in self._tasks:
            return None
        self._deaths[clip_id] += 1
        if self._deaths[clip_id] < _MOST_DEATHS:
            self.give_back(self.suspects, [clip_id])
            return None
        reason = f"ended the process that decoded it {_MOST_DEATHS} times, with nothing else in it ({last})"
        return failed_outcome(self.assignment(clip_id), self._order, reason)


def _held_here(row: ClipFeatures) -> ClipFeatures:
    """The same row, which takes no room in the memory that Ray's processes share."""
    return replace(
        row,
        times_s=row.times_s.copy(),
        features=row.features.copy(),
        per_frame={name: values.copy() for name, values in row.per_frame.items()},
    )


@dataclass(eq=False)
class _Worker:
    """A worker, as far as it is known here.

    Attributes:
        actor: Ray's handle.
        node: where it runs.
        ready: whether it has started.
        examines: whether it does suspects, one at a time.
        calls: how many calls it has not answered.
        clips: the clips that it has.
        alone: the suspect that it does, with nothing else.
        lost_at: when it could not be reached any more.
        retry_at: when it is tried again.
        pause_s: how long it was left alone before.
    """

    actor: Any
    node: Node
    ready: bool = False
    examines: bool = False
    calls: int = 0
    clips: list[str] = field(default_factory=list)
    alone: str = ""
    lost_at: float | None = None
    retry_at: float = 0.0
    pause_s: float = 0.0


class _Crew:
    """The workers, and who of them does what."""

    def __init__(
        self,
        ray: Any,
        order: WorkOrder,
        here: NodeFacts,
        desk: _Desk,
        patience: Patience,
        secure: bool,
        on_warning: Callable[[str], None],
    ) -> None:
        self._ray = ray
        self._here = here
        self._desk = desk
        self._patience = patience
        self._secure = secure
        self._warn = on_warning
        self._cpus = order.threads
        self._on_gpu = order.device == "gpu"
        self._order = ray.put(order)
        self._workers: list[_Worker] = []
        self._calls: dict[Any, tuple[_Worker, Kind]] = {}
        self._excluded: set[str] = set()
        self._bad_starts: Counter[str] = Counter()
        self._last_error = ""
        self._somebody_at = time.monotonic()
        self._hired_at = -_TICK_S
        self._actor_class = ray.remote(
            num_cpus=self._cpus,
            num_gpus=int(self._on_gpu),
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=CLIPS_IN_FLIGHT * self._cpus,
            runtime_env=surroundings(order),
        )(RayWorker)

    def work(self, on_clip: Callable[[], None]) -> None:
        """Have all clips done."""
        while self._desk.left:
            self._hire()
            self._assign()
            self._require_somebody()
            if not self._calls:
                time.sleep(_TICK_S)
                continue
            answered, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=_TICK_S)
            for answer in answered:
                for outcome in self._hear(answer):
                    if self._desk.write(outcome):
                        on_clip()

    def dismiss(self) -> None:
        """End all workers."""
        for worker in self._workers:
            self._end(worker)

    def _hire(self) -> None:
        """Have as many workers as the machines that are there now have room for."""
        now = time.monotonic()
        if now - self._hired_at < _TICK_S:
            return
        self._hired_at = now
        for node in nodes_of(self._ray, self._cpus, gpu=self._on_gpu):
            if node.node_id in self._excluded:
                continue
            has = sum(worker.node.node_id == node.node_id for worker in self._workers)
            for _ in range(min(node.workers, self._desk.left) - has):
                actor = self._actor_class.options(scheduling_strategy=on_node(node)).remote(self._order)
                worker = _Worker(actor, node)
                self._workers.append(worker)
                self._call(worker, "start")
        for worker in list(self._workers):
            if worker.lost_at is None:
                continue
            if now - worker.lost_at > self._patience.unavailable_s:
                self._end(worker)
                self._workers.remove(worker)
            elif now >= worker.retry_at and not worker.calls:
                self._call(worker, "probe")

    def _assign(self) -> None:
        """Give clips to whoever has room for them."""
        free = [worker for worker in self._workers if worker.ready and worker.lost_at is None]
        if self._desk.suspects and free and not any(worker.examines for worker in free):
            min(free, key=lambda worker: len(worker.clips)).examines = True
        for worker in free:
            if worker.examines:
                self._examine(worker)
            while not worker.examines and worker.calls < CLIPS_IN_FLIGHT * self._cpus:
                clip_id = self._desk.next_of(self._desk.queue)
                if clip_id is None:
                    break
                self._call(worker, "take", clip_id)
            if worker.clips and not worker.calls:
                self._call(worker, "finish")

    def _examine(self, worker: _Worker) -> None:
        """Give a suspect to a worker that has nothing else, and let it go where there are no more."""
        if worker.clips or worker.calls:
            return
        suspect = self._desk.next_of(self._desk.suspects)
        if suspect is None:
            worker.examines = False
        else:
            worker.alone = suspect
            self._call(worker, "alone", suspect)

    def _call(self, worker: _Worker, kind: Kind, clip_id: str = "") -> None:
        actor = worker.actor
        if clip_id:
            worker.clips.append(clip_id)
            method = actor.take_alone if kind == "alone" else actor.take
            answer = method.remote(self._desk.assignment(clip_id))
        else:
            answer = {"start": actor.start, "finish": actor.finish, "probe": actor.probe}[kind].remote()
        worker.calls += 1
        self._calls[answer] = (worker, kind)

    def _hear(self, answer: Any) -> list[Outcome]:
        """What a worker answers, or what follows from its silence; gives what is to be written down."""
        if answer not in self._calls:
            return []
        worker, kind = self._calls.pop(answer)
        worker.calls -= 1
        errors = self._ray.exceptions
        try:
            said = self._ray.get(answer)
        except errors.ActorUnavailableError as error:
            return self._lose(worker, error)
        except (errors.RayActorError, errors.ActorUnschedulableError) as error:
            return self._bury(worker, error)
        except errors.RayTaskError as error:
            return self._refuse(worker, kind, error)
        except errors.RayError as error:  # an answer that got lost with its machine
            return self._lose(worker, error)
        if kind == "start":
            self._welcome(worker, said)
            return []
        if kind == "probe":
            worker.lost_at, worker.pause_s, worker.alone = None, 0.0, ""
            if not worker.ready:
                self._call(worker, "start")
            return []
        return self._received(worker, kind, said)

    def _received(self, worker: _Worker, kind: Kind, outcomes: list[Outcome]) -> list[Outcome]:
        hidden = [outcome for outcome in outcomes if self._desk.is_hidden(outcome)]
        if hidden:
            clip_id = hidden[0].account.clip_id
            self._exclude(worker.node, f"cannot read clip '{clip_id}', which this machine can")
        done = [outcome for outcome in outcomes if outcome not in hidden]
        for outcome in done:
            if outcome.account.clip_id in worker.clips:
                worker.clips.remove(outcome.account.clip_id)
        if kind in ("alone", "finish"):
            self._desk.give_back(self._desk.queue, worker.clips)
            worker.clips, worker.alone = [], ""
        return done

    def _welcome(self, worker: _Worker, there: NodeFacts) -> None:
        """Take a worker in that has started."""
        try:
            require_alike(worker.node, self._here, there, secure=self._secure)
        except SettingsError as error:
            self._exclude(worker.node, str(error))
            return
        worker.ready = True
        self._bad_starts[worker.node.node_id] = 0

    def _refuse(self, worker: _Worker, kind: Kind, error: Exception) -> list[Outcome]:
        """Stop over what a worker raised: it would be no better elsewhere, or its machine has run out of something."""
        cause = getattr(error, "cause", None)
        told = str(cause) if isinstance(cause, FeaturizeError) else short(error)
        if kind == "start" and any(other.ready for other in self._workers):
            self._exclude(worker.node, told)
            return []
        if kind == "start":
            raise SettingsError(f"node {worker.node.name} cannot make its networks ready: {told}") from error
        raise MachineError(f"node {worker.node.name}: {told}; what was committed is kept") from error

    def _lose(self, worker: _Worker, error: Exception) -> list[Outcome]:
        """Do without a worker that cannot be reached now, and try it again later."""
        now = time.monotonic()
        self._forget(worker)
        self._last_error = short(error)
        worker.lost_at = now if worker.lost_at is None else worker.lost_at
        worker.pause_s = min(worker.pause_s * 2 or _FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        worker.retry_at = now + worker.pause_s
        worker.examines = False
        self._desk.give_back(self._desk.suspects, worker.clips)
        worker.clips = []
        return []

    def _bury(self, worker: _Worker, error: Exception) -> list[Outcome]:
        """Do without a worker that died; its clips are suspects unless its machine died with it."""
        self._forget(worker)
        self._workers.remove(worker)
        self._last_error = short(error)
        if not self._is_alive(worker.node):
            self._desk.give_back(self._desk.queue, worker.clips)
        elif not worker.ready:
            self._count_bad_start(worker, error)
        elif worker.alone:
            failed = self._desk.blame(worker.alone, self._last_error)
            return [] if failed is None else [failed]
        else:
            self._desk.give_back(self._desk.suspects, worker.clips)
        return []

    def _count_bad_start(self, worker: _Worker, error: Exception) -> None:
        node = worker.node
        self._bad_starts[node.node_id] += 1
        if self._bad_starts[node.node_id] >= _MOST_BAD_STARTS:
            self._exclude(node, f"workers die there before they have started ({short(error)})")

    def _is_alive(self, node: Node) -> bool:
        return any(each["Alive"] and each["NodeID"] == node.node_id for each in self._ray.nodes())

    def _exclude(self, node: Node, why: str) -> None:
        """Use a machine no more."""
        self._excluded.add(node.node_id)
        self._last_error = f"node {node.name}: {why}"
        self._warn(f"node {node.name} is left out from now on: {why}")
        for worker in [each for each in self._workers if each.node.node_id == node.node_id]:
            self._forget(worker)
            self._end(worker)
            self._desk.give_back(self._desk.queue, worker.clips)
            worker.clips = []
            self._workers.remove(worker)

    def _forget(self, worker: _Worker) -> None:
        """Expect no answer of a worker."""
        self._calls = {answer: call for answer, call in self._calls.items() if call[0] is not worker}
        worker.calls = 0

    def _end(self, worker: _Worker) -> None:
        with contextlib.suppress(Exception):  # it is dead, or its cluster is
            self._ray.kill(worker.actor, no_restart=True)

    def _require_somebody(self) -> None:
        """Raise MachineError if there has been nobody to work for too long, or nobody can come."""
        now = time.monotonic()
        if any(worker.lost_at is None for worker in self._workers if worker.ready or self._is_alive(worker.node)):
            self._somebody_at = now
        nowhere = not self._workers and self._excluded
        if nowhere or now - self._somebody_at > self._patience.nobody_s:
            raise MachineError(
                f"no worker is left ({self._last_error or 'no node has free processors'}) and "
                f"{counted(self._desk.left, 'clip')} not done; bring nodes back and run the same command again, which "
                "goes on from what was committed"
            )


class RayWorker(ClipWorker):
    """A worker, as Ray calls it."""

    def __init__(self, order: WorkOrder) -> None:
        super().__init__(order)
        self._told = order

    def start(self) -> Any:
        """Make the networks ready, and tell of this machine."""
        super().start()
        return describe_node(self._told)

    def probe(self) -> None:
        """Answer."""
