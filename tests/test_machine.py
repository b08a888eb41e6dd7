import pytest
import torch

from data.files import InputError
from features.machine import pick_device


def test_devices():
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA device here; use --device cpu"):
            pick_device("cuda")
