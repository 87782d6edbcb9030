import numpy as np
import pytest

from heads.evaluation.review import classes_known, entropy, jensen_shannon, loss_per_clip, suspect_labels


def test_wrongness_by_hand() -> None:
    labels = np.array([[1, 0], [1, 0]], np.uint8)
    said = np.array([[0.5, 0.5], [0.9, 0.1]])
    assert loss_per_clip(labels, said) == pytest.approx([2 * np.log(2), -2 * np.log(0.9)])


def test_an_even_guess_is_most_uncertain() -> None:
    assert entropy(np.array([[0.5, 0.5], [0.0, 1.0]])) == pytest.approx([2 * np.log(2), 0.0], abs=3e-4)


def test_models_that_say_the_same_do_not_disagree_however_unsure() -> None:
    one, other = np.array([[0.5], [1.0]]), np.array([[0.5], [0.0]])
    assert jensen_shannon([one, other]) == pytest.approx([0.0, np.log(2)], abs=3e-4)


def test_swapped_labels_come_first_and_rare_classes_that_always_get_little_do_not() -> None:
    rng = np.random.default_rng(0)
    shown = rng.choice(3, 2000, p=(0.6, 0.37, 0.03))
    truth = np.eye(3, dtype=np.uint8)[shown]
    skill = np.array([6.0, 6.0, 1.0])  # of the third class the models know next to nothing
    said = 1 / (1 + np.exp(-(skill * truth - 3 + rng.normal(0, 0.6, truth.shape))))
    given = truth.copy()
    turned = [5, 17, 40, 99, 123]
    for clip in turned:
        given[clip] = np.eye(3, dtype=np.uint8)[(shown[clip] + 1) % 2]
    found = suspect_labels(given, said, np.ones(given.shape, bool))
    assert sorted(each.clip for each in found) == turned
    first = found[0]
    assert first.labelled == (shown[first.clip] + 1) % 2
    assert first.instead == shown[first.clip]
    assert first.usual == pytest.approx(0.95, abs=0.02)
    assert [each.excess for each in found] == sorted((each.excess for each in found), reverse=True)


def test_a_label_that_no_model_could_know_is_no_suspect() -> None:
    labels = np.eye(2, dtype=np.uint8)[[0, 0, 0, 1, 1, 0]]
    fold = np.array([0, 0, 1, 1, 1, 0])
    known = classes_known(labels, fold)
    assert known.tolist() == [[True, True]] * 2 + [[True, False]] * 3 + [[True, True]]
    said = np.array([[0.9, 0.1]] * 5 + [[0.01, 0.9]])
    assert [each.clip for each in suspect_labels(labels, said, known)] == [5]
    both = suspect_labels(labels, said, np.ones_like(known))
    assert [each.clip for each in both] == [5]  # a class that always gets little: nothing unusual
    said[3] = (0.99, 0.0001)
    assert [each.clip for each in suspect_labels(labels, said, np.ones_like(known))] == [3, 5]
    assert [each.clip for each in suspect_labels(labels, said, known)] == [5]


def test_a_class_without_clips_has_no_suspects() -> None:
    labels = np.zeros((50, 1), np.uint8)
    assert suspect_labels(labels, np.full((50, 1), 0.3), np.zeros((50, 1), bool)) == []
    (found,) = suspect_labels(labels, np.array([[0.99]] + [[0.3]] * 49), np.zeros((50, 1), bool))
    assert (found.clip, found.labelled, found.usual, found.instead) == (0, None, None, 0)
