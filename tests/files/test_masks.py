"""The laws of masks: every encoding of one mask is the same mask, and nobody guesses which value is the object."""

import numpy as np
import pytest
from made_up import car_mask, picture
from PIL import Image

from carmask.errors import DataError, PictureError
from carmask.files.mask_levels import mask_levels, open_mask, values_of
from carmask.files.mask_questions import question
from carmask.files.mask_rule import NATIVE
from carmask.files.masks import MaskOptions, decide

TRUTH = np.asarray(car_mask())
IS_CAR = TRUTH > 0


def palette(colours, indices=IS_CAR):
    mask = Image.fromarray(np.asarray(indices, np.uint8), "P")
    mask.putpalette([channel for colour in colours for channel in colour])
    return mask


def cut_out():
    mask = picture().convert("RGBA")
    mask.putalpha(Image.fromarray(np.where(IS_CAR, 255, 40).astype(np.uint8)))
    return mask


def levels(mask):
    return mask_levels(mask if isinstance(mask, Image.Image) else Image.fromarray(mask))


def read(masks, **said):
    """The masks of a set, as they are read."""
    masks = [levels(mask) for mask in masks]
    options = MaskOptions(**{key: frozenset(v) if isinstance(v, set) else v for key, v in said.items()})
    rule = decide(map(values_of, masks), options, "leaf")
    return [rule.mask(mask) for mask in masks]


ENCODINGS = {
    "0 and 255": car_mask(),
    "0 and 1": car_mask(1),
    "1 bit": car_mask(1, "1"),
    "16 bits": TRUTH.astype(np.uint16) * 257,
    "32 bits": IS_CAR.astype(np.int32),
    "floats from 0 to 1": IS_CAR.astype(np.float32),
    "grey saved as colours": car_mask((255, 255, 255), "RGB"),
    "a colour on black": car_mask((200, 30, 90), "RGB"),
    "a class in the red channel": car_mask((10, 0, 0), "RGB"),
    "opaque, with alpha": car_mask((255, 255, 255), "RGB").convert("RGBA"),
    "a cut-out": cut_out(),
    "a black shape on nothing": Image.fromarray(np.dstack([np.zeros((*TRUTH.shape, 3), np.uint8), TRUTH])),
    "index 1 of VOC's palette": palette([(0, 0, 0), (128, 0, 0)]),
    "index 7 of VOC's palette": palette([(0, 0, 0)] * 7 + [(128, 128, 128)], IS_CAR * 7),
    "a palette of white and black": palette([(255, 255, 255), (0, 0, 0)], ~IS_CAR),
    "a palette without colours": palette([(7, 7, 7)] * 2),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_of_a_mask_is_the_same_mask(encoding):
    assert np.array_equal(read([ENCODINGS[encoding]])[0], TRUTH)


@pytest.mark.parametrize("array", [IS_CAR, IS_CAR.astype(np.int64), IS_CAR[None], TRUTH[..., None] / 255.0])
def test_an_array_of_numpy_is_a_mask_too(array, tmp_path):
    np.save(tmp_path / "a.npy", array)
    mask = open_mask(tmp_path / "a.npy")
    assert np.array_equal(decide([values_of(mask)], MaskOptions(), "leaf").mask(mask), TRUTH)


@pytest.mark.parametrize("array", [np.zeros(5), np.zeros((2, 3, 4, 5)), np.array([["a"]]), np.full((4, 4), np.nan)])
def test_an_array_that_is_no_mask_is_refused_in_one_sentence(array, tmp_path):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(PictureError, match=r"^[^\n]+\.$"):
        open_mask(tmp_path / "a.npy")


def values(*there):
    return np.array(there * 30, np.uint8).reshape(-1, len(there))


@pytest.mark.parametrize(
    ("masks", "asks", "said", "objects"),
    [
        ([(0, 1), (0, 255)], "--object leaf=1, and if 255 is not judged", {"objects": {1}, "not_judged": {255}}, {1}),
        ([(1, 2), (1, 1)], "--object leaf=2", {"objects": {2}}, {2}),
        ([(0, 1), (0, 2), (0, 1, 2)], "--object leaf=1", {"objects": {1}}, {1}),
        ([(0, 7, 255)], "--object leaf=7", {"objects": {7}, "not_judged": {255}}, {7}),
        ([(0, 128, 255)], "--not-judged 128", {"objects": {255}, "not_judged": {128}}, {255}),
        ([(7, 7)], "--object leaf=", {"objects": {7}}, {7}),
        ([tuple(range(0, 250, 5))], "--threshold 128", {"threshold": 128}, set(range(130, 250, 5))),
        ([(0, 3, 4)], "--object leaf=3", {"above": 2}, {3, 4}),
        ([(0, 255)], None, {"invert": True}, {0}),
        ([(0, 9, 12)], "--object-above 0", {"above": 0}, {9, 12}),
    ],
)
def test_where_two_values_may_be_the_object_the_question_names_the_option_that_answers_it(masks, asks, said, objects):
    arrays = [values(*there) for there in masks]
    if asks:
        with pytest.raises(DataError, match=asks):
            read(arrays)
    void = list(said.get("not_judged", ()))
    for array, mask in zip(arrays, read(arrays, **said), strict=True):
        assert np.array_equal(mask == 255, np.isin(array, list(objects)))
        assert np.array_equal(mask == 128, np.isin(array, void))


def quantised(order):
    """A mask in colours whose palette has them in some order, as tools that reduce colours write it."""
    colours = {"yellow": (255, 255, 0), "black": (0, 0, 0)}
    return palette([colours[name] for name in order], np.where(IS_CAR, order.index("yellow"), order.index("black")))


def test_indices_of_palettes_that_differ_say_nothing_and_colours_count():
    for order in (["yellow", "black"], ["black", "yellow"]):
        assert np.array_equal(read([quantised(order)])[0], TRUTH)
    masks = read([quantised(["yellow", "black"]), quantised(["black", "yellow"])])
    assert all(np.array_equal(mask, TRUTH) for mask in masks)
    mixed = [palette([(0, 0, 0)] * 7 + [(128, 128, 128)], IS_CAR * 7), car_mask((128, 128, 128), "RGB")]
    assert all(np.array_equal(mask, TRUTH) for mask in read(mixed, colours={0x808080}))


def test_whole_floats_are_classes_and_fractions_are_shades():
    classes = [IS_CAR.astype(np.float32), IS_CAR * np.float32(2)]
    assert np.array_equal(read(classes, objects={1})[0], TRUTH)
    assert not read(classes, objects={1})[1].any()
    soft = [IS_CAR * np.float32(0.9), IS_CAR.astype(np.float32), TRUTH, TRUTH.astype(np.uint16) * 257]
    assert all(np.array_equal(mask, TRUTH) for mask in read(soft, threshold=128))


def test_shapes_of_two_colours_on_nothing_are_classes_and_a_photo_on_nothing_is_a_cut_out():
    shapes = np.zeros((*TRUTH.shape, 4), np.uint8)
    shapes[IS_CAR] = (255, 0, 0, 255)
    shapes[:5, :5] = (0, 0, 255, 255)
    mask = Image.fromarray(shapes)
    with pytest.raises(DataError, match="--object-colour"):
        read([mask])
    assert np.array_equal(read([mask], colours={0xFF0000})[0], TRUTH)
    nothing = Image.new("RGBA", mask.size)
    assert [one.any() for one in read([cut_out(), nothing])] == [True, False]


def test_many_classes_on_nothing_are_asked_about_and_half_transparent_paint_as_well():
    shapes = np.zeros((*TRUTH.shape, 4), np.uint8)
    shapes[IS_CAR] = (255, 0, 0, 255)
    shapes[0, :12] = [(9 * number, 99, 200, 255) for number in range(12)]
    with pytest.raises(DataError, match="--object-colour"):
        read([Image.fromarray(shapes)])
    assert np.array_equal(read([Image.fromarray(shapes)], colours={0xFF0000})[0], TRUTH)
    shapes[..., 3] //= 2
    with pytest.raises(DataError, match="--threshold 64"):
        read([Image.fromarray(shapes)])
    shapes[0, :12] = 0
    assert np.array_equal(read([Image.fromarray(shapes)], threshold=64)[0], TRUTH)


def test_colours_have_no_threshold_and_a_colour_may_be_not_judged():
    mask = car_mask((250, 50, 83), "RGB")
    mask.paste((224, 224, 192), (0, 0, 5, 5))
    with pytest.raises(PictureError, match="a threshold is for grey"):
        read([mask], threshold=128)
    with pytest.raises(DataError, match="--not-judged-colour"):
        read([mask], colours={0xFA3253}, not_judged={255})
    judged = read([mask], colours={0xFA3253}, not_judged_colours={0xE0E0C0})[0]
    assert (judged[:5, :5] == 128).all()
    assert np.array_equal(judged == 255, IS_CAR)


def test_a_stray_value_is_named_with_its_file():
    arrays = [values(0, 255)] * 30 + [values(0, 254, 255)]
    summaries = [values_of(levels(array), f"{number}.png") for number, array in enumerate(arrays)]
    with pytest.raises(DataError, match=r"254 in 30\.png"):
        decide(summaries, MaskOptions(), "leaf")


def test_of_many_colours_one_is_the_object_when_it_is_named():
    mask = car_mask((250, 50, 83), "RGB")
    mask.paste((51, 221, 255), (0, 0, 5, 5))
    with pytest.raises(DataError, match="51,221,255; 250,50,83|--object-colour"):
        read([mask])
    with pytest.raises(DataError, match="--object-colour, not by a number"):
        read([mask], objects={1})
    assert np.array_equal(read([mask], colours={0xFA3253})[0], TRUTH)
    assert np.array_equal(read([mask], listed_colours={0xFA3253})[0], TRUTH)


def test_a_value_that_no_mask_has_is_refused_with_those_that_are_there():
    with pytest.raises(DataError, match="No mask has 13; they have 40 and 200"):
        read([values(40, 200)], objects={13})


def test_brightness_of_sixteen_bits_is_no_number_of_a_class():
    arrays = [IS_CAR.astype(np.uint16) * white for white in (1, 255, 1000, 65535)]
    assert all(np.array_equal(mask, TRUTH) for mask in read(arrays))


def test_a_mask_with_a_value_that_the_rule_does_not_know_is_refused():
    with pytest.raises(PictureError, match="it has the value 3"):
        NATIVE.mask(levels(values(0, 3)))


@pytest.mark.parametrize(("values", "named"), [({0, 1, 2}, True), ({1, 2}, False), ({-1, 0, 1, 2}, False)])
def test_all_but_0_is_proposed_only_where_that_leaves_background(values, named):
    assert ("--object-above 0" in question(frozenset(values), False, "car", {})) == named


def test_white_is_the_same_in_all_masks_of_more_than_8_bits(tmp_path):
    soft = np.where(IS_CAR, 60000, 200).astype(np.uint16)
    masks = [soft, np.full_like(soft, 200), np.where(IS_CAR, 255, 0).astype(np.uint8)]
    for found, truth in zip(read(masks, threshold=128), (TRUTH, np.zeros_like(TRUTH), TRUTH), strict=True):
        assert np.array_equal(found, truth)


def test_a_name_in_a_list_of_classes_is_looked_up_by_its_colour_also_in_a_palette():
    bus = palette([(0, 0, 0), (250, 50, 83), (0, 9, 9)], IS_CAR * 2)
    with pytest.raises(DataError, match="No mask has"):
        read([bus], listed_colours={0xFA3253})
    assert np.array_equal(read([bus], listed_colours={0x000909})[0], TRUTH)


@pytest.mark.parametrize("said", [{"above": 0}, {"not_judged": {1}}])
def test_numbers_of_a_person_are_indices_also_beside_a_list_of_classes(said):
    masks = [palette([(0, 0, 0), (250, 50, 83), (0, 9, 9)], IS_CAR * 2)]
    assert np.array_equal(read(masks, listed_colours={0x000909}, **said)[0], TRUTH)


def test_a_mask_of_another_white_than_that_of_the_set_is_refused():
    with pytest.raises(PictureError, match="save it as 8-bit PNG"):
        read([IS_CAR.astype(np.uint16) * 65535, IS_CAR.astype(np.uint16) * 255], threshold=128)
