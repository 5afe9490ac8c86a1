"""Criteria for choosing without target labels: against loops, and on what they are known to like and dislike."""

import math
import subprocess
import sys

import numpy as np
import pytest
from made import ROOT
from sklearn.metrics import adjusted_mutual_info_score, balanced_accuracy_score

from pa_difc.evaluation import CRITERIA
from pa_difc.evaluation.criteria import (
    Criterion,
    Evidence,
    batch_nuclear_norm,
    class_ami,
    consensus,
    deep_embedded_validation,
    ensemble_agreement,
    information_maximization,
    macro_recall,
    soft_neighborhood_density,
)
from pa_difc.util.errors import UserError

K = 4


def evidence(quality, seed=0, n=400, shift=0.5):
    """A candidate whose features are separated by ``quality`` and whose predictions follow them."""
    rng = np.random.default_rng(seed)
    centres = quality * np.eye(K, 8)

    def domain(count, offset):
        labels = rng.integers(0, K, count)
        features = centres[labels] + rng.normal(0, 1, (count, 8)) + offset
        logits = features[:, :K] * (0.2 + quality / 2)
        p = np.exp(logits - logits.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True), features, labels

    source, target = domain(n, 0.0), domain(n, shift)
    return Evidence(target[0], target[1], *source), target[2]


def test_information_maximization_against_a_loop():
    p = evidence(1.0)[0].target_probs
    mean = p.mean(0)
    expected = -sum(m * math.log(m) for m in mean) + sum(q * math.log(q) for row in p for q in row) / len(p)
    assert information_maximization(evidence(1.0)[0]) == pytest.approx(expected)


def test_batch_nuclear_norm_against_a_decomposition():
    shown = evidence(1.0)[0]
    expected = np.linalg.svd(shown.target_probs, compute_uv=False).sum() / np.sqrt(400 * K)
    assert batch_nuclear_norm(shown) == pytest.approx(expected)


@pytest.mark.parametrize("row", [[0.97, 0.01, 0.01, 0.01], [0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4]])
def test_batch_nuclear_norm_of_few_and_equal_predictions(row):
    """Of N equal rows the only singular value is √N · |row|; rounding may make the others' squares negative."""
    shown = Evidence(np.tile(row, (3, 1)), *list(vars(evidence(1.0)[0]).values())[1:])
    expected = np.sqrt(3) * np.linalg.norm(row) / np.sqrt(3 * K)
    assert batch_nuclear_norm(shown) == pytest.approx(expected, abs=1e-6)


def test_soft_neighborhood_density_against_a_loop():
    shown = evidence(1.0, n=30)[0]
    p = shown.target_probs / np.linalg.norm(shown.target_probs, axis=1, keepdims=True)
    total = 0.0
    for i in range(30):
        s = np.exp([p[i] @ p[j] / 0.05 for j in range(30) if j != i])
        q = s / s.sum()
        total -= (q * np.log(q)).sum()
    assert soft_neighborhood_density(shown) == pytest.approx(total / 30, rel=1e-6)


@pytest.mark.parametrize("predicted_classes", [2, 4])
def test_class_ami_is_that_of_k_means_started_at_the_class_means(predicted_classes):
    shown = evidence(0.8, n=60)[0]
    probs = shown.target_probs[:, :predicted_classes]
    unit = [f / np.linalg.norm(f) for f in shown.target_features]
    predicted = [int(np.argmax(p)) for p in probs]
    clusters = predicted
    for _ in range(100):
        centres = [np.mean([f for f, c in zip(unit, clusters, strict=True) if c == k], axis=0) for k in set(predicted)]
        clusters = [int(np.argmin([((f - centre) ** 2).sum() for centre in centres])) for f in unit]
    expected = adjusted_mutual_info_score(predicted, clusters)
    assert 0.1 < expected < 0.9
    assert class_ami(Evidence(probs, *list(vars(shown).values())[1:])) == pytest.approx(expected)


def test_source_macro_recall_counts_each_class_once():
    shown = evidence(1.0)[0]
    predicted = shown.source_probs.argmax(1)
    recalls = [(predicted[shown.source_labels == k] == k).mean() for k in range(K)]
    assert CRITERIA["src_macro"].score(shown) == pytest.approx(np.mean(recalls))


def test_more_samples_than_the_most_are_thinned_evenly():
    shown = evidence(1.0, n=5001)[0]
    thinned = Evidence(shown.target_probs[::2], shown.target_features[::2], *list(vars(shown).values())[2:])
    assert class_ami(shown) == class_ami(thinned)
    few = Evidence(shown.target_probs[:2001], *list(vars(shown).values())[1:])
    every_second = Evidence(shown.target_probs[:2001:2], *list(vars(shown).values())[1:])
    assert soft_neighborhood_density(few) == soft_neighborhood_density(every_second)


@pytest.mark.parametrize("name", ["im", "bnm", "class_ami", "src_macro"])
def test_better_candidates_score_higher(name):
    scores = [np.mean([CRITERIA[name].score(evidence(q, s)[0]) for s in range(3)]) for q in (0.2, 1.0, 3.0)]
    assert scores == sorted(scores)


@pytest.mark.parametrize(("name", "fooled"), [("im", False), ("bnm", False), ("snd", True)])
def test_what_a_collapsed_candidate_does_to_them(name, fooled):
    good = evidence(2.0)[0]
    collapsed = Evidence(
        np.full((400, K), [0.97, 0.01, 0.01, 0.01]), good.target_features, *list(vars(good).values())[2:]
    )
    assert (CRITERIA[name].score(collapsed) > CRITERIA[name].score(good)) is fooled


def test_dev_is_the_plain_risk_without_a_shift_and_prefers_lower_risk():
    shown = evidence(2.0, shift=0.0, n=2000)[0]
    plain = -np.log(shown.source_probs[np.arange(2000), shown.source_labels]).mean()
    assert deep_embedded_validation(shown) == pytest.approx(-plain, rel=0.1)
    assert deep_embedded_validation(evidence(3.0)[0]) > deep_embedded_validation(evidence(0.3)[0])


def test_class_ami_of_one_predicted_class_is_zero():
    shown = evidence(1.0)[0]
    assert class_ami(Evidence(np.tile([1.0, 0, 0, 0], (400, 1)), *list(vars(shown).values())[1:])) == 0


def test_ensemble_agreement_prefers_the_majority_s_view():
    good = [evidence(3.0)[0].target_probs for _ in range(3)]
    odd = np.roll(good[0], 1, axis=1)
    scores = ensemble_agreement([*good, odd])
    assert min(scores[:3]) > 0.9 and scores[3] < 0.1


def test_consensus_is_a_mean_rank_with_shared_ties():
    assert consensus([[0.1, 0.5, 0.9], [3.0, 1.0, 3.0]]) == [1.75, 1.5, 2.75]


def test_macro_recall_is_balanced_accuracy():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 5, 200), rng.integers(0, 5, 200)
    assert macro_recall(labels, predicted) == pytest.approx(balanced_accuracy_score(labels, predicted))


def test_other_packages_add_criteria_and_every_one_is_found_by_name():
    assert all(isinstance(criterion, Criterion) and criterion.about for criterion in CRITERIA.loaded().values())
    assert set(CRITERIA) >= {"im", "class_ami", "bnm", "snd", "dev", "src_macro"}
    with pytest.raises(UserError, match="unknown criterion 'sdn': did you mean 'snd'"):
        CRITERIA.lookup("sdn")


def test_parameters_of_a_criterion_are_its_arguments():
    shown = evidence(1.0)[0]
    sharp, smooth = (CRITERIA["snd"].score(shown, temperature=t) for t in (0.01, 10.0))
    assert sharp < smooth == pytest.approx(math.log(399), rel=1e-3)  # every neighbour alike: the uniform distribution
    some = CRITERIA["snd"].score(shown, most=100)
    every_fourth = Evidence(shown.target_probs[::4], *list(vars(shown).values())[1:])
    assert some == pytest.approx(CRITERIA["snd"].score(every_fourth))


def test_the_package_imports_no_scipy_and_no_scikit_learn():
    code = (
        "import sys, pa_difc.evaluation as e; list(e.CRITERIA); print({'scipy', 'sklearn', 'torch'} & set(sys.modules))"
    )
    code = f"import sys, types; sys.modules['pa_difc'] = m = types.ModuleType('p'); m.__path__ = ['pa_difc']; {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "set()"


def test_no_criterion_can_see_a_target_label():
    assert not [name for name in Evidence.__dataclass_fields__ if "target" in name and "label" in name]
