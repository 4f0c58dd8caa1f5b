"""What happened, counted: read-only SQL over the inbox. Nothing here changes anything."""
