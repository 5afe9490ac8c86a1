"""Every method × every loss: finite, deterministic, resumed to the bit, the same predictions after save and load."""

import shutil

import numpy as np
import pytest
import torch
from made import JOINED, TRAINED, few_faces
from rare import slow

import pa_difc.training.engine as engine
from pa_difc.data import EvalLoader
from pa_difc.evaluation.inference import predict
from pa_difc.losses import LOSSES
from pa_difc.methods import METHODS
from pa_difc.training.build import make_adapter, make_loader
from pa_difc.training.checkpoint import load_checkpoint
from pa_difc.training.engine import fit
from pa_difc.training.record import RunFolder
from pa_difc.training.resolve import resolve
from pa_difc.training.run import finish, run_cell
from pa_difc.training.settings import Settings
from pa_difc.util import clock
from pa_difc.util.errors import DivergedError, LateError, Stopped, UserError

#: Each method with DIFC, whose state is largest; each loss with MCD, which has two classifiers; then all other pairs.
FEW = [(m, "difc") for m in [*TRAINED, *JOINED]] + [("mcd", loss) for loss in LOSSES if loss != "difc"]
EVERY = [(m, loss) for m in TRAINED for loss in LOSSES] + [(m, "ce") for m in JOINED]


@pytest.fixture
def source():
    return few_faces()[0]


@pytest.fixture
def target():
    return few_faces()[1]


def config(method="mcd", loss="difc", **kwargs):
    return resolve(Settings.of(method=method, loss=loss, **{"epochs": 4, "batch_size": 8, "crop_px": 32, **kwargs}))


def train(config, source, target, folder, epochs=None, key="k", after_epoch=None):
    loader = make_loader(config, source, target)
    adapter = make_adapter(config, source, len(loader))
    history = fit(
        adapter, loader, epochs=epochs or config.run.epochs, folder=folder, key=key, progress=False,
        after_epoch=after_epoch,
    )  # fmt: skip
    return adapter, history


def state(adapter):
    parts = {name: getattr(adapter, name).state_dict() for name in ("models", "optimizers", "lr_schedulers", "misc")}
    return flatten(parts) | {"rng": torch.get_rng_state()}


def flatten(value, prefix=""):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else None
    if items is None:
        return {prefix: value}
    flat = {}
    for key, inner in items:
        flat |= flatten(inner, f"{prefix}/{key}")
    return flat


def assert_same(a, b):
    assert a.keys() == b.keys()
    for key, value in a.items():
        same = (
            torch.equal(value.nan_to_num(), b[key].nan_to_num()) if isinstance(value, torch.Tensor) else value == b[key]
        )
        assert same, key


@pytest.mark.parametrize(("method", "loss"), [*FEW, *slow(*(pair for pair in EVERY if pair not in FEW))])
def test_it_goes_on_from_the_checkpoint_of_its_second_epoch_as_it_did(method, loss, source, target, tmp_path):
    def keep(history):
        if len(history) == 2:
            shutil.copytree(tmp_path / "straight", tmp_path / "stopped")

    cfg = config(method, loss, epochs=3)
    straight, history = train(cfg, source, target, tmp_path / "straight", after_epoch=keep)
    assert_resumed_as_never_stopped(cfg, source, target, tmp_path / "stopped", state(straight), history)


@pytest.mark.parametrize("method", [*TRAINED, *JOINED])
def test_n_and_reload_and_n_is_2n_without_any_checkpoint(method, source, target, tmp_path):
    stopped_and_resumed_as_never_stopped(config(method), source, target, tmp_path)


def stopped_and_resumed_as_never_stopped(cfg, source, target, tmp_path):
    straight, history = train(cfg, source, target, None)
    expected = state(straight)
    train(cfg, source, target, tmp_path, epochs=2)
    assert_resumed_as_never_stopped(cfg, source, target, tmp_path, expected, history)


def assert_resumed_as_never_stopped(cfg, source, target, folder, expected, history):
    torch.manual_seed(99)  # what another process would have
    resumed, resumed_history = train(cfg, source, target, folder)
    assert_same(expected, state(resumed))
    drop = lambda h: [{k: v for k, v in e.items() if k != "seconds"} for e in h]  # noqa: E731
    assert drop(history) == drop(resumed_history)
    assert all(np.isfinite(list(e["losses"].values())).all() for e in history)


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("method", [*TRAINED, *JOINED])
def test_predictions_after_save_and_load(method, ema, source, target, tmp_path):
    cfg = config(method, ema=ema, epochs=2)
    trained, _ = train(cfg, source, target, tmp_path)
    fresh = make_adapter(cfg, source, len(make_loader(cfg, source, target)))
    load_checkpoint(tmp_path / "checkpoint.pt", fresh, key="k")
    before, after = (predict(a, EvalLoader(target.test)).probs for a in (trained, fresh))
    assert torch.equal(before, after)
    assert before.sum(dim=1).allclose(torch.ones(len(target.test)))


@pytest.mark.parametrize("loss", ["ce", "difc"])
def test_the_learning_rate_drops_at_the_switch_for_every_loss(loss, source, target):
    history = train(config("mcd", loss, lr=0.02), source, target, None)[1]
    assert [epoch["lr"] for epoch in history] == pytest.approx([0.02, 0.02, 0.002, 0.002])


#: Options that give a method state, or let what it has do something.
STATEFUL = [
    ("source_only", {"ema": 0.9}),
    ("agra", {"ema": 0.9}),
    ("adamatch", {"threshold": 0.3, "align": "estimated", "target_loss": "difc"}),
    ("mean_teacher", {"ema": 0.9, "align": "source", "target_loss": "difc", "zoom": 0.1}),
    ("mean_teacher", {"teacher": "student", "target_loss": "di"}),
    ("star+abc", {"ema": 0.9, "abc_threshold": 0.3, "loss": "difc"}),
    ("star+mcc+mean_teacher", {"ema": 0.5, "target_sampler": "pseudo_balanced"}),
]


@pytest.mark.parametrize(("method", "options"), STATEFUL)
def test_means_teachers_and_averages_are_resumed_to_the_bit(method, options, source, target, tmp_path):
    stopped_and_resumed_as_never_stopped(config(method, **{"loss": "ce", **options}), source, target, tmp_path)


@pytest.mark.parametrize("method", [*TRAINED, *JOINED])
def test_batches_of_two_and_a_short_last_batch(method, source, target):
    train(config(method, batch_size=2, epochs=1), source, target, None)


def test_mcd_predicts_with_the_mean_of_two_softmaxes(source, target):
    adapter, _ = train(config("mcd", epochs=1), source, target, None)
    adapter.models.eval()
    with torch.no_grad():
        faces = next(iter(EvalLoader(target.test)))
        first, second = adapter.models["C"](adapter.models["G"](faces))
    expected = (first.softmax(1) + second.softmax(1)) / 2
    torch.testing.assert_close(predict(adapter, EvalLoader(target.test)).probs, expected)


def test_methods_of_a_seed_start_from_the_same_extractor(source, target):
    steps = len(make_loader(config(), source, target))
    weights = [
        make_adapter(config(m), source, steps).models["G"].state_dict() for m in TRAINED if not METHODS[m].needs_regions
    ]
    for other in weights[1:]:
        assert_same(weights[0], other)


def test_an_evaluation_pass_estimates_confusion(source, target, tmp_path):
    cfg = config("dann", confusion_from="evaluation", epsilon=0.5)
    straight, history = train(cfg, source, target, None)
    assert history[-1]["state"]["phase"] == "difc"
    assert not straight.loss.margins.equal(straight.loss.base_margins)


def test_target_labels_are_never_looked_at(source, target):
    """Training and its state are the same with the target's labels permuted."""
    straight = state(train(config("mcd"), source, target, None)[0])
    target.train.labels[:] = target.train.labels[::-1].copy()
    target.test.labels[:] = 0
    assert_same(straight, state(train(config("mcd"), source, target, None)[0]))


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(source, target, tmp_path):
    cfg = config("safn")
    train(cfg, source, target, tmp_path, epochs=1)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    loader = make_loader(cfg, source, target)
    adapter = make_adapter(cfg, source, len(loader))
    target.train.landmarks[:] = 0
    with torch.no_grad():
        load_checkpoint(tmp_path / "checkpoint.pt", adapter, key="k")
    poison = iter([False, True])
    step = adapter.training_step

    def nan_in_the_second_step(batch):
        losses = step(batch)
        if next(poison):
            losses["total_loss"]["total"] = float("nan")
        return losses

    adapter.training_step = nan_in_the_second_step
    with pytest.raises(DivergedError, match=r"safn · difc: .*nan at step 2 of epoch 2.*lr"):
        fit(adapter, loader, epochs=4, folder=tmp_path, key="k", title="safn · difc", progress=False)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_ctrl_c_says_what_was_kept(source, target, tmp_path, monkeypatch):
    calls = []
    epoch = engine._epoch

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return epoch(*args)

    monkeypatch.setattr(engine, "_epoch", interrupted)
    with pytest.raises(Stopped, match=r"stopped after epoch 2 of 4 \(checkpoint 2 written\)"):
        train(config(), source, target, tmp_path)
    monkeypatch.undo()
    straight = state(train(config(), source, target, None)[0])
    assert_same(straight, state(train(config(), source, target, tmp_path)[0]))


def test_training_that_its_time_stops_in_an_epoch_ends_as_if_it_had_not_been(source, target, tmp_path, monkeypatch):
    """Each step takes a second: the time is over one step into the third epoch, whose start is where it resumes."""
    cfg, now, one = config(), [0.0], engine._flatten
    straight = state(train(cfg, source, target, None)[0])
    loader = make_loader(cfg, source, target)
    assert len(loader) == 2
    monkeypatch.setattr(engine, "_flatten", lambda losses: (now.__setitem__(0, now[0] + 1), one(losses))[1])
    monkeypatch.setattr(clock, "now", lambda: now[0])
    adapter = make_adapter(cfg, source, len(loader))
    until = 2 * len(loader) + 1
    with pytest.raises(LateError, match=r"^stopped after epoch 2 of 4 \(checkpoint 2 written\)$"):
        fit(adapter, loader, epochs=4, folder=tmp_path, key="k", progress=False, until=until)
    assert now[0] == until
    monkeypatch.undo()
    assert_same(straight, state(train(cfg, source, target, tmp_path)[0]))


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "other"])
def test_a_checkpoint_that_is_none(source, target, tmp_path, damage):
    cfg = config("source_only", "ce")
    train(cfg, source, target, tmp_path, epochs=1, key="another" if damage == "other" else "k")
    path = tmp_path / "checkpoint.pt"
    whole = path.read_bytes()
    if damage != "other":
        path.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "text": b"hello"}[damage])
    with pytest.raises(UserError, match=r"checkpoint\.pt (is damaged|belongs to another run)") as error:
        train(cfg, source, target, tmp_path)
    assert "\n" not in str(error.value) and path.exists()


def test_a_malicious_checkpoint_does_not_execute(source, target, tmp_path):
    import pickle

    class Malice:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    torch.save({"key": "k", "epoch": Malice()}, tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match="damaged"):
        train(config("source_only", "ce"), source, target, tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(pickle.dumps(Malice()))
    with pytest.raises(UserError, match="damaged"):
        train(config("source_only", "ce"), source, target, tmp_path)
    assert not (tmp_path / "executed").exists()


def test_a_cell_with_a_record_is_not_run_again(source, target, tmp_path, monkeypatch):
    cfg = config("source_only", epochs=1)
    record = run_cell(cfg, source, target, tmp_path, progress=False)
    monkeypatch.setattr("pa_difc.training.run.fit", lambda *a, **k: pytest.fail("trained again"))
    assert run_cell(cfg, source, target, tmp_path, progress=False) == record
    assert record["target_labels"] == "none" and record["scores"]["target"]["recall"]


def test_other_code_other_data_other_settings_are_other_runs(source, target, tmp_path, monkeypatch):
    def key(cfg=None):
        return RunFolder.of(tmp_path, cfg or config(), source, target).key

    base = key()
    assert key() == base
    assert key(config(epsilon=0.03)) != base and key(config(seed=1)) != base
    assert key(config(root="elsewhere")) == base  # the same data wherever they lie
    with monkeypatch.context() as patch:
        patch.setattr("pa_difc.training.identity.code_digest", lambda: "other")
        assert key() != base
    source.train.images[0, 0, 0, 0] ^= 1
    del source.train.__dict__["fingerprint"]
    assert key() != base


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}"])
def test_a_record_that_is_cut_short(source, target, tmp_path, damage):
    cfg = config("source_only", "ce", epochs=1)
    folder = RunFolder.of(tmp_path, cfg, source, target)
    adapter, history = train(cfg, source, target, None)
    finish(adapter, source, target, folder, history)
    (folder.path / "record.json").write_bytes(damage)
    with pytest.raises(UserError, match=r"record\.json"):
        run_cell(cfg, source, target, tmp_path, progress=False)
    assert (folder.path / "record.json").read_bytes() == damage
