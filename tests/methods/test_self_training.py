"""Self-training: who guesses, what becomes of guesses, what learns from them, and what is refused."""

import copy
import math

import numpy as np
import pytest
import torch
from made import random_faces
from taught import F, K, M, N, adapter, batch, plain_guesses, said

from pa_difc.data import Domain, PairLoader
from pa_difc.data.features import FeatureSet
from pa_difc.losses.pseudo import PseudoLabelLoss
from pa_difc.methods.self_training import AdaMatch, MeanTeacher
from pa_difc.methods.teaching import Teaching
from pa_difc.methods.teaching_options import SelfTrainingOptions
from pa_difc.training.build import make_adapter
from pa_difc.training.engine import fit
from pa_difc.training.resolve import resolve
from pa_difc.training.settings import Settings
from pa_difc.util.errors import UserError

SETTINGS = {"loss": "ce", "crop_px": 32, "batch_size": 8, "epochs": 1}


def probabilities(rows, seed, towards=0.0):
    generator = torch.Generator().manual_seed(seed)
    shift = torch.tensor([towards, 0.0, 0.0, -towards], dtype=torch.float64)
    return (1.5 * torch.randn(rows, K, generator=generator, dtype=torch.float64) + shift).softmax(1)


def teaching(**options):
    models = {"G": torch.nn.Identity(), "C": torch.nn.Linear(F, K)}
    return Teaching(SelfTrainingOptions(**options), models)


def mean(rows):
    return [sum(row[k] for row in rows) / len(rows) for k in range(K)]


@pytest.mark.parametrize(
    ("align", "power", "temperature", "threshold"),
    [("equal", 0.5, 0.0, 0.9), ("equal", 1.0, 0.5, 0.7), ("source", 0.3, 0.25, 1.0), ("none", 0.5, 1.0, 0.8)],
)
def test_guesses_against_loops(align, power, temperature, threshold):
    power_given = {} if align == "none" else {"align_power": power}
    made = teaching(align=align, temperature=temperature, threshold=threshold, **power_given)
    targets, sources = [], []
    for step in range(3):
        target, source = probabilities(M, step, 1.0), probabilities(N, 10 + step, -1.0)
        targets.append(mean(target.tolist()))
        sources.append(mean(source.tolist()))
        q, s = mean(targets), mean(sources)  # plain means in the beginning
        r = {"equal": [1 / K] * K, "source": s, "none": q}[align]
        guesses, mask = made.guesses(target, source)
        expected, counts = plain_guesses(target.tolist(), source.tolist(), q, r, power, temperature, threshold)
        torch.testing.assert_close(guesses, torch.tensor(expected, dtype=torch.float64))
        assert mask.tolist() == counts and 0 < sum(counts) < M


def test_equal_classes_are_what_full_alignment_aims_at():
    """A teacher that says one class too often: aligned guesses are more even, the more the larger a is."""
    spreads = []
    for power in (None, 0.5, 1.0):
        given = {"align": "none"} if power is None else {"align_power": power}
        made, probs = teaching(temperature=1.0, **given), probabilities(400, 0, 1.5)
        guesses, _ = made.guesses(probs, None)
        spreads.append((guesses.mean(0).max() - guesses.mean(0).min()).item())
    assert spreads[0] > 1.3 * spreads[1] > 1.6 * spreads[2]


def test_estimated_proportions_come_closer_to_the_target_s_than_equal_ones():
    """Saerens' steps on a calibrated classifier under a shift of class proportions."""
    rng = np.random.default_rng(0)
    truth, made = np.array([0.6, 0.1, 0.2, 0.1]), teaching(align="estimated")
    sources, centres = np.array([0.1, 0.3, 0.3, 0.3]), 1.5 * np.eye(K)

    def predicted(prior, n):
        labels = rng.choice(K, n, p=prior)
        x = centres[labels] + rng.normal(size=(n, K))
        joint = sources * np.exp(-((x[:, None] - centres) ** 2).sum(2) / 2)  # Bayes for the source
        return torch.tensor(joint / joint.sum(1, keepdims=True))

    for _ in range(1000):
        made.guesses(predicted(truth, 64), predicted(sources, 64))
    found, uncorrected = made.estimate.numpy(), made.loss.mean.numpy()
    assert np.abs(found - truth).max() < 0.05 < np.abs(uncorrected - truth).max()


def test_very_low_temperatures_are_hard_guesses_and_not_nan():
    probs = torch.full((1, K), 0.2, dtype=torch.float64)
    probs[0, 2] = 0.4
    guesses, _ = teaching(align="none", temperature=1e-4).guesses(probs, None)
    torch.testing.assert_close(guesses, torch.tensor([[0.0, 0.0, 1.0, 0.0]], dtype=torch.float64))


@pytest.mark.parametrize("method", ["adamatch", "mean_teacher", "mcd+adamatch"])
def test_the_student_learns_the_guesses_of_its_plain_view_on_the_strong_one(method):
    options = {"target_weight": 0.7, "target_loss": "di", "target_margin": 0.8, "target_power": 0.9}
    made, data = adapter(method, lr=0.0, threshold=0.95, **options), batch(strong=True)
    source, target = said(made, data["src_imgs"]), said(made, data["target_imgs"])
    q = mean(target.tolist())
    temperature = made.options.temperature
    assert temperature == (0.5 if method == "mean_teacher" else 0)
    guesses, mask = plain_guesses(target.tolist(), source.tolist(), q, [1 / K] * K, 0.5, temperature, 0.95)
    loss = PseudoLabelLoss("di", K, max_margin=0.8, power=0.9)
    loss.observe(target)
    logits = said(made, data["target_imgs_strong"]).log()
    expected = 0.7 * loss(logits, torch.tensor(guesses), torch.tensor(mask)).item()
    losses = {name: value for step in made.training_step(data).values() for name, value in step.items()}
    assert losses["self_training_loss"] == pytest.approx(expected, rel=1e-4) and 0 < sum(mask) < M


def test_without_a_strong_view_the_student_sees_the_face_itself():
    made, plain = (adapter("mean_teacher", lr=0.0) for _ in range(2))
    data = batch()
    with_itself = data | {"target_imgs_strong": data["target_imgs"]}
    assert made.training_step(data) == plain.training_step(with_itself)


def test_the_loss_is_in_the_gradient_of_features_and_classifier():
    grads = {}
    for weight in (0.0, 1.0):
        made = adapter("mean_teacher", loss=lambda z, y: 0.0 * z.sum(), target_weight=weight)
        made.training_step(batch(strong=True))
        grads[weight] = [sum(p.grad.abs().sum().item() for p in made.models[m].parameters()) for m in ("G", "C")]
    assert grads[0.0] == [0, 0] and min(grads[1.0]) > 0.01


@pytest.mark.parametrize("teacher", ["student", "average", "start"])
def test_no_gradient_flows_into_guesses(teacher):
    """The gradient is that of the loss with the guesses as numbers, also where the student guesses itself."""
    made = adapter("mean_teacher", loss=lambda z, y: 0.0 * z.sum(), teacher=teacher)
    data, before = batch(strong=True), copy.deepcopy(dict(made.models.items()))
    target, source = said(made, data["target_imgs"]), said(made, data["src_imgs"])
    guesses, mask = teaching().guesses(target, source)
    logits = before["C"](before["G"](data["target_imgs_strong"]))
    PseudoLabelLoss("ce", K)(logits, guesses, mask).backward()
    made.training_step(data)
    for name, model in made.models.items():
        for found, expected in zip(model.parameters(), before[name].parameters(), strict=True):
            torch.testing.assert_close(found.grad, expected.grad)
    assert not any(p.requires_grad or p.grad is not None for p in made.teaching.parameters())


@pytest.mark.parametrize("method", ["adamatch", "mean_teacher"])
def test_guessing_moves_no_batchnorm_and_draws_no_dropout(method):
    """What BatchNorm has seen is the source and the strong view, once each, and no more."""
    made, data = adapter(method, lr=0.0, normed=True), batch(strong=True)
    reference = copy.deepcopy(made.models["G"]).train()
    graphs = []
    for model in (made.models["G"], *([made.teaching.teacher.models["G"]] if made.teaching.teacher else [])):
        model.register_forward_hook(lambda module, *_: graphs.append((module.training, torch.is_grad_enabled())))
    made.training_step(data)
    assert sorted(graphs) == [(False, False), (True, True), (True, True)]  # the teacher's pass keeps no graph
    for view in ("src_imgs", "target_imgs_strong"):
        reference(data[view])
    assert int(made.models["G"][1].num_batches_tracked) == 2
    torch.testing.assert_close(made.models["G"][1].running_mean, reference[1].running_mean)
    assert all(m.training for m in made.models["G"].modules())


def test_who_guesses():
    """After three steps the student, its average and its start say three things."""
    found, data = {}, batch(9)["target_imgs"]
    for teacher in ("student", "average", "start"):
        made = adapter("mean_teacher", lr=0.5, teacher=teacher)
        start = said(made, data)
        for seed in range(3):
            made.training_step(batch(seed))
        taught = []
        made.teaching.guesses = lambda probs, source, taught=taught: (taught.append(probs), (probs, probs[:, 0] >= 0))[
            1
        ]
        expected = said(made, data)
        made.training_step(batch() | {"target_imgs": data})
        found[teacher] = taught[0].double()
        if teacher == "start":
            torch.testing.assert_close(found[teacher], start)
        if teacher == "student":
            torch.testing.assert_close(found[teacher], expected)
    pairs = [(found["student"], found["average"]), (found["start"], found["average"])]
    assert all((a - b).abs().max() > 1e-3 for a, b in pairs)


def test_another_model_may_guess():
    """Its probabilities of the plain view, in eval mode, whatever the student is."""
    made, data = adapter("mean_teacher", lr=0.5, teacher="./somewhere"), batch(strong=True)
    with pytest.raises(UserError, match=r"teacher=\./somewhere: pass the model of that folder to teaching\.learn_fro"):
        made.training_step(data)
    other = torch.nn.Sequential(torch.nn.Linear(6, K), torch.nn.Dropout(0.9), torch.nn.Softmax(1))
    made.teaching.learn_from(other.train())
    with torch.no_grad():
        expected = other[0](data["target_imgs"]).softmax(1)
    for _ in range(2):
        made.training_step(data)
        torch.testing.assert_close(made.teaching.loss.mean, expected.double().mean(0))
    assert other[0].weight.grad is None and not other[0].weight.requires_grad


def test_a_mean_teacher_lags_behind_its_student_by_its_decay():
    made = adapter("mean_teacher", teacher_decay=0.15)
    weight = made.teaching.teacher.models["G"][0].weight.clone()
    for step in range(3):
        made.training_step(batch(step))
        decay = min(0.15, (1 + step) / (10 + step))
        weight = decay * weight + (1 - decay) * made.models["G"][0].weight
        torch.testing.assert_close(made.teaching.teacher.models["G"][0].weight, weight)


def test_known_predictions_of_the_start_take_the_place_of_its_pass():
    """On frozen features the pretrained classifier has spoken already."""
    known = probabilities(M, 3).log().float()
    for teacher, used in (("start", True), ("average", False)):
        made, data = adapter("mean_teacher", lr=0.0, teacher=teacher), batch()
        made.training_step(data | {"target_log_probs": known})
        expected = known.exp().double().mean(0) if used else said(made, data["target_imgs"]).mean(0)
        torch.testing.assert_close(made.teaching.loss.mean, expected, rtol=1e-5, atol=1e-6)


def test_margins_are_in_units_before_the_scale():
    for scale in (1.0, 30.0):
        made = adapter("mcd+mean_teacher", scale=None if scale == 1 else scale, target_loss="difc", target_epsilon=0.2)
        assert (made.teaching.loss.max_margin, made.teaching.loss.epsilon) == (scale * 1.0, pytest.approx(scale * 0.2))


def test_a_collapse_is_not_fed():
    made = adapter("mean_teacher")
    torch.nn.init.zeros_(made.models["C"].weight)
    with torch.no_grad():
        made.models["C"].bias.copy_(torch.tensor([0.0, 0.0, 30.0, 0.0]))
    made.teaching.teacher.update(made.models)
    for _ in range(19):
        made.teaching.guesses(said(made, batch()["target_imgs"]), None)
    made.end_epoch()  # too early to tell
    made.teaching.guesses(said(made, batch()["target_imgs"]), None)
    with pytest.raises(
        UserError, match=r"100\.0% of the target's pseudo-labels are of one class \(number 2\)"
    ) as error:
        made.end_epoch()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("share", "refused"), [(0.975, False), (0.985, True)])
def test_a_collapse_is_more_than_98_percent_of_one_class(share, refused):
    made, probs = adapter("mean_teacher"), torch.full((M, K), (1 - share) / (K - 1))
    probs[:, 1] = share
    for _ in range(20):
        made.teaching.guesses(probs, None)
    if refused:
        made.teaching.class_names = ("a", "b", "c", "d")
        with pytest.raises(UserError, match=r"98\.5% of the target's pseudo-labels are of one class \(b\)"):
            made.end_epoch()
    else:
        made.end_epoch()


def test_training_stops_at_a_collapse_before_its_checkpoint(tmp_path):
    faces = Domain("a", random_faces(45, 0), random_faces(7, 1)), Domain("b", random_faces(45, 2), random_faces(7, 3))
    config = resolve(Settings.of(**SETTINGS | {"method": "adamatch", "batch_size": 2, "lr": 1e-6}))
    loader = PairLoader(faces[0].train, faces[1].train, batch_size=2)
    made = make_adapter(config, faces[0], len(loader))
    with torch.no_grad():
        made.models["C"].bias[1] = 1000.0
    with pytest.raises(UserError, match=r"are of one class \(fear\)"):
        fit(made, loader, epochs=1, folder=tmp_path, progress=False)
    assert not (tmp_path / "checkpoint.pt").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"teacher": "student", "teacher_decay": 0.9}, "teacher_decay=0.9 has no effect with teacher=student"),
        ({"align": "none", "align_power": 1.0}, "align_power=1 has no effect with align=none"),
        ({"target_epsilon": 0.1}, "target_epsilon=0.1 has no effect with target_loss=ce"),
        ({"target_loss": "di", "target_epsilon": 0.1}, "target_epsilon=0.1 has no effect with target_loss=di"),
        ({"target_loss": "drw", "target_margin": 2.0}, "target_margin=2 has no effect with target_loss=drw"),
        ({"target_loss": "margin", "target_power": 1.0}, "target_power=1 has no effect with target_loss=margin"),
    ],
)
def test_options_that_do_nothing_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        adapter("mean_teacher", **options)


def test_the_defaults_of_the_two_methods():
    ours = [
        (o.teacher, o.threshold, o.temperature, o.align, o.align_power)
        for o in (AdaMatch.Options(), MeanTeacher.Options())
    ]
    assert ours == [("student", 0.9, 0.0, "equal", 0.5), ("average", 0.0, 0.5, "equal", 0.5)]


def config(**values):
    return resolve(Settings.of(**SETTINGS | {"method": "mean_teacher"} | values))


def test_a_start_that_could_not_teach_is_refused(source):
    with pytest.raises(UserError, match="teacher=start: there is no pretrained classifier"):
        make_adapter(config(teacher="start"), source, 4)


def test_on_frozen_features_the_start_teaches_by_what_it_has_said(source):
    rng = np.random.default_rng(0)
    made = [
        FeatureSet(rng.normal(size=(len(part), 6)).astype(np.float32), part.labels, part.names, known)
        for part in (source.train, source.test)
        for known in (probabilities(len(part), 0).numpy() @ np.eye(K, 7, dtype=np.float32),)
    ]
    frozen = Domain("frozen", *made)
    assert make_adapter(config(teacher="start"), frozen, 4).teaching.options.teacher == "start"
    silent = Domain("frozen", *(FeatureSet(part.features, part.labels, part.names) for part in made))
    with pytest.raises(UserError, match="teacher=start: there is no pretrained classifier"):
        make_adapter(config(teacher="start"), silent, 4)


def test_strong_views_are_asked_for_and_can_be_left_out():
    assert adapter("mean_teacher").reads_strong_views and adapter("dann+adamatch").reads_strong_views
    assert not adapter("mean_teacher", strong_views=False).reads_strong_views
    assert not adapter("dann+mcc").reads_strong_views


@pytest.mark.parametrize("loss", ["ce", "drw", "margin", "di", "difc"])
def test_guesses_are_the_same_for_every_loss(loss):
    probs = probabilities(50, 0)
    for temperature in (0.0, 0.5, 1.0):
        made = [teaching(target_loss=name, align="none", temperature=temperature) for name in (loss, "ce")]
        mine, plain = (one.guesses(probs, None)[0] for one in made)
        assert torch.equal(mine, plain)


def test_own_proportions_against_loops():
    made, q = teaching(align="own", temperature=0.25, threshold=0.6), []
    bias, guessed = [0.0] * K, [1 / K] * K
    for step in range(3):
        probs = probabilities(M, step, 1.0).tolist()
        q.append(mean(probs))
        rows = [[p**4 * math.exp(b) for p, b in zip(row, bias, strict=True)] for row in probs]
        expected = [[v / sum(row) for v in row] for row in rows]
        kept = step / (step + 1)  # a plain mean in the beginning
        guessed = [kept * old + (1 - kept) * new for old, new in zip(guessed, mean(expected), strict=True)]
        bias = [b + 0.05 * math.log(w / f) for b, w, f in zip(bias, mean(q), guessed, strict=True)]
        guesses, mask = made.guesses(torch.tensor(probs, dtype=torch.float64), None)
        torch.testing.assert_close(guesses, torch.tensor(expected, dtype=torch.float64))
        assert mask.tolist() == [max(row) >= 0.6 for row in expected]


def test_with_their_own_proportions_sharpened_guesses_are_as_frequent_as_their_teacher_says():
    probs = probabilities(4000, 0, 1.0)
    made = {align: teaching(align=align, temperature=0.5) for align in ("own", "none")}
    shares = {}
    for align, one in made.items():
        for part in probs.repeat(2, 1).split(40):
            one.guesses(part, None)
        shares[align] = (one.guesses(probs, None)[0].mean(0) / probs.mean(0))[-1].item()
    assert shares["none"] < 0.85 and shares["own"] == pytest.approx(1.0, abs=0.03)


def test_hard_guesses_can_not_keep_their_own_share():
    with pytest.raises(UserError, match="align=own needs soft pseudo-labels"):
        teaching(align="own", temperature=0.0)
    with pytest.raises(UserError, match="align_power=1 has no effect with align=own"):
        teaching(align="own", align_power=1.0)
