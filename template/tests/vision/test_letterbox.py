"""Tests of fitting pictures into a model's input and mapping boxes back."""

import numpy as np
import pytest

from app.vision.letterbox import Size, fit

INTO = Size(192, 160)


@pytest.mark.parametrize(
    "picture", [Size(640, 480), Size(480, 640), Size(192, 160), Size(3, 5), Size(1, 9000), Size(9000, 1)]
)
def test_a_picture_lies_inside_and_touches_two_sides(picture: Size) -> None:
    box = fit(picture, INTO)
    assert 1 <= box.scaled.width <= INTO.width
    assert 1 <= box.scaled.height <= INTO.height
    assert box.scaled.width == INTO.width or box.scaled.height == INTO.height
    assert 0 <= box.left <= INTO.width - box.scaled.width
    assert 0 <= box.top <= INTO.height - box.scaled.height


def test_boxes_find_their_way_back_to_within_a_pixel_of_the_input() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        width, height = rng.integers(50, 4000, size=2).tolist()
        letterbox = fit(Size(width, height), INTO)
        corners = np.sort(rng.uniform(0, 1, size=(2, 2)), axis=0).ravel() * np.array([width, height] * 2)
        scale = min(INTO.width / width, INTO.height / height)
        placed = corners * scale + np.array([letterbox.left, letterbox.top] * 2)
        back = letterbox.to_picture(placed[None].astype(np.float32))[0]
        np.testing.assert_allclose(back, corners, atol=1.1 / scale)


def test_boxes_are_cut_off_at_the_edges_of_the_picture() -> None:
    letterbox = fit(Size(400, 100), INTO)
    [box] = letterbox.to_picture(np.array([[-20, -20, 500, 500]], dtype=np.float32))
    assert box.tolist() == [0, 0, 400, 100]
