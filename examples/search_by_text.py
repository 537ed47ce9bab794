"""Finds the products of FashionGen-Mini's validation split that match a text, with the packaged weights.

python examples/search_by_text.py "striped cotton shirt with long sleeves"
"""

import argparse

import torch
from lavis.datasets.builders import load_dataset
from lavis.models import load_model_and_preprocess


def main(argv: list[str] | None = None) -> None:
    """Prints the best matches, one product per line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text")
    parser.add_argument("--top", type=int, default=5, help="number of products to print")
    args = parser.parse_args(argv)

    model, _, text_processors = load_model_and_preprocess("fashionfae", is_eval=True)
    dataset = load_dataset("fashiongen_mini")["val"]  # drawn on first use

    # One item per image; the index holds unit-length embeddings (N, D).
    index = []
    for batch in torch.utils.data.DataLoader(dataset, batch_size=64, collate_fn=dataset.collater):
        index.append(model.extract_features(batch, mode="image").image_embeds_proj[:, 0])
    query = {"text_input": [text_processors["eval"](args.text)]}
    scores = torch.cat(index) @ model.extract_features(query, mode="text").text_embeds_proj[0, 0]

    shown = set()
    for row in scores.argsort(descending=True).tolist():
        product = int(dataset.row_product[row])
        if product not in shown:
            shown.add(product)
            print(f"{scores[row]:.2f}  image {row:4d}  {dataset.product_fields(product)['title']}")
        if len(shown) == args.top:
            break


if __name__ == "__main__":
    main()
