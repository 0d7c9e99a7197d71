"""What several test files share."""

from support import shapes  # the hook of jaxtyping looks for its checker here

__all__ = ["shapes"]
