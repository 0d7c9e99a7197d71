"""The exercises of the course: their sources, the copies for students and instructors, and grading."""

from randprune_lab.exercises.check import ExerciseError, expect
from randprune_lab.exercises.copies import write_copies
from randprune_lab.exercises.grade import Grade, grade, write_grades
from randprune_lab.exercises.source import Exercise, Source, read_sources

__all__ = [
    "Exercise",
    "ExerciseError",
    "Grade",
    "Source",
    "expect",
    "grade",
    "read_sources",
    "write_copies",
    "write_grades",
]
