import json

import numpy as np
import pandas as pd
import pytest

from heads.data.features.metadata import MetadataTransform
from heads.recipe import DEFAULT_METADATA
from store.config import parse_settings


def table(**columns: object) -> pd.DataFrame:
    count = len(next(iter(columns.values())))  # type: ignore[arg-type]
    defaults = {name: np.linspace(1, 2, count) for name in DEFAULT_METADATA if name != "frame_size"}
    return pd.DataFrame({"width": [64] * count, "height": [48] * count, **defaults, **columns})


def test_values_are_standardised_by_the_training_clips_alone() -> None:
    training = table(brightness_mean=[0.2, 0.4])
    other = table(brightness_mean=[0.3, 0.5])
    transform = MetadataTransform.fit(["brightness_mean"], training)
    assert transform.names == ("brightness_mean", "brightness_mean missing")
    np.testing.assert_allclose(transform.apply(training)[:, 0], [-1, 1], rtol=1e-6)
    np.testing.assert_allclose(transform.apply(other)[:, 0], [0, 2], atol=1e-6)


def test_a_missing_value_is_the_mean_and_says_so() -> None:
    transform = MetadataTransform.fit(["motion_mean"], table(motion_mean=[0.1, np.nan, 0.2]))
    applied = transform.apply(table(motion_mean=[np.nan, 0.0]))
    np.testing.assert_array_equal(applied, [[0, 1], [0, 1]])


def test_a_fact_that_is_always_missing_is_harmless() -> None:
    transform = MetadataTransform.fit(["bit_rate"], table(bit_rate=[np.nan, np.nan]))
    np.testing.assert_array_equal(transform.apply(table(bit_rate=[np.nan])), [[0, 1]])


def test_file_size_is_compared_within_its_frame_size() -> None:
    sizes = np.exp(np.array([*np.linspace(1, 2, 10), *np.linspace(11, 12, 10)]))
    training = table(size_bytes=sizes, width=[64] * 10 + [1280] * 10)
    transform = MetadataTransform.fit(["size_bytes"], training)
    column = transform.apply(training)[:, 0]
    np.testing.assert_allclose(column[:10], column[10:], atol=1e-4)
    unknown = transform.apply(table(size_bytes=[np.exp(6.5)], width=[999]))
    assert unknown[0, 0] == pytest.approx(0, abs=1e-3)


def test_frequent_frame_sizes_get_a_column_and_the_width_never_changes() -> None:
    one = MetadataTransform.fit(DEFAULT_METADATA, table(width=[64] * 10 + [1280] * 9 + [3]))
    two = MetadataTransform.fit(DEFAULT_METADATA, table(width=[64] * 3))
    assert [size for size in one.frame_sizes if size] == ["1280x48", "64x48"]
    applied = one.apply(table(width=[1280, 3]))
    assert applied[:, list(one.names).index("frame_size=1280x48")].tolist() == [1.0, 0.0]
    assert applied.shape[1] == len(one.names) == two.apply(table(width=[64])).shape[1]


def test_no_facts_give_no_columns() -> None:
    assert MetadataTransform.fit([], table(width=[64])).apply(table(width=[64, 64])).shape == (2, 0)


def test_outliers_are_bounded_and_all_is_finite() -> None:
    transform = MetadataTransform.fit(DEFAULT_METADATA, table(brightness_mean=[0.2, 0.4, 0.3]))
    wild = transform.apply(table(brightness_mean=[1e9], motion_mean=[0.0], bit_rate=[-1.0]))
    assert np.isfinite(wild).all()
    assert np.abs(wild).max() <= 5


def test_a_transform_survives_json() -> None:
    transform = MetadataTransform.fit(DEFAULT_METADATA, table(width=[64] * 10))
    again = parse_settings(json.loads(json.dumps(transform.model_dump(mode="json"))), MetadataTransform, "here")
    assert again == transform
