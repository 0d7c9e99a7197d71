"""Candidates: early evaluation, selection, the iterative schedule, and the run folder that records it all."""
