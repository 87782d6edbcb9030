"""Image hashes, frame statistics and sound as backbones."""

import subprocess
from pathlib import Path

import imagehash
import numpy as np
import pytest
from golden_pixels import golden_pixels
from indexed_clips import write_indexed_clip
from PIL import Image

from featurize.backbones.builders.image_hashes import frame_statistics, image_hash_runner
from featurize.backbones.builders.log_mel import BANDS, log_mel_runner, mel_weights
from featurize.backbones.registry import find_backbone
from featurize.backbones.spec import resolve
from featurize.backbones.weights import locate_weights
from featurize.commands.progress import summary_facts
from featurize.decoding.audio import PIECE, RATE_HZ, WAVEFORM_HZ, cut_windows, decode_sound, decode_waveform
from featurize.decoding.decode import decode
from featurize.decoding.ffmpeg import ffmpeg_binary
from featurize.pipeline.discover import survey
from featurize.pipeline.estimate import estimate_cost
from featurize.pipeline.extract import extract
from featurize.pipeline.plan import make_plan
from featurize.pipeline.source import make_source
from featurize.views.sampling import Sampling
from store import FeatureReader, FeatureStore, Status

SAMPLING = Sampling(fps=2)


def run(clips: Path, root: Path, name: str) -> FeatureReader:
    backbone = find_backbone(name)
    source = make_source(backbone, locate_weights(backbone))
    store = FeatureStore.open(root, create=True)
    plan = make_plan(survey([clips]).clips, [source], SAMPLING, store)
    progress = extract(plan, store)
    assert summary_facts(progress, "store")["without_sound"] == (1 if name in ("audio", "sound") else 0)
    return store.reader(source.key(SAMPLING))


def test_hash_columns_are_the_bits_of_the_library() -> None:
    frame = golden_pixels(256, 256)
    columns = image_hash_runner(find_backbone("phash"))(frame[None])[0]
    assert columns.shape == (find_backbone("phash").dim,)
    for index, hashed in enumerate(("average_hash", "phash", "dhash", "whash")):
        bits = getattr(imagehash, hashed)(Image.fromarray(frame)).hash.ravel()
        np.testing.assert_array_equal(columns[64 * index : 64 * index + 64], bits)


def test_hashes_survive_scaling_and_tell_pictures_apart() -> None:
    picture = golden_pixels(256, 256)
    small = np.asarray(Image.fromarray(picture).resize((200, 200)).resize((256, 256)))
    same, scaled, other = image_hash_runner(find_backbone("phash"))(np.stack([picture, small, picture[::-1]]))[:, :256]
    assert np.abs(same - scaled).mean() < 0.05 < 0.2 < np.abs(same - other).mean()


def test_frame_statistics_by_hand() -> None:
    """Left half pure red, right half black."""
    frame = np.zeros((10, 20, 3), np.uint8)
    frame[:, :10, 0] = 255
    found = frame_statistics(frame)
    one_step = (1 / 3) / 19 / 2  # one column of 19 neighbouring pairs changes, none of the rows does
    wanted = [0.5, 0, 0, 0.5, 0, 0, 0, 1 / 6, 1 / 3, 0.5, 0.5, one_step]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_phash_goes_the_way_of_networks(tmp_path: Path) -> None:
    write_indexed_clip(tmp_path / "clips" / "a.mp4", 5, fps=2)
    reader = run(tmp_path / "clips", tmp_path / "store", "phash")
    batch, mask = reader.batch([0])
    assert mask.sum() == 5
    grey = batch[0, :, 256]  # mean red of frames whose grey level tells which they are
    np.testing.assert_allclose(grey * 255, [20, 24, 28, 32, 36], atol=1.5)


def test_two_hashes_are_two_of_the_four() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (2, 256, 256, 3), np.uint8)
    two, four = (resolve(find_backbone(name))(find_backbone(name))(frames) for name in ("hashes", "phash"))
    assert two.shape == (2, find_backbone("hashes").dim)
    np.testing.assert_array_equal(two, four[:, 64:192])
    assert [tap.name for tap in find_backbone("hashes").taps] == [tap.name for tap in find_backbone("phash").taps[1:3]]


def test_mel_bands_are_those_of_the_library() -> None:
    import tensorflow as tf

    wanted = tf.signal.linear_to_mel_weight_matrix(BANDS, 201, RATE_HZ, 60.0, 7800.0).numpy()
    found = mel_weights()
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    np.testing.assert_array_equal(found > 0, wanted > 0)


def test_a_tone_stands_in_its_band() -> None:
    times = np.arange(RATE_HZ) / RATE_HZ
    run_windows = log_mel_runner(find_backbone("audio"))
    tones = np.stack([0.5 * np.sin(2 * np.pi * hertz * times) for hertz in (300, 1000, 4000)]).astype(np.float32)
    features = run_windows(tones)
    assert features.shape == (3, find_backbone("audio").dim)
    mel = 2595 * np.log10(1 + np.array([60, 300, 1000, 4000, 7800]) / 700)
    expected = (mel[1:4] - mel[0]) / (mel[4] - mel[0]) * (BANDS + 1) - 1
    np.testing.assert_allclose(features[:, :BANDS].argmax(axis=1), expected, atol=1)
    assert (features[:, BANDS : 2 * BANDS] < 2).all()  # a steady tone hardly changes
    louder = run_windows(2 * tones)[:, :BANDS].max(axis=1) - features[:, :BANDS].max(axis=1)
    np.testing.assert_allclose(louder, np.log(4), atol=1e-3)


def test_windows_stand_around_their_frames_and_none_after_the_sound() -> None:
    samples = np.arange(3 * RATE_HZ, dtype=np.float32)
    sound = cut_windows(samples, np.array([0.0, 1.5, 2.9, 3.0, 4.0]))
    assert sound.frames.tolist() == [0, 1, 2]
    assert sound.windows[:, 0].tolist() == [0, RATE_HZ, 2 * RATE_HZ]
    assert sound.reason == "the sound ends after 3.0 s: 3 of 5 frames have it"
    assert "0.50 s long" in cut_windows(samples[: RATE_HZ // 2], np.zeros(1)).reason


def test_windows_count_from_where_the_sound_begins() -> None:
    samples = np.arange(3 * RATE_HZ, dtype=np.float32)
    sound = cut_windows(samples, np.array([0.0, 1.0, 1.95, 3.5, 6.0]), 2.0)
    assert sound.frames.tolist() == [2, 3]
    assert sound.windows[:, 0].tolist() == [0, RATE_HZ]
    assert sound.reason == "the sound begins after 2.0 s and ends after 5.0 s: 2 of 5 frames have it"
    assert (
        cut_windows(samples, np.array([0.0, 2.0]), 1.0).reason == "the sound begins after 1.0 s: 1 of 2 frames have it"
    )


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mts"])
def test_sound_that_begins_late_stands_where_it_is_heard(tmp_path: Path, suffix: str) -> None:
    """Two seconds without sound, then a second of a low tone and two of a high one."""
    write_indexed_clip(tmp_path / "plain.mp4", 10, fps=2)
    tone = "sine=frequency=300:duration=1[low];sine=frequency=3000:duration=2[high];[low][high]concat=v=0:a=1"
    late = ["-itsoffset", "2", "-f", "lavfi", "-i", tone, "-map", "0:v", "-map", "1:a", "-c:v", "copy"]
    command = [ffmpeg_binary(), "-v", "error", "-i", str(tmp_path / "plain.mp4"), *late]
    subprocess.run([*command, str(tmp_path / f"a.{suffix}")], check=True)
    frames = decode(tmp_path / f"a.{suffix}", SAMPLING, [])
    sound = decode_sound(tmp_path / f"a.{suffix}", frames.times_s, frames.container)
    assert sound.frames.tolist() == [4, 5, 6, 7, 8, 9]
    assert "begins after 2.0 s: 6 of 10 frames have it" in sound.reason
    features = log_mel_runner(find_backbone("audio"))(sound.windows)
    waveform = decode_waveform(tmp_path / f"a.{suffix}", frames.container)
    assert waveform.times_s[0] == frames.container.audio_start_s == pytest.approx(2.0, abs=0.1)
    np.testing.assert_allclose(np.diff(waveform.times_s), PIECE / WAVEFORM_HZ)
    is_high = features[:, :BANDS].argmax(axis=1) > BANDS / 2
    assert is_high[[0, 1, 3, 4, 5]].tolist() == [False, False, True, True, True]  # the third hears both


@pytest.fixture(scope="module")
def clips_with_sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of 3 s: a tone of 500 Hz in the first, no sound in the second; the third cannot be decoded."""
    folder = tmp_path_factory.mktemp("sound")
    write_indexed_clip(folder / "b.mp4", 6, fps=2)
    tone = ["-f", "lavfi", "-i", "sine=frequency=500:duration=3", "-map", "0:v", "-map", "1:a", "-c:v", "copy"]
    joined = [ffmpeg_binary(), "-loglevel", "error", "-i", str(folder / "b.mp4"), *tone, str(folder / "a.mp4")]
    subprocess.run(joined, check=True)
    (folder / "c.mp4").write_bytes(b"")
    return folder


def test_sound_goes_the_same_way_and_silence_is_never_made_up(clips_with_sound: Path, tmp_path: Path) -> None:
    reader = run(clips_with_sound, tmp_path / "store", "audio")
    assert list(reader.ids) == ["a.mp4", "b.mp4", "c.mp4"]
    assert [status.value for status in reader.status] == [Status.OK, Status.FAILED, Status.FAILED]
    assert reader.lengths.tolist() == [6, 0, 0]
    assert list(reader.reasons)[1:] == ["the clip has no sound", "the file is empty (0 bytes)"]
    loudest = reader.batch([0])[0][0, :, :BANDS].argmax(axis=1)
    mel = 2595 * np.log10(1 + np.array([60, 500, 7800]) / 700)
    assert np.abs(loudest - ((mel[1] - mel[0]) / (mel[2] - mel[0]) * (BANDS + 1) - 1)).max() <= 1


def test_the_sound_itself_is_kept_in_pieces_that_follow_each_other(clips_with_sound: Path, tmp_path: Path) -> None:
    reader = run(clips_with_sound, tmp_path / "store", "sound")
    assert (reader.key.content, reader.dim, reader.dtype) == ("sound", PIECE, np.float16)
    assert [status.value for status in reader.status] == [Status.OK, Status.FAILED, Status.FAILED]
    assert list(reader.reasons)[1:] == ["the clip has no sound", "the file is empty (0 bytes)"]
    pieces = reader.batch([0])[0][0].astype(np.float64)
    assert reader.lengths[0] == len(pieces) == 3 * WAVEFORM_HZ // PIECE
    np.testing.assert_allclose(reader.times(0), np.arange(len(pieces)) * PIECE / WAVEFORM_HZ, atol=0.05)
    tone = pieces.ravel()[1000:-1000]
    places = np.arange(len(tone)) * 2 * np.pi * 500 / WAVEFORM_HZ
    parts = np.stack([np.sin(places), np.cos(places)], axis=1)
    rest = tone - parts @ np.linalg.lstsq(parts, tone, rcond=None)[0]
    assert np.abs(rest).max() < 0.2 * np.abs(tone).max()  # one tone, without a jump from piece to piece


def test_what_sound_takes_on_the_disk_goes_by_how_long_it_is(clips_with_sound: Path, tmp_path: Path) -> None:
    backbone = find_backbone("sound")
    store = FeatureStore.open(tmp_path / "store", create=True)
    clips = survey([clips_with_sound / "a.mp4"]).clips
    plan = make_plan(clips, [make_source(backbone, locate_weights(backbone))], SAMPLING, store)
    assert estimate_cost(plan).disk_bytes == pytest.approx(3 * WAVEFORM_HZ * 2, rel=0.05)


def test_sound_of_less_than_a_piece_is_none(tmp_path: Path) -> None:
    write_indexed_clip(tmp_path / "plain.mp4", 4, fps=2)
    short = [
        "-f",
        "lavfi",
        "-i",
        "sine=duration=0.1",
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-c:v",
        "copy",
        "-c:a",
        "pcm_s16le",
    ]
    command = [ffmpeg_binary(), "-v", "error", "-i", str(tmp_path / "plain.mp4"), *short, str(tmp_path / "a.mkv")]
    subprocess.run(command, check=True)
    frames = decode(tmp_path / "a.mkv", SAMPLING, [])
    waveform = decode_waveform(tmp_path / "a.mkv", frames.container)
    assert (len(waveform.pieces), waveform.reason) == (0, "the sound is 0.10 s long, expected at least 0.19 s")
