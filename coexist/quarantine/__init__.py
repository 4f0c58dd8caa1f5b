"""What could not be applied: kept with its error, looked after by people, and by nobody lost."""
