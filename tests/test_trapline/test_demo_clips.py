"""The demo's clips: what is on screen can be heard."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from featurize.decoding.ffmpeg import ffmpeg_binary
from featurize.demo.scenes import Scene, Visit, draw_clip, sound_of, write_video


@pytest.mark.parametrize("suffix", ["mp4", "AVI", "mov"])
def test_an_animal_is_heard_while_it_is_on_screen(suffix: str, tmp_path: Path) -> None:
    visit = Visit(species="bird", start=0.25, stop=0.5, from_x=0.1, to_x=0.9, ground=0.8, size=0.3)
    scene = Scene(site=1, infrared=False, visits=(visit,), seed=3)
    path = tmp_path / f"clip.{suffix}"
    write_video(path, draw_clip(scene, frames=16, width=64, height=48), fps=4.0, sound=sound_of(scene, 4.0))
    command = [ffmpeg_binary(), "-loglevel", "error", "-i", str(path), "-vn", "-f", "s16le", "-ar", "16000", "pipe:1"]
    samples = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.int16) / 2**15
    assert len(samples) >= 0.95 * 4 * 16_000
    before, during, after = (samples[start : start + 12_000] for start in (0, 18_000, 36_000))
    pitch = [np.abs(np.fft.rfft(each))[2240:2260].max() for each in (before, during, after)]  # around 3 kHz
    assert pitch[1] > 10 * max(pitch[0], pitch[2])
