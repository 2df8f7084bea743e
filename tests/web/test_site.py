"""What `carmask export --to web` writes, and what it refuses; the page itself is tried in test_site_in_browser.py."""

import json
import re
import shutil

import pytest
import yaml
from conftest import save_balanced, tiny_network

from carmask.commands.export import main as export_command
from carmask.inference.loading import load_preprocessing
from carmask.tasks.mask_task import MaskTask
from carmask.web.site import CDN, PACKAGE, RUNTIME, page_settings, sha384

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tiny_mask_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sites") / "site"
    assert export_command([str(tiny_mask_model), str(folder), "--to", "web"]) == 0
    return folder


def settings_of(site):
    page = (site / "index.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="settings">(.*?)</script>', page, re.S)[1])


def test_the_site_loads_its_own_files_and_a_pinned_run_time_and_no_others(site):
    page = (site / "index.html").read_text(encoding="utf-8")
    assert "{{" not in page
    for name in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert name == "data:," or (site / name).is_file()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#x27;", "'")
    assert f"connect-src 'self' {CDN};" in policy
    assert policy.startswith("default-src 'none';")
    assert "@" in PACKAGE
    assert {CDN + name for name in RUNTIME} == {settings_of(site)[key]["url"] for key in ("code", "wasm")}


def test_each_file_of_the_network_is_named_with_its_size_and_sha384(site):
    content, stored = (site / "model.onnx").read_bytes(), settings_of(site)["model"]
    assert (stored["url"], stored["bytes"]) == ("model.onnx", len(content))
    assert stored["sha384"] == sha384(content)


def test_the_head_of_its_readme_makes_it_a_static_space_that_may_use_all_cores(site):
    _, head, text = (site / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    said = yaml.safe_load(head)
    assert (said["sdk"], said["app_file"], said["license"]) == ("static", "index.html", "other")
    assert {"title", "emoji", "colorFrom", "colorTo"} <= set(said)
    assert len(said["short_description"]) <= 60
    assert said["custom_headers"]["cross-origin-opener-policy"] == "same-origin"
    assert said["custom_headers"]["cross-origin-embedder-policy"] == "require-corp"
    assert "tiny-mask" in text


def test_the_page_knows_what_the_predictor_knows(tiny_mask_model):
    task = MaskTask(object=(0, 2), threshold=0.3, mirror=0.7, multiple=32, name="leaf")
    settings = page_settings(task, load_preprocessing(tiny_mask_model))
    assert settings["size"] == {"max_height": 64, "max_width": 64}
    for key in ("threshold", "mirror", "multiple", "name"):
        assert settings[key] == getattr(task, key)
    assert settings["object"] == [0, 2]


def test_an_object_of_any_name_stands_on_the_page_as_text(tmp_path):
    name = 'a "b" </script><i>&'
    model = save_balanced(tiny_network(labels=("background", name)), tmp_path / "model")
    assert export_command([str(model), str(tmp_path / "site"), "--to", "web"]) == 0
    assert settings_of(tmp_path / "site")["name"] == name
    assert "<i>" not in (tmp_path / "site/index.html").read_text(encoding="utf-8")
    _, head, _ = (tmp_path / "site/README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(head)["title"].startswith("A ")


def refused(capsys, *words):
    assert export_command(list(map(str, words))) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_what_cannot_become_a_site_is_refused_in_one_sentence_and_nothing_is_written(
    tiny_mask_model, dots_model, tmp_path, capsys
):
    assert "draws masks" in refused(capsys, dots_model, tmp_path / "site", "--to", "web")
    (tmp_path / "dist").mkdir()
    brought = ["--to", "web", "--self-contained", tmp_path / "dist"]
    assert f"npm pack {PACKAGE}" in refused(capsys, tiny_mask_model, tmp_path / "site", *brought)
    for name in RUNTIME:
        (tmp_path / "dist" / name).write_bytes(b"another version")
    assert "is not that of" in refused(capsys, tiny_mask_model, tmp_path / "site", *brought)
    shutil.copytree(tiny_mask_model, tmp_path / "many")
    file = tmp_path / "many/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"id2label": {"0": "cat", "1": "dog"}}))
    assert "no label named car" in refused(capsys, tmp_path / "many", tmp_path / "site", "--to", "web")
    nearest = shutil.copytree(tiny_mask_model, tmp_path / "nearest")
    file = nearest / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"resample": 0}))
    assert "resample" in refused(capsys, nearest, tmp_path / "site", "--to", "web")
    assert not (tmp_path / "site").exists()


def test_the_object_of_a_site_is_the_label_that_is_chosen(tmp_path):
    save_balanced(tiny_network(labels=("road", "car", "pole")), tmp_path / "many")
    site = tmp_path / "site"
    assert export_command([str(tmp_path / "many"), str(site), "--to", "web", "--object", "pole,road"]) == 0
    assert settings_of(site)["object"] == [0, 2]


@pytest.mark.parametrize("words", [["--to", "web", "--int8", "photos"], ["--to", "onnx", "--self-contained"]])
def test_options_of_another_kind_of_export_are_refused(tiny_mask_model, tmp_path, capsys, words):
    with pytest.raises(SystemExit):
        export_command([str(tiny_mask_model), str(tmp_path / "site"), *words])
    assert "--self-contained is for --to web" in capsys.readouterr().err
