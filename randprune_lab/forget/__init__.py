"""What a mask forgets: the test examples that the pruned models of a study lose, as a page and a table."""

from randprune_lab.forget.page import check_out, summary, write_forgotten
from randprune_lab.forget.study import Forgotten

__all__ = ["Forgotten", "check_out", "summary", "write_forgotten"]
