import numpy as np
import pytest

from heads.evaluation.review import Suspect, entropy, jensen_shannon, loss_per_clip, suspect_labels


def test_wrongness_by_hand() -> None:
    labels = np.array([[1, 0], [1, 0]], np.uint8)
    said = np.array([[0.5, 0.5], [0.9, 0.1]])
    assert loss_per_clip(labels, said) == pytest.approx([2 * np.log(2), -2 * np.log(0.9)])


def test_an_even_guess_is_most_uncertain() -> None:
    assert entropy(np.array([[0.5, 0.5], [0.0, 1.0]])) == pytest.approx([2 * np.log(2), 0.0], abs=3e-4)


def test_models_that_say_the_same_do_not_disagree_however_unsure() -> None:
    one, other = np.array([[0.5], [1.0]]), np.array([[0.5], [0.0]])
    assert jensen_shannon([one, other]) == pytest.approx([0.0, np.log(2)], abs=3e-4)


def test_labels_turned_round_are_found_first() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random((2000, 2)) < (0.3, 0.05)).astype(np.uint8)
    said = 1 / (1 + np.exp(-(6.0 * truth - 3 + rng.normal(0, 0.8, truth.shape))))
    given = truth.copy()
    turned = [(5, 0), (17, 0), (40, 1), (99, 1), (123, 0)]
    for clip, column in turned:
        given[clip, column] ^= 1
    found = suspect_labels(given, said)
    assert {(each.clip, each.column) for each in found} >= set(turned)
    assert len(found) < 15
    belief = {place: said[place] if given[place] else 1 - said[place] for place in turned}
    clip, column = min(belief, key=belief.__getitem__)
    labelled, probability = bool(given[clip, column]), float(said[clip, column])
    assert found[0] == Suspect(clip=clip, column=column, labelled=labelled, probability=probability)
    doubt = [each.probability if each.labelled else 1 - each.probability for each in found]
    assert doubt == sorted(doubt)


def test_a_class_without_clips_has_no_suspects() -> None:
    labels = np.zeros((50, 1), np.uint8)
    assert suspect_labels(labels, np.random.default_rng(1).random((50, 1))) == []
