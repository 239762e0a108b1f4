"""ACPO's settings as they are typed."""

from __future__ import annotations

import pytest

from astra.errors import ConfigError
from astra.training.credit.acpo import ACPOSettings
from astra.training.credit.attribution import Attribution
from astra.training.credit.options import acpo_settings


def test_settings_are_read():
    found = acpo_settings(
        ["attribution=likelihood", "alpha=0.3", "switch.after=50", "switch.stalled=none", "rows=0"],
        kl=0.2,
        alpha=0.9,
    )
    assert found.attribution is Attribution.likelihood
    assert (found.alpha, found.kl, found.rows) == (0.3, 0.2, 0)
    assert (found.switch.after, found.switch.stalled, found.switch.smoothing) == (50, None, 0.1)
    assert acpo_settings([]) == ACPOSettings()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("alpha", "name=value"),
        ("alhpa=0.3", "alhpa"),
        ("switch=3", "switch.after"),
        ("switch.afterwards=3", "switch.afterwards"),
        ("alpha.x=1", r"alpha\.x"),
        ("alpha=2", "between -1 and 1"),
        ("alpha=much", "much"),
        ("attribution=guess", "guess"),
        ("segmentation.most=0", "at least 1"),
    ],
)
def test_what_is_none_is_told(text: str, told: str):
    with pytest.raises(ConfigError, match=told):
        acpo_settings([text])
