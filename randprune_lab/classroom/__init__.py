"""What a teacher shows of one experiment that a class did together: a page that grows while students share results."""

from randprune_lab.classroom.page import write_gathered
from randprune_lab.classroom.watching import watch

__all__ = ["watch", "write_gathered"]
