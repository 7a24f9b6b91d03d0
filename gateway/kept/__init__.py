"""What requests said and were answered, where a guardrail policy keeps it: for `keep_days`, to be shown and sent again."""
