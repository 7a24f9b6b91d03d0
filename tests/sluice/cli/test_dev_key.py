import stat
from pathlib import Path

from sluice.cli.dev_key import read_key, write_dev_env
from sluice.home import Home


def test_the_file_is_read_back_and_is_its_owners_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert read_key(home) is None
    write_dev_env(home, "http://127.0.0.1:8400", "sk-sluice-one")
    home.dev_env.chmod(0o644)
    write_dev_env(home, "http://127.0.0.1:8400", "sk-sluice-two")
    assert read_key(home) == "sk-sluice-two"
    assert stat.S_IMODE(home.dev_env.stat().st_mode) == 0o600
    assert [path.name for path in home.root.iterdir()] == ["dev.env"]
