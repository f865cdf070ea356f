"""Overlays (colors, contours, ids) and contact sheets of bounded size."""

import cv2
import numpy as np
import pytest

from voskit.dataloaders.masks.files import id_colors
from voskit.evaluators.clips.contact_sheet import ContactSheet
from voskit.evaluators.clips.overlay import draw_overlay


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def grid_of_objects(height: int, width: int, rows: int, columns: int) -> np.ndarray:
    row = np.arange(height)[:, None] * rows // height
    column = np.arange(width)[None] * columns // width
    return row * columns + column


def changed_by(image: np.ndarray, ids: np.ndarray, *, labels: bool = False, contours: bool = False) -> np.ndarray:
    """HxW bool: pixels that labels or contours change."""
    plain = draw_overlay(image, ids, labels=False, contours=False)
    return (draw_overlay(image, ids, labels=labels, contours=contours) != plain).any(-1)


class TestColours:
    def test_objects_have_the_colors_of_their_ids_in_rgb(self) -> None:
        ids = np.array([[0, 1], [2, 7]])
        drawn = draw_overlay(np.full((2, 2, 3), 90, np.uint8), ids, alpha=1.0, contours=False, labels=False)
        assert drawn[0, 0].tolist() == [90, 90, 90]
        np.testing.assert_array_equal(drawn[ids > 0], id_colors(np.array([1, 2, 7])))
        assert drawn[0, 1].tolist() == [128, 0, 0], "id 1 is red in the DAVIS palette"

    def test_custom_colors_are_blended_by_alpha(self) -> None:
        image, ids = noise(40, 60), np.zeros((40, 60), np.uint8)
        ids[10:30, 20:40] = 3
        drawn = draw_overlay(
            image, ids, alpha=0.25, contours=False, labels=False, colors=lambda n: np.full((len(n), 3), 200)
        )
        expected = np.where(ids[..., None] == 3, 0.75 * image + 0.25 * 200, image)
        assert np.abs(drawn - expected).max() <= 1

    def test_background_keeps_its_values_and_the_input_is_not_changed(self) -> None:
        image, ids = noise(120, 160), np.zeros((120, 160), np.int32)
        ids[40:90, 50:100] = 1
        before = image.copy()
        drawn = draw_overlay(image, ids)
        np.testing.assert_array_equal(image, before)
        far = cv2.dilate((ids > 0).astype(np.uint8), np.ones((15, 15), np.uint8)) == 0
        np.testing.assert_array_equal(drawn[far], image[far])
        assert drawn.dtype == np.uint8
        assert (drawn != image).any()

    def test_without_objects_the_frame_is_copied(self) -> None:
        image = noise(20, 30)
        drawn = draw_overlay(image, np.zeros((20, 30), np.int64))
        np.testing.assert_array_equal(drawn, image)
        assert not np.shares_memory(drawn, image)

    @pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", ">u2", "u4", "i4", "u8", "i8"])
    def test_every_integer_type_gives_the_same_picture(self, dtype: str) -> None:
        image, ids = noise(90, 120), grid_of_objects(90, 120, 2, 3)
        np.testing.assert_array_equal(draw_overlay(image, ids.astype(dtype)), draw_overlay(image, ids))

    def test_non_contiguous_views_are_drawn(self) -> None:
        image, ids = noise(90, 120), grid_of_objects(90, 120, 2, 3)
        np.testing.assert_array_equal(
            draw_overlay(image[:, ::-1], ids[:, ::-1]), draw_overlay(image[:, ::-1].copy(), ids[:, ::-1].copy())
        )

    def test_hundreds_of_objects_and_ids_up_to_65535(self) -> None:
        ids = 65535 - grid_of_objects(200, 300, 20, 30)  # 600 objects
        drawn = draw_overlay(noise(200, 300), ids, alpha=1.0, contours=False, labels=False)
        np.testing.assert_array_equal(drawn, id_colors(ids.ravel()).reshape(200, 300, 3))
        assert draw_overlay(noise(200, 300), ids).shape == (200, 300, 3)


class TestContours:
    def test_run_only_along_borders(self) -> None:
        ids = np.zeros((100, 200), np.uint8)
        ids[:, 50:100], ids[:, 100:150] = 1, 2
        columns = np.flatnonzero(changed_by(np.full((100, 200, 3), 60, np.uint8), ids, contours=True).any(0))
        assert {50, 100, 150} <= set(columns.tolist())
        assert np.abs(columns[:, None] - [50, 100, 150]).min(1).max() <= 4

    def test_are_bright_with_a_dark_rim(self) -> None:
        ids = np.zeros((100, 100), np.uint8)
        ids[:, 50:] = 1
        line = draw_overlay(np.full((100, 100, 3), 128, np.uint8), ids, labels=False)[50].mean(-1)
        assert line[48:52].max() > 200
        assert line[44:50].min() < 110

    def test_widen_with_the_resolution(self) -> None:
        def width(side: int) -> int:
            ids = np.zeros((side, side), np.uint8)
            ids[:, side // 2 :] = 1
            drawn = draw_overlay(np.zeros((side, side, 3), np.uint8), ids, labels=False)
            return int((drawn[side // 2, :, 2] > 150).sum())

        assert width(240) == 1
        assert width(1080) == 2
        assert width(2160) > 3


class TestLabels:
    def test_lie_in_the_widest_part_of_their_object(self) -> None:
        ids = np.zeros((480, 854), np.uint8)
        ids[20:50, 20:800] = 9  # a bar, whose centre of mass lies elsewhere ...
        ids[50:250, 600:800] = 9  # ... than this wide part
        changed = changed_by(noise(480, 854), ids, labels=True)
        rows, columns = np.nonzero(changed)
        assert changed.any()
        assert 100 < rows.mean() < 200
        assert 650 < columns.mean() < 750
        assert (ids[changed] == 9).all()

    def test_lie_on_the_larger_part_of_a_split_object(self) -> None:
        ids = np.zeros((480, 854), np.uint8)
        ids[100:140, 100:140] = 5
        ids[200:400, 500:700] = 5
        rows, columns = np.nonzero(changed_by(noise(480, 854), ids, labels=True))
        assert rows.min() > 200
        assert 500 < columns.min() <= columns.max() < 700

    def test_every_object_of_an_over_segmented_frame_has_its_own(self) -> None:
        ids = grid_of_objects(480, 854, 6, 9) + 1
        changed = changed_by(noise(480, 854), ids, labels=True)
        assert set(np.unique(ids[changed])) == set(range(1, 55))

    def test_are_left_out_if_an_object_is_too_small(self) -> None:
        ids = np.zeros((480, 854), np.uint8)
        ids[100:104, 100:104] = 1
        assert not changed_by(noise(480, 854), ids, labels=True).any()

    def test_are_not_lost_with_thin_objects(self) -> None:
        ids = np.zeros((1080, 1920), np.uint8)
        ids[500:502, 200:1700] = 1
        rows, columns = np.nonzero(changed_by(noise(1080, 1920), ids, labels=True))
        assert 900 < columns.mean() < 1000, "in the middle of the line"
        assert 480 < rows.mean() < 520

    def test_grow_with_the_resolution_and_stay_inside_the_frame(self) -> None:
        def height(side: int) -> int:
            rows = np.nonzero(changed_by(noise(side, side), np.ones((side, side), np.uint8), labels=True))[0]
            return int(np.ptp(rows)) + 1

        assert height(240) < height(720) < height(2160)
        corner = np.zeros((480, 480), np.uint16)
        corner[-20:, -20:] = 44444
        assert draw_overlay(noise(480, 480), corner).shape == (480, 480, 3)

    @pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (3, 4), (12, 12)])
    def test_tiny_frames_are_drawn(self, size: tuple[int, int]) -> None:
        assert draw_overlay(noise(*size), np.full(size, 65535)).shape == (*size, 3)


class TestWrongArguments:
    frame = np.zeros((8, 9, 3), np.uint8)
    ids = np.ones((8, 9), np.uint8)

    @pytest.mark.parametrize(
        ("image", "ids", "options", "message"),
        [
            (frame.astype(np.float32), ids, {}, "H x W x 3 uint8 RGB array"),
            (frame[..., :2], ids, {}, "H x W x 3 uint8 RGB array"),
            (frame[:0], ids[:0], {}, "H x W x 3 uint8 RGB array"),
            (frame, ids.astype(np.float32), {}, "integer dtype"),
            (frame, ids.T, {}, r"\(9, 8\).*\(8, 9\)"),
            (frame, -ids.astype(np.int16), {}, "between 0 and 65535"),
            (frame, ids.astype(np.int64) * 65536, {}, "between 0 and 65535"),
            (frame, ids, {"alpha": 1.5}, "alpha"),
            (frame, ids, {"alpha": float("nan")}, "alpha"),
            (frame, ids, {"colors": lambda n: np.zeros((len(n), 4), np.uint8)}, r"\(1, 3\)"),
        ],
    )
    def test_are_refused(self, image: np.ndarray, ids: np.ndarray, options: dict, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            draw_overlay(image, ids, **options)


class TestContactSheet:
    @staticmethod
    def frame(index: int, height: int = 60, width: int = 80) -> np.ndarray:
        return np.full((height, width, 3), (index % 256, 255 - index % 256, index // 256), np.uint8)

    @classmethod
    def shown(cls, sheet: ContactSheet, count: int) -> list[int]:
        """Indices of the frames whose colour is in the sheet."""
        code = np.array([1, 1 << 8, 1 << 16])
        colors = set((sheet.image() @ code).ravel().tolist())
        return [i for i in range(count) if int(cls.frame(i)[0, 0] @ code) in colors]

    def test_of_a_known_length_spreads_evenly_from_first_to_last(self) -> None:
        sheet = ContactSheet(100, max_tiles=12)
        for i in range(100):
            assert sheet.wants(i) == (i in {0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 99})
            sheet.add(i, self.frame(i))
        assert self.shown(sheet, 100) == [0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 99]

    @pytest.mark.parametrize("count", [1, 5, 24, 25, 26, 100, 777])
    def test_of_an_unknown_length_is_bounded_and_spread(self, count: int) -> None:
        sheet = ContactSheet(max_tiles=12, tile_width=80)
        for i in range(count):
            sheet.add(i, self.frame(i))
            assert len(sheet) <= 24
        shown = self.shown(sheet, count)
        assert shown[0] == 0
        assert min(count, 12) - 1 <= len(shown) <= 12 or count < 12
        gaps = np.diff([*shown, count])
        assert gaps.max() <= 4 * max(1, count / 12)

    def test_takes_frames_in_any_order(self) -> None:
        forward, backward = ContactSheet(), ContactSheet()
        for i in range(90):
            forward.add(i, self.frame(i))
            backward.add(89 - i, self.frame(89 - i))
        assert forward.image().shape == backward.image().shape

    def test_has_rows_of_tiles_with_captions(self) -> None:
        sheet = ContactSheet(6, columns=3, tile_width=100)
        for i in range(6):
            sheet.add(i, np.full((50, 100, 3), 200, np.uint8))
        image = sheet.image()
        height, width = image.shape[:2]
        assert image.dtype == np.uint8
        assert 300 < width < 320
        assert 2 * 50 < height < 2 * 50 + 50
        tiles = (image == 200).all(-1)
        assert tiles.sum() == 6 * 50 * 100
        assert (image[~tiles] > 150).any(), "the captions"

    def test_has_as_many_columns_as_tiles_at_most(self) -> None:
        sheet = ContactSheet(columns=4, tile_width=100)
        sheet.add(0, self.frame(0))
        assert sheet.image().shape[1] < 110

    def test_copes_with_frames_of_several_sizes(self) -> None:
        sheet = ContactSheet(2, tile_width=64)
        sheet.add(0, self.frame(0, 30, 200))
        sheet.add(1, self.frame(1, 200, 30))
        assert sheet.image().shape[0] > 400

    def test_refuses_wrong_arguments(self) -> None:
        with pytest.raises(ValueError, match="columns"):
            ContactSheet(columns=0)
        with pytest.raises(ValueError, match="num_frames"):
            ContactSheet(0)
        with pytest.raises(ValueError, match="empty"):
            ContactSheet().image()
        with pytest.raises(ValueError, match="outside"):
            ContactSheet(3).add(3, self.frame(3))
        with pytest.raises(ValueError, match="negative"):
            ContactSheet().add(-1, self.frame(0))
        with pytest.raises(ValueError, match="H x W x 3"):
            ContactSheet().add(0, np.zeros((4, 4), np.uint8))
