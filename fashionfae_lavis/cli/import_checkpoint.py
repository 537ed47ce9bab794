"""`fashionfae import-checkpoint`: converts a checkpoint of the authors' code into one of this package."""

from itertools import groupby


def add_parser(commands) -> None:
    """Declares the arguments."""
    text = "Convert a checkpoint of the authors' code (FashionFAE, FashionViL) for use in LAVIS."
    parser = commands.add_parser("import-checkpoint", help=text, description=text)
    parser.add_argument("source", metavar="IN", help="checkpoint of MMF, or the encoder of FashionViL's VQ-VAE")
    parser.add_argument("target", metavar="OUT", help="file to write, .safetensors or .pth")
    parser.add_argument("--config", help="base, small, mini, or a yaml file whose `model` section gives the sizes")
    parser.add_argument(
        "--vocabulary", help="hub name or local folder of the tokenizer's vocabulary (default: bert-base-uncased)"
    )
    parser.add_argument("--encoders-only", action="store_true", help="leave out all heads, for a retrieval model")
    parser.add_argument(
        "--trust-pickle",
        action="store_true",
        help="open files that hold Python objects; they can run any code, so use this only if you trust the source",
    )
    parser.set_defaults(run=run)


def run(source: str, target: str, **options) -> None:
    """Converts the checkpoint, then prints which weights were used and which were left out."""
    from fashionfae_lavis.models import conversion

    done = conversion.import_checkpoint(source, target, **options)
    print(f"{source}: the authors' {done.kind} model, {len(done.used) + len(done.left_out)} keys")
    print(f"  used: {len(done.used)}")
    print_reasons("left out", done.left_out)
    if done.kind == "image_tokenizer":
        print(f"{target}: written; set model.image_tokenizer.weights to it")
    else:
        print(f'{target}: written; load_model("{done.arch}", "{target}") opens it')


def print_reasons(heading: str, reasons: dict[str, str]) -> None:
    """Prints one line for each reason, with up to eight of the names that it applies to.

    Args:
        heading: start of each line.
        reasons: name -> reason.
    """
    for reason, group in groupby(sorted(reasons, key=reasons.__getitem__), key=reasons.__getitem__):
        names = list(group)
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        print(f"  {heading} ({reason}): {', '.join(names[:8])}{more}")
