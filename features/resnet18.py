"""The backbone: its weights, and the features of frames and of a video."""

import hashlib
import io
import os
import threading
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import ResNet18_Weights, resnet18

from data.decode import SampledVideo
from data.files import InputError, cache_folder, fetch, replacing
from data.frames import Sampling, sample_video
from features.run import use_full_precision

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # RGB, of frames in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)
ON_GPU = threading.Semaphore(2)  # videos in the network at once: 64 would need gigabytes


def load_backbone(
    weights: str = "imagenet", device: str | torch.device = "cpu"
) -> tuple[nn.Module, dict]:
    """ResNet-18 in eval mode, and the provenance of its weights: {"name", "sha256"}.

    `weights` is `imagenet` (torchvision's IMAGENET1K_V1, downloaded once into torch's cache),
    `random` (untrained, from a fixed seed) or the path of a state dict. The sha256 is taken over
    the tensors, not over the file. Batch norm is folded into the convolutions. Raises DownloadError
    where there is no network, InputError for a wrong file.
    """
    if weights == "imagenet":
        model = load_imagenet_weights()
    elif weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = resnet18(weights=None)
    else:
        model = load_own_weights(weights)
    provenance = {"name": weights, "sha256": hash_weights(model)}
    model.eval().requires_grad_(False)
    fold_batch_norm(model)
    use_full_precision()  # features on CUDA must agree with the CPU's
    return model.to(device, memory_format=torch.channels_last), provenance


def load_imagenet_weights() -> nn.Module:
    preset = ResNet18_Weights.IMAGENET1K_V1
    # torch names a weights file after the start of its sha256
    sha256 = Path(preset.url).stem.rpartition("-")[2]
    otherwise = "extract with --weights FILE (your copy) or --weights random (untrained)"
    fetch(preset.url, sha256, otherwise)
    return resnet18(weights=preset)


def load_own_weights(path: str) -> nn.Module:
    """ResNet-18 with the weights of a file, which are kept for --predict."""
    state = load_torch_file(path, "imagenet, random or a ResNet-18 state dict")
    state = state.get("state_dict", state)  # of a training script, perhaps with its optimizer
    state = {name.removeprefix("module."): value for name, value in state.items()}
    model = resnet18(weights=None)
    try:
        model.load_state_dict(state, strict=True)
    except Exception as error:
        problem = f"{path} is no state dict of torchvision's ResNet-18 with 1000 outputs"
        raise InputError(problem) from error
    keep_weights(model)
    return model


def load_torch_file(path: str | os.PathLike, wanted: str) -> dict:
    """The dict in a file that torch.save wrote, on the CPU. No code in it is run.

    Raises InputError, which says what was `wanted`, and OSError.
    """
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file; expected {wanted}")
    content = Path(path).read_bytes()
    try:
        content = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        content.keys()  # a dict
    except Exception as error:
        if "Unsupported global" in str(error):  # a class that torch will not run
            remedy = "expected its state dict: torch.save(model.state_dict(), FILE)"
            raise InputError(f"{path} holds a model or other objects, {remedy}") from error
        raise InputError(f"{path} is damaged or of another kind, expected {wanted}") from error
    return content


def kept_weights(sha256: str) -> Path:
    """Where weights of one's own are kept in torch's cache, to be found by --predict."""
    return cache_folder() / f"resnet18-own-{sha256[:16]}.pth"


def keep_weights(model: nn.Module) -> None:
    """Keep weights for later, where that is possible."""
    file = kept_weights(hash_weights(model))
    if file.is_file():
        return
    with suppress(OSError, RuntimeError):  # RuntimeError: torch's word for a full disk
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary:
            torch.save(model.state_dict(), temporary)
        megabytes = file.stat().st_size / 1e6
        print(f"Kept       a copy of the weights for --predict, {megabytes:.0f} MB: {file}")


def hash_weights(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def fold_batch_norm(model: nn.Module) -> None:
    """Put each batch norm into the convolution before it: the same features in less time."""
    pairs = (("conv1", "bn1"), ("conv2", "bn2"), ("0", "1"))  # 0 and 1: of a shortcut's Sequential
    for block in list(model.modules()):
        for conv, norm in pairs:
            batch_norm = getattr(block, norm, None)
            if isinstance(batch_norm, nn.BatchNorm2d):
                setattr(block, conv, fuse_conv_bn_eval(getattr(block, conv), batch_norm))
                setattr(block, norm, nn.Identity())


@torch.inference_mode()
def compute_features(backbone: nn.Module, frames: torch.Tensor) -> np.ndarray:
    """(n, 1000) float32 features of (n, 3, 224, 224) uint8 RGB frames of one video.

    They go through the network by themselves: so features do not depend on other videos.
    """
    device = next(backbone.parameters()).device
    mean = torch.tensor(IMAGENET_MEAN, device=device).view(3, 1, 1)
    std = torch.tensor(IMAGENET_STD, device=device).view(3, 1, 1)
    on_gpu = device.type == "cuda"
    if on_gpu:
        frames = frames.pin_memory()
    features = []
    with ON_GPU if on_gpu else nullcontext():
        for chunk in frames.split(64 if on_gpu else 8):  # on a CPU 8 is fastest a frame
            pixels = chunk.to(device, non_blocking=True).float().div(255).sub(mean).div(std)
            pixels = pixels.contiguous(memory_format=torch.channels_last)
            features.append(backbone(pixels).cpu())
    return torch.cat(features).numpy()


def extract_video(
    path: Path, backbone: nn.Module, sampling: Sampling, threads: int = 1
) -> tuple[np.ndarray, SampledVideo]:
    """(n, 1000) float32 features of a video's sampled frames, and the frames.

    Raises InputError with the reason where there are none.
    """
    sampled = sample_video(path, sampling, threads)
    features = compute_features(backbone, sampled.frames)
    if not np.isfinite(features).all():
        raise InputError("the network's features are not finite")
    return features, sampled
