"""Everything that a running cluster must be, checked over SSH and its own protocols; changes
nothing.

make verify                  (INVENTORY=inventory/production.yml for your own machines)
pytest tests/verify -k clock
"""
