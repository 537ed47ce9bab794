"""Pre-training tasks: the five objectives in turn, or AETP or APIR alone (ablations, continued training)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from lavis.common.dist_utils import get_rank
from lavis.common.registry import registry
from omegaconf import OmegaConf
from torch import Tensor

from fashionfae_lavis.evaluation.grounding import aetp_grounding, apir_grounding
from fashionfae_lavis.evaluation.retrieval import RetrievalResult
from fashionfae_lavis.objectives.sampling import DEFAULT_STEPS, StepSampler
from fashionfae_lavis.tasks.retrieval import RetrievalEvaluation


@registry.register_task("fashionfae_pretrain")
class FashionFAEPretrainTask(RetrievalEvaluation):
    """Trains the steps of `run.steps`, drawn by their ratios; evaluates by retrieval, and at the end by grounding."""

    default_steps: ClassVar[Sequence[Mapping[str, Any]]] = DEFAULT_STEPS

    def __init__(self, run: Mapping[str, Any]):
        super().__init__(run)
        steps: Any = run.get("steps", self.default_steps)
        steps = OmegaConf.to_container(steps, resolve=True) if OmegaConf.is_config(steps) else steps
        self.seed = int(run.get("seed", 0))
        self.sampler = StepSampler(steps, self.seed)

    def train_step(self, model: Any, samples: dict[str, Any]) -> dict[str, Tensor]:
        """Runs the objectives of this iteration on one batch; masks depend on seed, rank and iteration only."""
        iteration = samples["iters"]
        samples["objectives"] = self.sampler.at(iteration)
        samples["mask_seed"] = (self.seed, get_rank(), iteration, samples["micro_step"])
        return model(samples)

    def finish(self, model: Any, result: RetrievalResult) -> RetrievalResult:
        """Adds whether AETP uses the image and APIR the text, if they were trained."""
        measures = {"aetp": aetp_grounding, "apir": apir_grounding}
        trained = [name for name in measures if name in self.sampler.objectives]
        return replace(result, grounding={name: measures[name](model, result.split) for name in trained})


@registry.register_task("aetp")
class AETPTask(FashionFAEPretrainTask):
    """Trains attribute-emphasised text prediction alone."""

    default_steps = ({"objectives": ["aetp"], "ratio": 1.0},)


@registry.register_task("apir")
class APIRTask(FashionFAEPretrainTask):
    """Trains attribute-promoted image reconstruction alone."""

    default_steps = ({"objectives": ["apir"], "ratio": 1.0},)
