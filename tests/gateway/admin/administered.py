"""A running gateway with two organisations, and keys of every role in one of them and above both."""

from pathlib import Path
from typing import Any

import httpx

from sluice.identity import create_key, create_scope
from sluice.identity.keys import ROLES
from tests.gateway.running_gateway import RunningGateway

POLICIES = {
    "strict": {"input": {"secrets": "block", "pii": "redact"}, "output": {"secrets": "block"}},
    "lax": {"input": {"pii": "block"}},
}


class Administered(RunningGateway):
    """`organisation:acme` holds `team:search` with `user:ada`, and `team:ads`; `organisation:rival` holds `team:spies`.

    Attributes:
        keys: ids by name: each role above everything (`admin`), and in acme (`acme-admin`); `search-operator` under the
            team; `app`, `rival-app` and `loose` without a role.
        tokens: their texts.
    """

    def __init__(self, home: Path, upstream_url: str, database_url: str) -> None:
        sections = {
            "platform": {"home": home, "database": database_url},
            "guardrails": {"policies": POLICIES},
        }
        super().__init__(home, upstream_url, sections=sections)
        for kind, name, parent in (
            ("organisation", "acme", None),
            ("organisation", "rival", None),
            ("team", "search", "organisation:acme"),
            ("team", "ads", "organisation:acme"),
            ("team", "spies", "organisation:rival"),
            ("user", "ada", "team:search"),
        ):
            create_scope(self.engine, kind, name, parent=parent, by="setup")
        self.keys: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        for role in ROLES:
            self.add(role, role=role)
            self.add(f"acme-{role}", role=role, scope="organisation:acme")
        self.add("search-operator", role="operator", scope="team:search")
        self.add("app", scope="user:ada")
        self.add("rival-app", scope="team:spies")
        self.add("loose")

    def add(self, name: str, **fields: Any) -> str:
        """A key of which nothing is known to the gateway yet; its id."""
        key, self.tokens[name] = create_key(self.engine, owner=fields.pop("owner", name), **fields)
        self.keys[name] = key.id
        return key.id

    def ask(
        self, who: str | None, method: str, path: str, json: Any = None, content: bytes | None = None
    ) -> httpx.Response:
        """One request under /admin, with a key by its name."""
        headers = {"content-type": "application/json"} if json is not None or content is not None else {}
        if who:
            headers["authorization"] = f"Bearer {self.tokens.get(who, who)}"
        return self._http.request(method, f"{self.origin}/admin{path}", json=json, content=content, headers=headers)

    def get(self, who: str, path: str) -> Any:
        """What there is."""
        response = self.ask(who, "GET", path)
        assert response.status_code == 200, response.text
        return response.json()

    def ids(self, who: str, path: str) -> set[str]:
        """The ids of a list's items."""
        return {item["id"] for item in self.get(who, path)["data"]}
