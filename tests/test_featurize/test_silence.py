"""Nothing is sent anywhere, whatever the libraries would like to report."""

import os
import subprocess
import sys
from pathlib import Path

# Ends the process at the first try to reach a network: an exception might be swallowed by whoever tries.
_WATCHED = """
import os, sys

def watch(event, arguments):
    if event in ("urllib.Request", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        os.write(2, f"{event} {arguments}".encode())
        os._exit(9)

sys.addaudithook(watch)
"""

_EXTRACT = """
import numpy as np
import tensorflow_hub
from featurize.runtime.runners import make_runner
from featurize.runtime.extractor import build_extractor
from featurize.backbones.runner import BATCH_FRAMES
from featurize.backbones.weights import RANDOM_WEIGHTS
from tiny_backbone import tiny_backbone

from featurize.runtime.quantised import quantise
from featurize.runtime.runners import convert

run = make_runner(build_extractor(tiny_backbone(), RANDOM_WEIGHTS), "openvino")
quantise(convert(build_extractor(tiny_backbone(), RANDOM_WEIGHTS)), [np.zeros((1, 48, 64, 3), np.uint8)])
assert run(np.zeros((BATCH_FRAMES, 48, 64, 3), np.uint8)).shape == (BATCH_FRAMES, 10)
"""


def watched(code: str, home: Path) -> "subprocess.CompletedProcess[str]":
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", _WATCHED + code]
    return subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False, timeout=300)


def test_openvino_reports_to_nobody_and_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    done = watched(_EXTRACT, tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "intel").exists()


def test_the_watch_sees_a_request(tmp_path: Path) -> None:
    done = watched("import urllib.request; urllib.request.urlopen('http://127.0.0.1:9/')", tmp_path)
    assert (done.returncode, done.stderr.split()[0]) == (9, "urllib.Request")
