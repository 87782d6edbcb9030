"""The benchmark that kills commands: it counts its kills, and sees what is lost, false or not to the end."""

import json
import subprocess
import sys

import pytest

# What one line says is there is gone after the second start, or says something else.
_LIAR = """
import sys, time
from pathlib import Path
from random import Random
from benchmarks.kills import Scenario, carry_out

def work(made, at):
    def lie():
        path = at / "told"
        first = not path.exists()
        path.write_text("a b" if first or at.name == "whole" else sys.argv[1])
        time.sleep(0.3)
    return [lie]

def glance(at):
    path = at / "told"
    return {word: b"" for word in path.read_text().split()} if path.exists() else {}

liar = Scenario(name="liar", share=1, prepare=lambda made: None, work=work, glance=glance, settle=lambda made, at: None)
print(carry_out(liar, 4, Random(0), Path(sys.argv[2])).problems)
"""


def test_kills_are_counted_and_what_is_kept_is_found_sound() -> None:
    words = [sys.executable, "-m", "benchmarks.kills", "--count", "7", "--only", "merge", "review"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["kills"], told["problems"]) == (7, 0)
    assert sorted(told["scenarios"]) == ["merge", "review"]


@pytest.mark.parametrize(("said", "problem"), [("a", "lost: ['b']"), ("a b c", "false: ['c']")])
def test_what_is_lost_or_false_is_seen(tmp_path: object, said: str, problem: str) -> None:
    words = [sys.executable, "-c", _LIAR, said, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert problem in done.stdout, done.stdout + done.stderr
