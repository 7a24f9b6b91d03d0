"""Retrieval: folders become indexes, indexes are searched, questions are answered from what was found."""
