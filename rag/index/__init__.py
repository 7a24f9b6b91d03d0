"""Indexes: built aside and named by what they hold, on Qdrant in this process or on a server."""
