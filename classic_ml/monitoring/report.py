"""A drift report as a page that needs nothing beside it, and as JSON for programs."""

import base64
import io
import json
from dataclasses import asdict
from html import escape
from typing import Any

from classic_ml.monitoring.drift import DriftReport, FeatureDrift

COLOURS = {"info": "#3a7d44", "warning": "#b7791f", "critical": "#c0392b"}
MOST_PLOTTED, LONGEST_SHOWN = 40, 40
"""Bins of one plot, and characters of a bin's name; JSON has them all."""

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; width: 100% }} td, th {{ text-align: left; padding: .3rem .8rem .3rem 0 }}
tr {{ border-bottom: 1px solid #ddd }} td.number {{ font-variant-numeric: tabular-nums }} img {{ max-width: 100% }}
</style>
<h1>{title}</h1>
<p>{rows} {summary}</p>
<table><tr><th>feature</th><th>severity</th><th>stability index</th><th>test</th><th>p, adjusted</th></tr>
{table}
</table>
{plots}
</html>
"""


def as_html(title: str, report: DriftReport) -> str:
    """The page: a table of all features, and a plot of each that drifted."""
    drifted = report.drifted
    return PAGE.format(
        title=escape(title),
        rows=f"{report.rows[0]:,} rows before, {report.rows[1]:,} now.",
        summary=f"{len(drifted)} of {len(report.features)} columns drifted." if drifted else "Nothing drifted.",
        table="\n".join(_row(feature) for feature in report.features),
        plots="\n".join(_figure(feature) for feature in drifted),
    )


def as_json(report: DriftReport) -> str:
    """The same, for programs."""
    return json.dumps(as_plain(report), indent=2)


def as_plain(report: DriftReport) -> dict[str, Any]:
    """The report as JSON's own types."""
    features = [asdict(feature) | {"severity": str(feature.severity)} for feature in report.features]
    return {"severity": str(report.severity), "rows": report.rows, "features": features}


def _row(feature: FeatureDrift) -> str:
    severity = str(feature.severity)
    return (
        f"<tr><td>{escape(feature.name)}</td><td style='color:{COLOURS[severity]}'>{severity}</td>"
        f"<td class=number>{feature.psi:.3f}</td><td>{feature.test}</td><td class=number>{feature.p_value:.2g}</td></tr>"
    )


def _figure(feature: FeatureDrift) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 2.6), layout="constrained")
    axes = figure.add_subplot(ylabel="share of rows")
    # Names and values are text, not formulas: two dollar signs would make matplotlib read what is between them as TeX.
    axes.set_title(_short(feature.name), parse_math=False)
    shown = _largest_changes(feature)
    places = range(len(shown))
    axes.bar([place - 0.2 for place in places], [feature.reference[one] for one in shown], 0.4, label="before")
    axes.bar([place + 0.2 for place in places], [feature.current[one] for one in shown], 0.4, label="now")
    labels = [_short(feature.bins[one]) for one in shown]
    axes.set_xticks(list(places), labels, rotation=20, ha="right", fontsize=8, parse_math=False)
    axes.legend()
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=90)
    return (
        f'<img alt="{escape(feature.name)}" src="data:image/png;base64,{base64.b64encode(image.getvalue()).decode()}">'
    )


def _largest_changes(feature: FeatureDrift) -> list[int]:
    """The places of the bins to plot, in their order: all, or where they are many, those that changed most."""
    changes = [abs(now - before) for before, now in zip(feature.reference, feature.current, strict=True)]
    return sorted(sorted(range(len(changes)), key=lambda place: -changes[place])[:MOST_PLOTTED])


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"
