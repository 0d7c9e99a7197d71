"""The question bank: questions with one right answer, what each wrong answer shows, and exports for other systems.

GIFT is the text format of Moodle. QTI 1.2, a ZIP file of XML, is what Canvas and many others import. Markdown is for
reading and printing.
"""

from __future__ import annotations

import io
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, indent, tostring
from zlib import crc32

from randprune_lab.errors import FileError
from randprune_lab.files import atomic_path

QUESTIONS = Path(__file__).with_name("questions.toml")
Format = Literal["gift", "qti", "md"]
SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\~=#{}:"})
QTI = "http://www.imsglobal.org/xsd/ims_qtiasiv1p2"
CONTENT = "http://www.imsglobal.org/xsd/imscp_v1p1"
FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # of ZIP files; equal questions make equal files


@dataclass(frozen=True)
class Option:
    """An answer to choose, and what it shows about who chooses it."""

    text: str
    shows: str


@dataclass(frozen=True)
class Question:
    """A question with one right answer.

    Args:
        name: its name, which is unique.
        lesson: the notebook that answers it.
        asks: the question.
        right: the right answer; `shows` is the reason.
        wrong: the wrong answers.
    """

    name: str
    lesson: str
    asks: str
    right: Option
    wrong: tuple[Option, ...]

    @property
    def options(self) -> list[Option]:
        """All answers; the place of the right one depends on the name."""
        options = [*self.wrong]
        options.insert(crc32(self.name.encode()) % (len(options) + 1), self.right)
        return options


def read_questions(lessons: str = "") -> list[Question]:
    """The questions of the lessons whose names begin with `lessons`.

    Raises:
        FileError: if there are none.
    """
    every = [
        Question(
            one["name"],
            one["lesson"],
            one["asks"],
            Option(one["right"], one["because"]),
            tuple(Option(wrong["is"], wrong["shows"]) for wrong in one["wrong"]),
        )
        for one in tomllib.loads(QUESTIONS.read_text("utf-8"))["question"]
    ]
    found = [question for question in every if question.lesson.startswith(lessons)]
    if not found:
        names = ", ".join(dict.fromkeys(question.lesson for question in every))
        raise FileError(f"no questions of a lesson whose name starts with {lessons!r}; there are {names}")
    return found


def write_questions(path: str | Path, form: Format, questions: Sequence[Question]) -> None:
    """Write questions in a form. Equal questions make equal files."""
    content = qti(questions) if form == "qti" else {"gift": gift, "md": markdown}[form](questions).encode()
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def gift(questions: Sequence[Question]) -> str:
    """The questions as GIFT, a category for each lesson."""
    parts, lesson = [], ""
    for question in questions:
        if question.lesson != lesson:
            lesson = question.lesson
            parts.append(f"$CATEGORY: randprune/{lesson}\n")
        lines = [f"::{question.name.translate(SPECIAL)}::[plain]{question.asks.translate(SPECIAL)} {{"]
        for option in question.options:
            sign = "=" if option is question.right else "~"
            lines.append(f"\t{sign}{option.text.translate(SPECIAL)}#{option.shows.translate(SPECIAL)}")
        parts.append("\n".join([*lines, "}\n"]))
    return "\n".join(parts)


def markdown(questions: Sequence[Question]) -> str:
    """The questions as Markdown: first all questions, then all answers with what each wrong one shows."""
    sheet, answers = ["# Questions", ""], ["# Answers", ""]
    for number, question in enumerate(questions, start=1):
        letters = dict(zip("ABCDEFGH", question.options, strict=False))
        sheet += [f"**{number}.** {question.asks} *({question.lesson})*", ""]
        sheet += [*(f"- {letter}: {option.text}" for letter, option in letters.items()), ""]
        right = next(letter for letter, option in letters.items() if option is question.right)
        answers += [f"**{number}: {right}.** {question.right.shows}", ""]
        others = {letter: option for letter, option in letters.items() if letter != right}
        answers += [*(f"- {letter} shows: {option.shows}" for letter, option in others.items()), ""]
    return "\n".join(sheet + answers)


def qti(questions: Sequence[Question]) -> bytes:
    """The questions as the content of a ZIP file with QTI 1.2, one point each."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, root in {"imsmanifest.xml": _manifest(), "questions.xml": _assessment(questions)}.items():
            indent(root)
            text = b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, "utf-8")
            archive.writestr(zipfile.ZipInfo(name, FIRST_DAY), text, zipfile.ZIP_DEFLATED)
    return content.getvalue()


def _manifest() -> Element:
    root = Element("manifest", {"xmlns": CONTENT, "identifier": "randprune"})
    SubElement(root, "organizations")
    resources = SubElement(root, "resources")
    about = {"identifier": "questions", "type": "imsqti_xmlv1p2", "href": "questions.xml"}
    SubElement(SubElement(resources, "resource", about), "file", {"href": "questions.xml"})
    return root


def _assessment(questions: Sequence[Question]) -> Element:
    root = Element("questestinterop", {"xmlns": QTI})
    assessment = SubElement(root, "assessment", {"ident": "randprune", "title": "Randomized pruning"})
    section = SubElement(assessment, "section", {"ident": "root_section"})
    for question in questions:
        _item(section, question)
    return root


def _item(section: Element, question: Question) -> None:
    """An item: its kind and points, the question with its options, and for each option a score and a feedback."""
    item = SubElement(section, "item", {"ident": question.name, "title": question.name})
    about = SubElement(SubElement(item, "itemmetadata"), "qtimetadata")
    for label, entry in {"question_type": "multiple_choice_question", "points_possible": "1"}.items():
        field = SubElement(about, "qtimetadatafield")
        SubElement(field, "fieldlabel").text = label
        SubElement(field, "fieldentry").text = entry
    shown = SubElement(item, "presentation")
    _text(shown, question.asks)
    answer = SubElement(shown, "response_lid", {"ident": "response", "rcardinality": "Single"})
    choices = SubElement(answer, "render_choice")
    scores = SubElement(item, "resprocessing")
    score = {"varname": "SCORE", "vartype": "Decimal", "minvalue": "0", "maxvalue": "100"}
    SubElement(SubElement(scores, "outcomes"), "decvar", score)
    right = ""
    for number, option in enumerate(question.options, start=1):
        ident = f"option-{number}"
        right = ident if option is question.right else right
        _text(SubElement(choices, "response_label", {"ident": ident}), option.text)
        shows = SubElement(_condition(scores, ident, "Yes"), "displayfeedback")
        shows.attrib |= {"feedbacktype": "Response", "linkrefid": f"{ident}_fb"}
        feedback = SubElement(item, "itemfeedback", {"ident": f"{ident}_fb"})
        _text(SubElement(feedback, "flow_mat"), option.shows)
    won = SubElement(_condition(scores, right, "No"), "setvar", {"action": "Set", "varname": "SCORE"})
    won.text = "100"


def _condition(scores: Element, ident: str, goes_on: str) -> Element:
    """What happens if this option was chosen."""
    condition = SubElement(scores, "respcondition", {"continue": goes_on})
    SubElement(SubElement(condition, "conditionvar"), "varequal", {"respident": "response"}).text = ident
    return condition


def _text(parent: Element, text: str) -> None:
    SubElement(SubElement(parent, "material"), "mattext", {"texttype": "text/plain"}).text = text
