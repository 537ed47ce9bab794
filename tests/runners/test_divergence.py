import math

import pytest
import torch
from two_processes import run_in_two_processes

from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.divergence import check_finite

CPU = torch.device("cpu")


def test_finite_losses_pass(tmp_path):
    check_finite({"loss": 1.0, "loss_itc": 1e30}, 1e30, 1, tmp_path / "last.pth", CPU)


@pytest.mark.parametrize(
    ("losses", "norm", "objectives"),
    [
        ({"loss": math.nan, "loss_itc": math.nan, "loss_itm": 1.0}, 1.0, "itc"),
        ({"loss": 2.0, "loss_itc": 1.0, "loss_itm": 1.0, "acc_itm": 1.0}, math.inf, "itc, itm"),
        ({"loss": math.inf}, 1.0, "loss"),
    ],
)
def test_the_objective_is_named_with_the_last_checkpoint(tmp_path, losses, norm, objectives):
    last = tmp_path / "last.pth"
    with pytest.raises(UserError, match=f"of {objectives} is not finite at iteration 7: .* there is no checkpoint yet"):
        check_finite(losses, norm, 7, last, CPU)
    last.touch()
    with pytest.raises(UserError, match=f"the last good checkpoint is {last}; a lower run.init_lr"):
        check_finite(losses, norm, 7, last, CPU)


PROGRAM = """
from pathlib import Path
import torch, torch.distributed as dist
from fashionfae_lavis.errors import UserError
from fashionfae_lavis.runners.divergence import check_finite
dist.init_process_group("gloo")
loss = float("nan") if dist.get_rank() == 1 else 1.0
try:
    check_finite({"loss": loss, "loss_mlm": loss}, 1.0, 3, Path("nowhere"), torch.device("cpu"))
except UserError as error:
    assert "of mlm is not finite at iteration 3" in str(error), error
else:
    raise AssertionError("not stopped")
dist.destroy_process_group()
"""


def test_all_processes_stop_if_one_diverges(tmp_path):
    run_in_two_processes(PROGRAM, tmp_path)
