import json
import signal
import time
import urllib.request

from tests.sluice.cli.conftest import Deployment


def test_list_and_pull(deployment: Deployment) -> None:
    pulled = deployment.run("models", "pull")
    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stdout == f"small: {deployment.folder / 'model'}\n"
    (row,) = json.loads(deployment.run("models", "list", "--json").stdout)
    assert (row["name"], row["kind"], row["dtype"], row["fetched"]) == ("small", "chat", "float32", True)
    assert "small" in deployment.run("models", "list").stdout


def test_what_others_serve_is_not_fetched(deployment: Deployment) -> None:
    far = "models: {far: {source: {hub: some/model}, port: 9000, router: {urls: ['http://10.0.0.5:8000']}}}\n"
    deployment.write("configs/all.yaml", far)
    pulled = deployment.run("models", "pull")
    assert (pulled.returncode, pulled.stdout) == (0, ""), pulled.stderr
    (row,) = json.loads(deployment.run("models", "list", "--json").stdout)
    assert (row["device"], row["dtype"], row["fetched"]) == ("elsewhere", "unknown", False)


def test_an_unknown_model_is_named(deployment: Deployment) -> None:
    refused = deployment.run("models", "pull", "large")
    assert refused.returncode == 1
    assert "There is no model 'large' in the settings. There are: small." in refused.stderr


def test_serve_runs_in_the_foreground_until_interrupted(deployment: Deployment) -> None:
    process = deployment.start("models", "serve", "small")
    assert process.stderr is not None
    assert f"small: http://127.0.0.1:{deployment.model_port}/v1" in process.stderr.readline()
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{deployment.model_port}/health", timeout=60) as answer:
                assert answer.status == 200
            break
        except OSError:
            time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err


def test_serve_tells_when_the_engine_ends(deployment: Deployment) -> None:
    (deployment.folder / "broken").touch()
    failed = deployment.run("models", "serve", "small")
    assert failed.returncode == 1
    assert "engine: out of memory" in failed.stderr
    assert "small ended with exit code 1." in failed.stderr
