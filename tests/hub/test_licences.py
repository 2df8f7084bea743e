import json

import pytest

from carmask.hub.licences import RESEARCH_ONLY, licence_of, origins

OTHER = "license: other\nlicense_name: nvidia-source-code-license-for-segformer\n"
LINK = "https://github.com/NVlabs/SegFormer/blob/master/LICENSE"
THEIRS = " Their terms hold for this model too."


def saved(folder, card=None, text="", **settings):
    """A model folder as far as its origin goes."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "segformer"} | settings))
    if card is not None:
        (folder / "README.md").write_text(f"---\n{card}---\n{text}")
    return str(folder)


@pytest.mark.parametrize(
    ("card", "text", "said", "licence"),
    [
        (OTHER, "", "licence other, nvidia-source-code-license-for-segformer", ("other", RESEARCH_ONLY)),
        (f"license: other\nlicense_link: {LINK}\n", "", f"licence other, {LINK}", ("other", RESEARCH_ONLY)),
        ("license: other\n", f"[The licence]({LINK})", "licence other, https://github.com", ("other", RESEARCH_ONLY)),
        ("license: mit\nbase_model: nvidia/mit-b0\n", "", "licence mit, from nvidia/mit-b0", ("other", RESEARCH_ONLY)),
        ("base_model:\n- nvidia/mit-b0\n", "", "no licence found, from nvidia/mit-b0", ("other", RESEARCH_ONLY)),
        ("license: apache-2.0\n", "", "licence apache-2.0", ("apache-2.0", THEIRS)),
        ("license: apache-2.0\nbase_model: a/b\n", LINK, "licence apache-2.0, from a/b", ("apache-2.0", THEIRS)),
        ("license: other\nlicense_name: for-my-friends\n", "", "licence other, for-my-friends", ("other", THEIRS)),
        ("license: of my own\n", "", "licence of my own", ("other", THEIRS)),
        ("license: [mit, apache-2.0]\n", "", "licence mit and apache-2.0", ("other", THEIRS)),
        ("license: [\n", "", "no licence found", ("other", THEIRS)),
        ("tags: [car]\n", "", "no licence found", ("other", THEIRS)),
        (None, "", "no licence found", ("other", THEIRS)),
    ],
)
def test_a_model_folder_has_the_licence_that_its_card_states(tmp_path, card, text, said, licence):
    start = saved(tmp_path / "start", card, text)
    (found,) = origins([start])
    assert found.startswith(f"{start} ({said}")
    assert licence_of([found]) == licence


def test_a_copy_without_a_card_that_names_its_source_is_known_by_it(tmp_path):
    found = origins([saved(tmp_path / "start", _name_or_path="nvidia/mit-b0")])
    assert found[0].endswith("(no licence found, from nvidia/mit-b0)")
    assert licence_of(found) == ("other", RESEARCH_ONLY)


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("models--nvidia--mit-b0/snapshots/4f3c", "nvidia/mit-b0@4f3c"),
        ("models--nvidia--mit-b0", "nvidia/mit-b0"),
    ],
)
def test_a_folder_of_the_cache_is_known_by_its_place(tmp_path, place, name):
    saved(tmp_path / place)
    (tmp_path / "start").symlink_to(tmp_path / place)
    for start in (tmp_path / place, tmp_path / "start"):
        assert origins([str(start)]) == [f"{name} (no licence found)"]
    assert licence_of([name]) == ("other", RESEARCH_ONLY)


def test_a_model_of_the_hub_has_the_licence_of_its_card_and_the_origin_of_its_configuration(tmp_path, monkeypatch):
    kept = tmp_path / "models--anna--start"
    saved(kept / "snapshots/4f3c", "license: mit\n", origin=["nvidia/mit-b0@77aa"])
    (kept / "refs").mkdir()
    (kept / "refs/main").write_text("4f3c")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = origins(["anna/start"])
    assert found == ["anna/start@4f3c (licence mit)", "nvidia/mit-b0@77aa"]
    assert licence_of(found) == ("other", RESEARCH_ONLY)


def test_what_a_model_goes_back_to_is_handed_on_as_it_was_stated(tmp_path):
    first = origins([saved(tmp_path / "first", OTHER)])
    second = saved(tmp_path / "second", "license: apache-2.0\n", origin=first)
    assert origins([second]) == first


@pytest.mark.parametrize(
    ("starts", "licence"),
    [
        (["efficientnet-lite0", "scratch-b0"], "apache-2.0"),
        (["anna/start (licence apache-2.0)", "scratch-b0"], "apache-2.0"),
        (["anna/start (licence mit)", "bert/start (licence mit, from a/b)"], "mit"),
        (["anna/start (licence mit)", "bert/start (licence apache-2.0)"], "other"),
        (["anna/start (licence mit)", "bert/start"], "other"),
    ],
)
def test_starts_with_one_licence_hand_it_on(starts, licence):
    assert licence_of(starts)[0] == licence
