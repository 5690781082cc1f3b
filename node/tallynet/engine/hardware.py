"""Where a model runs and in which numbers: the choice, and its description for the receipt's `runtime`."""

import json
import platform
from dataclasses import dataclass

import torch
import transformers

from tallynet.protocol.errors import Misconfigured

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

BFLOAT16_CAPABILITY = (8, 0)
"""First CUDA compute capability with bfloat16 arithmetic (Ampere)."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """A device and the number format of weights, activations and KV cache on it."""

    device: torch.device
    dtype: torch.dtype

    @property
    def device_class(self) -> str:
        """What decides the arithmetic: `cuda NVIDIA H200 sm_90`, `cpu x86_64 AVX2`, `mps arm64`."""
        if self.device.type == "cuda":
            major, minor = torch.cuda.get_device_capability(self.device)
            return f"cuda {torch.cuda.get_device_name(self.device)} sm_{major}{minor}"
        if self.device.type == "cpu":
            return f"cpu {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
        return f"{self.device.type} {platform.machine()}"

    @property
    def dtype_name(self) -> str:
        return next(name for name, dtype in DTYPES.items() if dtype == self.dtype)


def choose_hardware(device: str = "auto", dtype: str = "auto") -> Hardware:
    """Pick cuda, then mps, then cpu; float32, but bfloat16 (or float16, on GPUs older than Ampere) on cuda.

    Raises `Misconfigured` when the device or the number format named is not there.
    """
    chosen = _device(device)
    if dtype == "auto":
        return Hardware(chosen, _usual_dtype(chosen))
    if dtype not in DTYPES:
        raise Misconfigured(f"dtype {dtype!r} is none of auto, {', '.join(DTYPES)}")
    return Hardware(chosen, DTYPES[dtype])


def describe(hardware: Hardware, attention: str) -> str:
    """The environment as one canonical JSON object: sorted keys, no spaces, UTF-8."""
    environment = {
        "attention": attention,
        "device": hardware.device_class,
        "dtype": hardware.dtype_name,
        "kv_dtype": hardware.dtype_name,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    return json.dumps(environment, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise Misconfigured(
            f"device {name!r} cannot be used: {str(error).splitlines()[0]}",
            remedy="Name cpu, cuda, cuda:1, … or mps, or leave the choice to `auto`.",
        ) from error
    return device


def _usual_dtype(device: torch.device) -> torch.dtype:
    if device.type != "cuda":
        return torch.float32
    modern = torch.cuda.get_device_capability(device) >= BFLOAT16_CAPABILITY
    return torch.bfloat16 if modern else torch.float16
