"""Predictions for new clips as the file that somebody wants: our own table, or a given template's rows and columns.

CSV, or Parquet with the extra `parquet`.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from heads.data.predictions import ID_COLUMN, ORIGIN_COLUMN, STATUS_COLUMN
from heads.data.tables import TextTable, read_table
from heads.errors import PredictionError
from heads.explain.attribution import Moment
from heads.workflows.predict import NewPredictions
from store.files import atomic_path
from store.ids import name_a_few


def write_predictions(
    path: Path,
    new: NewPredictions,
    template: TextTable | None = None,
    frames: Mapping[str, Sequence[Moment]] | None = None,
) -> None:
    """Write predictions as Parquet if `path` ends so, else as CSV.

    Without a template the columns are `clip_id`, `status`, `origin` and one a class. With one, they are the template's,
    in its order, and so are the rows; a template has no place for a status or origin, nor for `frames`: the moments of
    each clip that count. Otherwise these become the last columns `top_frames_s`, seconds separated by spaces, and
    `top_frames_weight`, each frame's share in the answer.

    Raises:
        PredictionError: the template has a column that is no class of the run, there are frames for a template, or
            what Parquet needs is not installed.
    """
    require_writable(path)
    if template is not None and frames is not None:
        raise PredictionError(
            f"{template.name}: --explain adds columns, for which a template has no place; leave one out"
        )
    predictions = new.predictions
    frame = pd.DataFrame(predictions.probabilities, columns=list(predictions.classes))
    if template is None:
        frame.insert(0, ID_COLUMN, list(predictions.ids))
        frame.insert(1, STATUS_COLUMN, [status.value for status in new.status])
        frame.insert(2, ORIGIN_COLUMN, [origin.value for origin in new.origin])
        if frames is not None:
            moments = [frames.get(clip_id, ()) for clip_id in predictions.ids]
            frame["top_frames_s"] = [" ".join(f"{each.time_s:.2f}" for each in some) for some in moments]
            frame["top_frames_weight"] = [" ".join(f"{each.weight:.3f}" for each in some) for some in moments]
    else:
        frame = _in_template_order(frame, template)
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False) if is_parquet(path) else frame.to_csv(temporary, index=False)


def is_parquet(path: Path) -> bool:
    """Whether `path` asks for Parquet."""
    return path.suffix.lower() == ".parquet"


def require_writable(path: Path) -> None:
    """Make sure that predictions can be written where, and in the format that, `path` asks for.

    Raises:
        PredictionError: it is a folder, or asks for Parquet, and pyarrow is not installed.
    """
    if path.is_dir():
        raise PredictionError(f"{path}: is a folder; name the file to write, such as {path / 'predictions.csv'}")
    if is_parquet(path) and find_spec("pyarrow") is None:
        raise PredictionError(
            f"{path.name}: Parquet needs pyarrow, which is not installed: pip install 'trapline[parquet]', or name a "
            "file that ends in .csv"
        )


def read_template(path: Path) -> TextTable:
    """The template at `path`: a table whose first column of clips and whose header are to be kept."""
    return read_table(path)


def _in_template_order(frame: pd.DataFrame, template: TextTable) -> pd.DataFrame:
    """The class columns of the template, with the clips as the template writes them."""
    id_column = template.id_column
    wanted = [name for name in template.columns if name != id_column]
    unknown = [name for name in wanted if name not in frame.columns]
    if unknown:
        raise PredictionError(
            f"{template.name}: the run does not predict {name_a_few(unknown)}; it knows {name_a_few(frame.columns)}"
        )
    ordered = frame[wanted]
    ordered.insert(template.columns.index(id_column), id_column, template.column(id_column))
    return ordered.set_axis(list(template.header), axis="columns")
