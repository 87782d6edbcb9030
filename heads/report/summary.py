"""The summary: what a report says in plain words to somebody who knows animals better than log losses."""

from collections.abc import Sequence

import numpy as np

from heads.blending.selection import AUTO, FEW_CLIPS
from heads.data.labels import BLANK
from heads.evaluation.blank_removal import fewest_animals, none_lost_allows
from heads.evaluation.standard_errors import clip_losses, cluster_robust_mean
from heads.evaluation.verdicts import Use, Verdict
from heads.report.run_facts import RunFacts
from store.ids import counted

_CLEARLY_USEFUL = 0.85  # of the baseline's loss
_POOR_AP = 0.3
_SURELY = 2.0  # standard errors


def blanks(facts: RunFacts) -> list[str]:
    """How many blank clips can be dropped unseen, and what that costs."""
    rows = facts.metrics["blank_removal"]
    if rows is None:
        return [
            f"Nothing can be said about dropping blank clips: that needs clips that are labelled “{BLANK}”, and others."
        ]
    useful = [row for row in rows if row["threshold"] is not None and row["dropped"] > 0]
    if not useful:
        return ["No blank clip can be dropped unseen without losing more than one animal clip in ten."]
    first, where = useful[0], "sites" if facts.has_sites else "clips"
    few = too_few_animals(facts.animals, [first["accepted"]])
    lost = "none" if few else _percent(first["accepted"])
    return [
        f"If {lost} of the clips with an animal may be lost, {_percent(first['dropped'])} of "
        f"the blank ones can be dropped unseen (95 % interval {_percent(first['low'])} to {_percent(first['high'])}): "
        f"those with a probability of “{BLANK}” of {first['threshold']:.3f} or more. With that threshold set on other "
        f"{where}, {_percent(first['honest_dropped'])} of the blanks and {_percent(first['honest_lost'])} of the "
        "animals went.",
        *([few] if few else []),
        *(
            f"At a loss of {_percent(row['accepted'])} of the animals it is {_percent(row['dropped'])} "
            f"({_percent(row['low'])} to {_percent(row['high'])}), from {row['threshold']:.3f} on."
            for row, before in zip(useful[1:], useful, strict=False)
            if row["dropped"] > before["dropped"]
        ),
    ]


def too_few_animals(known: int, accepted: Sequence[float]) -> str:
    """Which losses so many clips with an animal are too few to measure, as they would be of less than one, and what
    losing none of them allows; "" if they are enough for all of these shares.

    At such a share the threshold is the one that loses none of the known clips.
    """
    takes = {_percent(share): fewest_animals(share) for share in accepted}
    short = [f"{share} (which takes {needed:,})" for share, needed in takes.items() if known < needed]
    if not short:
        return ""
    return (
        f"Only {counted(known, 'clip')} with an animal {'is' if known == 1 else 'are'} known, too few to measure a "
        f"loss of {' or '.join(short)}: none lost of {known:,} still allows a true loss of up to "
        f"{_percent(none_lost_allows(known))} (95 % bound)."
    )


def species(found: Sequence[Verdict]) -> str:
    """How many species there are of each verdict, in a sentence that names the usable ones."""
    if not found:
        return f"There is no species beside “{BLANK}”."
    several = {use: [each.name for each in found if each.use is use] for use in Use}
    told = []
    if several[Use.ALONE]:
        told.append(f"{_listed(several[Use.ALONE])} can be taken unseen from a threshold on")
    if several[Use.CHECKED]:
        told.append(f"{len(several[Use.CHECKED])} of {len(found)} need a look at each find")
    if several[Use.TOO_FEW]:
        told.append(f"of {len(several[Use.TOO_FEW])} of {len(found)} species there are too few clips to say")
    return f"{_sentence('; '.join(told))}. The table below says from which probability on, and what it saves."


def best_model(facts: RunFacts) -> list[str]:
    """Which model to use, and how much better it is than the alternatives."""
    chosen, name = facts.chosen, facts.metrics["chosen"]
    ratio = chosen["mean_log_loss"] / facts.prior["mean_log_loss"]
    sentences = [
        f"The chosen blend is “{name}” of {counted(len(facts.oof), 'model')}. Its mean log loss is "
        f"{chosen['mean_log_loss']:.4f}; predicting nothing but each species' share would score "
        f"{facts.prior['mean_log_loss']:.4f}, so {_saved(ratio)}.",
        *_choosing(facts),
    ]
    if facts.full_heads:
        sentences.append(_against_single(facts))
    if chosen["top_1"] is not None:
        sentences.append(f"Its most probable class is right for {100 * chosen['top_1']:.0f} % of the labelled clips.")
    return sentences


def _choosing(facts: RunFacts) -> list[str]:
    """How the blend was chosen, and what having chosen it by the scores that are shown may flatter by."""
    choice = facts.metrics["choice"].get(AUTO)
    if choice is None:
        return []
    chosen, blind = facts.chosen["mean_log_loss"], choice["mean_log_loss"]
    flatters = "" if blind > chosen else ", so choosing flatters nothing"
    return [
        f"{_chosen_for(facts)}; chosen anew for each fold without a look at that fold, its log loss is {blind:.4f}"
        f"{flatters}."
    ]


def _chosen_for(facts: RunFacts) -> str:
    """What the blend was chosen for: its score, or of few clips that it is the simplest of those that are as good."""
    best = min(facts.metrics["comparison"], key=lambda row: float(row["mean_log_loss"]))
    if len(facts.blend.ids) >= FEW_CLIPS or best["name"] == facts.metrics["chosen"]:
        return "It was chosen for that score"
    return (
        f"“{best['name']}” scores {best['mean_log_loss']:.4f}, but of fewer than {FEW_CLIPS} clips the simplest blend "
        "within one standard error of the best is chosen"
    )


def _against_single(facts: RunFacts) -> str:
    """The blend beside the best single model, and whether the difference is more than chance."""
    single, scores = next(iter(facts.full_heads.items()))
    own = next(each for each in facts.oof if each.model == single).select(facts.blend.ids)
    said_alone = own.probabilities[:, [own.classes.index(name) for name in facts.blend.classes]]
    if np.array_equal(said_alone, facts.blend.probabilities):
        return f"It is the best single model, {single}, by itself."
    gains = clip_losses(facts.values, said_alone) - clip_losses(facts.values, facts.blend.probabilities)
    gain = cluster_robust_mean(gains, facts.groups)
    share = abs(gain.mean) / scores["mean_log_loss"]
    score = f"{scores['mean_log_loss']:.4f}"
    said = f"The best single model, {single}, scores {score}: the blend's loss is {100 * share:.1f} %"
    if gain.mean <= 0:
        return f"{said} higher. Blending does not help here; the single model would do."
    surely = gain.mean > _SURELY * gain.standard_error
    return f"{said} lower, {'more' if surely else 'not more'} than chance among {facts.units} would give."


def trust(facts: RunFacts) -> list[str]:
    """Whether the numbers can be believed."""
    folds, chosen = facts.folds, facts.chosen
    if facts.has_sites:
        split = (
            f"Every clip was scored by models that never saw its site: {len(set(folds.groups)):,} sites in "
            f"{folds.n_folds} folds. The scores are what to expect at a new site of the same kind."
        )
    else:
        split = (
            f"Clips were dealt into {folds.n_folds} folds one by one, without sites. Clips of one camera then stand on "
            "both sides of the split, and the scores flatter: expect worse at a new site. Train with --sites."
        )
    sentences = [split]
    if chosen["fold_spread"] is not None:
        sentences.append(
            f"From fold to fold the log loss varies by {chosen['fold_spread']:.4f} (standard deviation); differences "
            "between models that are much smaller than this deserve no trust unless they show in every fold."
        )
    for name, added in facts.added.items():
        sentences += [f"{_sentence(name)} was brought in from outside; {warning}." for warning in added["warnings"]]
    rare = [str(name) for name, is_rare in facts.balance["rare"].items() if is_rare]
    if rare:
        sentences.append(
            f"{_sentence(_listed(rare))} {'is' if len(rare) == 1 else 'are'} "
            f"{'at fewer sites' if facts.has_sites else 'in fewer clips'} than there are folds: read "
            f"{'its' if len(rare) == 1 else 'their'} scores as anecdotes."
        )
    return sentences


def look_at(facts: RunFacts) -> list[str]:
    """Where work would pay."""
    scores = facts.chosen["per_class"]
    largest = sorted(scores, key=lambda name: -scores[name]["share"])[:3]
    share = sum(scores[name]["share"] for name in largest)
    sentences = [f"{_sentence(_listed(largest))} make up {100 * share:.0f} % of the loss: look there first."]
    worse = [name for name in scores if scores[name]["log_loss"] > facts.prior["per_class"][name]["log_loss"]]
    if worse:
        sentences.append(f"For {_listed(worse)} the blend is no better than guessing the species' share.")
    poor = [name for name in scores if scores[name]["ap"] is not None and scores[name]["ap"] < _POOR_AP]
    if poor:
        sentences.append(f"Ranked lists of {_listed(poor)} hold more false finds than true ones.")
    failed = facts.clips.loc[facts.clips["status"] == "failed", "clip_id"].nunique()
    if failed:
        sentences.append(f"{counted(failed, 'clip')} could not be decoded and took no part; see the clips below.")
    return sentences


def _saved(ratio: float) -> str:
    if ratio >= 1:
        return "the models have learnt nothing that holds on unseen clips"
    strength = "clearly" if ratio < _CLEARLY_USEFUL else "a little"
    return f"the models have {strength} learnt something ({100 * (1 - ratio):.0f} % of that loss is gone)"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _listed(names: Sequence[str], most: int = 6) -> str:
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more species"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}".removesuffix(".0") + " %"
