"""The fault harness: a steady load, faults by chance from one seed, and the question whether anything was lost."""
