"""Trees: an ensemble of binary decision trees, evaluated with numpy alone."""

from typing import Any

import numpy as np

ROWS_AT_ONCE = 512  # bounds the memory for pages of many blocks


class Trees:
    """The trees in flat arrays, evaluated for all blocks and all trees at once."""

    def __init__(self, spec: dict[str, Any]) -> None:
        feature = np.array(spec["feature"], np.int32)  # -1 at leaves
        leaf = feature < 0
        self.value = np.array(spec["value"], np.float32)  # threshold, or the leaf's log-odds
        self.roots = np.array(spec["roots"], np.int32)
        self.base = float(spec["base"])
        self.depth = int(spec["depth"])
        # A leaf leads to itself, so that all trees can be walked equally far; a right child follows its left one.
        self.walk_feature = np.where(leaf, 0, feature).astype(np.int32)
        self.walk_value = np.where(leaf, np.inf, self.value).astype(np.float32)
        self.walk_left = np.where(leaf, np.arange(len(leaf)), np.array(spec["left"], np.int32)).astype(np.int32)

    def log_odds(self, x: np.ndarray) -> np.ndarray:
        n, width = x.shape
        out = np.empty(n)
        rows_of_all = np.ascontiguousarray(x, np.float32)
        for start in range(0, n, ROWS_AT_ONCE):
            part = rows_of_all[start : start + ROWS_AT_ONCE]
            flat = part.ravel()
            rows = (np.arange(len(part), dtype=np.int32) * width)[:, None]
            node = np.repeat(self.roots[None, :], len(part), axis=0)
            for _ in range(self.depth):
                value = flat.take(self.walk_feature.take(node) + rows)
                node = self.walk_left.take(node) + (value > self.walk_value.take(node))
            out[start : start + ROWS_AT_ONCE] = self.value.take(node).sum(axis=1, dtype=np.float64)
        out += self.base
        return out


def sigmoid(z: np.ndarray) -> np.ndarray:
    p: np.ndarray = 1.0 / (1.0 + np.exp(-np.clip(z, -30, 30)))
    return p
