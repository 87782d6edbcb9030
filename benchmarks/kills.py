"""Kills commands at random moments, again and again, and looks whether anything is lost or false in the end.

    python -m benchmarks.kills [--count 1000] [--only NAME ...] [--seed 0] [--folder DIR]

A command is run in a process of its own, which SIGKILL ends after a time that is drawn, at most as long as the whole
command takes; then the same command is run, and killed, until it comes to its end. After every kill, what can be read
must be true, and nothing that could be read before may be gone; at the end all must be as one undisturbed run made it:
every feature, status and fact of a store to the bit, whose every byte is verified, the files of a run, each decision
once.
`featurize` (one process; two shares into one store; clips of an HTTP server; on a cluster of Ray's), `store merge`,
`store compact`, `heads train`, `heads blend`, and two people's decisions on clips. Processes are forked off one that
has imported everything, but for those of Ray, which start anew. Scenarios whose packages are not installed are left
out, and their kills given to the others. Files lie in memory where there is /dev/shm: a kill takes nothing from the
cache of a disk. Prints a line a scenario, and a JSON line; how far it is goes to stderr. Exit code 1 if anything was
lost or false.
"""

import argparse
import contextlib
import http.server
import importlib.util
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from PIL import Image

import featurize.cli
import heads.cli
from benchmarks.blend import make_run
from featurize.demo.scenes import write_video
from featurize.remote.scratch import clear_left_behind
from featurize.runtime.threads import thread_variables
from heads.data.decisions import Decision, DecisionLog, State
from store import ClipFacts, ClipFeatures, FeatureKey, FeatureStore, Status
from store.errors import StoreNotFoundError
from store.maintenance.compact import compact_clips, compact_features
from store.maintenance.merge import merge_stores
from store.maintenance.verify import verify_store

OK_CODES = (0, 3)  # one of the clips is broken
SETTINGS = ("--backbone", "phash", "--fps", "2", "--clips-per-part", "1", "--workers", "2")
RECIPE = """
folds: 3
heads:
  - {kind: discriminant}
  - {kind: deviation, statistics: [deviation], queries: 0, metadata: [], dense_units: [8], epochs: 12, batch_clips: 16,
     class_balance: 0.5}
"""
PEOPLE, DECISIONS = ("ann", "bob"), 150
SHORT = tempfile.gettempdir()
Work = Callable[[], object]
Truth = dict[str, bytes]


class FalseError(Exception):
    """Something is lost or false."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A command and what must come of it.

    Attributes:
        name: what it is called.
        share: how many of a thousand kills are its.
        prepare: makes what all rounds read, in a folder.
        begin: makes what a round begins with, from that folder in another.
        work: what is run, side by side, for a round.
        glance: what is true so far, by name, and how it is told; it may only grow.
        settle: looks at all that an undisturbed run would have left.
        needs: packages without which it cannot be run.
        around: entered for as long as its rounds last.
    """

    name: str
    share: int
    prepare: Callable[[Path], None]
    work: Callable[[Path, Path], Sequence[Work]]
    glance: Callable[[Path], Truth]
    settle: Callable[[Path, Path], None]
    begin: Callable[[Path, Path], None] = lambda made, at: at.mkdir(parents=True)
    needs: tuple[str, ...] = ()
    around: Callable[[Path], AbstractContextManager[object]] = lambda _: nullcontext()


@dataclass
class Tally:
    """What came of a scenario."""

    kills: int = 0
    rounds: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


def main() -> int:
    """Kill, look, and say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--only", nargs="*", default=[], choices=[each.name for each in SCENARIOS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    os.environ.update(thread_variables(1))
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = "127.0.0.1"
    chosen = [each for each in SCENARIOS if each.name in (asked.only or [one.name for one in SCENARIOS])]
    chosen = [each for each in chosen if all(importlib.util.find_spec(name) for name in each.needs)]
    shares = shared_out(asked.count, [each.share for each in chosen])
    tallies = {}
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=asked.folder or (memory if memory.is_dir() else None)) as folder:
        tempfile.tempdir = str(Path(folder) / "tmp")
        Path(tempfile.tempdir).mkdir()
        for scenario, kills in zip(chosen, shares, strict=True):
            rng = random.Random(f"{asked.seed} {scenario.name}")
            tally = tallies[scenario.name] = carry_out(scenario, kills, rng, Path(folder) / scenario.name)
            said = f"{tally.kills} kills in {tally.rounds} rounds, {tally.seconds:.0f} s"
            print(f"{scenario.name}: {said}, {len(tally.problems)} problems", flush=True)
            for problem in tally.problems:
                print(f"  {problem}", flush=True)
    problems = sum(len(each.problems) for each in tallies.values())
    told = {name: {"kills": each.kills, "rounds": each.rounds} for name, each in tallies.items()}
    seconds = round(sum(each.seconds for each in tallies.values()), 1)
    total = sum(each.kills for each in tallies.values())
    print(json.dumps({"kills": total, "problems": problems, "seconds": seconds, "scenarios": told}))
    return 1 if problems else 0


def shared_out(count: int, weights: Sequence[int]) -> list[int]:
    """`count` in whole numbers that are as `weights`."""
    ends = [round(count * sum(weights[: place + 1]) / sum(weights)) for place in range(len(weights))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def carry_out(scenario: Scenario, kills: int, rng: random.Random, root: Path) -> Tally:
    """Run rounds of a scenario until so many processes were killed, and the last round has come to its end."""
    tally, begun = Tally(), time.monotonic()
    if not kills:
        return tally
    made = root / "made"
    made.mkdir(parents=True)
    with scenario.around(made):
        scenario.prepare(made)
        seconds = undisturbed(scenario, made)
        while tally.kills < kills:
            at = root / f"round {tally.rounds}"
            scenario.begin(made, at)
            try:
                tally.kills += one_round(scenario, made, at, kills - tally.kills, seconds, rng)
            except FalseError as error:
                tally.problems.append(f"round {tally.rounds}: {error}")
                if len(tally.problems) > 3:
                    break
            tally.rounds += 1
            shutil.rmtree(at)
            print(f"{scenario.name}: {tally.kills} of {kills} kills", file=sys.stderr, flush=True)
    tally.seconds = time.monotonic() - begun
    return tally


def undisturbed(scenario: Scenario, made: Path) -> float:
    """Make what all rounds are held against, twice, the second time with warm caches; how long that took."""
    for target in (made / "first", made / "whole"):
        scenario.begin(made, target)
        begun = time.monotonic()
        ended = [wait(pid, target) for pid in [forked(work, target) for work in scenario.work(made, target)]]
        if any(code not in OK_CODES for code in ended):
            raise SystemExit(f"{scenario.name} ends with {ended} undisturbed: {said(target)}")
        seconds = time.monotonic() - begun
    scenario.settle(made, made / "whole")
    return seconds


def one_round(scenario: Scenario, made: Path, at: Path, most: int, seconds: float, rng: random.Random) -> int:
    """Kill until the work comes to its end, or `most` times; how many processes were killed."""
    killed, before = 0, Truth()
    whole = scenario.glance(made / "whole")
    while True:
        pids = [forked(work, at) for work in scenario.work(made, at)]
        ends = [rng.uniform(0, seconds) if killed + place < most else None for place in range(len(pids))]
        codes = end_at(pids, ends, at)
        killed += sum(code == -signal.SIGKILL for code in codes)
        wrong = [code for code in codes if code not in (*OK_CODES, -signal.SIGKILL)]
        if wrong:
            raise FalseError(f"after {killed} kills the command ends with {wrong[0]}: {said(at)}")
        now = scenario.glance(at)
        lost = sorted(before.keys() - now.keys())
        false = sorted(name for name, truth in now.items() if whole.get(name) != truth)
        if lost or false:
            raise FalseError(f"after {killed} kills, lost: {lost[:3]}, false: {false[:3]}")
        before = now
        if all(code in OK_CODES for code in codes):
            if now != whole:
                raise FalseError(f"after {killed} kills the end is not that of an undisturbed run")
            scenario.settle(made, at)
            return killed


def forked(work: Work, at: Path) -> int:
    """The id of a process that does `work` and ends; what it says goes to a file."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        said_here = os.open(at.with_name(f"{at.name}.said"), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(said_here, stream)
        work()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001  said in the file
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def end_at(pids: Sequence[int], moments: Sequence[float | None], at: Path) -> list[int]:
    """Kill each process at its moment, in seconds from now, unless it has ended; how they ended."""
    begun = time.monotonic()
    codes: dict[int, int] = {}
    for moment, pid in sorted(zip(moments, pids, strict=True), key=lambda each: (each[0] is None, each[0])):
        if moment is not None:
            time.sleep(max(0.0, begun + moment - time.monotonic()))
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                codes[pid] = os.waitstatus_to_exitcode(status)
                continue
            os.kill(pid, signal.SIGKILL)
        codes[pid] = wait(pid, at)
    return [codes[pid] for pid in pids]


def wait(pid: int, at: Path) -> int:
    """How a process ended."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def said(at: Path) -> str:
    """The end of what the processes of a round said."""
    path = at.with_name(f"{at.name}.said")
    return path.read_text(errors="replace")[-2000:] if path.is_file() else ""


# Stores


def make_clips(made: Path) -> None:
    """Twelve clips: pictures, two videos, an empty file."""
    rng = np.random.default_rng(0)
    folder = made / "clips"
    for number in range(9):
        path = folder / f"site {number % 3}" / f"{number:02d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)).save(path)
    for number in range(2):
        frames = iter(rng.integers(0, 255, (3, 48, 64, 3), np.uint8))
        write_video(folder / "site 0" / f"{number}.mp4", frames, fps=2)
    (folder / "empty.mp4").touch()


def command(app: Any, *words: object) -> None:
    """Do what a command does."""
    app([str(word) for word in words], standalone_mode=False)


def run_featurize(*words: object) -> None:
    """`featurize` in this process, its exit code included."""
    import typer

    try:
        command(featurize.cli.app, *words)
    except typer.Exit as ended:
        raise SystemExit(ended.exit_code) from None


def truth_of_store(at: Path) -> Truth:
    """Everything that a store says of a clip, by where it says it."""
    told = Truth()
    try:
        store = FeatureStore.open(at / "store")
    except StoreNotFoundError:
        return told
    for key in store.keys():
        with contextlib.suppress(StoreNotFoundError):
            reader = store.reader(key)
            for place, clip_id in enumerate(reader.ids):
                row = reader.row(place)
                told[f"{key.folder} {clip_id}"] = repr((row.fingerprint, row.status, row.reason)).encode() + (
                    row.times_s.tobytes() + row.features.tobytes()
                )
    table = store.clips()
    told |= {
        f"facts {name}": repr(tuple(row)).encode() for name, row in zip(table.index, table.to_numpy(), strict=True)
    }
    return told


def settle_store(made: Path, at: Path) -> None:
    """Every byte is sound, and the next writer leaves nothing lying about."""
    problems = verify_store(at / "store").problems
    if problems:
        raise FalseError(f"store verify: {problems[0]}")


def featurize_work(made: Path, at: Path, *words: object) -> list[Work]:
    return [partial(run_featurize, made / "clips", "--store", at / "store", *SETTINGS, *words)]


def shards_work(made: Path, at: Path) -> list[Work]:
    return [work for share in ("1/2", "2/2") for work in featurize_work(made, at, "--shard", share)]


def remote_work(made: Path, at: Path) -> list[Work]:
    url = (made / "url").read_text()
    return [partial(run_featurize, url, "--store", at / "store", *SETTINGS)]


def settle_remote(made: Path, at: Path) -> None:
    settle_store(made, at)
    clear_left_behind()
    left = list(Path(tempfile.gettempdir()).glob("trapline-fetched-*/*.*"))
    if left:
        raise FalseError(f"fetched clips are left: {left[:3]}")


@contextmanager
def clips_served(made: Path) -> Iterator[None]:
    """An HTTP server of the clips, in a process of its own."""
    handler = partial(QuietHandler, directory=str(made / "clips"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    (made / "url").write_text(f"http://127.0.0.1:{server.server_port}/")
    pid = forked(server.serve_forever, made / "server")
    server.socket.close()
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


def drawn_key() -> FeatureKey:
    return FeatureKey(
        backbone="drawn",
        weights_sha256="random",
        taps=(("low", 2), ("high", 6)),
        input_px=64,
        resize="equal_area",
        preprocessing="none",
        view={"name": "whole"},
        sampling={"mode": "fps", "fps": 1.0, "max_frames": 180},
    )


def draw_store(root: Path, clips: Sequence[int], labels: Mapping[int, int], clips_per_part: int) -> None:
    """A store of drawn features, in which clips of class 1 show it."""
    store = FeatureStore.open(root, create=True)
    facts = store.clip_writer(clips_per_part=clips_per_part)
    rows = store.writer(drawn_key(), clips_per_part=clips_per_part)
    with facts, rows:
        for number in clips:
            rng = np.random.default_rng(number)
            features = rng.normal(0, 0.4, (5, 8)).astype(np.float32)
            features[:3, 3] += 2.0 * labels.get(number, 0)
            name = f"site {number % 6}/{number:03d}.mp4"
            known = {"clip_id": name, "fingerprint": f"print {number}", "status": Status.OK, "reason": ""}
            facts.add(ClipFacts(path=f"/nowhere/{name}", size_bytes=number, mtime_ns=number, width=64, **known))
            rows.add(ClipFeatures(times_s=np.arange(5.0), features=features, **known))


def prepare_merge(made: Path) -> None:
    for number in range(3):
        draw_store(made / f"source {number}", range(number * 24, (number + 1) * 24), {}, 4)


def merge_work(made: Path, at: Path) -> list[Work]:
    sources = [FeatureStore.open(made / f"source {number}") for number in range(3)]

    def merge() -> None:
        by_copy = at.name.endswith(("0", "2", "4", "6", "8"))
        merge_stores(sources, FeatureStore.open(at / "store", create=True), copy=by_copy)

    return [merge]


def prepare_compact(made: Path) -> None:
    for start in (0, 20):  # the second time over, some rows are superseded
        draw_store(made / "parts", range(start, start + 60), {}, 3)


def begin_compact(made: Path, at: Path) -> None:
    shutil.copytree(made / "parts", at / "store")


def compact_work(made: Path, at: Path) -> list[Work]:
    def compact() -> None:
        store = FeatureStore.open(at / "store")
        compact_features(store, drawn_key(), 20)
        compact_clips(store, 20)

    return [compact]


def settle_compact(made: Path, at: Path) -> None:
    settle_store(made, at)
    counts = [len(list((folder / "store").rglob("*.h5"))) for folder in (made / "whole", at)]
    if counts[0] != counts[1]:
        raise FalseError(f"{counts[1]} parts are left, expected {counts[0]}")


# Ray


@contextmanager
def ray_home(made: Path) -> Iterator[None]:
    """A home of Ray's own, as short as sockets want it; what was started there ends with it."""
    home = Path(tempfile.mkdtemp(prefix="tl-", dir=SHORT))
    (made / "home").write_text(str(home))
    try:
        yield
    finally:
        give_up = time.monotonic() + 30
        while (left := [each for each in psutil.process_iter() if _is_of(each, home)]) and time.monotonic() < give_up:
            time.sleep(0.5)
        for each in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        shutil.rmtree(home, ignore_errors=True)


def _is_of(process: psutil.Process, home: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(str(home) in word for word in process.cmdline())
    return False


def ray_work(made: Path, at: Path) -> list[Work]:
    """A driver in a process that starts anew, since Ray cannot be forked."""
    words = [made / "clips", "--store", at / "store", *SETTINGS, "--ray", "local"]
    code = "from featurize.cli import main; main()"
    home = (made / "home").read_text()
    environment = {**os.environ, "HOME": home, "RAY_TMPDIR": home, "RAY_USAGE_STATS_ENABLED": "0"}

    def drive() -> None:
        os.execve(sys.executable, [sys.executable, "-c", code, *map(str, words)], environment)

    return [drive]


# Runs


def prepare_train(made: Path) -> None:
    import keras  # noqa: F401  so that no process that is forked off needs to

    labels = {number: int(number * 7 % 3 == 0) for number in range(72)}
    draw_store(made / "store", range(72), labels, 100)
    names = [f"site {number % 6}/{number:03d}.mp4" for number in labels]
    shown = np.array(list(labels.values()))
    sites = [name.split("/")[0] for name in names]
    pd.DataFrame({"filename": names, "site": sites, "blank": 1 - shown, "deer": shown}).to_csv(
        made / "labels.csv", index=False
    )
    (made / "recipe.yaml").write_text(RECIPE)


def train_work(made: Path, at: Path) -> list[Work]:
    def train() -> None:
        import heads.trainers.checkpoint as checkpoint

        checkpoint._SECONDS_BETWEEN, checkpoint._MOST_TIME = 0.0, float("inf")  # a state after every epoch
        files = ["--store", made / "store", "--labels", made / "labels.csv", "--recipe", made / "recipe.yaml"]
        command(heads.cli.app, "train", *files, "--run", at / "run", "--deterministic", "--seed", "3")

    return [train]


def truth_of_run(at: Path) -> Truth:
    """The files of a run that say what came of it; those that are being written are no part of it."""
    found = (at / "run").glob("oof/*.csv")
    return {path.name: path.read_bytes() for path in found if not path.name.startswith(".")}


def settle_run(made: Path, at: Path) -> None:
    def files(root: Path) -> set[str]:
        return {path.relative_to(root).as_posix() for path in (root / "run").rglob("*") if path.is_file()}

    if files(at) != files(made / "whole"):
        raise FalseError(f"the run holds other files: {sorted(files(at) ^ files(made / 'whole'))[:5]}")


def prepare_blend(made: Path) -> None:
    make_run(made / "run", 240, 3)


def begin_blend(made: Path, at: Path) -> None:
    shutil.copytree(made / "run", at / "run")


def blend_work(made: Path, at: Path) -> list[Work]:
    return [partial(command, heads.cli.app, "blend", "--run", at / "run")]


def settle_blend(made: Path, at: Path) -> None:
    settle_run(made, at)
    for name in ("blend.json", "metrics.json"):
        if (at / "run" / name).read_bytes() != (made / "whole" / "run" / name).read_bytes():
            raise FalseError(f"{name} differs")


# Decisions


def decided(user: str, number: int) -> Decision:
    """What a person says the `number`th time."""
    shown = ("deer",) if number % 2 else ("hög", "boar")
    moment = f"2026-01-01T00:00:00.{number:03d}+00:00"
    clip_id = f"{user}/{number:03d}.mp4"
    return Decision(clip_id=clip_id, state=State.LABELLED, after=shown, user=user, time=moment, id=f"{user}-{number}")


def review_work(made: Path, at: Path) -> list[Work]:
    def decide(user: str) -> None:
        log = DecisionLog(at / "clips.decisions.jsonl")
        done = os.open(at / f"{user}.done", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        first = sum(each.user == user for each in log.read().log)
        for number in range(first, DECISIONS):
            log.append([decided(user, number)])
            os.write(done, f"{number}\n".encode())

    return [partial(decide, user) for user in PEOPLE]


def truth_of_log(at: Path) -> Truth:
    """Every decision, each once, and none but whole ones; what a person was told is kept must be among them."""
    decisions = DecisionLog(at / "clips.decisions.jsonl").read()
    told = {each.id: json.dumps(each.to_json(), sort_keys=True).encode() for each in decisions.log}
    if len(told) != len(decisions.log):
        raise FalseError("a decision counts twice")
    for user in PEOPLE:
        done = at / f"{user}.done"
        kept = done.read_text().split() if done.is_file() else []
        lost = [number for number in kept if f"{user}-{number}" not in told]
        if lost:
            raise FalseError(f"decisions of {user} that were said to be kept are lost: {lost[:3]}")
    return told


SCENARIOS = [
    Scenario(
        name="featurize",
        share=180,
        prepare=make_clips,
        work=featurize_work,
        glance=truth_of_store,
        settle=settle_store,
    ),
    Scenario(
        name="shards",
        share=180,
        prepare=make_clips,
        work=shards_work,
        glance=truth_of_store,
        settle=settle_store,
    ),
    Scenario(
        name="remote",
        share=50,
        prepare=make_clips,
        work=remote_work,
        glance=truth_of_store,
        settle=settle_remote,
        needs=("fsspec", "aiohttp"),
        around=clips_served,
    ),
    Scenario(
        name="ray",
        share=6,
        prepare=make_clips,
        work=ray_work,
        glance=truth_of_store,
        settle=settle_store,
        needs=("ray",),
        around=ray_home,
    ),
    Scenario(
        name="merge",
        share=200,
        prepare=prepare_merge,
        work=merge_work,
        glance=truth_of_store,
        settle=settle_store,
    ),
    Scenario(
        name="compact",
        share=150,
        prepare=prepare_compact,
        begin=begin_compact,
        work=compact_work,
        glance=truth_of_store,
        settle=settle_compact,
    ),
    Scenario(
        name="train",
        share=16,
        prepare=prepare_train,
        work=train_work,
        glance=truth_of_run,
        settle=settle_run,
    ),
    Scenario(
        name="blend",
        share=24,
        prepare=prepare_blend,
        begin=begin_blend,
        work=blend_work,
        glance=lambda at: Truth(),
        settle=settle_blend,
    ),
    Scenario(
        name="review",
        share=194,
        prepare=lambda made: None,
        work=review_work,
        glance=truth_of_log,
        settle=lambda made, at: None,
    ),
]


if __name__ == "__main__":
    sys.exit(main())
