import hashlib
import shutil
from contextlib import nullcontext

import cv2
import numpy as np
import pytest
import torch
from conftest import Payload, picture, write_video
from PIL import Image
from torchvision import transforms
from torchvision.models import ResNet18_Weights, resnet18

from data.files import InputError
from data.frames import Sampling, resize_frame, sample_video
from features.resnet18 import compute_features, extract_video, kept_weights, load_backbone


def test_features_agree_with_the_reference_transform():
    model, _ = load_backbone("random")
    preset = ResNet18_Weights.IMAGENET1K_V1.transforms()
    resize, normalise = transforms.Resize((224, 224)), transforms.Normalize(preset.mean, preset.std)
    reference_transform = transforms.Compose([resize, transforms.ToTensor(), normalise])
    frames = [picture(300, 400, seed) for seed in range(3)]
    features = compute_features(model, torch.stack([resize_frame(frame) for frame in frames]))
    assert features.shape == (3, 1000) and features.dtype == np.float32
    images = [Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)) for frame in frames]
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        plain = resnet18(weights=None).eval()
        reference = plain(torch.stack([reference_transform(image) for image in images])).numpy()
    difference = np.linalg.norm(features - reference, axis=1) / np.linalg.norm(reference, axis=1)
    assert difference.max() < 1e-3


def test_an_untrained_network_is_always_the_same_and_leaves_the_seed_alone():
    torch.set_float32_matmul_precision("medium")  # as a container may have set it
    state = torch.random.get_rng_state()
    (first, provenance), (second, again) = load_backbone("random"), load_backbone("random")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert provenance == again and provenance["name"] == "random"
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs) and not first.training
    assert torch.get_float32_matmul_precision() == "highest"


def test_folded_batch_norm_gives_the_features_of_the_plain_network(tmp_path):
    torch.manual_seed(1)
    plain = resnet18(weights=None)
    pixels = torch.rand(4, 3, 64, 64)
    with torch.inference_mode():
        for _ in range(3):  # in training mode: running means and variances that are not 0 and 1
            plain(pixels * torch.rand(4, 1, 1, 1) * 3)
    for norm in (module for module in plain.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.normal_(norm.bias)
    torch.save(plain.state_dict(), tmp_path / "own.pth")
    folded, _ = load_backbone(str(tmp_path / "own.pth"))
    assert not [module for module in folded.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    with torch.inference_mode():
        expected = plain.eval()(pixels)
        found = folded(pixels.contiguous(memory_format=torch.channels_last))
    assert torch.linalg.norm(found - expected) < 1e-5 * torch.linalg.norm(expected)


def test_wrong_weights_files(tmp_path, random_weights):
    (tmp_path / "text.pth").write_text("weights")
    (tmp_path / "cut.pth").write_bytes(random_weights.read_bytes()[:1_000_000])
    state = torch.load(random_weights, weights_only=True)
    whole = {
        "list": [1, 2],
        "extra": state | {"extra": torch.zeros(1)},
        "two_classes": state | {"fc.weight": torch.zeros(2, 512)},
        "payload": {"payload": Payload(tmp_path / "made")},
        "model": torch.nn.Linear(2, 2),  # as torch.save pickles it
    }
    for name, content in whole.items():
        torch.save(content, tmp_path / f"{name}.pth")
    for name in ("missing", "text", "cut", *whole):
        with pytest.raises(InputError, match=rf"{name}\.pth.*(ResNet-18|state dict)") as caught:
            load_backbone(str(tmp_path / f"{name}.pth"))
        assert "\n" not in str(caught.value)
    assert "expected its state dict: torch.save(model.state_d" in str(caught.value)
    assert not (tmp_path / "made").exists()


def test_weights_of_a_training_script_are_taken_and_hashed_as_they_were_given(
    tmp_path, random_weights
):
    """Not as folded ones: these are rounded, perhaps otherwise on another machine."""
    digest, state = hashlib.sha256(), torch.load(random_weights, weights_only=True)
    for name, tensor in sorted(state.items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    parallel = {f"module.{name}": value for name, value in state.items()}
    torch.save({"state_dict": parallel, "epoch": 3}, tmp_path / "training.pth")
    for file in (random_weights, tmp_path / "training.pth"):
        assert load_backbone(str(file))[1]["sha256"] == digest.hexdigest()


def test_own_weights_are_kept_to_be_found_by_their_hash(
    tmp_path, random_weights, torch_home, capsys, monkeypatch
):
    def full_disk(state, path):
        path.write_bytes(b"half")
        raise RuntimeError("unexpected pos 704 vs 598")  # as torch says it

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full_disk)
        digest = load_backbone(str(random_weights))[1]["sha256"]
    assert not [*torch_home.rglob("*.*")]
    own = shutil.copy(random_weights, tmp_path / "moved.pth")
    told = f"Kept       a copy of the weights for --predict, 47 MB: {kept_weights(digest)}\n"
    for said in (told, ""):  # once
        assert load_backbone(str(own))[1]["sha256"] == digest
        assert capsys.readouterr().out == said
    own.unlink()
    assert load_backbone(str(kept_weights(digest)))[1]["sha256"] == digest


def test_imagenet_weights_are_downloaded_once(tmp_path, random_weights, torch_home, monkeypatch):
    digest = hashlib.sha256(random_weights.read_bytes()).hexdigest()
    served = shutil.copy(random_weights, tmp_path / f"resnet18-{digest[:8]}.pth")
    monkeypatch.setattr(ResNet18_Weights.IMAGENET1K_V1.value, "url", served.as_uri())
    _, provenance = load_backbone("imagenet")
    assert provenance == load_backbone(str(random_weights))[1] | {"name": "imagenet"}
    cached = torch_home / "hub/checkpoints" / served.name
    assert cached.is_file()
    served.unlink()
    assert load_backbone("imagenet")[1] == provenance
    cached.write_bytes(cached.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=r"resnet18-.*\.pth is damaged .*delete it"):
        load_backbone("imagenet")


def test_the_features_of_a_video_are_those_of_its_frames(tmp_path):
    path = write_video(tmp_path / "clip.mp4", n=12)
    model, _ = load_backbone("random")
    features, sampled = extract_video(path, model, Sampling(3))
    assert features.shape == (3, 1000) and features.dtype == np.float32
    assert sampled.numbers.tolist() == [2, 6, 10] and sampled.facts["frames"] == 12
    frames = sample_video(path, Sampling(3)).frames
    assert features.tobytes() == compute_features(model, frames).tobytes()


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf")])
def test_frames_go_in_small_batches_and_features_that_are_not_finite_are_refused(tmp_path, value):
    batches = []

    class Constant(torch.nn.Linear):
        def forward(self, pixels):
            batches.append(len(pixels))
            return torch.full((len(pixels), 1000), value)

    path = write_video(tmp_path / "clip.mp4", n=19)
    with nullcontext() if value == 0.5 else pytest.raises(InputError, match="are not finite"):
        assert (extract_video(path, Constant(1, 1), Sampling(19))[0] == value).all()
    assert batches == [8, 8, 3]
