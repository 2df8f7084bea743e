"""The site of `carmask export --to web` in headless Chromium: `carmask predict`'s masks, and how a person uses it."""

import base64
import io
import shutil

import numpy as np
import pytest
from browsing import running_browser
from conftest import drawn_car, save_balanced, tiny_network
from PIL import Image
from playwright.sync_api import Error, expect
from serving import ROOT
from static_site import as_mask, await_network, downloaded, give, npm_runtime, opened_site, saved_masks, served_site

from benchmarks.web import ISOLATION
from carmask import Predictor
from carmask.commands.export import main as export_command
from carmask.files.pictures import open_picture, open_reduced
from carmask.web.site import COPIED, RUNTIME

pytestmark = pytest.mark.slow

EQUAL = 0.999  # of the pixels of a mask


@pytest.fixture(scope="module")
def runtime():
    return npm_runtime()


@pytest.fixture(scope="module")
def browser(runtime):
    with running_browser() as one:
        yield one


def site_of(model, folder, *words):
    assert export_command([str(model), str(folder), "--to", "web", *map(str, words)]) == 0
    return folder


@pytest.fixture(scope="module")
def site(runtime, tiny_mask_model, tmp_path_factory):
    return site_of(tiny_mask_model, tmp_path_factory.mktemp("sites") / "site", "--self-contained", runtime)


@pytest.fixture
def page(browser, site):
    with served_site(site) as address, opened_site(browser, address) as opened:
        yield opened


def draw_files(folder, count=20, size=(96, 128)):
    """Picture files of every format and mode that both browsers and Pillow read, each of another size."""
    kinds = [
        ("RGB", "png"), ("L", "png"), ("RGBA", "png"), ("P", "png"), ("LA", "png"), ("1", "png"), ("RGB", "jpg"),
        ("L", "jpg"), ("RGB", "webp"), ("RGBA", "webp"), ("P", "gif"), ("RGB", "bmp"),
    ]  # fmt: skip
    paths = []
    for index in range(count):
        mode, ending = kinds[index % len(kinds)]
        picture = drawn_car((size[0] + 7 * index, size[1] + 5 * index), seed=index)[0]
        if mode in ("RGBA", "LA"):
            picture.putalpha(Image.linear_gradient("L").resize(picture.size))
        lossless = {"lossless": True, "exact": True} if ending == "webp" else {}
        paths.append(folder / f"{index}.{ending}")
        picture.convert(mode).save(paths[-1], **lossless)
    return paths


def predicted(model, path, threshold=None):
    """The mask that `carmask predict` writes."""
    predictor = Predictor.from_pretrained(model)
    opened, size = open_reduced(path, predictor.seen_size)
    return (predictor.with_threshold(threshold) if threshold else predictor)(opened, size)


def check_masks(page, model, paths):
    assert not [line for line in give(page, *paths) if " s" not in line]
    for path, (name, mask) in zip(paths, saved_masks(page).items(), strict=True):
        wanted = predicted(model, path)
        assert name == f"{path.stem}_mask.png"
        assert mask.shape == wanted.shape
        assert set(np.unique(mask)) <= {0, 255}
        assert (mask == wanted).mean() >= EQUAL, path.name


@pytest.mark.parametrize("name", ["segformer", "fcn", "unet"])
@pytest.mark.parametrize("labels", [("background", "car"), ("road", "car", "tree")])
def test_any_network_gives_the_masks_of_carmask_predict(browser, runtime, name, labels, tmp_path):
    network = tiny_network(name, labels=labels, mirror=0.7, threshold=0.6).half().float()
    model = save_balanced(network, tmp_path / "model")
    site = site_of(model, tmp_path / "site", "--self-contained", runtime)
    with served_site(site) as address, opened_site(browser, address) as page:
        check_masks(page, model, draw_files(tmp_path))


@pytest.mark.parametrize("model", ["car-mask-fcn", "car-mask-b0"])
def test_an_embedded_model_gives_the_masks_of_carmask_predict(browser, runtime, model, tmp_path):
    site = site_of(ROOT / "models" / model, tmp_path / "site", "--self-contained", runtime)
    with served_site(site, ISOLATION) as address, opened_site(browser, address) as page:
        assert page.evaluate("crossOriginIsolated")
        check_masks(page, ROOT / "models" / model, sorted((ROOT / "examples").glob("*.jpg")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_upright_and_its_mask_has_its_name_and_size(page, tiny_mask_model, orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "my holiday é.v2.jpg"
    drawn_car()[0].save(path, exif=exif, quality=95)
    give(page, path)
    name, content = downloaded(page, "#save-mask")
    assert name == "my holiday é.v2_mask.png"
    assert (as_mask(content) == predicted(tiny_mask_model, path)).mean() >= EQUAL


def test_pictures_of_one_name_get_masks_of_two_names(page, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        drawn_car()[0].save(tmp_path / folder / "car.png")
    give(page, tmp_path / "a/car.png", tmp_path / "b/car.png")
    assert [*saved_masks(page)] == ["car_mask.png", "car_2_mask.png"]


def half_of(kind):
    store = io.BytesIO()
    drawn_car((480, 640))[0].save(store, kind)
    return store.getvalue()[: len(store.getvalue()) // 2]


def whole(kind):
    store = io.BytesIO()
    drawn_car()[0].save(store, kind)
    return store.getvalue()


ODD = {
    "words.txt": (b"no picture at all", "not a picture"),
    "empty.png": (b"", "empty"),
    "half.jpg": (half_of("JPEG"), "damaged or incomplete"),
    "half.png": (half_of("PNG"), "damaged or incomplete"),
    "half.webp": (half_of("WEBP"), "damaged or incomplete"),
    "drawing.svg": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    "photo.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    "scan.tiff": (whole("TIFF"), "TIFF"),
}


def test_odd_files_are_refused_in_a_sentence_and_the_others_have_masks(page, tmp_path):
    for name, (content, _) in ODD.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "car.png").write_bytes(whole("PNG") + bytes(100))  # as some phones leave behind the end
    lines = give(page, *(tmp_path / name for name in ODD), tmp_path / "car.png")
    for line, (_, words) in zip(lines, ODD.values(), strict=False):
        assert words in line
        assert line.count(".") == 1
    assert lines[-1].endswith(" s")
    expect(page.locator("#line")).to_have_text(f"1 of {len(ODD) + 1} pictures have a mask.")


def test_the_threshold_is_moved_by_keyboard_and_holds_for_all_that_is_saved(page, tiny_mask_model, tmp_path):
    path = tmp_path / "car.png"
    drawn_car()[0].save(path)
    give(page, path)
    slider = page.get_by_label("Threshold")
    for key, threshold in (("End", 0.99), ("Home", 0.01), ("ArrowRight", 0.02)):
        slider.press(key)
        expect(page.locator("#level")).to_have_text(f"{threshold:.2f}")
        wanted = predicted(tiny_mask_model, path, threshold)
        assert (as_mask(downloaded(page, "#save-mask")[1]) == wanted).mean() >= EQUAL
    name, content = downloaded(page, "#save-cut")
    cut = np.array(Image.open(io.BytesIO(content)))
    assert name == "car_cutout.png"
    assert (cut[..., 3] == wanted).mean() >= EQUAL
    seen = cut[..., 3] == 255
    assert np.array_equal(cut[..., :3][seen], np.array(open_picture(path))[seen])
    page.click("#reset")
    expect(page.locator("#level")).to_have_text("0.50")


def test_the_second_visit_needs_no_connection_and_loads_nothing_again(browser, site, tmp_path):
    drawn_car()[0].save(tmp_path / "car.png")
    asked = []
    with served_site(site, asked=asked) as address, opened_site(browser, address) as page:
        page.evaluate("navigator.serviceWorker.ready.then(() => new Promise(done => setTimeout(done, 500)))")
        asked.clear()
        page.reload()
        await_network(page)
        assert not {"/model.onnx", *(f"/{name}" for name in RUNTIME)} & {*asked}
        assert page.evaluate("crossOriginIsolated")  # by the service worker, so that all cores are used
        page.context.set_offline(True)
        asked.clear()
        page.reload()
        await_network(page)
        assert give(page, tmp_path / "car.png")[0].endswith(" s")
        assert {*asked} <= {"/sw.js"}  # Chromium looks for a new one in spite of it


@pytest.mark.parametrize("change", [b"", b"//"])
def test_the_run_time_of_the_cdn_is_taken_only_if_it_is_the_pinned_one(
    browser, runtime, tiny_mask_model, tmp_path, monkeypatch, change
):
    drawn_car()[0].save(tmp_path / "car.png")
    for name in RUNTIME:
        (tmp_path / "cdn").mkdir(exist_ok=True)
        (tmp_path / "cdn" / name).write_bytes(change + (runtime / name).read_bytes()[len(change) :])
    with served_site(tmp_path / "cdn", {"Access-Control-Allow-Origin": "*"}) as cdn:
        monkeypatch.setattr("carmask.web.site.CDN", cdn)
        site = site_of(tiny_mask_model, tmp_path / "site")
        with served_site(site, ISOLATION) as address:
            page = browser.new_page()
            page.goto(address)
            if change:
                expect(page.locator("#line")).to_contain_text("is not the one this page was made with")
            else:
                await_network(page)
                assert give(page, tmp_path / "car.png")[0].endswith(" s")
            page.context.close()


def test_no_picture_leaves_the_machine_and_none_could(browser, site, tmp_path):
    drawn_car()[0].save(tmp_path / "car.png")
    asked, elsewhere = [], []
    with (
        served_site(site, asked=asked) as address,
        served_site(tmp_path, asked=elsewhere) as foreign,
        opened_site(browser, address) as page,
    ):
        asked.clear()
        give(page, tmp_path / "car.png")
        downloaded(page, "#save-mask")
        assert not {*asked} - {"/sw.js", *(f"/{name}" for name in ("", *COPIED))}  # the service worker keeps them
        for place in (page, page.workers[0]):
            with pytest.raises(Error, match="Failed to fetch"):
                place.evaluate("address => fetch(address, {method: 'POST', body: 'pixels', mode: 'no-cors'})", foreign)
        assert not elsewhere


def test_pictures_come_by_drop_clipboard_and_camera(page):
    for event, field in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        page.evaluate(
            """([event, field, content]) => {
                const bytes = Uint8Array.from(atob(content), letter => letter.charCodeAt(0));
                const data = new DataTransfer();
                data.items.add(new File([bytes], `${event}.png`, {type: "image/png"}));
                const given = event === "drop"
                    ? new DragEvent(event, {dataTransfer: data}) : new ClipboardEvent(event, {clipboardData: data});
                dispatchEvent(given);
            }""",
            [event, field, base64.b64encode(whole("PNG")).decode()],
        )
        expect(page.locator("#list b").last).to_have_text(f"{event}.png")
    page.context.grant_permissions(["camera"])
    page.click("#camera")
    page.click("#take")
    expect(page.locator("#list b")).to_have_count(3)
    expect(page.locator("#list").get_by_text("waiting", exact=True)).to_have_count(0)
    assert all(line.endswith(" s") for line in page.locator("#list span").all_inner_texts())
    expect(page.locator("#shoot")).to_be_hidden()


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_everything_is_named_and_legible_in_light_and_dark_on_a_phone_too(browser, site, mode, width, tmp_path):
    size = {"width": width, "height": 844}
    with served_site(site) as address, opened_site(browser, address, viewport=size, color_scheme=mode) as page:
        drawn_car()[0].save(tmp_path / "car.png")
        (tmp_path / "words.txt").write_text("no picture")
        give(page, tmp_path / "car.png", tmp_path / "words.txt")
        assert page.evaluate((ROOT / "tests/contrast.js").read_text()) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for role, name in (("img", "The mask of car.png"), ("slider", "Threshold"), ("button", "Save the mask")):
            assert page.get_by_role(role, name=name).is_visible()
        assert page.get_by_role("status").inner_text()
        page.locator("#files").focus()
        stops = []
        for _ in range(8):
            stops.append(page.evaluate("document.activeElement.id || document.activeElement.innerText"))
            page.keyboard.press("Tab")
        assert stops[:7] == ["files", "camera", "threshold", "reset", "save-mask", "save-cut", stops[6]]
        assert stops[6].startswith("car.png")


def test_a_site_that_lacks_its_network_says_so(browser, site, tmp_path):
    shutil.copytree(site, tmp_path / "site")
    (tmp_path / "site/model.onnx").unlink()
    with served_site(tmp_path / "site") as address:
        page = browser.new_page()
        page.goto(address)
        expect(page.locator("#line")).to_contain_text("model.onnx cannot be loaded; check the connection")
        page.close()
