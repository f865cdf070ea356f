"""Votes inside connected regions."""

from __future__ import annotations

import torch

from voskit.networks.engines import Prediction
from voskit.networks.engines.quality.voting import voted


def prediction(lead: float, *, top: int = 4, groups: int = 1) -> Prediction:
    """Object 1 on the left, object 2 on the right with a piece of object 1 inside, which leads by a logit."""
    labels = torch.zeros(16, 24, dtype=torch.long)
    labels[2:14, 2:8] = 1
    labels[2:14, 12:22] = 2
    logits = torch.nn.functional.one_hot(labels, 3).permute(2, 0, 1)[None].float() * 8
    logits[0, 1, top : top + 3, 14:17] = 4 + lead
    logits[0, 2, top : top + 3, 14:17] = 4
    return Prediction(logits.repeat(groups, 1, 1, 1), list(range(1, 2 * groups + 1)), (16, 24), True)


def test_an_unsure_piece_inside_a_look_alike_joins_it() -> None:
    before = prediction(0.3)
    assert before.argmax()[5, 15] == 1
    after = voted(before)
    assert (after.argmax()[2:14, 12:22] == 2).all()
    assert (after.argmax()[2:14, 2:8] == 1).all()
    assert before.argmax()[5, 15] == 1


def test_a_sure_piece_stays() -> None:
    assert voted(prediction(4.0)).argmax()[5, 15] == 1


def test_a_piece_in_the_background_stays() -> None:
    labels = prediction(0.3)
    labels._logits[0, 2] = 0
    assert torch.equal(voted(labels).argmax(), labels.argmax())


def test_several_groups_stay_as_they_are() -> None:
    several = prediction(0.3, groups=2)
    assert voted(several) is several
