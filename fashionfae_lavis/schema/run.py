"""The settings of `run`, in groups. The classes are also the reference in docs/configuration.md."""

from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Ge, Le, MinLen
from pydantic import Field

from fashionfae_lavis.objectives import OBJECTIVES
from fashionfae_lavis.schema.fields import (
    LARGEST,
    Count,
    CountOrZero,
    Decay,
    Fraction,
    Must,
    Positive,
    PositiveOrZero,
    Section,
    Text,
    one_of,
)

DEVICES = Must("auto, cpu or cuda", lambda name: name.partition(":")[0] in ("auto", "cpu", "cuda"))


class Program(Section):
    """What runs, and where"""

    task: Text
    """What is trained and evaluated: a task registered with LAVIS, such as `fashionfae_pretrain`."""
    runner: Text = "runner_base"
    """The training loop. `fashionfae_runner` is this package's, the default LAVIS's."""
    output_dir: Text
    """Folder in which each run creates its own folder."""
    resume_ckpt_path: Text | None = None
    """Checkpoint of an interrupted run to resume; `auto` resumes the newest one of these settings in `output_dir`."""
    evaluate: bool = False
    """Evaluates without training. `python -m lavis.evaluate` sets it."""
    from_scratch: bool = False
    """Trains without a pre-trained checkpoint, for tasks that otherwise start from one."""
    seed: Annotated[int, Ge(0), Le(2**31)] = 42
    """Seed of initial weights, data order, masks and drawn pairs."""
    device: Annotated[str, DEVICES] = "auto"
    """`auto` takes a GPU if there is one."""
    amp: bool | Annotated[str, one_of(["auto", "bf16", "fp16"])] = "auto"
    """Mixed precision: `auto` is bf16 on a GPU that has it, else false; true is fp16 on a GPU and bf16 on a CPU."""
    compile: bool = False
    """Trains FashionFAE's encoders through torch.compile. It needs a C++ compiler and half a minute to start."""
    num_workers: Annotated[int, Ge(0), Le(1024)] = 0
    """Processes that load data; 0 loads in the main process."""


class Length(Section):
    """Length of training"""

    max_iters: Count | None = None
    """Updates of the weights."""
    max_epoch: Annotated[Positive, Le(LARGEST)] | None = None
    """Passes over the training split, if `max_iters` is not set; 0.5 is half a pass."""
    max_minutes: Annotated[Positive, Le(LARGEST)] | None = None
    """Minutes of training, instead of updates. The schedule of `max_iters` or `max_epoch` is scaled to them."""
    iters_per_inner_epoch: Count | None = None
    """Updates between checkpoints and validations; null is one pass over the training split."""
    checkpoint_minutes: PositiveOrZero | None = None
    """Minutes between checkpoints, in addition to those of `iters_per_inner_epoch`."""
    log_freq: Count = 10
    """Updates between lines of the log."""


class Data(Section):
    """Splits and batches"""

    train_splits: list[Text] | None = Field(default_factory=lambda: ["train"])
    """Splits to train on. `fashionfae_runner` always trains on `train`."""
    valid_splits: list[Text] | None = None
    """Splits to evaluate with each checkpoint. The first decides which checkpoint is the best."""
    test_splits: list[Text] | None = None
    """Splits to test, `<dataset>.<split>` with several datasets; `auto` is `test` or, without one, `val`."""
    batch_size_train: Count | None = None
    """Training samples in a batch of one process."""
    batch_size_eval: Count | None = None
    """Samples in a batch of the evaluation."""
    accum_grad_iters: Count = 1
    """Batches per update of the weights."""
    grad_cache: bool = False
    """ITC contrasts the products of all batches of an update, by gradient caching."""
    train_dataset_ratios: dict[str, Positive] | None = None
    """Relative frequency of each dataset's batches in joint training; null draws by the number of samples."""


class Optimization(Section):
    """Optimizer and learning rate"""

    optimizer: Annotated[str, one_of(["adamw", "transformers_adamw"])] = "adamw"
    """`transformers_adamw` is the AdamW of the authors' code."""
    init_lr: Positive | None = None
    """Learning rate after the warm-up."""
    lr_scale: dict[str, PositiveOrZero] | None = None
    """Factors on `init_lr` by prefix of the parameter names; the longest prefix wins."""
    weight_decay: PositiveOrZero = 0
    """Decay of parameters with at least two dimensions."""
    decay_also: list[Text] | None = None
    """Prefixes of parameter names that are decayed regardless of their dimensions."""
    beta2: Decay = 0.999
    """AdamW's decay of squared gradients."""
    shard_optimizer: bool = False
    """Divides the optimizer's state among the processes (ZeRO, stage 1), which saves memory."""
    max_grad_norm: Positive | None = None
    """Largest norm of the gradient; null does not clip it."""
    lr_sched: Text | None = None
    """Schedule: `linear_warmup_cosine_iter` or `linear_warmup_multistep_iter`."""
    warmup_steps: CountOrZero = 0
    """Updates of linear warm-up."""
    warmup_share: Fraction | None = None
    """Share of the training that is linear warm-up, instead of `warmup_steps`."""
    warmup_factor: Fraction = 0.25
    """Share of `init_lr` at the first update of the warm-up."""
    min_lr: PositiveOrZero = 0
    """Learning rate at the end of the cosine schedule."""
    milestones: list[Count] = Field(default_factory=list)
    """Updates at which the multistep schedule multiplies the rate by `lr_decay_rate`."""
    lr_decay_rate: Annotated[Positive, Le(1)] = 0.1
    """Factor of the multistep schedule."""


class Step(Section):
    """An entry of `run.steps`"""

    objectives: Annotated[list[Annotated[str, one_of(OBJECTIVES)]], MinLen(1)]
    """Objectives that are trained together."""
    ratio: Positive = 1.0
    """Relative frequency of the step."""


class Texts(Section):
    """`run.texts`: relative shares of updates that read each kind of text, see text/views.py"""

    full: PositiveOrZero = 0
    """Title, description and most of the attributes."""
    title: PositiveOrZero = 0
    """The title alone."""
    query: PositiveOrZero = 0
    """A few attribute values as a shopper would write them."""
    prompt: PositiveOrZero = 0
    """One attribute alone."""


class Pretraining(Section):
    """Pre-training"""

    texts: Annotated[Texts, Must("a mapping with a share above 0", lambda texts: any(dict(texts).values()))] | None = (
        None
    )
    """Kinds of text to train on, by their shares; null trains on the texts of the dataset."""

    steps: Annotated[list[Step], MinLen(1)] | None = None
    """Kinds of update. Each update draws one by its ratio; null uses the ratios of the authors' code."""
    quantize_after: CountOrZero = 0
    """Updates in which the image tokenizer trains as a plain autoencoder."""
    image_tokenizer: dict[str, Any] | None = None
    """Settings of `run` that differ for the first stage, which trains `model.image_tokenizer`; null skips it."""


class SearchRoles(Section):
    """`run.search_roles`"""

    category: Text | None = None
    """Attribute of the widest classes; null looks for `category` or `master category`."""
    sub_category: Text | None = None
    """Attribute of the classes below; null looks for `sub category` or `subcategory`."""
    fine_category: Text | None = None
    """Attribute of the finest classes; null looks for `fine category`, `article type`, `product type` or `type`."""
    colour: Text | None = None
    """Attribute of the colour; null looks for `colour`, `color`, `base colour` or `base color`."""


class Evaluation(Section):
    """Evaluation"""

    candidates: Text | None = None
    """File of the sub-test's candidate lists: read if it exists, else written; null draws the same lists."""
    k_test: CountOrZero | None = 0
    """Candidates of the full test that the ITM head re-ranks."""
    probe_products: Count = 500
    """Products that the attribute probe asks about."""
    search_attributes: list[Text] | None = None
    """Attributes whose pairs of values are the short queries of product search; null takes all."""
    search_roles: SearchRoles | None = None
    """Attributes that the benchmark of product search searches by, if not those with the usual names."""
    caption_products: Count = 500
    """Products to caption."""
    num_beams: Annotated[int, Ge(1), Le(1000)] = 3
    """Beams of the search for a caption."""
    max_len: Annotated[int, Ge(1), Le(10_000)] = 40
    """Largest length of a caption, in word pieces."""
    min_len: Annotated[int, Ge(0), Le(10_000)] = 8
    """Smallest length of a caption, in word pieces."""


class OfLavis(Section):
    """Settings that only LAVIS's own tasks and runners read"""

    warmup_lr: float | None = None
    """Learning rate at the start of LAVIS's warm-up."""
    use_dist_eval_sampler: bool = True
    """Divides an evaluation among the processes."""
    report_metric: bool = True
    """Computes the metric of captions."""
    inference_method: Text | None = None
    """How visual question answering chooses: `rank` or `generate`."""
    num_ans_candidates: Count | None = None
    """Answers to rank."""
    prompt: str | None = None
    """Words before a question."""
    dist_url: Text | None = None
    """Address of the process group; this package takes torchrun's."""


class Written(Section):
    """Settings that a run writes into its config.yaml; a value in a configuration has no effect"""

    distributed: bool | None = None
    """Whether the run has a process group."""
    rank: CountOrZero | None = None
    """Index of the process."""
    world_size: CountOrZero | None = None
    """Number of processes."""
    gpu: CountOrZero | None = None
    """Index of the process's GPU."""


GROUPS = (Program, Length, Data, Optimization, Pretraining, Evaluation, OfLavis, Written)


class Run(Program, Length, Data, Optimization, Pretraining, Evaluation, OfLavis, Written):
    """The section `run`."""


# The first stage trains another model, with other parameter names.
NOT_INHERITED = ("image_tokenizer", "steps", "texts", "lr_scale", "decay_also", "optimizer", "grad_cache", "compile")
# Keys that exclude each other. If the first stage sets one, it inherits neither.
ALTERNATIVES = ({"max_iters", "max_epoch"}, {"warmup_steps", "warmup_share"})


def first_stage(run: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the `run` section of the first stage: `run`, overridden by `run.image_tokenizer`."""
    replaced = {key for keys in ALTERNATIVES if keys & run["image_tokenizer"].keys() for key in keys}
    inherited = {key: value for key, value in run.items() if key not in NOT_INHERITED and key not in replaced}
    return {**inherited, "task": "fashionfae_image_tokenizer", "valid_splits": [], **run["image_tokenizer"]}
