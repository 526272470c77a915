"""Tests of turning raw output into boxes."""

import numpy as np

from app.vision.suppression import MOST_CANDIDATES, OVERLAP, Boxes, overlaps, read_yolo, suppress


def output(*cells: tuple[float, ...]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Return cells (centre x, centre y, width, height, scores…) in a model's layout."""
    return np.array(cells, dtype=np.float32).T


def random_output(seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.uniform(20, 80, (2, 60)), rng.uniform(10, 40, (2, 60)), rng.uniform(0, 1, (3, 60))])


def test_a_cell_tells_its_best_label_and_its_corners() -> None:
    boxes = read_yolo(output((50, 40, 20, 10, 0.2, 0.9), (10, 10, 4, 4, 0.1, 0.05)), 0.25)
    assert boxes.corners.tolist() == [[40, 35, 60, 45]]
    assert boxes.labels.tolist() == [1]
    np.testing.assert_allclose(boxes.scores, [0.9])


def test_the_threshold_counts_itself_in() -> None:
    cells = output((5, 5, 2, 2, 0.5), (50, 50, 2, 2, 0.49), (90, 90, 2, 2, 0.51))
    np.testing.assert_allclose(read_yolo(cells, 0.5).scores, [0.51, 0.5])


def test_what_is_not_a_number_is_left_out_and_a_score_is_at_most_one() -> None:
    nan, inf = float("nan"), float("inf")
    cells = output((nan, 5, 2, 2, 0.9), (5, 5, inf, 2, 0.9), (5, 5, 2, 2, nan), (5, 5, -3, 2, 0.8), (50, 50, 2, 2, 1.7))
    boxes = read_yolo(cells, 0.0)
    np.testing.assert_allclose(boxes.scores, [1.0, 0.8])
    assert (boxes.corners[:, 2:] >= boxes.corners[:, :2]).all()


def test_like_labels_suppress_each_other_and_unlike_ones_do_not() -> None:
    corners = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [1, 1, 11, 11], [20, 20, 30, 30]], dtype=np.float32)
    boxes = Boxes(corners, np.array([0.9, 0.8, 0.7, 0.6], dtype=np.float32), np.array([0, 0, 1, 0]))
    np.testing.assert_allclose(suppress(boxes, 10).scores, [0.9, 0.7, 0.6])


def test_the_surest_are_told_first_and_no_more_than_wanted() -> None:
    boxes = suppress(read_yolo(random_output(1), 0.1), 5)
    assert len(boxes.scores) == 5
    assert boxes.scores.tolist() == sorted(boxes.scores.tolist(), reverse=True)


def test_it_agrees_with_doing_it_pair_by_pair() -> None:
    for seed in range(20):
        found = read_yolo(random_output(seed), 0.3)
        kept: list[int] = []
        for row in range(len(found.scores)):
            rivals = [other for other in kept if found.labels[other] == found.labels[row]]
            if all(float(overlaps(found.corners[row], found.corners[[other]])[0]) <= OVERLAP for other in rivals):
                kept.append(row)
        assert np.array_equal(suppress(found, 1000).corners, found.corners[kept])


def test_nothing_found_is_no_boxes_and_a_flood_is_cut_off() -> None:
    assert len(suppress(read_yolo(output((5, 5, 2, 2, 0.1)), 0.5), 10).scores) == 0
    flood = np.concatenate([np.random.default_rng(0).uniform(0, 500, (4, 9000)), np.full((80, 9000), 0.5)])
    assert len(read_yolo(flood.astype(np.float32), 0.0).scores) == MOST_CANDIDATES


def test_empty_boxes_overlap_nothing() -> None:
    empty = np.zeros((1, 4), dtype=np.float32)
    assert overlaps(empty[0], empty).tolist() == [0]
