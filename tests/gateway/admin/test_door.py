from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine, event, text

from gateway.admin.door import AT_ONCE
from tests.gateway.admin.administered import Administered


def test_administration_that_waits_holds_up_no_model_traffic(gateway: Administered) -> None:
    """More changes than may be at once, all waiting for a lock of the database; a call of a model does not."""
    call = {"model": "m", "messages": []}
    assert gateway.post(call).status_code == 200
    waiting: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE api_key_revision"):
            waiting.append(statement)

    with gateway.engine.connect() as holder, ThreadPoolExecutor(2 * AT_ONCE) as pool:
        transaction = holder.begin()
        holder.execute(text("UPDATE api_key_revision SET meters = meters"))
        event.listen(Engine, "before_cursor_execute", note)
        try:
            names = [f"t{n}" for n in range(2 * AT_ONCE)]
            changes = [pool.submit(gateway.ask, "admin", "POST", "/teams", {"name": name}) for name in names]
            gateway.wait(lambda: len(waiting) == AT_ONCE)
            assert gateway.post(call).status_code == 200
            assert not any(change.done() for change in changes)
        finally:
            event.remove(Engine, "before_cursor_execute", note)
            transaction.rollback()
        assert [change.result().status_code for change in changes] == [201] * len(changes)


def test_the_openapi_document_says_what_there_is(gateway: Administered) -> None:
    document = gateway._http.get(f"{gateway.origin}/openapi.json").json()
    administration = {path: item for path, item in document["paths"].items() if path.startswith("/admin/")}
    assert len(administration) >= 20
    for item in administration.values():
        for operation in item.values():
            assert operation["security"] == [{"key": []}]
            assert operation["summary"]
            assert "422" not in operation["responses"]
    assert "secret_hash" not in str(document)
    assert document["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
