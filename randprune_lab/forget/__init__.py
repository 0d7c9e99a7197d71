"""What a mask forgets: the test examples that the pruned models of a study lose, as a page and a table."""

from randprune_lab.forget.page import check_out, sentences, write_forgotten
from randprune_lab.forget.study import Forgotten

__all__ = ["Forgotten", "check_out", "sentences", "write_forgotten"]
