"""Pre-training tasks: the five objectives in turn, or AETP or APIR alone (ablations, continued training)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from lavis.common.dist_utils import get_rank
from lavis.common.registry import registry
from omegaconf import OmegaConf
from torch import Tensor

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.evaluation.grounding import aetp_grounding, apir_grounding
from fashionfae_lavis.evaluation.retrieval import RetrievalResult
from fashionfae_lavis.masking.preparation import Preparation
from fashionfae_lavis.models.adapters import Adapter
from fashionfae_lavis.models.inputs import check_rows
from fashionfae_lavis.objectives.sampling import DEFAULT_STEPS, StepSampler
from fashionfae_lavis.tasks.retrieval import ViewTraining


@registry.register_task("fashionfae_pretrain")
class FashionFAEPretrainTask(ViewTraining):
    """Task that trains `run.steps`, drawn by their ratios, and evaluates by retrieval and finally by grounding."""

    default_steps: ClassVar[Sequence[Mapping[str, Any]]] = DEFAULT_STEPS  # without run.steps
    only: ClassVar[str | None] = None  # the one objective that the task may train; None for any

    def __init__(self, run: Mapping[str, Any]):
        super().__init__(run)
        steps: Any = run.get("steps")
        steps = OmegaConf.to_container(steps, resolve=True) if OmegaConf.is_config(steps) else steps
        self.sampler = StepSampler(self.default_steps if steps is None else steps, self.seed)
        if self.only is not None and self.sampler.objectives != [self.only]:
            raise UserError(
                f"run.task: {self.only} trains {self.only} alone, but run.steps names "
                f"{', '.join(self.sampler.objectives)}: set run.steps to null, or run.task to fashionfae_pretrain."
            )

        mixed = [step for step in self.sampler.steps if "itc" in step and set(step) != {"itc"}]
        if run.get("grad_cache") and (mixed or "itc" not in self.sampler.objectives):
            step = "+".join(mixed[0] if mixed else self.sampler.objectives)
            raise UserError(
                f"run.grad_cache is true, but run.steps trains {step}, which needs more than the embeddings of ITC: "
                "make [itc] a step of its own, or set run.grad_cache to false."
            )

    def check_model(self, adapter: Adapter, arch: str) -> None:
        super().check_model(adapter, arch)
        lacking = [name for name in self.sampler.objectives if name not in adapter.objectives]
        if lacking:
            raise UserError(
                f"model.arch: {arch} does not train FashionFAE's objective {lacking[0]}: set run.task to "
                "fashion_pretrain, which trains BLIP, ALBEF or CLIP by its own losses, or model.arch to fashionfae."
            )

    def joins_batches(self, iteration: int) -> bool:
        return super().joins_batches(iteration) and "itc" in self.sampler.at(iteration)

    def preparation(self, model: Any) -> Callable[[dict[str, Any], int, int], dict[str, Any]] | None:
        """Returns what draws views and masks, which depend only on seed, rank and iteration; None without masks."""
        preparation = getattr(model, "preparation", None)
        return None if preparation is None else partial(self._prepare, preparation, get_rank())

    def _prepare(
        self, preparation: Preparation, rank: int, samples: dict[str, Any], iteration: int, micro_step: int
    ) -> dict[str, Any]:
        if self.joins_batches(iteration) or "fields" not in samples:
            return samples  # `train_step` draws for the joined batch; the model reports missing fields
        check_rows(samples["fields"], "fields", len(samples["text_input"]))
        drawn = self._draw(samples, iteration, rank, micro_step)
        prepared = preparation(drawn["text_input"], drawn["fields"], drawn["objectives"], drawn["mask_seed"])
        return {**drawn, "prepared": prepared}

    def _draw(self, samples: dict[str, Any], iteration: int, rank: int, micro_step: int) -> dict[str, Any]:
        """Adds the objectives and the seed of the masks, and replaces the texts by views."""
        return {
            **self.with_views(samples, iteration, rank, micro_step),
            "objectives": self.sampler.at(iteration),
            "mask_seed": (self.seed, rank, iteration, micro_step),
        }

    def train_step(self, model: Any, samples: dict[str, Any]) -> dict[str, Tensor]:
        """Runs this iteration's objectives on one batch, which `preparation` may have prepared."""
        if "prepared" not in samples:
            samples = self._draw(samples, samples["iters"], get_rank(), samples["micro_step"])
        return model(samples)

    def finish(self, model: Any, result: RetrievalResult) -> RetrievalResult:
        """Adds how much AETP uses the image and APIR the text (grounding.py), if they were trained."""
        measures = {"aetp": aetp_grounding, "apir": apir_grounding}
        trained = [name for name in measures if name in self.sampler.objectives]
        return replace(result, grounding={name: measures[name](model, result.split) for name in trained})


@registry.register_task("aetp")
class AETPTask(FashionFAEPretrainTask):
    """Task that trains attribute-emphasised text prediction (AETP) alone."""

    only = "aetp"
    default_steps = ({"objectives": [only], "ratio": 1.0},)


@registry.register_task("apir")
class APIRTask(FashionFAEPretrainTask):
    """Task that trains attribute-promoted image reconstruction (APIR) alone."""

    only = "apir"
    default_steps = ({"objectives": [only], "ratio": 1.0},)
