"""The world that a test shows a program: its clock, its disk."""

import os
import struct
import subprocess

from tests.flow import organization as flow

MEMBERS = ("later_s", "sync_ms", "is_held", "free_permille", "wall_s")  # as world.c has them


class World:
    """Set on a program before it starts, and changed while it runs."""

    def __init__(self, organization, **members):
        self.path = os.path.join(organization.base, "world")
        self.members = dict.fromkeys(MEMBERS, 0)
        self.set(**members)
        loaded = flow.find_program("tests/watch", "shown_world.so")
        self.environment = {**os.environ, "LD_PRELOAD": loaded, "WORLD": self.path}
        organization.collector.environment = self.environment

    def set(self, **members):
        self.members.update(members)
        assert len(self.members) == len(MEMBERS), members
        # In place: the program has the file in its memory.
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.pwrite(file, struct.pack("5q", *self.members.values()), 0)
        os.close(file)

    def run(self, organization, *arguments):
        """What `orgtrail ...` says in this world."""
        command = [organization.program, *arguments]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60, check=True
        ).stdout
