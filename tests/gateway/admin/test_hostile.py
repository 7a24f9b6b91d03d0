"""What no well-meaning client sends: every answer is an error object, and nothing changes."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import hypothesis
import pytest
from hypothesis import strategies as st

from gateway.admin.door import BODY_BYTES
from sluice.audit import broken_links
from sluice.identity import list_budgets, list_keys, list_limits, list_scopes
from tests.gateway.admin.administered import Administered


def state(gateway: Administered) -> tuple[Any, ...]:
    engine = gateway.engine
    keys = [key.model_dump() for key in list_keys(engine)]
    return keys, [scope.model_dump() for scope in list_scopes(engine)], list_budgets(engine), list_limits(engine)


def test_paths_lead_nowhere_but_to_what_they_name(gateway: Administered) -> None:
    before = state(gateway)
    names = [
        "../organisation:rival",
        "organisation:acme/../organisation:rival",
        "organisation%3Arival",
        "organisation:acme\x00",
        "organisation:rival\x00",
        "organisation:acme%00",
        "organisation:acme ",
        " organisation:acme",
        "organisation:ACME",
        "organisation:аcme",  # the first letter is Cyrillic
        "organisation:acme\u200b",
        "organisation:ａcme",
        "organisation:",
        ":acme",
        "acme",
        "organisation",
        "team:search/tokens",
        "key:" + gateway.keys["rival-app"],
        "model:m",
        "model:../m",
        "x" * 5000,
        "%",
        "'; DROP TABLE scope; --",
        "\ud7ff",
        "..",
        ".",
    ]
    for name in names:
        written = quote(name, safe="").replace(".", "%2E")  # as no client would shorten it on the way
        for method, path, body in (
            ("GET", f"/scopes/{written}/budgets", None),
            ("PUT", f"/scopes/{written}/budgets/tokens/day", {"amount": 5}),
            ("DELETE", f"/scopes/{written}/limits/requests", None),
            ("GET", f"/teams/{written}", None),
            ("DELETE", f"/keys/{written}", None),
        ):
            response = gateway.ask("acme-admin", method, path, body)
            assert response.status_code in (400, 404, 405), (method, path, response.status_code)
            assert response.json()["error"]["type"] == "invalid_request_error"
    assert state(gateway) == before


def test_a_whole_key_in_a_path_is_no_id_and_is_not_repeated(gateway: Administered) -> None:
    token = gateway.tokens["app"]
    for method, path in (("DELETE", f"/keys/{token}"), ("GET", f"/keys/{token}"), ("GET", f"/usage?key={token}")):
        response = gateway.ask("admin", method, path)
        assert response.status_code == 404
        assert token[-40:] not in response.text


@pytest.mark.parametrize(
    ("path", "bodies"),
    [
        (
            "POST /teams",
            [
                {"name": ""},
                {"name": "-x"},
                {"name": "a/b"},
                {"name": "a:b"},
                {"name": "ünï"},
                {"name": "ѕearch"},
                {"name": "a\x00"},
                {"name": "a" * 65},
                {"name": "a\n"},
                {"name": 5},
                {"name": None},
                {"name": ["a"]},
                {"name": "a", "parent": "user:ada"},
                {"name": "a", "parent": "team:search"},
                {"name": "a", "parent": 5},
                {"name": "a", "kind": "organisation"},
                {},
                [],
                "text",
                5,
                None,
            ],
        ),
        (
            "POST /organisations",
            [{"name": "a", "parent": "organisation:acme"}, {"name": "a", "parent": "team:search"}],
        ),
        (
            "POST /keys",
            [
                {"owner": ""},
                {"owner": " "},
                {"owner": "a\x00b"},
                {"owner": "a\nb"},
                {"owner": "\ud800"},
                {"owner": "a" * 201},
                {"owner": 5},
                {"name": "a" * 201},
                {"role": "root"},
                {"role": 4},
                {"models": "m"},
                {"models": [5]},
                {"models": ["m"] * 1001},
                {"models": {"m": 1}},
                {"policy": "none"},
                {"policy": 5},
                {"expires_at": "2001-01-01T00:00:00Z"},
                {"expires_at": "2099-01-01T00:00:00"},
                {"expires_at": "soon"},
                {"expires_at": "9999-12-31T23:59:59-12:00"},
                {"expires_at": 1e300},
                {"scope": 5},
                {"secret_hash": "0" * 64},
                {"id": "abcdefghijkl"},
                {"revoked_at": None},
            ],
        ),
        (
            "PUT /scopes/team:search/budgets/tokens/day",
            [
                {"amount": 0},
                {"amount": -1},
                {"amount": 1.5},
                {"amount": 2**53 + 1},
                {"amount": 10**30},
                {"amount": "NaN"},
                {"amount": "Infinity"},
                {"amount": "1e999999999"},
                {"amount": True},
                {"amount": None},
                {"amount": [1]},
                {"amount": 5, "hard": 1},
                {"amount": 5, "hard": "yes"},
                {"amount": 5, "window": "ever"},
                {},
            ],
        ),
        (
            "PUT /scopes/team:search/budgets/money/day",
            [{"amount": "0.0000000001"}, {"amount": "9007199.254740993"}, {"amount": "1,5"}, {"amount": "€5"}],
        ),
        ("PUT /scopes/team:search/budgets/tokens/week", [{"amount": 5}]),
        ("PUT /scopes/team:search/budgets/euros/day", [{"amount": 5}]),
        (
            "PUT /scopes/team:search/limits/requests",
            [{"amount": 0}, {"amount": -5}, {"amount": 2**53 + 1}, {"amount": "5"}, {"amount": 5.0}, {"amount": True}],
        ),
        ("PUT /scopes/team:search/limits/bytes", [{"amount": 5}]),
        (
            "POST /approvals",
            [{"candidate": "model:m"}, {"candidate": "x:m@1"}, {"candidate": "model:m@1", "by": "bob"}],
        ),
        ("POST /labels/prompt/capital/Production", [{"version": "0000000"}]),
        ("POST /labels/prompt/capital/abcdef0", [{"version": "0000000"}]),
        ("POST /labels/thing/capital/staging", [{"version": "0000000"}]),
        ("POST /labels/model/churn/staging", [{"version": ""}, {"version": "a@b"}, {"version": 3}]),
    ],
)
def test_what_is_wrong_in_a_body_is_refused(gateway: Administered, path: str, bodies: list[Any]) -> None:
    method, _, path = path.partition(" ")
    before = state(gateway)
    for body in bodies:
        response = gateway.ask("admin", method, path, content=json.dumps(body).encode())
        assert response.status_code == 400, (body, response.status_code, response.text)
        assert response.json()["error"]["type"] == "invalid_request_error"
    assert state(gateway) == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"name": "\xff"}',
        b"[" * 30_000,
        b'{"name": ' + b"9" * 10_000 + b"}",
        b'{"amount": ' + b"9" * 10_000 + b"}",
        b'{"name": "a", "name": "b"' + b", " * 5,
    ],
)
def test_what_is_no_json_is_refused(gateway: Administered, body: bytes) -> None:
    for method, path in (("POST", "/teams"), ("POST", "/keys"), ("PUT", "/scopes/team:ads/budgets/tokens/day")):
        response = gateway.ask("admin", method, path, content=body)
        assert response.status_code == 400, (path, response.text)
        assert response.json()["error"]["type"] == "invalid_request_error"


def test_a_huge_body_is_refused_and_only_after_the_key(gateway: Administered) -> None:
    body = b'{"name": "' + b"a" * BODY_BYTES + b'"}'
    assert gateway.ask("admin", "POST", "/teams", content=body).status_code == 413
    assert gateway.ask(None, "POST", "/teams", content=body).status_code == 401
    assert gateway.ask("app", "POST", "/teams", content=body).status_code == 403
    head = f"POST /admin/teams HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {gateway.tokens['admin']}\r\n"
    with gateway.connect() as connection:  # announces nothing
        connection.sendall(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        for _ in range(BODY_BYTES // 4096 + 2):
            connection.sendall(b"1000\r\n" + b"a" * 4096 + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert b" 413 " in connection.recv(4096)


def test_nothing_is_read_of_a_body_before_the_key(gateway: Administered) -> None:
    for who, status in ((None, b"401"), ("app", b"403")):
        key = f"authorization: Bearer {gateway.tokens[who]}\r\n" if who else ""
        head = f"POST /admin/teams HTTP/1.1\r\n{key}content-length: 1000000\r\nexpect: 100-continue\r\n\r\n"
        with gateway.connect() as connection:
            connection.sendall(head.encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 " + status)


def test_many_make_the_same_at_once_and_one_of_them_does(gateway: Administered) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: gateway.ask("admin", "POST", "/teams", {"name": "same"}).status_code, range(16))
    assert sorted(answers) == [201] + [409] * 15
    made = gateway.get("viewer", "/audit?subject=team:same")["data"]
    assert [entry["action"] for entry in made] == ["team.created"]
    assert list(broken_links(gateway.engine)) == []


def test_pages_are_bounded(gateway: Administered) -> None:
    for query in ("limit=0", "limit=-1", "limit=1001", "limit=x", f"after={'x' * 301}"):
        assert gateway.ask("viewer", "GET", f"/keys?{query}").status_code == 400
    assert gateway.ask("viewer", "GET", "/audit?after=-1").status_code == 400
    assert gateway.ask("viewer", "GET", f"/audit?after={2**63}").status_code == 400


def test_whatever_is_asked_for_has_a_defined_answer(gateway: Administered) -> None:
    """Any text for names, and any JSON for bodies: never a failure of the server, never a secret in the answer."""
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
    fields = st.sampled_from(["name", "parent", "owner", "scope", "role", "models", "policy", "expires_at", "amount"])
    bodies = anything | st.dictionaries(fields, anything, max_size=4)
    texts = st.text(min_size=1, max_size=40) | st.sampled_from(
        ["team:search", "key:x", "model:m", "organisation:rival"]
    )
    paths = st.sampled_from(
        [
            ("POST", "/teams"),
            ("POST", "/keys"),
            ("PUT", "/scopes/{}/budgets/money/day"),
            ("PUT", "/scopes/{}/limits/requests"),
            ("PUT", "/keys/{}/policy"),
            ("GET", "/users/{}"),
            ("GET", "/keys?under={}"),
            ("GET", "/labels?after={}"),
            ("GET", "/usage?since={}"),
            ("GET", "/audit?subject={}"),
            ("GET", "/audit/verify?head={}"),
            ("POST", "/labels/model/{}/staging"),
        ]
    )

    @hypothesis.settings(max_examples=60, database=None)
    @hypothesis.given(paths, texts, bodies)
    def ask(target: tuple[str, str], text: str, body: Any) -> None:
        method, path = target
        content = json.dumps(body).encode() if method != "GET" else None
        shown = path.format(quote(text.encode("utf-8", "surrogatepass"), safe=""))
        response = gateway.ask("admin", method, shown, content=content)
        assert response.status_code < 500, response.text
        assert not any(word in response.text for word in ("secret_hash", "Traceback"))
        if response.status_code >= 400:
            assert set(response.json()["error"]) == {"message", "type", "param", "code"}

    ask()
    assert list(broken_links(gateway.engine)) == []
