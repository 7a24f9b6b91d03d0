"""What only the library's client does: TLS and proxies."""

import ssl
import subprocess
from pathlib import Path

import pytest

from gateway.upstream import open_upstream
from sluice.errors import UpstreamFailed
from sluice.settings import UpstreamSettings
from tests.doubles.scripted_upstream import ScriptedUpstream


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    folder = tmp_path_factory.mktemp("tls")
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run(["openssl", "req", "-x509", *new_key, *names, *files], check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "certificate.pem").read_bytes() + (folder / "key.pem").read_bytes())
    return both


async def test_tls_with_a_trusted_and_an_unknown_certificate(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with ScriptedUpstream(tls=context) as scripted:
        unknown = open_upstream(scripted.url, UpstreamSettings())
        with pytest.raises(UpstreamFailed, match="CERTIFICATE_VERIFY_FAILED"):
            await unknown.request("GET", "/models")
        await unknown.close()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        trusted = open_upstream(scripted.url, UpstreamSettings(), api_key="k")
        response = await trusted.request("POST", "/chat/completions", b'{"messages": []}')
        assert (response.status, response.content_type) == (200, b"application/json")
        assert b"chat.completion" in await response.read()
        await trusted.close()
        await scripted.until(lambda: scripted.open_connections == 0)


async def test_asks_the_proxy_for_a_host_elsewhere(
    scripted_upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", scripted_upstream.origin)
    upstream = open_upstream("http://model.example/v1", UpstreamSettings())
    response = await upstream.request("GET", "/models")
    await response.read()
    await upstream.close()
    [request] = scripted_upstream.requests
    assert (request.path, request.header("host")) == ("http://model.example/v1/models", "model.example")
