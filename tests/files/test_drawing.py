import numpy as np
import pytest
from PIL import Image

from carmask.files.drawing import contact_sheet, cut_out, overlay_mask


@pytest.fixture
def grey_picture():
    return Image.new("L", (90, 60), 120)


@pytest.fixture
def square_mask():
    mask = np.zeros((60, 90), np.uint8)
    mask[20:40, 30:60] = 255
    return mask


def test_overlay_changes_the_masked_pixels_and_no_other(grey_picture, square_mask):
    laid = np.asarray(overlay_mask(grey_picture, square_mask))
    changed = (laid != 120).any(axis=-1)
    assert (changed == (square_mask == 255)).all()


def test_overlay_has_a_wash_inside_and_the_plain_colour_on_its_border(grey_picture, square_mask):
    laid = overlay_mask(grey_picture, square_mask, colour=(255, 0, 0), opacity=0.5)
    assert laid.getpixel((30, 20)) == (255, 0, 0)
    assert laid.getpixel((45, 30)) == pytest.approx((187, 60, 60), abs=2)


def test_an_empty_mask_leaves_the_picture_and_a_full_mask_has_no_border(grey_picture):
    empty, full = (np.full((60, 90), value, np.uint8) for value in (0, 255))
    assert overlay_mask(grey_picture, empty).tobytes() == grey_picture.convert("RGB").tobytes()
    assert len(overlay_mask(grey_picture, full).getcolors()) == 1


def test_array_and_picture_masks_mean_the_same(grey_picture, square_mask):
    laid = [overlay_mask(grey_picture, mask) for mask in (square_mask, Image.fromarray(square_mask))]
    assert laid[0].tobytes() == laid[1].tobytes()


def test_cut_out_keeps_the_object_and_forgets_the_rest(grey_picture, square_mask):
    cut = np.asarray(cut_out(grey_picture, square_mask))
    assert (cut[..., 3] == square_mask).all()
    assert (cut[square_mask == 0] == 0).all()
    assert (cut[square_mask == 255] == (120, 120, 120, 255)).all()


def test_a_cut_out_is_as_opaque_as_asked_and_keeps_its_colours(grey_picture, square_mask):
    alpha = square_mask // 3
    cut = np.asarray(cut_out(grey_picture, alpha))
    assert np.array_equal(cut[..., 3], alpha)
    assert (cut[alpha > 0][:, :3] == 120).all()
    assert not cut[alpha == 0].any()


def test_a_cut_out_lies_on_the_ground_that_is_given(grey_picture, square_mask):
    alpha = square_mask // 3
    cut = np.asarray(cut_out(grey_picture, alpha, Image.new("RGB", grey_picture.size, (0, 60, 240))))
    expected = np.where(alpha[..., None] > 0, [40, 80, 200], [0, 60, 240])  # a third of 120, two thirds of the ground
    assert np.array_equal(cut, expected)


@pytest.mark.parametrize("function", [overlay_mask, cut_out])
def test_a_mask_of_another_size_is_refused(function, grey_picture):
    with pytest.raises(ValueError, match="mask has shape"):
        function(grey_picture, np.zeros((90, 60), np.uint8))


def test_a_contact_sheet_shows_every_picture_undistorted():
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 0)]
    sheet = contact_sheet([Image.new("RGB", (200, 100), colour) for colour in colours], columns=3, tile=40)
    seen = {colour: count for count, colour in sheet.getcolors(1 << 16)}
    assert [seen[colour] for colour in colours] == [40 * 20] * 4


def test_a_contact_sheet_with_captions_is_taller_and_takes_long_captions():
    pictures = [Image.new("L", (50, 80))] * 2
    plain, captioned = contact_sheet(pictures), contact_sheet(pictures, ["short", "long " * 100])
    assert captioned.width == plain.width
    assert captioned.height > plain.height


def test_a_contact_sheet_refuses_no_pictures_and_missing_captions():
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
    with pytest.raises(ValueError, match="captions"):
        contact_sheet([Image.new("L", (8, 8))], ["a", "b"])
