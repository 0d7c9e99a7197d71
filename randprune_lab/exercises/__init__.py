"""The exercises of the course: copies, grading, what is given back, and what a class predicted."""

from randprune_lab.exercises.check import ExerciseError, choice, expect, passed
from randprune_lab.exercises.collect import collect
from randprune_lab.exercises.copies import write_copies
from randprune_lab.exercises.feedback import write_feedback
from randprune_lab.exercises.grade import grade
from randprune_lab.exercises.gradebook import gradebook
from randprune_lab.exercises.grades import Grade, hardest, read_grades, table, write_grades, write_rows
from randprune_lab.exercises.predicted import Tally, tally_class
from randprune_lab.exercises.questions import Question, read_questions, write_questions
from randprune_lab.exercises.source import Exercise, Source, read_sources

__all__ = [
    "Exercise",
    "ExerciseError",
    "Grade",
    "Question",
    "Source",
    "Tally",
    "choice",
    "collect",
    "expect",
    "grade",
    "gradebook",
    "hardest",
    "passed",
    "read_grades",
    "read_questions",
    "read_sources",
    "table",
    "tally_class",
    "write_copies",
    "write_feedback",
    "write_grades",
    "write_questions",
    "write_rows",
]
