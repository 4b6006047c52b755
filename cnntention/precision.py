"""What `precision` in a recipe means on a device, and whether the device supports it natively."""

import os
import re

import torch

# oneDNN's instruction sets without bf16 products, to which ONEDNN_MAX_CPU_ISA may limit it
WITHOUT_BF16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}


def enforce(precision: str) -> None:
    """On an NVIDIA GPU, fp32: no TF32; tf32: TF32 convolutions and matrix products; bf16: fp32 outside of autocast.

    Fused attention always multiplies fp32 numbers as three TF32 products, which is about as exact.
    """
    # only the API of torch 2.9 and later: once it is used, reading the old allow_tf32 raises
    value = "tf32" if precision == "tf32" else "ieee"
    torch.backends.cuda.matmul.fp32_precision = value
    torch.backends.cudnn.conv.fp32_precision = value
    torch.backends.cudnn.rnn.fp32_precision = value


def native(precision: str, device: torch.device) -> bool:
    """Whether the device computes in this precision; otherwise it emulates bf16, and computes tf32 as fp32."""
    if precision == "fp32":
        return True
    if device.type == "cuda":  # compute capability 8.0 or later, of the current GPU, which `prepare_torch` sets
        tf32 = precision == "tf32"
        return torch.cuda.is_tf32_supported() if tf32 else torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "tf32":
        return False
    if device.type == "mps":  # Metal emulates bf16 before the M3
        return not re.match(r"Apple M[12]\b", torch.backends.mps.get_name())
    return cpu_has_bf16()


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 numbers natively, and no environment variable forbids it.

    `torch.ops.mkldnn._is_mkldnn_bf16_supported` does not tell: it is true for any AVX-512, where oneDNN emulates bf16.
    """
    has = torch.cpu.get_capabilities()
    if has.get("bf16"):  # ARM
        return True
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or ""
    limited = limit.upper() in WITHOUT_BF16 or torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2")
    return bool(has.get("avx512_bf16") or has.get("amx_bf16")) and not limited


def describe(precision: str, device: torch.device) -> dict:
    """The entry `precision` of run.json."""
    return {"asked": precision, "native": native(precision, device)}


def warning(recipe: str, precision: str, device: torch.device) -> str | None:
    """A warning, printed before training, if the device does not support the recipe's precision natively; else None."""
    if native(precision, device):
        return None
    key, here = f"recipes.{recipe}.precision", {"cuda": "GPU", "mps": "GPU", "cpu": "CPU"}[device.type]
    if precision == "tf32":
        return f"{key}: this {here} has no TF32 and computes tf32 as plain fp32, at the same speed; say fp32."
    cost = "6 to 12 times slower than fp32 (measured with AVX2)" if here == "CPU" else "slower than fp32"
    return f"{key}: this {here} has no native bf16 and emulates it, {cost}; fp32 is faster here."
