"""The command line, by subject. What a command needs is imported when it runs: `coexist --help` answers at once."""
