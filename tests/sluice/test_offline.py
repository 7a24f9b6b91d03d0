import os
import subprocess
import sys

from sluice.offline import OFFLINE_ENVIRONMENT, switch_off


def test_every_switch_is_set() -> None:
    environment: dict[str, str] = {}
    switch_off(environment)
    assert environment == OFFLINE_ENVIRONMENT


def test_what_the_user_set_is_kept() -> None:
    environment = {"HF_HUB_OFFLINE": "0", "PATH": "/bin"}
    switch_off(environment)
    assert environment == {**OFFLINE_ENVIRONMENT, "HF_HUB_OFFLINE": "0", "PATH": "/bin"}


def test_the_module_needs_only_the_standard_library() -> None:
    """It stands before every other import, so it must bring none with it."""
    code = "import sys, sluice.offline; print([name for name in ('torch', 'pydantic') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_the_hugging_face_libraries_are_offline_after_it() -> None:
    code = (
        "from sluice.offline import switch_off; switch_off()\n"
        "from huggingface_hub import constants\n"
        "print(constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_TELEMETRY, constants.HF_HUB_DISABLE_UPDATE_CHECK)"
    )
    environment = {name: value for name, value in os.environ.items() if name not in OFFLINE_ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**environment, "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.split() == ["True"] * 3, done.stderr
