"""The app: one HTML file with explorers of masks, of recorded results and of your own runs. It needs no kernel."""

from randprune_lab.app.page import AppPage, write_app

__all__ = ["AppPage", "write_app"]
