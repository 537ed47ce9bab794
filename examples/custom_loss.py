"""Trains a projection with the package's contrastive loss, without any model of the package.

    python examples/custom_loss.py

Losses in `fashionfae_lavis.objectives` are functions of tensors. Here two noisy views of the same points represent the
embeddings of images and texts, and the projection learns to ignore the noise.
"""

import torch

import fashionfae_lavis  # noqa: F401  registers the package where it is not installed
from fashionfae_lavis.objectives.itc import contrastive_loss


def main() -> None:
    """Prints loss and retrieval accuracy on new points, before and after training."""
    generator = torch.Generator().manual_seed(0)
    projection = torch.nn.Linear(32, 8, bias=False)
    torch.nn.init.normal_(projection.weight, std=0.2, generator=generator)
    optimizer = torch.optim.Adam(projection.parameters(), lr=0.01)

    for step in range(301):
        # The two views share 8 numbers; the other 24 are noise.
        shared = torch.randn(64, 8, generator=generator)
        views = [torch.cat((shared, torch.randn(64, 24, generator=generator)), dim=1) for _ in range(2)]
        a, b = (4 * torch.nn.functional.normalize(projection(view), dim=1) for view in views)
        loss = contrastive_loss(a, b)
        if step in (0, 300):
            accuracy = ((a @ b.T).argmax(1) == torch.arange(64)).float().mean()
            print(f"step {step:3d}  loss {loss.item():.2f}  top 1 of 64: {accuracy.item():.0%}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


if __name__ == "__main__":
    main()
