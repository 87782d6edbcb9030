"""The addresses of the review page, and what each answers."""

import struct
from collections.abc import Iterator
from importlib import resources
from typing import Any

from jinja2 import Environment
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from heads.data.decisions import Decision
from heads.errors import ReviewError
from heads.review.desk import Said, user_named
from heads.review.films import FORMS, Films, media_type, plays_as_it_is
from heads.review.flipbook import Flipbook, Flipbooks
from heads.review.moments import Moment, MomentFinder
from heads.review.opening import Opened, Sources, open_collection
from heads.review.retraining import Retraining
from heads.run import RunDirectory
from heads.selection.queued import QueuedClip
from heads.workflows.run_names import first_folder, next_folder
from heads.workflows.training.retrain import Order
from store.errors import TraplineError

_QUEUE_CLIPS = 100
_MOST_QUEUE_CLIPS = 1000
_KEPT = {"cache-control": "private, max-age=3600"}


class Review:
    """Answers the page.

    Args:
        sources: what the user named, from which another run is looked at once it is trained.
        opened: what is reviewed.
        films: clips as films.
        user: who is taken to be there until the page says otherwise.
    """

    def __init__(self, sources: Sources, opened: Opened, films: Films, *, user: str) -> None:
        self._sources, self._films, self._user = sources, films, user
        self._retraining = Retraining(self._renew)
        self._moments, self._books = MomentFinder(opened.desk.collection.store), Flipbooks()
        self._show(opened)
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/review.js", self._script),
                Route("/review.css", self._style),
                Route("/favicon.ico", self._icon),
                Route("/api/start", self._start),
                Route("/api/queue", self._queue),
                Route("/api/news", self._news),
                Route("/api/progress", self._progress),
                Route("/api/decide", self._decide, methods=["POST"]),
                Route("/api/undo", self._undo, methods=["POST"]),
                Route("/api/redo", self._redo, methods=["POST"]),
                Route("/api/retrain", self._retrain, methods=["POST"]),
                Route("/api/retraining", self._how_it_goes),
                Route("/api/labels.csv", self._labels),
                Route("/clip/{key}", self._clip),
                Route("/clip/{key}/event", self._event),
                Route("/clip/{key}/alike", self._alike),
                Route("/clip/{key}/frames", self._frames),
                Route("/clip/{key}/spoke", self._spoke),
                Route("/clip/{key}/picture.jpg", self._picture),
                Route("/clip/{key}/film", self._film),
            ],
            exception_handlers={TraplineError: _refuse},
        )

    def _show(self, opened: Opened) -> None:
        self._opened = opened
        self._desk, self._queues, self._speaker = opened.desk, opened.queues, opened.speaker
        self._title = (opened.desk.collection.store.root if opened.run is None else opened.run.path).absolute().name

    def _page(self, _: Request) -> Response:
        template = Environment(autoescape=True).from_string(_resource("page.html"))
        return HTMLResponse(template.render(title=self._title, user=self._user))

    def close(self) -> None:
        """End what runs beside the page."""
        self._retraining.stop()

    def _script(self, _: Request) -> Response:
        return Response(_resource("review.js"), media_type="text/javascript")

    def _style(self, _: Request) -> Response:
        return Response(f"{_resource('palette.css', 'heads.report')}\n{_resource('review.css')}", media_type="text/css")

    def _icon(self, _: Request) -> Response:
        return Response(status_code=204)

    def _start(self, _: Request) -> Response:
        self._desk.refresh()
        return JSONResponse(
            {
                "user": self._user,
                "title": self._title,
                "classes": self._desk.classes(),
                "queues": self._queues.names(),
                "has_run": self._desk.collection.predictions is not None,
                **self._numbers(),
            }
        )

    def _queue(self, request: Request) -> Response:
        count = min(_number(request, "count", _QUEUE_CLIPS), _MOST_QUEUE_CLIPS)
        name, about = request.query_params.get("name", "order"), request.query_params.get("about", "")
        self._desk.refresh()
        queued = self._queues.make(name, count, about)
        self._speaker.prepare([each.clip_id for each in queued])
        return JSONResponse({"clips": [self._queued(each) for each in queued], **self._numbers()})

    def _queued(self, each: QueuedClip) -> dict[str, Any]:
        why = {"strategy": each.strategy, "reason": each.reason, "random": each.is_random}
        return {**self._desk.clip(each.clip_id), "why": why}

    def _progress(self, request: Request) -> Response:
        """How far labelling has come, and what is to be expected of some clips (`clips`, keys with commas)."""
        self._desk.refresh()
        keys = [key for key in request.query_params.get("clips", "").split(",") if key][:_MOST_QUEUE_CLIPS]
        clips = [self._desk.collection.clip_of(key) for key in keys]
        return JSONResponse({**self._queues.progress(clips), **self._numbers()})

    def _news(self, request: Request) -> Response:
        """What was decided of clips since the page had seen so many decisions."""
        self._desk.refresh()
        return JSONResponse(self._since(_number(request, "since", 0)))

    async def _decide(self, request: Request) -> Response:
        said = Said.from_json(await _json(request))
        return JSONResponse(self._changed(await run_in_threadpool(self._desk.decide, said)))

    async def _undo(self, request: Request) -> Response:
        user = user_named((await _json(request)).get("user"))
        return JSONResponse(self._changed(await run_in_threadpool(self._desk.take_back, user)))

    async def _redo(self, request: Request) -> Response:
        user = user_named((await _json(request)).get("user"))
        return JSONResponse(self._changed(await run_in_threadpool(self._desk.do_again, user)))

    async def _retrain(self, request: Request) -> Response:
        user_named((await _json(request)).get("user"))
        self._desk.refresh()
        before, store = self._opened.run, self._sources.store.root
        self._retraining.start(
            Order(
                store=store,
                before=None if before is None else before.path,
                after=first_folder(store) if before is None else next_folder(before.path),
                decisions=self._desk.decisions,
                labels=self._opened.labels,
                sites=dict(self._desk.collection.sites),
            )
        )
        return JSONResponse(self._retraining.state())

    def _how_it_goes(self, request: Request) -> Response:
        from heads.report import comparison_json, sentences_on  # which brings matplotlib

        if request.query_params.get("prepare"):  # somebody is about to order a training
            self._retraining.prepare()
        change = self._opened.change
        told: dict[str, Any] = {"run": "" if self._opened.run is None else str(self._opened.run.path)}
        if change is not None:
            told |= {"change": comparison_json(change), "sentences": sentences_on(change)}
        return JSONResponse({**self._retraining.state(), **told})

    def _renew(self, order: Order) -> None:
        """Look at the run that was trained."""
        before = None if order.before is None else RunDirectory(order.before)
        self._show(open_collection(self._sources, RunDirectory(order.after), before))

    def _labels(self, _: Request) -> Response:
        self._desk.refresh()
        text = self._desk.decisions.labels(self._desk.collection.classes).to_csv(index=False, lineterminator="\n")
        return Response(
            text, media_type="text/csv", headers={"content-disposition": 'attachment; filename="labels.csv"'}
        )

    def _clip(self, request: Request) -> Response:
        clip_id = self._clip_id(request)
        facts = self._desk.collection.facts.loc[clip_id].to_dict()
        moments = self._moments.find(clip_id)
        problem = "" if moments else f"The store holds no frame of it: {facts['reason'] or 'it was not featurized'}."
        try:
            self._desk.collection.file_of(clip_id)
        except ReviewError as error:
            problem = str(error)
        return JSONResponse(
            {
                "moments": [each.to_json() for each in moments],
                "width": int(facts["width"]),
                "height": int(facts["height"]),
                "plays": plays_as_it_is(str(facts["container"]), str(facts["codec"])),
                "problem": problem,
            }
        )

    def _event(self, request: Request) -> Response:
        """The clips of one event; all of them are likely to show the same."""
        clips = self._desk.collection.event_of(self._clip_id(request))
        return JSONResponse(
            {
                "clips": [
                    {**self._desk.clip(each), "likely": True, "why": {"strategy": "event", "reason": "of one event"}}
                    for each in clips
                ]
            }
        )

    def _alike(self, request: Request) -> Response:
        self._desk.refresh()
        found = self._queues.alike(self._clip_id(request))
        return JSONResponse({"clips": [{**self._queued(each), "likely": likely} for each, likely in found]})

    def _frames(self, request: Request) -> Response:
        book, _ = self._book(request)
        return StreamingResponse(_packed(book), media_type="application/octet-stream", headers=_KEPT)

    def _spoke(self, request: Request) -> Response:
        clip_id = self._clip_id(request)
        times_s = [each.time_s for each in self._moments.find(clip_id)]
        return JSONResponse({"weights": self._speaker.weights(clip_id, times_s)})

    def _picture(self, request: Request) -> Response:
        """One frame, small: the one in which most moves."""
        from heads.report.thumbnails import thumbnails

        clip_id = self._clip_id(request)
        moments = self._moments.find(clip_id)
        if not moments:
            raise ReviewError("the store holds no frame of this clip")
        best = max(moments, key=lambda each: each.energy)
        (jpeg,) = thumbnails([(self._desk.collection.file_of(clip_id), best.time_s)])
        if jpeg is None:
            raise ReviewError("no picture can be had of this clip")
        return Response(jpeg, media_type="image/jpeg", headers=_KEPT)

    def _film(self, request: Request) -> Response:
        clip_id, form = self._clip_id(request), request.query_params.get("as", "own")
        path = self._desk.collection.file_of(clip_id)
        if form != "own":
            if form not in FORMS:
                raise ReviewError(f"there is no film as '{form}'")
            path = self._films.get(path, str(self._desk.collection.facts.at[clip_id, "fingerprint"]), form)
        return FileResponse(path, media_type=media_type(path), headers=_KEPT, content_disposition_type="inline")

    def _book(self, request: Request) -> tuple[Flipbook, tuple[Moment, ...]]:
        clip_id = self._clip_id(request)
        path, moments = self._desk.collection.file_of(clip_id), self._moments.find(clip_id)
        version = str(self._desk.collection.facts.at[clip_id, "fingerprint"])
        return self._books.get(path, [each.time_s for each in moments], version), moments

    def _clip_id(self, request: Request) -> str:
        return self._desk.collection.clip_of(request.path_params["key"])

    def _changed(self, decisions: list[Decision]) -> dict[str, Any]:
        return {"clips": [self._desk.clip(each.clip_id) for each in decisions], **self._numbers()}

    def _since(self, number: int) -> dict[str, Any]:
        changed = dict.fromkeys(each.clip_id for each in self._desk.decisions.log[number:])
        known = self._desk.collection.facts.index
        return {"clips": [self._desk.clip(each) for each in changed if each in known], **self._numbers()}

    def _numbers(self) -> dict[str, Any]:
        decisions = self._desk.decisions
        return {
            "clips_in_all": len(self._desk.collection.facts),
            "decided": len(self._desk.standing),
            "conflicts": self._desk.conflicts(),
            "log": len(decisions.log),
            "notes": list(decisions.notes),
        }


def _packed(book: Flipbook) -> Iterator[bytes]:
    """The pictures of a flipbook as they come, each behind its place and its size, four bytes each."""
    sent = 0
    while more := book.after(sent):
        for place, jpeg in more:
            yield struct.pack(">II", place, len(jpeg)) + jpeg
        sent += len(more)


async def _json(request: Request) -> dict[str, Any]:
    try:
        found = await request.json()
    except ValueError as error:
        raise ReviewError("that is no JSON") from error
    if not isinstance(found, dict):
        raise ReviewError("an object was expected")
    return found


def _number(request: Request, name: str, usual: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else usual


async def _refuse(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=400)


def _resource(name: str, room: str = "heads.review") -> str:
    return resources.files(room).joinpath(name).read_text(encoding="utf-8")
