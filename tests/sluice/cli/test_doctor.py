import re

import pytest

from tests.sluice.cli.conftest import Deployment

pytest.importorskip("sluice.database")


def test_what_is_missing_is_named_with_the_command_that_mends_it(deployment: Deployment) -> None:
    (deployment.folder / "engine").unlink()
    report = deployment.run("doctor")
    assert report.returncode == 1
    assert "✓ settings: 1 models, 0 routes" in report.stdout
    assert "✗ engine: engine does not exist\n    make up" in report.stdout
    assert re.search(r"✗ database: .*sluice\.db does not exist\n    sluice up", report.stdout)
    assert f"✓ port {deployment.gateway_port} (gateway.port): free" in report.stdout


def test_bad_settings_are_told(deployment: Deployment) -> None:
    deployment.write("configs/all.yaml", "gateway: {prot: 1}\n")
    report = deployment.run("doctor")
    assert report.returncode == 1
    assert "✗ settings" in report.stdout
    assert "Did you mean 'port'?" in report.stdout


def test_files_that_others_can_read_are_told(deployment: Deployment) -> None:
    deployment.home.root.mkdir()
    deployment.home.dev_env.touch(mode=0o644)
    report = deployment.run("doctor")
    assert f"✗ mode of dev.env: 0644\n    chmod 600 {deployment.home.dev_env}" in report.stdout
