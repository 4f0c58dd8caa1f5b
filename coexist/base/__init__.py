"""Config, database, clock, crypto, log, embedded PostgreSQL: nothing of WhatsApp in here."""
