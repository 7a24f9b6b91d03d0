"""The prompts that come with Sluice."""

from pathlib import Path

import pytest

from prompts.prompt import load_prompt
from sluice.settings_files import load_settings

LIBRARY = Path(__file__).parents[2] / "prompts" / "library"


@pytest.mark.parametrize("path", sorted(LIBRARY.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_is_a_prompt_for_a_model_of_the_default_settings(path: Path) -> None:
    prompt = load_prompt(path)
    assert prompt.model is None or prompt.model in load_settings(LIBRARY.parents[1] / "configs", {}).models
    assert prompt.render(dict.fromkeys(prompt.variables, "value"))
