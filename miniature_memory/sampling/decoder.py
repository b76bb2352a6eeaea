"""The decoder: the model in numpy, one token at a time, with a key/value cache."""

import math

import numpy as np

from model import GPT, MATCHES, Block, Rotary, extend_ngram, hash_to_row, match_code

EPSILON = 1e-6  # model.py's, in its norm


class Decoder:
    """The model reading a text that grows: each layer keeps the keys and values of the last block_size tokens.

    They are in a ring, in which a new token takes the place of the oldest. Positions count by their distance alone, so
    nothing is computed again once the text is longer than the context: it slides. The arithmetic is that of model.py's
    modules, in numpy: the operations of one token are small, and torch takes several times as long to start each.
    """

    def __init__(self, model: GPT) -> None:
        c = self.config = model.config
        blocks = [block for block in model.blocks if isinstance(block, Block)]
        self.table = model.embedding.table.detach().numpy()
        self.layers = [[np.ascontiguousarray(linear.weight.detach().numpy().T) for linear in
                        (block.attention.qkv, block.attention.proj, block.mlp.up, block.mlp.proj)] for block in blocks]
        self.head = np.ascontiguousarray(model.head.weight.detach().numpy().T)  # (C, V)
        self.frequency = Rotary.frequency(c.n_embd // c.n_head).numpy().astype(np.float64)
        self.ring = np.zeros((c.n_layer, 2, c.n_head, c.block_size, c.n_embd // c.n_head), np.float32)
        self.recent = self.runs = np.empty(0, np.int64)  # the last block_size tokens; how long each matches the last
        self.length = 0  # tokens read so far
        self.states = np.empty((0, c.n_embd), np.float32)  # the last block's, normalized, of the tokens read last

    def read(self, ids: list[int]) -> np.ndarray:
        """The logits of what follows `ids`, float32 (V,). Only the first call may give several, up to block_size."""
        c, T = self.config, len(ids)
        assert T == 1 or (self.length == 0 and c.block_size >= T)
        place, n = self.length % c.block_size, min(self.length + T, c.block_size)
        angle = np.arange(self.length, self.length + T)[:, None] * self.frequency
        turn = np.exp(1j * angle).astype(np.complex64)[:, None, None]  # (T, 1, 1, hs/2)
        x = normalize(self.table[[self._rows(token) for token in ids]].sum(1))  # (T, C)
        self.length += T
        for (to_qkv, to_stream, up, down), ring in zip(self.layers, self.ring, strict=True):
            qkv = (normalize(x) @ to_qkv).reshape(T, 3, c.n_head, -1)
            qk = normalize(qkv[:, :2]) if c.qk_norm else qkv[:, :2].copy()
            qk = (qk.view(np.complex64) * turn).view(np.float32)
            ring[0, :, place:place + T], ring[1, :, place:place + T] = qk[:, 1].swapaxes(0, 1), qkv[:, 2].swapaxes(0, 1)
            scores = qk[:, 0].swapaxes(0, 1) @ ring[0, :, :n].swapaxes(1, 2)  # (nh, T, n)
            if T > 1:
                scores[:, np.triu(np.ones((T, T), bool), 1)] = -np.inf
            y = softmax(scores * qk.shape[-1] ** -0.5) @ ring[1, :, :n]  # (nh, T, hs)
            x = x + y.swapaxes(0, 1).reshape(T, -1) @ to_stream
            x = x + np.square(np.maximum(normalize(x) @ up, 0)) @ down
        self.states = normalize(x)
        logits: np.ndarray = (self.states[-1:] @ self.head)[0]
        return logits

    def _rows(self, token: int) -> list[int]:
        """The rows of the table for `token` after what was read, as NgramEmbedding finds them."""
        c = self.config
        n = min(c.ngram_order, c.block_size)  # training saw no longer n-gram
        earlier = [*self.recent[:-n:-1].tolist(), *[-1] * c.ngram_order][:c.ngram_order - 1]
        codes = [token + 1]
        for before in earlier:
            codes.append(extend_ngram(codes[-1], before))
        self.recent = np.append(self.recent, token)[-c.block_size:]
        if c.match_order:
            codes += self._match()
        return [token, *(hash_to_row(code, c) for code in codes[1:])]

    def _match(self) -> list[int]:
        """The codes of the tokens that followed at the best matches of what ends at the last token."""
        n, ids = self.config.match_order, self.recent
        before = np.zeros(len(ids), np.int64)
        before[1:] = self.runs[1 - len(ids):] if len(ids) > 1 else 0
        self.runs = np.where(ids == ids[-1], np.minimum(before, n - 1) + 1, 0)
        places = np.arange(len(ids))
        lengths = np.minimum(self.runs, places + 1)  # a match ends where the context does
        keys = lengths * len(ids) + places * (lengths > 0)
        keys[-1] = 0  # the last token itself
        codes = []
        for i in range(MATCHES):
            place = int(keys.argmax())
            followed = int(ids[place + 1]) if keys[place] else -1
            codes.append(match_code(i, int(keys[place]) // len(ids), followed))
            keys[place] = 0
        return codes


def normalize(x: np.ndarray) -> np.ndarray:
    """The last dimension scaled to a root mean square of one."""
    scaled: np.ndarray = x * (math.sqrt(x.shape[-1]) / (np.sqrt(np.vecdot(x, x)) + EPSILON))[..., None]
    return scaled


def softmax(x: np.ndarray) -> np.ndarray:
    p: np.ndarray = np.exp(x - x.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return p
