import csv
import io
import re

import pytest

from carmask.files.tables import as_csv
from carmask.tasks.dot_files import dots_as_csv
from carmask.tasks.dots_task import Dot


@pytest.mark.parametrize(
    "name", ["=1+1.png", "+1.png", "-1.png", "@SUM(A1).png", "\t=1.png", "\r=1.png", "\n=1.png", "\n\r =1.png"]
)
def test_no_file_name_becomes_a_formula(name):
    for text in (as_csv(["file", "share"], [[name, -0.5]]), dots_as_csv([(name, [Dot(name, -0.5, None, 1.0)])])):
        _, (cell, *rest) = csv.reader(io.StringIO(text, newline=""))
        assert cell == "'" + re.sub(r"\s", " ", name)
        assert "-0.5" in rest


def test_other_names_and_numbers_stay_as_they_are():
    text = as_csv(["file", "share"], [["a=b, c.png", -0.5], ["Köln 'x'.png", None]])
    assert list(csv.reader(io.StringIO(text)))[1:] == [["a=b, c.png", "-0.5"], ["Köln 'x'.png", ""]]
