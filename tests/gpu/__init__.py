"""What a GPU that is there for some minutes is used for; see "A GPU for some minutes" in docs/study.md."""
