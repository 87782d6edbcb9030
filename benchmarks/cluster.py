"""What two workers of Ray cost beside two processes that do a half each, on this machine.

    python -m benchmarks.cluster CLIPS --backbone efficientnet_lite0 --count 16 --more 144

Both are `featurize` commands: two with one decoding thread each, which do the same number of the same clips into one
store, and one with `--ray local` and two workers. Each is run over `count` clips and over `more`, in turn; what they
differ by is the cost of a clip once everything has started, and the rest is the cost of starting. Prints one JSON line:
seconds of processor time, summed over all processes (Ray's own too, each looked at every 0.2 s), and seconds that
passed. `ratio_processor_s` and `ratio_seconds` are Ray's cost a clip over that of two processes; other programs on the
machine disturb the first less. CLIPS is a folder; its clips are linked under new names as often as it takes, and both
numbers are to be multiples of twice as many as it has, so that the halves are alike.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.featurize import linked_clips
from featurize.runtime.threads import thread_variables

LOOK_EVERY_S = 0.2
WAYS = ("processes", "ray")
# What these wait for is looked at while it runs.
RAYS_OWN = ("raylet", "gcs_server")


def measured(commands: Sequence[Sequence[str]], environment: dict[str, str], *, ray: bool) -> tuple[float, float]:
    """Processor seconds of some commands that run side by side, with all that they start, and seconds that pass.

    Decoders are counted by whoever has waited for them: many live shorter than it takes to look again.
    """
    begun = time.monotonic()
    running = [psutil.Popen(command, env=environment, stderr=subprocess.DEVNULL) for command in commands]
    spent: dict[tuple[int, float], float] = {}
    while any(each.poll() is None for each in running):
        for root in running:
            try:
                family = [root, *root.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            for each in family:
                try:
                    name, times = each.name(), each.cpu_times()
                    if name.startswith("ffmpeg"):
                        continue
                    used = times.user + times.system
                    if name not in RAYS_OWN and not (ray and each is root):
                        used += times.children_user + times.children_system
                    spent[each.pid, each.create_time()] = used
                except psutil.NoSuchProcess:
                    continue
        time.sleep(LOOK_EVERY_S)
    bad = [each.returncode for each in running if each.returncode not in (0, 3)]
    if bad:
        raise SystemExit(f"a command ended with code {bad[0]}; run it by hand to see why")
    return sum(spent.values()), time.monotonic() - begun


def commands_of(way: str, clips: Path, store: Path, backbones: Sequence[str], view: str) -> list[list[str]]:
    start = "from featurize.cli import main; main()"
    how = ["--store", str(store), "--offline", "--view", view, "--frames", "8"]
    for name in backbones:
        how += ["--backbone", name]
    if way == "ray":
        return [[sys.executable, "-c", start, str(clips), *how, "--ray", "local"]]
    return [[sys.executable, "-c", start, str(half), *how, "--workers", "1"] for half in sorted(clips.iterdir())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--backbone", action="append")
    parser.add_argument("--view", default="whole")
    parser.add_argument("--count", type=int, default=16)
    parser.add_argument("--more", type=int, default=144)
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    backbones = asked.backbone or ["efficientnet_lite0"]
    environment = {**os.environ, **thread_variables(1)}
    found: dict[str, list[tuple[float, float]]] = {f"{way} {size}": [] for way in WAYS for size in ("few", "many")}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for size, count in (("few", asked.count), ("many", asked.more)):
            for half in (0, 1):
                linked_clips(asked.clips, root / size / str(half), count // 2, first=half * count // 2)
        measured(commands_of("processes", root / "few", root / "warm", backbones, asked.view), environment, ray=False)
        for number in range(asked.rounds):
            for size in ("few", "many"):
                for way in WAYS:
                    store = root / f"{way}-{size}-{number}"
                    commands = commands_of(way, root / size, store, backbones, asked.view)
                    found[f"{way} {size}"].append(measured(commands, environment, ray=way == "ray"))
                    print(way, size, found[f"{way} {size}"][-1], file=sys.stderr)
    middle = {
        name: tuple(statistics.median(run[part] for run in runs) for part in (0, 1)) for name, runs in found.items()
    }
    clips = asked.more - asked.count
    a_clip = {
        way: [(middle[f"{way} many"][part] - middle[f"{way} few"][part]) / clips for part in (0, 1)] for way in WAYS
    }
    told = {
        "clips": [asked.count, asked.more],
        "processor_s": {name: round(values[0], 2) for name, values in middle.items()},
        "seconds": {name: round(values[1], 2) for name, values in middle.items()},
        "processor_s_a_clip": {way: round(values[0], 4) for way, values in a_clip.items()},
        "seconds_a_clip": {way: round(values[1], 4) for way, values in a_clip.items()},
        "ratio_processor_s": round(a_clip["ray"][0] / a_clip["processes"][0], 3),
        "ratio_seconds": round(a_clip["ray"][1] / a_clip["processes"][1], 3),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
