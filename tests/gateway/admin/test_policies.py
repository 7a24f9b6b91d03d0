from gateway.admin.policies import ShownPolicy
from sluice.guardrails.policy import policy_id
from tests.gateway.admin.administered import Administered


def test_policies_are_shown_as_they_are_configured(gateway: Administered) -> None:
    gateway.add("one", policy="strict", scope="team:spies")
    lax, strict = (ShownPolicy.model_validate(one) for one in gateway.get("viewer", "/policies")["data"])
    assert (lax.name, lax.input, lax.output) == ("lax", {"pii": "block"}, {})
    assert strict.id == policy_id("strict", gateway.settings.guardrails.policies["strict"])
    assert strict.id.startswith("strict@")
    assert (strict.input, strict.hold_back) == ({"secrets": "block", "pii": "redact"}, 300)
    assert (strict.default, strict.keys, lax.keys) == (False, 1, 0)
    assert [one["keys"] for one in gateway.get("acme-viewer", "/policies")["data"]] == [0, 0]
