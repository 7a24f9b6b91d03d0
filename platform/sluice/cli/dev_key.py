"""The API key and base URL for the person at this machine, in `dev.env`."""

import os
import re
import time
import urllib.error
import urllib.request

from sluice.errors import ProcessFailed
from sluice.home import Home
from sluice.saving import save_whole
from sluice.settings import Settings

SETTLE_SECONDS = 5


def ensure_key(settings: Settings, home: Home, url: str) -> str:
    """A key that the gateway at `url` takes: the one in `dev.env` as long as it works, else a new one.

    Raises:
        ProcessFailed: the gateway does not take a key that was just made.
    """
    key = read_key(home)
    if not (key and _works(url, key)):
        from sluice.database import connect
        from sluice.identity import create_key

        engine = connect(settings.database_url)
        _, key = create_key(engine, owner=os.environ.get("USER", "dev"), name="dev")
        engine.dispose()
        _wait_until_taken(url, key)
    write_dev_env(home, url, key)
    return key


def read_key(home: Home) -> str | None:
    """The key in `dev.env`, if there is one."""
    try:
        found = re.search(r"^export OPENAI_API_KEY=(\S+)$", home.dev_env.read_text(), re.MULTILINE)
    except FileNotFoundError:
        return None
    return found[1] if found else None


def write_dev_env(home: Home, url: str, key: str) -> None:
    """Write the file anew, at no moment readable by others."""
    save_whole(home.dev_env, f"export OPENAI_BASE_URL={url}/v1\nexport OPENAI_API_KEY={key}\n".encode(), 0o600)


def _works(url: str, key: str) -> bool:
    request = urllib.request.Request(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"})  # noqa: S310
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the gateway is here, behind no proxy
    try:
        with direct.open(request, timeout=10) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _wait_until_taken(url: str, key: str) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not _works(url, key):
        if time.monotonic() > deadline:
            raise ProcessFailed(f"The gateway at {url} does not take a new key.", fix="See: sluice logs gateway")
        time.sleep(0.1)
