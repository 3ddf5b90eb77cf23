"""Several real hosts on this machine, each with its own systemd, sshd, address, disk and network.

`python -m lab up` brings them up; `lab.machine.Lab` is the same for programs. The lab knows
nothing of what runs on its hosts: it reads the lab's name and the machines from the inventory.
"""
