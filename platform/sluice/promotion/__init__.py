"""How anything that can be promoted is: one candidate, one gate with one verdict, one label moved, one audit entry."""

from sluice.promotion.approval import Approval, approve
from sluice.promotion.candidate import Candidate, Kind
from sluice.promotion.gate import GateResult, Verdict, latest_gate, record_gate
from sluice.promotion.label import Label, Promotion, labelled, promote

__all__ = [
    "Approval",
    "Candidate",
    "GateResult",
    "Kind",
    "Label",
    "Promotion",
    "Verdict",
    "approve",
    "labelled",
    "latest_gate",
    "promote",
    "record_gate",
]
