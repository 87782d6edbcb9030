"""A collection to review, served: drawn clips, a store that knows them, and somebody who asks."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from indexed_clips import write_indexed_clip
from made_store import clip_ids, make_store, sites_of

from heads.data.reading.capture_times import NO_TIMES, TimeSource
from heads.review.app import Review
from heads.review.films import Films
from heads.review.opening import Sources, open_collection
from heads.review.server import ReviewServer
from heads.run import RunDirectory
from store import FeatureStore

CLASSES = ("deer", "hog")


def draw_collection(folder: Path, count: int = 24, *, seconds: int = 9) -> tuple[FeatureStore, Path]:
    """A store of clips in `folder`/clips with deer and hogs, and blank ones; labels.csv and sites.csv beside it."""
    shown = np.random.default_rng(3).integers(0, 2, (count, 2)).astype(np.uint8)
    store, ids = make_store(folder / "store", shown, boxes=True), clip_ids(count)
    table = {"filename": ids, "blank": 1 - shown.max(axis=1), "deer": shown[:, 0], "hog": shown[:, 1]}
    pd.DataFrame(table).to_csv(folder / "labels.csv", index=False)
    pd.DataFrame({"filename": ids, "site": sites_of(ids)}).to_csv(folder / "sites.csv", index=False)
    one = write_indexed_clip(folder / "one.mp4", seconds, 1.0)
    for clip_id in ids:
        path = folder / "clips" / clip_id
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(one)
    return store, folder / "clips"


@dataclass(kw_only=True)
class Visitor:
    """Somebody who speaks to the server as a browser would, or not quite.

    Attributes:
        port: of the server.
        cookie: that the browser holds; "" for none.
        addresses: what the server printed.
    """

    port: int
    cookie: str = ""
    addresses: list[str]

    @property
    def token(self) -> str:
        return self.addresses[-1].rpartition("token=")[2]

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        method: str | None = None,
        host: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        """The status, headers and body of an answer; a body that is no bytes is sent as JSON of our own page."""
        own = f"127.0.0.1:{self.port}"
        sent: dict[str, str | None] = {"Host": own if host is None else host, "Cookie": self.cookie or None}
        if body is not None:
            sent |= {"Origin": f"http://{own}", "Content-Type": "application/json"}
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent |= headers or {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.putrequest(
                method or ("GET" if body is None else "POST"), path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if body is not None and "Content-Length" not in (headers or {}):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # an answer may come before all is sent
                connection.send(body or b"")
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def json(self, path: str, body: Any = None) -> Any:
        """What a good answer says."""
        status, _, text = self.ask(path, body)
        assert status == 200, text
        return json.loads(text)

    def enter(self) -> "Visitor":
        """Open the address that was printed last."""
        status, headers, _ = self.ask(f"/?token={self.token}")
        assert status == 200
        self.cookie = headers["set-cookie"].partition(";")[0]
        return self


@contextlib.contextmanager
def serving(
    folder: Path,
    *,
    run: RunDirectory | None = None,
    labels: Path | None = None,
    classes: Sequence[str] = CLASSES,
    timed_by: TimeSource = NO_TIMES,
    **films: Any,
) -> Iterator[Visitor]:
    """The collection in `folder`, served for as long as the block lasts, to somebody who has not come in yet."""
    sources = Sources(
        store=FeatureStore.open(folder / "store"),
        decisions=folder / "decisions.jsonl",
        videos=folder / "clips",
        labels=labels,
        classes=tuple(classes),
        sites=folder / "sites.csv",
        timed_by=timed_by,
    )
    page = Review(sources, open_collection(sources, run), Films(folder / "films", **films), user="ann")
    said: list[str] = []
    server = ReviewServer(page, host="127.0.0.1", port=0, say=said.append)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Visitor(port=int(server.address.rpartition(":")[2].strip("/")), addresses=said)
    finally:
        server.stop()
        thread.join()
        page.close()
