"""Meta's webhook in: verify, journal, answer; then claim, parse, apply, quarantine."""
