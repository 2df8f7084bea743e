import datasets
import pytest

from carmask.hub.model_card import grouping_words, score_table

SCORES = {"iou": 0.8, "iou_low": 0.7, "iou_high": 0.9}


@pytest.mark.parametrize(
    ("more", "cell"),
    [
        ({}, "0.8000 (0.700–0.900)"),
        ({"few_groups": 3.0}, "(0.700–0.900 in 3 groups)"),
        ({"few_groups": 1.0}, "(one group)"),
    ],
)
def test_a_card_tells_an_interval_from_what_a_few_films_scored(more, cell):
    assert cell in score_table({"films": SCORES | more, "all": {"iou": 0.8}})


@pytest.mark.parametrize(
    ("grouped_by", "groups", "said"),
    [
        ("2 films of numbered names", "aabb", "told by 2 films of numbered names."),
        ("", "aabb", "told by the column group of the data set."),
        ("looks", "aabcde", "told by looks. Nothing told it of most, so these scores hold"),
        (
            "the pattern (.+) in their names",
            "abcd",
            "Nothing told which pictures belong together, so these scores hold",
        ),
        ("", "abcd", "these scores hold for pictures like these only"),
        ("", None, "these scores hold for pictures like these only"),
    ],
)
def test_a_card_says_by_what_the_pictures_were_grouped_or_that_nothing_told(grouped_by, groups, said):
    columns = {"image": [0] * len(groups or "abcd")} | ({"group": list(groups)} if groups else {})
    assert said in grouping_words(grouped_by, datasets.Dataset.from_dict(columns))
