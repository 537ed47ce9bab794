import json
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from fashionfae_lavis.compare.plan import read_plan, read_plan_file
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.models.configuration import shipped
from fashionfae_lavis.objectives.sampling import StepSampler

ROOT = Path(__file__).parents[2]
MINI = "projects/fashionfae"


@pytest.fixture
def write_plan(tmp_path, monkeypatch):
    """Writes a plan of two systems and two evaluations; arguments are pairs of a path of keys and a value."""
    monkeypatch.chdir(ROOT)

    def write(changes=()):
        content = {
            "title": "Plan",
            "output": str(tmp_path / "output"),
            "seeds": [0],
            "training": {"run.max_iters": 3},
            "evaluations": {
                "retrieval": {"config": f"{MINI}/retrieval_eval.yaml", "options": {}},
                "recognition": {"config": f"{MINI}/recognition.yaml", "options": {"run.max_iters": 2}},
            },
            "systems": {"A": {"config": f"{MINI}/pretrain.yaml"}, "B": {"config": f"{MINI}/pretrain.yaml"}},
        }
        for names, value in changes:
            section = content
            for name in names[:-1]:
                section = section.setdefault(name, {})
            if value is KeyError:
                del section[names[-1]]
            else:
                section[names[-1]] = value
        OmegaConf.save(OmegaConf.create(content), tmp_path / "plan.yaml")
        return str(tmp_path / "plan.yaml")

    return write


def test_jobs_are_seed_by_seed_each_training_before_its_evaluations(write_plan):
    plan = read_plan(write_plan([(("systems", "B", "evaluations", "recognition"), None), (("seeds",), [0, 1])]))
    assert (plan.name, plan.report, plan.seeds) == ("plan", None, [0, 1])
    titles = [f"{name}, seed {seed}" for seed in (0, 1) for name in "AB"]
    a, b = ["training", "retrieval", "recognition"], ["training", "retrieval"]
    assert [job.title for job in plan.jobs] == [
        f"{title}, {name}" for title in titles for name in (a if title[0] == "A" else b)
    ]
    training, retrieval, recognition = plan.jobs[:3]
    assert training.after is None and retrieval.after is recognition.after is training
    assert str(recognition.path) == "a/seed0/recognition"
    # Training gets the seed. An evaluation keeps its own, which draws its lists and pairs.
    assert [job.resolved["run"]["seed"] for job in plan.jobs[5:8]] == [1, 42, 1]
    assert training.resolved["run"]["max_iters"] == 3 and recognition.resolved["run"]["max_iters"] == 2
    assert [job.seed for job in read_plan(write_plan(), seeds=[7]).jobs] == [7] * 6
    assert read_plan(write_plan(), output="elsewhere").output == Path("elsewhere")


def test_the_key_changes_with_everything_that_decides_a_result_and_nothing_else(write_plan, tmp_path):
    def digests(*changes):
        return [job.digest for job in read_plan(write_plan(changes)).jobs]

    before = digests()
    assert before == digests((("output",), "elsewhere"), (("title",), "Other"))
    assert before[0] == before[3]  # one configuration under two names
    changed = digests((("systems", "B", "options", "run.init_lr"), 0.1))
    assert changed[:3] == before[:3] and not set(changed[3:]) & set(before)
    changed = digests((("evaluations", "recognition", "options", "run.max_iters"), 4))
    assert [a == b for a, b in zip(before, changed, strict=True)] == [True, True, False] * 2

    weights = tmp_path / "start.safetensors"
    for content, different in ((b"one", True), (b"one", False), (b"two", True)):
        weights.write_bytes(content)
        after = digests((("systems", "A", "options", "model.pretrained"), str(weights)))
        assert (after[0] != before[0]) == different and after[3:] == before[3:] or not different
        before = after


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([(("seeds",), KeyError)], "plan.yaml: seeds is not set: set it to a list of distinct whole numbers"),
        ([(("sytems",), {})], "plan.yaml: sytems is not a setting; did you mean systems"),
        ([(("seeds",), [0, 0])], "seeds is .0, 0., but must be a list of distinct whole numbers"),
        ([(("seeds",), [])], "seeds is .., but must be a list"),
        ([(("systems",), {})], "systems is {}, but must be a non-empty mapping"),
        ([(("systems", "a"), {"config": "x"})], "`systems`: two names differ only in case or punctuation"),
        ([(("systems", "B", "config"), None)], "systems.B.config is null, but must be text"),
        ([(("systems", "B", "config"), "none.yaml")], "B, seed 0, training: There is no configuration file none.yaml"),
        ([(("systems", "B", "evaluations", "x"), None)], "has x; known are retrieval, recognition"),
        ([(("evaluations", "retrieval", "config"), None)], "`evaluations.retrieval.config` is not set"),
        ([(("contrasts",), [["A", "A"]])], "contrasts.0. is .*, but must be a pair of systems, such as"),
        ([(("contrasts",), [["A", "C"]])], "`contrasts` has C; "),
        ([(("base",), "plan.yaml")], "plan.yaml: `base` leads back to .*plan.yaml"),
        (
            [(("training",), {"run.max_iter": 3})],
            "A, seed 0, training: run.max_iter is not .* mean max_iters",
        ),
        (
            [(("training",), {"run.output_dir": float("nan")})],
            "training.run.output_dir is nan, but must be text, a",
        ),
        ([(("training",), ["run.max_iters"])], "training is .'run.max_iters'., but must be a mapping"),
        (
            [(("training",), {"model.pretrained": "none.pth"})],
            "A, seed 0, training: model.pretrained: there is no",
        ),
        (
            [(("evaluations", "retrieval", "options"), {"run.test_splits": []})],
            "run.test_splits of .* must name one",
        ),
        (
            [(("evaluations", "retrieval", "config"), f"{MINI}/composition.yaml")],
            "`evaluations.retrieval`: results of the task fashion_composition cannot be compared",
        ),
        (
            [(("evaluations", "again"), {"config": f"{MINI}/retrieval.yaml"})],
            "`evaluations.again` is a second retrieval: move it to another plan",
        ),
    ],
)
def test_invalid_plans_are_refused(write_plan, changes, message):
    with pytest.raises(UserError, match=message):
        read_plan(write_plan(changes))


@pytest.mark.parametrize(
    ("evaluation", "option", "value", "message"),
    [
        ("retrieval", "run.test_splits", ["train"], "retrieval of A and of B .* split differs .val, and train"),
        ("retrieval", "datasets.fashiongen_mini.build_info.images.storage", "/x", "data's folder differs"),
        ("recognition", "datasets.fashiongen_mini.label", "category", "label differs .sub category, and category"),
        ("recognition", "model.use_text", False, "text mode differs .recognition, and no text"),
    ],
)
def test_protocols_that_disagree_are_refused_before_anything_runs(write_plan, evaluation, option, value, message):
    with pytest.raises(UserError, match=message):
        read_plan(write_plan([(("systems", "B", "evaluations", evaluation, "options", option), value)]))


def test_a_plan_overrides_its_base(write_plan, tmp_path):
    write_plan([(("report",), "docs/results.md")])
    changes = {"base": "plan.yaml", "title": "Other", "training": {"run.max_minutes": 2, "run.max_iters": 5}}
    OmegaConf.save(OmegaConf.create(changes), tmp_path / "other.yaml")
    base, other = (read_plan(str(tmp_path / f"{name}.yaml")) for name in ("plan", "other"))
    assert (other.name, other.title, other.report) == ("other", "Other", Path("docs/results.md"))
    assert [job.title for job in other.jobs] == [job.title for job in base.jobs]
    run = {**base.jobs[0].resolved["run"], "max_minutes": 2, "max_iters": 5}
    assert other.jobs[0].resolved["run"] == run and base.jobs[0].resolved["run"]["max_iters"] == 3
    OmegaConf.save(OmegaConf.create({"base": "plan.yaml", "systems": ["A"]}), tmp_path / "other.yaml")
    with pytest.raises(UserError, match="other.yaml: systems must be a mapping"):
        read_plan(str(tmp_path / "other.yaml"))
    OmegaConf.save(OmegaConf.create({"base": "none.yaml"}), tmp_path / "other.yaml")
    with pytest.raises(UserError, match="There is no plan .*none.yaml"):
        read_plan(str(tmp_path / "other.yaml"))


def test_missing_and_unreadable_files_are_named(tmp_path):
    with pytest.raises(UserError, match="There is no plan .*none.yaml"):
        read_plan(str(tmp_path / "none.yaml"))
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(UserError, match="it must hold a mapping"):
        read_plan(str(tmp_path / "list.yaml"))
    (tmp_path / "torn.yaml").write_text("{")
    with pytest.raises(UserError, match="torn.yaml is not a yaml configuration: line 1, column 2"):
        read_plan(str(tmp_path / "torn.yaml"))


def test_the_systems_of_the_ablation_differ_only_in_their_steps(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert len(read_plan_file("projects/compare/ablation.yaml").seeds) >= 3
    plan = read_plan("projects/compare/ablation.yaml", seeds=[0])  # others differ in run.seed only
    assert len(plan.jobs) == 4 * 4
    trainings = [job for job in plan.jobs if job.after is None]
    kinds = {}
    for job in trainings:
        sampler = StepSampler(job.resolved["run"].pop("steps"), 0)
        kinds[job.system] = sampler.steps
        # The remaining steps keep their proportions.
        assert sampler.probabilities[:3] / sampler.probabilities[0] == pytest.approx([1, 0.28 / 0.20, 0.30 / 0.20])
    assert kinds == {
        "ITC + MLM + ITM": [("itc",), ("itm",), ("mlm",)],
        "with AETP": [("itc",), ("itm",), ("mlm", "aetp")],
        "with APIR": [("itc",), ("itm",), ("mlm",), ("apir",)],
        "all five": [("itc",), ("itm",), ("mlm", "aetp"), ("apir",)],
    }
    assert all(job.resolved == trainings[0].resolved for job in trainings)


def test_the_systems_are_trained_with_equal_settings(monkeypatch):
    pytest.importorskip("fashionfae_lavis.models.baselines")
    monkeypatch.chdir(ROOT)
    for name, minutes in (("systems", None), ("systems_time", 4), ("systems_encoder", None)):
        plan = read_plan(f"projects/compare/{name}.yaml", seeds=[0])
        trainings = [job.resolved for job in plan.jobs if job.after is None]
        archs = {config["model"]["arch"] for config in trainings}
        assert len(read_plan_file(f"projects/compare/{name}.yaml").seeds) >= 3
        assert archs == {"fashionfae", "fashion_blip", "fashion_albef", "fashion_clip"}
        image_encoder = ("image_encoder", "visual_encoder", "visual.encoder")
        same = ("max_iters", "batch_size_train", "init_lr", "weight_decay", "beta2", "warmup_steps", "lr_sched")
        for config in trainings:
            run, model = config["run"], config["model"]
            assert [run[key] for key in same] == [trainings[0]["run"][key] for key in same]
            assert run.get("max_minutes") == minutes
            assert config["datasets"] == trainings[0]["datasets"]
            (scale,) = (run["lr_scale"][key] for key in image_encoder if key in run["lr_scale"])
            if name == "systems_encoder":
                assert model["load_pretrained"] is True and model["pretrained"] == "mini_encoders.safetensors"
                assert model.get("pretrained_encoders") == (
                    ["image_encoder"] if model["arch"] == "fashionfae" else None
                )
                assert scale == 0.1
            else:
                assert model["load_pretrained"] is False and scale == 1
            for key in ("image_encoder", "image_size", "vocabulary"):
                assert model[key] == trainings[0]["model"][key], key


@pytest.fixture
def catalogue(tmp_path):
    """The folder of a catalogue of four products, with another vocabulary than `mini`."""
    folder = tmp_path / "shop"
    folder.mkdir()
    write_catalogue(folder)
    words = Path(shipped("vocabularies", "mini"))
    shutil.copytree(words, folder / "vocabulary")
    with open(folder / "vocabulary" / "vocab.txt", "a") as file:
        file.write("anorak\n")
    return folder


def write_catalogue(folder, colour="red"):
    head = {
        "format": 1,
        "images": str(folder),
        "attributes": ["category", "colour"],
        "products": {"train": 2, "val": 2},
    }
    products = [
        {
            "split": split,
            "row": row,
            "images": [f"{row}.jpg"],
            "title": "Anorak",
            "description": "",
            "fields": {"category": "TOPS", "colour": colour},
        }
        for row, split in enumerate(("train", "train", "val", "val"))
    ]
    (folder / "catalogue.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (head, *products)))


def test_the_systems_on_a_catalogue_are_trained_with_equal_settings(monkeypatch, catalogue):
    monkeypatch.chdir(ROOT)
    for name, minutes in (("catalogue", None), ("catalogue_time", 4)):
        plan = read_plan(f"projects/compare/{name}.yaml", seeds=[0], catalogue=str(catalogue))
        assert plan.report is None
        kinds = {job.name for job in plan.jobs}
        assert kinds == {"training", "retrieval", "recognition", "probe"}
        assert [job.system for job in plan.jobs if job.name == "recognition"] == ["FashionFAE", "BLIP", "ALBEF"]
        for job in plan.jobs:
            (data,) = job.resolved["datasets"].values()
            assert data["root"] == str(catalogue)
            assert job.resolved["model"]["vocabulary"] == f"{catalogue}/vocabulary"
        trainings = [job.resolved for job in plan.jobs if job.after is None]
        first = trainings[0]
        assert [config["model"]["arch"] for config in trainings] == [
            *("fashionfae", "fashion_blip", "fashion_albef", "fashion_clip")
        ]
        same = ("max_epoch", "batch_size_train", "init_lr", "weight_decay", "beta2", "max_grad_norm", "min_lr")
        schedule = ("lr_sched", "warmup_share", "warmup_factor", "max_minutes", "runner", "texts")
        for config in trainings:
            run, model = config["run"], config["model"]
            assert [run.get(key) for key in same + schedule] == [first["run"].get(key) for key in same + schedule]
            assert run.get("max_minutes") == minutes and config["datasets"] == first["datasets"]
            assert model["load_pretrained"] is True and model["pretrained"] == "mini_photograph_encoders.safetensors"
            assert model.get("pretrained_encoders") == (["image_encoder"] if model is first["model"] else None)
            for key in ("image_encoder", "image_size"):
                assert model[key] == first["model"][key], key
            assert set(run.get("lr_scale") or {}) <= {"scale", "logit_scale"}
        tuned = [job.resolved for job in plan.jobs if job.name == "recognition"]
        for config in tuned:
            assert config["model"]["use_text"] is False and not config["run"].get("evaluate")
            assert [config["run"].get(key) for key in same] == [tuned[0]["run"].get(key) for key in same]
        assert all(job.resolved["run"]["evaluate"] for job in plan.jobs if job.name in ("retrieval", "probe"))


@pytest.mark.parametrize(("split", "agrees"), [("val", True), ("train", False)])
def test_auto_agrees_with_the_split_that_it_means(monkeypatch, catalogue, tmp_path, split, agrees):
    monkeypatch.chdir(ROOT)
    change = {"systems": {"CLIP": {"evaluations": {"retrieval": {"options": {"run.test_splits": [split]}}}}}}
    base = str(ROOT / "projects" / "compare" / "catalogue.yaml")
    OmegaConf.save(OmegaConf.create({"base": base, **change}), tmp_path / "plan.yaml")
    with nullcontext() if agrees else pytest.raises(UserError, match="split differs .val, and train"):
        read_plan(str(tmp_path / "plan.yaml"), seeds=[0], catalogue=str(catalogue))


def test_a_job_runs_again_when_its_catalogue_has_changed(monkeypatch, catalogue, tmp_path):
    monkeypatch.chdir(ROOT)

    def digests():
        plan = read_plan("projects/compare/catalogue.yaml", seeds=[0], catalogue=str(catalogue))
        return [job.digest for job in plan.jobs if job.system == "CLIP"]

    before = digests()
    assert digests() == before
    index = catalogue / "catalogue.jsonl"
    head, products = index.read_text().split("\n", 1)
    moved = shutil.copytree(catalogue, tmp_path / "moved")
    index.write_text("\n".join([json.dumps({**json.loads(head), "images": str(moved)}), products]))
    assert digests() == before
    index.write_text(f"{head}\n{products}")
    (catalogue / "0.jpg").write_bytes(b"another photograph")
    photographed = digests()
    assert not set(photographed) & set(before)
    write_catalogue(catalogue, colour="blue")
    assert not set(digests()) & {*before, *photographed}


def test_a_plan_without_a_catalogue_takes_none(write_plan):
    with pytest.raises(UserError, match="plan.yaml does not use a catalogue: leave out --catalogue"):
        read_plan(write_plan(), catalogue="shop")


def test_an_option_that_inserts_an_unknown_key_is_one_sentence(write_plan):
    with pytest.raises(UserError, match="plan.yaml cannot be resolved: .*'shop'"):
        read_plan(write_plan([(("training",), {"run.output_dir": "${shop}"})]))
