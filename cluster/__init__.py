"""The knowledge, pure: inventory, settings, their reasons. No sockets, no SSH, no clock."""
