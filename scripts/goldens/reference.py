"""Golden logits and greedy continuations of a checkpoint, by transformers on the CPU in float32.

Stored bf16 and f16 weights are widened to float32 exactly, and everything is computed in float32. The key-value cache is not used:
each step runs the whole sequence, the plainest form. Both attention implementations must agree.
Next: `make.py` (the command), README.md (the file format).
"""

import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import transformers
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM

# Largest difference allowed between transformers' two attention implementations: float32 noise, far below any test's tolerance.
AGREEMENT = 2e-4


def load(folder: Path, attention: str = 'sdpa'):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention).eval()


@torch.no_grad()
def logits_of(model, ids: list[int]) -> np.ndarray:
    """Float32 logits. Shapes: [len(ids), V]."""
    return model(torch.tensor([ids]), use_cache=False).logits[0].float().numpy()


@torch.no_grad()
def router_gap(model, ids: list[int]) -> float:
    """How far the last expert chosen is ahead of the first one that is not, in logits: the least of all tokens and layers."""
    top = getattr(model.config, 'num_experts_per_tok', None)
    if top is None:
        return float('inf')
    layers = model(torch.tensor([ids]), use_cache=False, output_router_logits=True).router_logits
    chosen = (layer.float().topk(top + 1, dim=-1).values for layer in layers)
    return min(float((values[:, top - 1] - values[:, top]).min()) for values in chosen)


def greedy(model, ids: list[int], steps: int, stop: frozenset[int] = frozenset(), minimum: float = 0.0):
    """Chosen ids and each step's best minus second-best logit, until an id of `stop`. None: a margin is below `minimum`."""
    sequence, margins = list(ids), []
    for _ in range(steps):
        row = logits_of(model, sequence)[-1]
        second, best = np.partition(row, -2)[-2:]
        if best - second < minimum:
            return None
        margins.append(round(float(best - second), 6))
        sequence.append(int(row.argmax()))
        if sequence[-1] in stop:
            break
    return sequence[len(ids):], margins


def assert_close(left: np.ndarray, right: np.ndarray, limit: float, what: str) -> float:
    difference = float(np.abs(left - right).max())
    assert difference <= limit, f'{what}: {difference:.2e} > {limit:.0e}'
    return difference


def check_attention(folder: Path, model, prompts: list[list[int]]) -> float:
    """Largest difference of eager attention from `model`. Throws: AssertionError above AGREEMENT."""
    eager = load(folder, 'eager')
    return max(assert_close(logits_of(model, ids), logits_of(eager, ids), AGREEMENT, 'eager against sdpa') for ids in prompts)


@contextmanager
def half_cache():
    """While open, sdpa attention sees keys and values rounded to float16, as from a packed cache."""
    exact = functional.scaled_dot_product_attention

    def rounded(query, key, value, *rest, **options):
        return exact(query, key.half().float(), value.half().float(), *rest, **options)

    functional.scaled_dot_product_attention = rounded
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = exact


def half_cache_difference(model, prompts: list[dict]) -> tuple[float, bool]:
    """Largest change of a logit that a float16 cache makes over prompts and continuations, and whether greedy stays the same."""
    largest, same = 0.0, True
    for prompt in prompts:
        ids = prompt['ids'] + prompt['greedy']
        exact = logits_of(model, ids)
        with half_cache():
            half = logits_of(model, ids)
        largest = max(largest, float(np.abs(exact - half).max()))
        chosen = half[len(prompt['ids']) - 1:-1].argmax(-1).tolist()
        same = same and chosen == prompt['greedy']
    return largest, same


def write_json(path: Path, value: dict) -> None:
    """One line per key and per element of a list of objects: small, and a change is a readable diff."""
    def dump(item) -> str:
        return json.dumps(item, ensure_ascii=False)

    lines = []
    for key, item in value.items():
        if isinstance(item, list) and item and isinstance(item[0], dict):
            item_text = '[\n    ' + ',\n    '.join(dump(element) for element in item) + '\n  ]'
        else:
            item_text = dump(item)
        lines.append(f'  {dump(key)}: {item_text}')
    path.write_text('{\n' + ',\n'.join(lines) + '\n}\n')


def write_golden(
    folder: Path, name: str, model, dtype: str, difference: float, prompts: list[dict], first_positions: list[int],
    ignore_eos: bool,
) -> None:
    """
    Writes `<name>.json` and `<name>.f32` into `folder`.
    `prompts`: objects with ids, greedy and margins; row i keeps the logits from position first_positions[i] on.
    """
    blocks, entries, offset = [], [], 0
    for prompt, first in zip(prompts, first_positions, strict=True):
        rows = logits_of(model, prompt['ids'])[first:]
        entries.append({**prompt, 'length': len(prompt['ids']), 'firstPosition': first, 'logitsOffset': offset})
        blocks.append(rows.astype('<f4').ravel())
        offset += rows.size
    half_difference, half_same = half_cache_difference(model, prompts)
    folder.mkdir(parents=True, exist_ok=True)
    np.concatenate(blocks).tofile(folder / f'{name}.f32')
    write_json(folder / f'{name}.json', {
        'model': name,
        'dtype': dtype,
        'vocab': model.config.vocab_size,
        'transformers': transformers.__version__,
        'torch': torch.__version__.split('+')[0],
        'tolerance': f'float32 throughout, weights widened exactly from {dtype}; eager and sdpa attention differ by at most '
                     f'{difference:.1e} here. Rows [firstPosition, length) of [length, vocab] start at float logitsOffset of '
                     f'{name}.f32. '
                     'margins: best minus second-best logit of each greedy step.',
        'ignoreEos': ignore_eos,
        'halfCacheDifference': float(f'{half_difference:.1e}'),
        'halfCacheSameGreedy': half_same,
        'prompts': entries,
    })


def stored_dtype(folder: Path) -> str:
    return str(AutoConfig.from_pretrained(folder).dtype).removeprefix('torch.')
