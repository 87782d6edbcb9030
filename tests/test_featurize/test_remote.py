"""Clips behind URLs: found, fetched through servers that fail, and featurized to the same bits as local copies."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
import s3fs
from google_server import google_served, put_object, write_key_file
from indexed_clips import write_indexed_clip
from remote_servers import Served, served
from sftp_server import sftp_served
from typer.testing import CliRunner

import featurize
import featurize.cli
from featurize.errors import SettingsError, SourceError
from featurize.pipeline.discover import survey
from featurize.pipeline.extract import extract
from featurize.pipeline.plan import make_plan
from featurize.remote import scratch as scratch_module
from featurize.remote import transfer
from featurize.remote.google_buckets import GoogleBuckets
from featurize.remote.root import Remote, bare, places
from featurize.remote.scratch import Scratch
from featurize.remote.transfer import UnreachableError, persist
from store import FeatureStore
from store.errors import StoreNotFoundError

SETTINGS = ("--backbone", "phash", "--fps", "2", "--clips-per-part", "3")
NAMES = ("a/00.mp4", "a/01.mp4", "b/02.mp4", "b/c/03.mp4", "b/c/with a space.mp4", "Taï.mp4")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(transfer, "_LONGEST_PAUSE_S", 0.01)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "clips"
    for number, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_indexed_clip(folder / name, 4 + number, fps=2)
    (folder / ".hidden.mp4").write_bytes(b"x")
    (folder / "notes.txt").write_text("none")
    command(folder, folder.parent / "STORE")
    return folder


@pytest.fixture
def server(local: Path) -> Iterator[Served]:
    with served(local) as it:
        yield it


def command(videos: object, store: Path, *words: str, code: int = 0) -> dict[str, Any]:
    done = CliRunner().invoke(featurize.cli.app, [str(videos), "--store", str(store), *SETTINGS, "--json", *words])
    assert done.exit_code == code, done.output
    return dict(json.loads(done.stdout))


def assert_as_local(store: Path, local: Path) -> None:
    one, other = FeatureStore.open(store), FeatureStore.open(local.parent / "STORE")
    (key,) = other.keys()
    first, second = one.reader(key), other.reader(key)
    assert (first.ids, first.fingerprints, first.status) == (second.ids, second.fingerprints, second.status)
    assert first.batch(range(len(first.ids)))[0].tobytes() == second.batch(range(len(second.ids)))[0].tobytes()
    facts = [each.clips().drop(columns=["path", "mtime_ns"]) for each in (one, other)]
    assert facts[0].equals(facts[1])


def left_in_scratch(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "tmp").rglob("*.*") if path.suffix == ".mp4"]


def test_clips_behind_a_page_give_the_bits_of_local_copies_and_are_not_kept(
    server: Served, local: Path, tmp_path: Path
) -> None:
    facts = command(server.url, tmp_path / "S")
    assert (facts["done"], facts["passed_over"]) == (6, {".txt": 1})
    assert_as_local(tmp_path / "S", local)
    assert left_in_scratch(tmp_path) == []
    table = FeatureStore.open(tmp_path / "S").clips()
    assert table.loc["b/c/with a space.mp4", "path"] == f"{server.url}/b/c/with%20a%20space.mp4"
    assert int(table.loc["a/00.mp4", "mtime_ns"]) // 10**9 == int((local / "a/00.mp4").stat().st_mtime)
    asked = server.asked.total()
    again = command(f"{server.url}/", tmp_path / "S")
    assert (again["done"], again["skipped"], server.asked.total()) == (0, 6, asked)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_is_cut_is_taken_up_where_it_broke_off_if_the_server_can(
    server: Served, local: Path, tmp_path: Path, ranges: bool
) -> None:
    server.faults, server.ranges = {"00.mp4": "cut", "03.mp4": "503", "02.mp4": "slow"}, ranges
    assert command(server.url, tmp_path / "S")["done"] == 6
    assert_as_local(tmp_path / "S", local)
    assert (server.asked["00.mp4", True] > 0) is ranges
    assert server.tries["00.mp4"] >= 3
    assert server.tries["03.mp4"] >= 3


def test_a_clip_that_cannot_be_had_fails_with_its_reason_and_is_tried_again_by_the_next_run(
    server: Served, local: Path, tmp_path: Path
) -> None:
    server.faults = {"00.mp4": "503", "01.mp4": "short", "02.mp4": "long", "03.mp4": "refused"}
    server.times = 10**6
    facts = command(server.url, tmp_path / "S", code=3)
    reasons = {each["clip_id"]: each["reason"] for each in facts["failures"]}
    assert reasons["a/00.mp4"] == "the file cannot be fetched: the server answers 503, 6 times"
    assert "bytes came, expected" in reasons["a/01.mp4"]
    assert "bytes came and more, expected" in reasons["b/02.mp4"]
    assert reasons["b/c/03.mp4"] == "the file cannot be fetched: access is refused"
    assert left_in_scratch(tmp_path) == []
    server.faults = {}
    assert command(server.url, tmp_path / "S")["done"] == 4
    assert_as_local(tmp_path / "S", local)


def test_a_known_clip_that_cannot_be_reached_keeps_what_the_store_holds(
    server: Served, local: Path, tmp_path: Path
) -> None:
    shutil.copytree(local, tmp_path / "copy")
    with served(tmp_path / "copy") as changing:
        command(changing.url, tmp_path / "S")
        before = FeatureStore.open(tmp_path / "S").clips()
        os.utime(tmp_path / "copy" / "a/00.mp4", ns=(1, 1))  # must be read again, and cannot be
        changing.faults, changing.times = {"00.mp4": "503"}, 10**6
        facts = command(changing.url, tmp_path / "S", code=3)
        assert [each["clip_id"] for each in facts["unreached"]] == ["a/00.mp4"]
        assert FeatureStore.open(tmp_path / "S").clips().equals(before)
        changing.faults = {}
        facts = command(changing.url, tmp_path / "S")
        assert (facts["done"], facts["skipped"]) == (0, 6)


def test_a_silent_server_is_given_up_and_asked_again(server: Served) -> None:
    server.faults = {"00.mp4": "silent"}
    assert_given_up(f"{server.url}/a")


def assert_given_up(url: str) -> None:
    """The first clip below `url`, of which the server sends nothing, is asked for twice, and then given up."""
    root = Remote(url=url, scratch=Scratch(), silence_s=0.2, tries=2)
    clip = survey([root]).clips[0]
    assert clip.remote is not None
    begun = time.monotonic()
    with pytest.raises(transfer.UnreachableError, match=r"the server is silent for 0\.2 s, 2 times"), clip.on_disk():
        pass
    assert time.monotonic() - begun < 10


def test_no_password_is_shown_or_kept(local: Path, tmp_path: Path) -> None:
    with served(local) as server:
        server.password = "tops3cret"
        server.faults, server.times = {"00.mp4": "503"}, 10**6
        url = server.url.replace("://", "://me:tops3cret@")
        done = CliRunner().invoke(
            featurize.cli.app, [f"{url}/?token=tops3cret", "--store", str(tmp_path / "S"), *SETTINGS, "--verbose"]
        )
        assert done.exit_code == 3, done.output
        assert "tops3cret" not in done.output
        assert "the server answers 503" in done.output
        assert not any(b"tops3cret" in path.read_bytes() for path in (tmp_path / "S").rglob("*") if path.is_file())
        assert "tops3cret" not in repr(survey(places([url])).clips)
        server.password = "other"
        refused = CliRunner().invoke(featurize.cli.app, [server.url, "--store", str(tmp_path / "S"), *SETTINGS])
        assert isinstance(refused.exception, SourceError)
        assert "access is refused" in str(refused.exception)


def test_a_list_names_the_clips_of_a_server_that_lists_none(server: Served, local: Path, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"# two\na/00.mp4\n\n{server.url}/b/c/with%20a%20space.mp4\nb/gone.mp4\n")
    facts = command(server.url, tmp_path / "S", "--clips-from", str(listed), code=3)
    assert facts["done"] == 2
    assert facts["failures"] == [
        {"clip_id": "b/gone.mp4", "reason": "the file cannot be fetched: there is no such file"}
    ]
    assert set(FeatureStore.open(tmp_path / "S").clips().index) == {"a/00.mp4", "b/c/with a space.mp4", "b/gone.mp4"}
    listed.write_text("https://elsewhere.org/a.mp4")
    with pytest.raises(SourceError, match="does not lie below"):
        survey(places([server.url], only=listed))
    with pytest.raises(SettingsError, match="that URL alone"):
        places([tmp_path], only=listed)


def test_single_files_and_local_folders_go_together(server: Served, local: Path, tmp_path: Path) -> None:
    videos = [f"{server.url}/Ta%C3%AF.mp4", local / "a"]
    summary = featurize.run(videos, tmp_path / "S", backbones="phash", fps=2, progress=False)
    assert summary.done == 3
    assert list(FeatureStore.open(tmp_path / "S").clips().index) == ["00.mp4", "01.mp4", "Taï.mp4"]


def test_shares_limits_and_dry_runs_take_urls(server: Served, local: Path, tmp_path: Path) -> None:
    plan = command(server.url, tmp_path / "S", "--dry-run")
    assert (plan["to_do"], plan["frames"] > 0) == (6, True)
    assert not (tmp_path / "S").exists()
    assert command(server.url, tmp_path / "S", "--limit", "2")["left"] == 4
    for share in (1, 2, 3):
        command(server.url, tmp_path / "S", "--shard", f"{share}/3")
    assert_as_local(tmp_path / "S", local)
    assert left_in_scratch(tmp_path) == []


def test_previews_and_triage_look_at_clips_behind_urls(server: Served, tmp_path: Path) -> None:
    words = [f"{server.url}/a", "--preview", str(tmp_path / "sheets"), "--fps", "2", "--json"]
    done = CliRunner().invoke(featurize.cli.app, words)
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "sheets").iterdir()) == ["00.mp4.jpg", "01.mp4.jpg"]
    done = CliRunner().invoke(featurize.cli.app, [f"{server.url}/a", "--triage", "--out", str(tmp_path / "t.csv")])
    assert done.exit_code == 0, done.output
    assert f"{server.url}/a/00.mp4" in (tmp_path / "t.csv").read_text()


def test_s3_is_listed_page_by_page_and_read_with_its_keys_from_the_environment(
    local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "buckets").mkdir()
    shutil.copytree(local, tmp_path / "buckets/bucket/season one")
    with served(tmp_path / "buckets", as_s3=True) as server:
        for name, value in {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "tops3cret",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        server.faults = {"00.mp4": "cut"}
        facts = command("s3://bucket/season one", tmp_path / "S")
        assert (facts["done"], facts["passed_over"]) == (6, {".txt": 1})
        assert_as_local(tmp_path / "S", local)
        assert FeatureStore.open(tmp_path / "S").clips().loc["a/00.mp4", "path"] == "s3://bucket/season one/a/00.mp4"
        assert command("s3://bucket/season one/", tmp_path / "S")["skipped"] == 6
        (clip,) = survey(places(["s3://bucket/season one/a/00.mp4"])).clips
        assert (clip.clip_id, clip.place) == ("00.mp4", "s3://bucket/season one/a/00.mp4")
        with pytest.raises(SourceError, match="s3://bucket/other: cannot be listed: there is no such file"):
            survey(places(["s3://bucket/other"]))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        s3fs.S3FileSystem.clear_instance_cache()
        with pytest.raises(SourceError, match=r"no credentials are found; .*AWS_PROFILE; FSSPEC_S3_ANON=true"):
            survey(places(["s3://bucket/season one"]))


def of_paramiko(*names: str) -> type[Exception]:
    """A class of errors under a library's name, which is not installed for tests; the last name is its base."""
    found: type[Exception] = Exception
    for name in reversed(names):
        found = type(name, (found,), {})
    return found


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (of_paramiko("BadAuthenticationType", "AuthenticationException")("no"), "access is refused"),
        (of_paramiko("PasswordRequiredException", "AuthenticationException")("locked"), "the SSH key is locked"),
        (of_paramiko("SSHException")("No authentication methods available"), "access is refused"),
        (botocore.exceptions.PartialCredentialsError(provider="env", cred_var="x"), "credentials are not whole"),
        (botocore.exceptions.ProfileNotFound(profile="x"), "there is no such profile"),
    ],
)
def test_what_trying_again_does_not_mend_is_tried_once(error: Exception, said: str) -> None:
    tries = []

    def fail() -> None:
        tries.append(1)
        raise error

    with pytest.raises(UnreachableError, match=said):
        persist(fail, Remote(url="sftp://host/clips", scratch=Scratch(), first_pause_s=0.0))
    assert len(tries) == 1


@pytest.fixture
def ssh(local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with sftp_served(local, tmp_path / ".ssh/known_hosts") as server:
        yield server


def test_clips_of_an_ssh_server_come_whole_though_its_connection_is_cut(
    ssh: Served, local: Path, tmp_path: Path
) -> None:
    ssh.faults = {"00.mp4": "cut", "03.mp4": "cut"}
    facts = command(ssh.url, tmp_path / "S")
    assert (facts["done"], facts["passed_over"]) == (6, {".txt": 1})
    assert (ssh.tries["00.mp4"], ssh.tries["03.mp4"]) == (2, 2)
    assert_as_local(tmp_path / "S", local)
    assert left_in_scratch(tmp_path) == []
    table = FeatureStore.open(tmp_path / "S").clips()
    assert table.loc["Taï.mp4", "path"] == f"{ssh.url.replace('me:secret@', '')}/Taï.mp4"
    asked = ssh.asked.total()
    assert command(ssh.url, tmp_path / "S")["skipped"] == 6
    assert ssh.asked.total() == asked


def test_a_clip_that_an_ssh_server_refuses_is_said_and_the_others_are_done(
    ssh: Served, local: Path, tmp_path: Path
) -> None:
    ssh.faults = {"00.mp4": "refused"}
    assert command(ssh.url, tmp_path / "S", code=3)["done"] == 5
    ssh.faults = {}
    command(ssh.url, tmp_path / "S")
    assert_as_local(tmp_path / "S", local)


@pytest.mark.parametrize(
    ("known", "password", "said"),
    [(False, "secret", "the server's key stands in no file of known hosts"), (True, "wrong", "access is refused")],
)
def test_an_ssh_server_that_nobody_knows_or_that_refuses_is_tried_once(
    ssh: Served, tmp_path: Path, known: bool, password: str, said: str
) -> None:
    if not known:
        (tmp_path / ".ssh/known_hosts").write_text("")
    with pytest.raises(SourceError, match=said) as raised:
        survey(places([ssh.url.replace("secret", password)]))
    assert password not in str(raised.value)
    assert ssh.tries["connected"] == 1


@pytest.fixture
def google(local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    (tmp_path / "buckets").mkdir()
    shutil.copytree(local, tmp_path / "buckets/bucket/season one")
    GoogleBuckets.clear_instance_cache()  # which holds credentials
    with google_served(tmp_path / "buckets") as server:
        monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        for name, value in {
            "STORAGE_EMULATOR_HOST": server.url,
            "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
            "NO_GCE_CHECK": "true",
        }.items():
            monkeypatch.setenv(name, value)
        yield server


def test_google_buckets_are_listed_page_by_page_and_read_with_a_key_file_through_faults(
    google: Served, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    google.password = "tops3cret"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(write_key_file(tmp_path / "key.json", google)))
    google.faults = {"00.mp4": "cut", "03.mp4": "503"}
    facts = command("gs://bucket/season one", tmp_path / "S")
    assert (facts["done"], facts["passed_over"]) == (6, {".txt": 1})
    assert_as_local(tmp_path / "S", local)
    assert left_in_scratch(tmp_path) == []
    assert google.tries["03.mp4"] >= 3
    table = FeatureStore.open(tmp_path / "S").clips()
    assert table.loc["a/00.mp4", "path"] == "gs://bucket/season one/a/00.mp4"
    assert abs(int(table.loc["a/00.mp4", "mtime_ns"]) / 1e9 - time.time()) < 600
    tries = google.tries.total()
    assert command("gs://bucket/season one/", tmp_path / "S")["skipped"] == 6
    assert google.tries.total() == tries
    (clip,) = survey(places(["gs://bucket/season one/a/00.mp4"])).clips
    assert (clip.clip_id, clip.place) == ("00.mp4", "gs://bucket/season one/a/00.mp4")
    for missing in ("gs://bucket/other", "gs://bucket/season", "gs://nosuch/season one"):
        with pytest.raises(SourceError, match=f"{missing}: cannot be listed: there is no such file"):
            survey(places([missing]))


def test_public_google_buckets_are_read_without_credentials_and_clips_from_a_list(
    google: Served, tmp_path: Path
) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("a/00.mp4\ngs://bucket/season one/b/c/with a space.mp4\nb/gone.mp4\n")
    facts = command("gs://bucket/season one", tmp_path / "S", "--clips-from", str(listed), code=3)
    assert facts["done"] == 2
    assert facts["failures"] == [
        {"clip_id": "b/gone.mp4", "reason": "the file cannot be fetched: there is no such file"}
    ]


def test_what_google_refuses_is_asked_for_once_and_the_sentence_says_how_access_is_given(
    google: Served, local: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    google.faults = {"00.mp4": "refused", "01.mp4": "503"}
    google.times = 10**6
    facts = command("gs://bucket/season one", tmp_path / "S", code=3)
    reasons = {each["clip_id"]: each["reason"] for each in facts["failures"]}
    assert reasons == {
        "a/00.mp4": "the file cannot be fetched: access is refused",
        "a/01.mp4": "the file cannot be fetched: the server answers 503, 6 times",
    }
    assert google.tries["00.mp4"] <= 2  # the line at the start may have looked at it, too
    google.password = "tops3cret"
    with pytest.raises(SourceError, match=r"access is refused; .*GOOGLE_APPLICATION_CREDENTIALS"):
        survey(places(["gs://bucket/season one"]))
    assert "gcsfs" not in {record.name for record in caplog.records}
    assert "Traceback" not in capfd.readouterr().err
    google.password, google.faults = None, {}
    assert command("gs://bucket/season one", tmp_path / "S")["done"] == 2
    assert_as_local(tmp_path / "S", local)


def test_an_object_that_is_replaced_while_it_is_fetched_is_not_mixed_with_what_came_before(
    google: Served, local: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (local / "a/00.mp4").read_bytes()
    monkeypatch.setattr(transfer, "_PIECE_BYTES", len(content) // 4)
    (clip,) = survey(places(["gs://bucket/season one/a/00.mp4"])).clips
    assert clip.remote is not None
    google.faults, google.times = {"00.mp4": "cut"}, 0
    original = transfer._FileSink.write

    def note(sink: Any, piece: bytes) -> None:
        original(sink, piece)
        google.times = google.tries["00.mp4"] + 1 if google.tries["00.mp4"] == 2 else google.times

    monkeypatch.setattr(transfer._FileSink, "write", note)
    with clip.remote.on_disk() as path:
        assert path.read_bytes() == content
    assert google.tries["00.mp4"] == 6  # five pieces, one of them twice
    google.times, google.tries["00.mp4"] = 0, 0

    def replace(sink: Any, piece: bytes) -> None:
        original(sink, piece)
        if google.tries["00.mp4"] == 2:
            put_object(google, "bucket", "season one/a/00.mp4", content[::-1])

    monkeypatch.setattr(transfer._FileSink, "write", replace)
    with pytest.raises(transfer.UnreachableError, match="there is no such file"), clip.remote.on_disk():
        pass
    with clip.remote.on_disk() as path:
        assert path.read_bytes() == content[::-1]


def test_a_silent_google_server_is_given_up_and_asked_again(google: Served) -> None:
    google.faults, google.times = {"00.mp4": "silent"}, 10**6
    assert_given_up("gs://bucket/season one/a")


def test_the_room_for_fetched_clips_is_never_exceeded(server: Served, local: Path) -> None:
    sizes = sorted(path.stat().st_size for path in local.rglob("[!.]*.mp4"))
    room = Scratch((sizes[-1] + sizes[0]) / 1e9)
    seen = []

    def note(place: scratch_module.Place) -> None:
        seen.append(room.held_bytes)
        original(place)

    original, room.give_back = room.give_back, note  # type: ignore[method-assign]
    store = FeatureStore.open(local.parent / "bounded", create=True)
    plan = featurize.plan(local, store, backbones="phash", fps=2.0)
    remote = survey([Remote(url=server.url, scratch=room)]).clips
    extract(make_plan(remote, plan.sources, plan.sampling, store), store, workers=3)
    assert_as_local(store.root, local)
    assert len(seen) == 6
    assert max(seen) <= room.most_bytes
    assert room.held_bytes == 0
    with pytest.raises(SettingsError, match="give more by --scratch-gb"):
        featurize.run(server.url, local.parent / "none", backbones="phash", fps=3, scratch_gb=1e-6)


def test_what_a_killed_run_left_is_removed_at_the_next_start_and_the_run_goes_on(
    server: Served, local: Path, tmp_path: Path
) -> None:
    server.faults, server.slow_s = {"03.mp4": "slow", "02.mp4": "slow"}, 1.0
    words = [sys.executable, "-m", "featurize.cli", server.url, "--store", str(tmp_path / "S"), *SETTINGS]
    code = "import sys; from featurize.cli import main; sys.argv = sys.argv[1:]; main()"
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    process = subprocess.Popen([words[0], "-c", code, "featurize", *words[3:]], env=environment)
    deadline = time.monotonic() + 60
    while not left_in_scratch(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (left,) = (tmp_path / "tmp").glob("trapline-fetched-*")
    assert left_in_scratch(tmp_path)
    server.faults = {}
    command(server.url, tmp_path / "S")
    assert_as_local(tmp_path / "S", local)
    assert not left.exists()


def test_what_does_not_go_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreNotFoundError, match="a store lies on a disk of this machine"):
        FeatureStore.open("s3://bucket/STORE", create=True)
    words = ["s3://bucket/clips", "--store", str(tmp_path / "S"), *SETTINGS, "--ray", "local"]
    done = CliRunner().invoke(featurize.cli.app, words)
    assert isinstance(done.exception, SettingsError)
    assert "--shard I/N" in str(done.exception)
    assert not (tmp_path / "S").exists()
    with pytest.raises(SettingsError, match="the protocol nosuch:// is unknown"):
        survey(places(["nosuch://host/clips"]))
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(SettingsError, match=r"pip install 'trapline\[remote\]'"):
        survey(places(["s3://bucket/clips"]))


def test_a_url_is_shown_without_what_is_secret() -> None:
    assert bare("https://me:pass@host:80/a/b.mp4?sig=1#x") == "https://host:80/a/b.mp4"
    assert str(Remote(url="sftp://me:pass@host/clips", scratch=Scratch())) == "sftp://host/clips"
    assert "pass" not in repr(Remote(url="sftp://me:pass@host/clips", scratch=Scratch()))
