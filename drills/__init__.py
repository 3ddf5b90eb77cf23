"""Loads and faults on the lab, and what became of every record meanwhile."""
