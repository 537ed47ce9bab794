"""Pre-training tasks: the five objectives in turn, or AETP or APIR alone (ablations, continued training)."""

from lavis.common.dist_utils import get_rank
from lavis.common.registry import registry
from omegaconf import OmegaConf
from torch import Tensor

from fashionfae_lavis.evaluation.grounding import aetp_grounding, apir_grounding
from fashionfae_lavis.objectives.sampling import DEFAULT_STEPS, StepSampler
from fashionfae_lavis.tasks.retrieval import RetrievalEvaluation


@registry.register_task("fashionfae_pretrain")
class FashionFAEPretrainTask(RetrievalEvaluation):
    """Trains the step kinds of `run.steps`, drawn by ratio; evaluates by retrieval."""

    default_steps = DEFAULT_STEPS

    def __init__(self, run_cfg):
        super().__init__(run_cfg)
        steps = run_cfg.get("steps", self.default_steps)
        steps = OmegaConf.to_container(steps, resolve=True) if OmegaConf.is_config(steps) else steps
        self.seed = int(run_cfg.get("seed", 0))
        self.sampler = StepSampler(steps, self.seed)

    def train_step(self, model, samples: dict) -> dict[str, Tensor]:
        """One forward pass with the objectives of this iteration; masks depend on seed, rank and iteration only."""
        iteration = samples["iters"]
        samples["objectives"] = self.sampler.at(iteration)
        samples["mask_seed"] = (self.seed, get_rank(), iteration, samples["micro_step"])
        return model(samples)

    def report(self, model, output_dir) -> dict:
        """Adds to retrieval's report whether AETP uses the image and APIR the text, where they were trained."""
        report = super().report(model, output_dir)
        dataset = self.evaluated[0]
        if "aetp" in self.sampler.objectives:
            report["aetp"] = aetp_grounding(model, dataset)
        if "apir" in self.sampler.objectives:
            report["apir"] = apir_grounding(model, dataset)
        return report


@registry.register_task("aetp")
class AETPTask(FashionFAEPretrainTask):
    """Attribute-emphasised text prediction alone."""

    default_steps = ({"objectives": ["aetp"], "ratio": 1.0},)


@registry.register_task("apir")
class APIRTask(FashionFAEPretrainTask):
    """Attribute-promoted image reconstruction alone."""

    default_steps = ({"objectives": ["apir"], "ratio": 1.0},)
