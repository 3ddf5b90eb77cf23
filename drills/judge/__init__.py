"""What a run leaves behind, and what is said of it: the log read back, the rules, the report."""
