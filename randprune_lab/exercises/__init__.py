"""The exercises of the course: their sources, the copies for students and instructors, and grading."""

from randprune_lab.exercises.check import ExerciseError, choice, expect, passed
from randprune_lab.exercises.copies import write_copies
from randprune_lab.exercises.grade import grade
from randprune_lab.exercises.grades import Grade, write_grades
from randprune_lab.exercises.source import Exercise, Source, read_sources

__all__ = [
    "Exercise",
    "ExerciseError",
    "Grade",
    "Source",
    "choice",
    "expect",
    "grade",
    "passed",
    "read_sources",
    "write_copies",
    "write_grades",
]
