"""Where a model runs and in which numbers: the choice, and its description for the receipt's `runtime`."""

import importlib.metadata
import json
import platform
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers

from tallynet.protocol.errors import Misconfigured

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

BFLOAT16_CAPABILITY = (8, 0)
"""First CUDA compute capability with bfloat16 arithmetic (Ampere)."""

GRAMMARS = importlib.metadata.version("llguidance")
"""Decides which tokens a schema allows."""

MEMORY = Path("/proc/meminfo")
GROUP = Path("/sys/fs/cgroup")


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


def describe(hardware: Hardware, attention: str, *, slots: int, threads: int) -> str:
    """The environment as one canonical JSON object: sorted keys, no spaces, UTF-8.

    `slots` is the widest step, `threads` those of torch on a CPU: in float32 both decide the last bits.
    """
    environment = {
        "attention": attention,
        "device": hardware.device_class,
        "dtype": hardware.dtype_name,
        "grammars": GRAMMARS,
        "kv_dtype": hardware.dtype_name,
        "slots": slots,
        "threads": threads,
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


def free_bytes(device: torch.device) -> int | None:
    """Memory that a program may still take there, as far as the system says; None where it does not."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu" or not MEMORY.exists():
        return None
    lines = dict(line.split(":") for line in MEMORY.read_text().splitlines())
    available = int(lines["MemAvailable"].removesuffix("kB")) * 1024
    return min([available, *_left_in_group()])


def _left_in_group() -> list[int]:
    """What the control group leaves, where one limits the memory (containers, systemd)."""
    try:
        most, used = (int((GROUP / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no such group, or no limit: it says "max"
        return []
    return [most - used]
