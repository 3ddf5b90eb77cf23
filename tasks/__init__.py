"""What an operator does to a running cluster: fabfile.py names the tasks, one file each is here."""
