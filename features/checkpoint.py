"""The checkpoint model.pt: a trained model, how its features were made, what it was trained on."""

import io
from pathlib import Path

import torch
from torch import nn

from data.files import InputError, replacing
from features.extraction import Extraction
from features.resnet18 import hash_weights, load_torch_file

FORMAT = 3


def save_checkpoint(
    path: Path, model: nn.Module, report: dict, trained_on: dict, validation: dict
) -> None:
    """Write tensors and plain values only: weights_only=True loads them.

    `report` is what metrics.json says of the run, `trained_on` what audit.describe_training gives,
    `validation` what evaluate gives for the validation split.
    """
    content = {"format": FORMAT, "model": model.cpu().state_dict(), "trained_on": trained_on}
    content["validation"] = validation
    buffer = io.BytesIO()  # on a full disk torch.save itself would raise what is no OSError
    torch.save(content | report, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def load_checkpoint(path: str | Path, model: nn.Module) -> dict:
    """What save_checkpoint wrote; its weights go into the model.

    "extraction" is an Extraction, or None where it is not known; "file" is the path, "sha256" that
    of the weights, "video_score" a key of dataset.VIDEO_SCORES. Raises InputError for a file that
    is not a checkpoint of this format.
    """
    if Path(path).is_dir():
        raise InputError(f"{path} is a folder: name the file in it, {Path(path) / 'model.pt'}")
    wanted = "a checkpoint of deepfake_detection_model.py"
    checkpoint = load_torch_file(path, wanted)
    if checkpoint.get("format") != FORMAT:
        found = f"has the format {checkpoint.get('format')}, expected {FORMAT}"
        raise InputError(f"{path} is not {wanted} of this version ({found}): train again")
    try:
        model.load_state_dict(checkpoint["model"])
        checkpoint["video_score"] = checkpoint["settings"].get("video_score", "mean")
        if checkpoint["extraction"] is not None:
            checkpoint["extraction"] = Extraction.from_dict(checkpoint["extraction"])
    except Exception as error:
        problem = f"{path} is damaged ({error!r:.99}), expected {wanted}"
        raise InputError(f"{problem}: train again") from error
    model.eval()
    return checkpoint | {"file": str(path), "sha256": hash_weights(model)}
