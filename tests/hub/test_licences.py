import json

import pytest

from carmask.hub.licences import RESEARCH_ONLY, licence_of, origins
from carmask.networks.fetching import fetch

OTHER = "license: other\nlicense_name: nvidia-source-code-license-for-segformer\n"
LINK = "https://github.com/NVlabs/SegFormer/blob/master/LICENSE"
THEIRS = " The terms of what it was trained from hold for this model too."


def saved(folder, card=None, text="", **settings):
    """A model folder as far as its origin goes."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "segformer"} | settings))
    if card is not None:
        (folder / "README.md").write_text(f"---\n{card}---\n{text}")
    return str(folder)


@pytest.mark.parametrize(
    ("card", "text", "licence"),
    [
        (OTHER, "", ("other", RESEARCH_ONLY)),
        (f"license: other\nlicense_link: {LINK}\n", "", ("other", RESEARCH_ONLY)),
        ("license: other\n", f"[The licence]({LINK})", ("other", RESEARCH_ONLY)),
        ("license: mit\nbase_model: nvidia/mit-b0\n", "", ("other", RESEARCH_ONLY)),
        ("license: apache-2.0\n", "", ("other", THEIRS)),
        ("license: [\n", "", ("other", THEIRS)),
        (None, "", ("other", THEIRS)),
    ],
)
def test_a_model_from_elsewhere_hands_its_terms_on_and_those_of_nvidia_are_named(tmp_path, card, text, licence):
    assert licence_of(origins([saved(tmp_path / "start", card, text)])) == licence


def test_a_copy_without_a_card_that_names_its_source_is_known_by_it(tmp_path):
    found = origins([saved(tmp_path / "start", _name_or_path="nvidia/mit-b0")])
    assert licence_of(found) == ("other", RESEARCH_ONLY)


@pytest.mark.parametrize(
    ("place", "name"),
    [("models--nvidia--mit-b0/snapshots/4f3c", "nvidia/mit-b0@4f3c"), ("models--nvidia--mit-b0", "nvidia/mit-b0")],
)
def test_a_folder_of_the_cache_is_known_by_its_place(tmp_path, place, name):
    saved(tmp_path / place)
    (tmp_path / "start").symlink_to(tmp_path / place)
    for start in (tmp_path / place, tmp_path / "start"):
        assert origins([str(start)]) == [name]
    assert licence_of([name]) == ("other", RESEARCH_ONLY)


def test_a_model_of_the_hub_has_its_revision_and_the_origin_of_its_configuration(tmp_path, monkeypatch):
    kept = tmp_path / "models--anna--start"
    saved(kept / "snapshots/4f3c", "license: mit\n", origin=["nvidia/mit-b0@77aa"])
    (kept / "refs").mkdir()
    (kept / "refs/main").write_text("4f3c")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    (kept / "snapshots/4f3c/model.safetensors").touch()
    found = origins([str(fetch("anna/start"))])
    assert found == ["anna/start@4f3c", "nvidia/mit-b0@77aa"]
    assert licence_of(found) == ("other", RESEARCH_ONLY)


def test_what_a_model_goes_back_to_is_handed_on_as_it_was_stated(tmp_path):
    first = origins([saved(tmp_path / "first", OTHER)])
    second = saved(tmp_path / "second", "license: apache-2.0\n", origin=first)
    assert origins([second]) == first


def test_initial_weights_of_our_own_are_free():
    assert licence_of(["efficientnet-lite0", "scratch-b0"]) == ("apache-2.0", "")
