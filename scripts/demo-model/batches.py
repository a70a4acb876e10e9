"""Seeded training batches: conversations as padded token tensors with weights."""

import random

import torch
from tokenizers import Tokenizer

from conversations import training
from render import render
from words import CUT

PROMPT_WEIGHT = 0.05  # loss weight of tokens that are not the assistant's
WIDTHS = (64, 96, 128, 192, 256, 320, 384, 512, 768, 1024)  # tokens; few, because oneDNN prepares each matrix shape anew
MICRO = 2048  # tokens of a micro-batch, padding included, whatever its width
PHASES = (0, 1000, 1600, 2000)  # first step of each phase of conversations.MIXES; multiples of POOL
POOL = 8  # steps whose conversations are sorted by length together


class Batcher:
    """Draws the batches of a step; the same (seed, step) gives the same batches."""

    def __init__(self, tok: Tokenizer, seed: int, micros: int):
        self.tok, self.seed, self.micros = tok, seed, micros
        self.head = tok.encode("<|im_start|>assistant\n").ids
        self.end = tok.token_to_id("<|im_end|>")
        self.pool_at, self.pool = -1, []

    def weights(self, ids: list[int]) -> list[float]:
        """Loss weight of each token as a target: 1 in assistant turns up to <|im_end|>."""
        out = [PROMPT_WEIGHT] * len(ids)
        head, n, i = self.head, len(self.head), 0
        while i < len(ids):
            if ids[i] == head[0] and ids[i:i + n] == head:
                i += n
                while i < len(ids):
                    out[i] = 1.0
                    i += 1
                    if ids[i - 1] == self.end:
                        break
            else:
                i += 1
        return out

    def step(self, step: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """The micro-batches of one step: (tokens [rows, width + 1], weights [rows, width + 1])."""
        at, offset = divmod(step, POOL)
        if at != self.pool_at:
            self.pool_at, self.pool = at, self.draw(at)
        return [self.pad(rows, width) for rows, width in self.pool[offset * self.micros:(offset + 1) * self.micros]]

    def draw(self, at: int) -> list[tuple[list, int]]:
        """POOL * micros micro-batches in random order: (rows of ids, width)."""
        rng = random.Random(f"{self.seed}:{at}")
        phase = sum(at * POOL >= first for first in PHASES) - 1
        rows, total = [], 0
        while total < 1.2 * POOL * self.micros * MICRO:
            example = training(rng, phase)
            ids = [i for part in render(example.messages, example.tools).split(CUT) for i in self.tok.encode(part).ids]
            if len(ids) <= WIDTHS[-1] + 1:
                rows.append(ids)
                total += len(ids)
        # Similar lengths share a micro-batch, so little of it is padding.
        rows.sort(key=len, reverse=True)
        out, i = [], 0
        while i < len(rows):
            width = next(w for w in WIDTHS if w >= len(rows[i]) - 1)
            n = MICRO // width
            out.append((rows[i:i + n], width))
            i += n
        out.pop()  # not full
        rng.shuffle(out)
        return out

    def pad(self, rows: list[list[int]], width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Right-pad to the width, plus one for the shifted target; causal attention never sees the padding."""
        tokens = torch.zeros(len(rows), width + 1, dtype=torch.long)
        weights = torch.zeros(len(rows), width + 1)
        for i, ids in enumerate(rows):
            tokens[i, :len(ids)] = torch.tensor(ids)
            weights[i, :len(ids)] = torch.tensor(self.weights(ids))
        return tokens, weights
