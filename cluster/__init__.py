"""The knowledge, pure: the inventory, the settings and their reasons. No sockets, no SSH, no clock."""
