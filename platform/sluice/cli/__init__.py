"""The command line, put together from the entry points `sluice.commands`."""
