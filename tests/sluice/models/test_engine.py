from pathlib import Path

import pytest

from sluice.errors import MissingRequirement
from sluice.models.engine import (
    Hardware,
    choose_device,
    choose_dtype,
    detect_hardware,
    engine_command,
    engine_environment,
)
from sluice.settings import ModelSettings, Source

CPU = Hardware(frozenset({"avx2"}), (0, 1, 2, 3), 0)
GPUS = Hardware(frozenset({"avx2"}), (0, 1), 4)
AMD_ZEN3 = "fpu sse2 avx avx2 fma sha_ni"
AMD_ZEN4 = "fpu avx2 avx512f avx512_bf16 avx512_vnni"
INTEL_CASCADE_LAKE = "fpu avx2 avx512f avx512_vnni"
INTEL_SAPPHIRE_RAPIDS = "fpu avx512f amx_bf16 amx_tile amx_int8"
ARM_NEOVERSE_N1 = "fp asimd aes fphp asimdhp atomics"
ARM_NEOVERSE_V1 = "fp asimd sve svebf16 i8mm bf16"


def model(**changes: object) -> ModelSettings:
    return ModelSettings.model_validate({"source": Source(package="some-model==1"), "port": 9000, **changes})


@pytest.mark.parametrize(
    ("flags", "dtype", "word"),
    [
        (AMD_ZEN3, "float32", "no bfloat16"),
        (AMD_ZEN4, "bfloat16", "avx512_bf16"),
        (INTEL_CASCADE_LAKE, "float32", "no bfloat16"),
        (INTEL_SAPPHIRE_RAPIDS, "bfloat16", "amx_bf16"),
        (ARM_NEOVERSE_N1, "float32", "no bfloat16"),
        (ARM_NEOVERSE_V1, "bfloat16", "bf16"),
    ],
)
def test_the_dtype_follows_the_processor(flags: str, dtype: str, word: str) -> None:
    chosen, reason = choose_dtype(model(), "cpu", flags.split())
    assert chosen == dtype
    assert word in reason


def test_a_gpu_takes_the_models_own_dtype() -> None:
    assert choose_dtype(model(), "cuda", AMD_ZEN3.split())[0] == "auto"


def test_a_configured_dtype_wins() -> None:
    assert choose_dtype(model(dtype="float32"), "cpu", AMD_ZEN4.split()) == ("float32", "as configured")


def test_the_device_is_cuda_where_a_gpu_is() -> None:
    assert choose_device(model(), GPUS) == ("cuda", "4 NVIDIA GPUs found")
    assert choose_device(model(), CPU)[0] == "cpu"
    assert choose_device(model(device="cpu"), GPUS)[0] == "cpu"
    with pytest.raises(MissingRequirement, match="no NVIDIA GPU"):
        choose_device(model(device="cuda"), CPU)


def test_this_machine_has_processors() -> None:
    assert detect_hardware().cpus


def test_the_command_line() -> None:
    settings = model(context=2048, arguments=("--seed", "7"))
    command = engine_command("small", settings, Path("/models/small"), 0, Path("/engine/bin/python"), CPU)
    assert " ".join(command) == (
        "/engine/bin/python -P -m vllm.entrypoints.openai.api_server --model /models/small --served-model-name small "
        "--host 127.0.0.1 --port 9000 --dtype float32 --disable-uvicorn-access-log --max-model-len 2048 "
        "--enforce-eager --seed 7"
    )
    compiled = engine_command("small", model(eager=False), Path("/m"), 0, Path("/p"), CPU)
    assert "--enforce-eager" not in compiled
    assert "--max-model-len" not in compiled


def test_a_replica_answers_what_the_router_asks_of_it() -> None:
    def second_replica(**router: object) -> str:
        settings = model(replicas=2, router=router, arguments=("--seed", "7"))
        return " ".join(engine_command("small", settings, Path("/m"), 1, Path("/p"), CPU))

    assert "--scale-out" not in second_replica(policy="round_robin")
    assert "--port 9002 " in second_replica()
    assert second_replica().endswith(" --enforce-eager --enable-scale-out --seed 7")
    assert second_replica(policy="kv_aware").endswith(
        " --enable-scale-out --block-size 32 --kv-events-config "
        '{"enable_kv_cache_events": true, "publisher": "zmq", "endpoint": "tcp://[::ffff:127.0.0.1]:9005"} --seed 7'
    )


def test_the_environment_keeps_the_engine_from_calling_out() -> None:
    environment = engine_environment(model(kv_cache_gib=3), 0, CPU)
    assert environment["VLLM_CPU_KVCACHE_SPACE"] == "3"
    assert environment["VLLM_NO_USAGE_STATS"] == environment["HF_HUB_OFFLINE"] == environment["DO_NOT_TRACK"] == "1"
    assert "VLLM_CPU_OMP_THREADS_BIND" not in environment
    assert "CUDA_VISIBLE_DEVICES" not in environment


def test_a_hub_model_may_ask_the_hub() -> None:
    environment = engine_environment(model(source=Source(hub="some/model")), 0, CPU)
    assert environment["HF_HUB_OFFLINE"] == environment["TRANSFORMERS_OFFLINE"] == "0"
    assert environment["VLLM_NO_USAGE_STATS"] == "1"


def test_replicas_share_the_processors_and_gpus() -> None:
    def value(name: str, settings: ModelSettings, hardware: Hardware) -> list[str]:
        return [engine_environment(settings, replica, hardware)[name] for replica in range(settings.replicas)]

    assert value("VLLM_CPU_OMP_THREADS_BIND", model(replicas=2), CPU) == ["0,1", "2,3"]
    assert value("VLLM_CPU_OMP_THREADS_BIND", model(replicas=8), CPU) == ["nobind"] * 8
    assert value("CUDA_VISIBLE_DEVICES", model(replicas=2), GPUS) == ["0", "1"]
    pairs = model(replicas=3, arguments=("--tensor-parallel-size", "2"))
    assert value("CUDA_VISIBLE_DEVICES", pairs, GPUS) == ["0,1", "2,3", "0,1"]
