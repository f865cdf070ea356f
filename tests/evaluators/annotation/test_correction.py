"""Choice of the frame to correct next."""

from __future__ import annotations

from voskit.evaluators.annotation.correction import next_correction


def test_an_unsure_stretch_counts_more_than_a_single_frame() -> None:
    sure = {number: {1: 0.9, 2: 0.9} for number in range(60)}
    unsure = {number: {1: 0.6, 2: 0.9} for number in range(40, 47)}
    assert next_correction({**sure, **unsure, 10: {1: 0.9, 2: 0.2}}) == (43, 1)


def test_given_frames_bound_what_a_correction_improves() -> None:
    unsure = {number: {1: 0.5} for number in range(1, 31) if number != 15}  # the mask of frame 15 was given
    assert next_correction(unsure) == (23, 1)  # the middle of the longer stretch


def test_only_propagated_frames_with_the_object_are_chosen() -> None:
    assert next_correction({}) is None
    assert next_correction({3: {}, 4: {2: 0.5}, 5: {}}) == (4, 2)
