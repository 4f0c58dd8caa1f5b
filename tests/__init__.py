"""Tests. docs/requirements-ids.txt has the requirements that they name."""
