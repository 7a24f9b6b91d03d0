import json
import re
from pathlib import Path

import httpx

from tests.doubles.otlp_collector import OtlpCollector
from tests.gateway.telemetry.conftest import Traced

DASHBOARD = Path(__file__).parents[3] / "platform" / "deploy" / "dashboards" / "gateway.json"


def test_every_metric_of_the_dashboard_is_there(traced: Traced, collector: OtlpCollector) -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    expressions = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    asked = {name.removesuffix("_bucket").removesuffix("_total") for name in re.findall(r"sluice_\w+", expressions)}
    text = httpx.get(f"{traced().origin}/metrics", trust_env=False).text
    known = {name.removesuffix("_total") for name in re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)}
    assert asked <= known
