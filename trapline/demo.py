"""The demo: the commands that a working day consists of, one after the other, each shown before it runs."""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from heads.recipe import builtin_recipe

_SOME_CLIPS_FAILED = 3  # what featurize exits with: they are listed, and the rest goes on
_NETWORKS = ("efficientnet_lite0", "efficientnet_lite1")
_VIEWS = ("whole", "motion")


def run_demo(folder: Path, *, clips: Path | None, labels: Path | None, sites: Path | None) -> None:
    """Draw clips, unless some are given, and make features, heads, a blend and a report of them below `folder`.

    Args:
        folder: where everything goes.
        clips: a folder of clips; drawn ones if None.
        labels: the labels of the given clips.
        sites: the sites of the given clips, if they are known.

    Raises:
        SystemExit: a command failed, with its exit code.
    """
    store, run = folder / "store", folder / "run"
    if clips is None:
        clips, labels, sites = folder / "clips", folder / "labels.csv", folder / "sites.csv"
        if not labels.is_file():
            from featurize.demo.make import make_demo

            make_demo(folder)
        recipe = ["--recipe", str(builtin_recipe("demo"))]
        precision = _quickest(store)
    else:
        recipe, precision = [], []
    networks = [word for name in _NETWORKS for word in ("--backbone", name)]
    views = [word for name in _VIEWS for word in ("--view", name)]
    where = ["--sites", str(sites)] if sites is not None else []
    call("featurize", [str(clips), "--store", str(store), *networks, *views, *precision], allowed=_SOME_CLIPS_FAILED)
    call("heads", ["train", "--store", str(store), "--labels", str(labels), *where, *recipe, "--run", str(run)])
    call("heads", ["blend", "--run", str(run)])
    call("heads", ["report", "--run", str(run), "--store", str(store)])
    review = ["heads", "review", "--run", str(run), "--store", str(store)]
    print(f"look at the clips, correct what they are said to show, and train again: {spelt(review)}")


def _quickest(store: Path) -> list[str]:
    """bf16 where networks run on a processor that has it: two thirds of the time; a demo begun in f32 goes on so."""
    from featurize.runtime.precision import precisions_here
    from featurize.runtime.runners import choose_runtime

    begun = [path.name for path in (store / "features").glob("*-*")]
    otherwise = begun and not any("-bf16-" in name for name in begun)
    if otherwise or choose_runtime("auto") != "openvino" or "bf16" not in precisions_here():
        return []
    return ["--precision", "bf16"]


def call(program: str, words: Sequence[str], *, allowed: int = 0) -> None:
    """Show and run a command of Trapline in a process of its own, of this Python.

    Raises:
        SystemExit: it failed, other than with the code that is `allowed`.
    """
    print(f"$ {spelt([program, *words])}", flush=True)
    code = f"from {program}.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *words], check=False)
    if done.returncode not in (0, allowed):
        sys.exit(done.returncode)


def spelt(words: Sequence[str]) -> str:
    """A command as it is typed into this system's shell."""
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
