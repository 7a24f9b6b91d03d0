"""Entries of the audit log can only be added: the database itself refuses to change or to remove one."""

from alembic import op

revision = "0005"
down_revision = "0004"

REFUSAL = "the audit log is append-only"

# The primary key alone is not enough there: INSERT OR REPLACE removes a row without asking the trigger for removals.
SQLITE = {
    "audit_entry_stays": "BEFORE UPDATE ON audit_entry",
    "audit_entry_is_kept": "BEFORE DELETE ON audit_entry",
    "audit_entry_is_new": (
        "BEFORE INSERT ON audit_entry WHEN EXISTS (SELECT 1 FROM audit_entry WHERE number = NEW.number)"
    ),
    "audit_head_goes_on": "BEFORE UPDATE ON audit_head WHEN NEW.number < OLD.number",
    "audit_head_is_kept": "BEFORE DELETE ON audit_head",
}
POSTGRES = {
    "audit_entry_stays": "BEFORE UPDATE OR DELETE ON audit_entry FOR EACH ROW",
    "audit_entry_is_kept": "BEFORE TRUNCATE ON audit_entry FOR EACH STATEMENT",
    "audit_head_goes_on": "BEFORE UPDATE ON audit_head FOR EACH ROW WHEN (NEW.number < OLD.number)",
    "audit_head_is_kept": "BEFORE DELETE OR TRUNCATE ON audit_head FOR EACH STATEMENT",
}


def upgrade() -> None:
    """Create the triggers."""
    if _sqlite():
        for name, event in SQLITE.items():
            op.execute(f"CREATE TRIGGER {name} {event} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END")
        return
    op.execute(
        "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
    )
    for name, event in POSTGRES.items():
        op.execute(f"CREATE TRIGGER {name} {event} EXECUTE FUNCTION refuse_audit_change()")


def downgrade() -> None:
    """Drop them."""
    if _sqlite():
        for name in SQLITE:
            op.execute(f"DROP TRIGGER {name}")
        return
    op.execute("DROP FUNCTION refuse_audit_change CASCADE")


def _sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
