import json
import logging

from sluice.logs import HANDLED_REQUEST, JsonLines, redact

KEY = "sk-sluice-abcdefghijkl-" + "S3cret" * 6 + "wxyz"


def test_a_line_is_json_without_secrets() -> None:
    try:
        raise ValueError(f"refused {KEY}")
    except ValueError as error:
        record = logging.LogRecord(
            "gateway", logging.ERROR, "f", 1, "key %s said\nno", (KEY,), (ValueError, error, error.__traceback__)
        )
    text = JsonLines().format(record)
    line = json.loads(text)
    assert "\n" not in text
    assert "S3cret" not in text
    assert line["level"] == "error"
    assert line["message"] == "key sk-sluice-abcdefghijkl-*** said\nno"


def test_redact_knows_other_providers_keys_and_bearer_tokens() -> None:
    assert redact("authorization: Bearer eyJhbGciOi.abc-def_ghi==") == "authorization: Bearer ***"
    assert "proj" not in redact("sk-projAbCdEfGh12345678")
    assert redact("postgresql://ada:S3cret@db/x, https://h:80/a@b") == "postgresql://ada:***@db/x, https://h:80/a@b"
    assert redact("nothing to hide") == "nothing to hide"


def test_fields_and_the_request_at_hand() -> None:
    record = logging.LogRecord("gateway", logging.INFO, "f", 1, "done", (), None)
    record.fields = {"status": 200, "key": KEY, "model": None}
    assert "request_id" not in JsonLines().format(record)
    token = HANDLED_REQUEST.set("req-1")
    line = json.loads(JsonLines().format(record))
    HANDLED_REQUEST.reset(token)
    assert (line["request_id"], line["status"], line["key"]) == ("req-1", 200, "sk-sluice-abcdefghijkl-***")
    assert "model" not in line
