"""From feature frame to the float64 matrix a booster takes: which columns, in which order, categories as codes.

Belongs here: what is fitted on the training frame about its columns. Does not belong here: feature definitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from models_ml.features import CATEGORIES, number_names

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

# A category value must be carried by this many rows, or it is read as missing: rarer ones would be learnt by heart.
_MIN_ROWS: Final = 50
_MAX_VALUES: Final = 30


@dataclass(frozen=True, slots=True)
class Encoding:
    """Columns of the matrix: `numbers` first, then `categories` with the code of each known value."""

    numbers: tuple[str, ...]
    categories: dict[str, dict[str, int]]

    @property
    def names(self) -> list[str]:
        return [*self.numbers, *self.categories]

    @property
    def category_indexes(self) -> list[int]:
        return list(range(len(self.numbers), len(self.names)))

    def matrix(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Rows of `frame` as float64; values never seen in training are missing. KeyError if a column is absent."""
        import numpy as np

        matrix = np.empty((len(frame), len(self.names)), dtype=np.float64)
        for index, name in enumerate(self.numbers):
            matrix[:, index] = frame[name].to_numpy(dtype=np.float64, na_value=np.nan)
        for index, (name, codes) in enumerate(self.categories.items(), start=len(self.numbers)):
            matrix[:, index] = frame[name].map(codes).to_numpy(dtype=np.float64, na_value=np.nan)
        return matrix

    def to_json(self) -> dict[str, Any]:
        return {"numbers": list(self.numbers), "categories": self.categories}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Encoding:
        return cls(tuple(stored["numbers"]), stored["categories"])


def fit_encoding(frame: pd.DataFrame) -> Encoding:
    """Keep the columns that vary in `frame`; code category values by falling count, then by name."""
    numbers = tuple(name for name in number_names(frame) if frame[name].nunique() > 1)
    categories: dict[str, dict[str, int]] = {}
    for name in CATEGORIES:
        counts = frame[name].value_counts()
        kept = sorted((-int(n), str(value)) for value, n in counts.items() if n >= _MIN_ROWS)[:_MAX_VALUES]
        if len(kept) > 1:
            categories[name] = {value: code for code, (_, value) in enumerate(kept)}
    return Encoding(numbers, categories)
