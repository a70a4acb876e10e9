"""How far each format of the key-value cache moves a model's logits, by transformers on the CPU with torch's own conversions.

Keys and values are rounded after the rotation, as from a packed cache. e4m3 and e5m2 saturate and have no scales; int8 has one
for each token and head, the largest magnitude / 127. Next: `reference.py` (the exact logits), `make.py` (the command).
"""

import json
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

import reference

# What the test is run with: the model that is trained, so that its logits mean something.
MODEL = 'demo'
MODEL_FOLDER = Path(__file__).resolve().parents[2] / 'models' / MODEL


def int8(x: torch.Tensor) -> torch.Tensor:
    scale = x.abs().amax(-1, keepdim=True) / 127
    return torch.where(scale > 0, torch.round(x / scale) * scale, 0)


def fp8(dtype: torch.dtype):
    largest = torch.finfo(dtype).max
    return lambda x: x.clamp(-largest, largest).to(dtype).float()


FORMATS = {
    'float16': lambda x: x.half().float(),
    'bfloat16': lambda x: x.bfloat16().float(),
    'int8': int8,
    'fp8_e4m3': fp8(torch.float8_e4m3fn),
    'fp8_e5m2': fp8(torch.float8_e5m2),
}


@contextmanager
def stored_as(rounded):
    """While open, sdpa attention sees rounded keys and values."""
    exact = functional.scaled_dot_product_attention

    def attention(query, key, value, *rest, **options):
        return exact(query, rounded(key), rounded(value), *rest, **options)

    functional.scaled_dot_product_attention = attention
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = exact


def cache_format_goldens(goldens: Path) -> dict:
    """Root mean square and largest difference of the logits that the model's golden keeps. Needs that golden."""
    model = reference.load(MODEL_FOLDER)
    prompts = json.loads((goldens / f'{MODEL}.json').read_text())['prompts']
    formats = []
    for name, rounded in FORMATS.items():
        differences = []
        for prompt in prompts:
            exact = reference.logits_of(model, prompt['ids'])
            with stored_as(rounded):
                moved = reference.logits_of(model, prompt['ids'])
            differences.append((moved - exact)[prompt['firstPosition']:].ravel())
        all_rows = np.concatenate(differences).astype(np.float64)
        rms = float(np.sqrt(np.mean(all_rows**2)))
        formats.append({'format': name, 'rms': float(f'{rms:.2e}'), 'largest': float(f'{np.abs(all_rows).max():.2e}')})
    return {'model': MODEL, 'formats': formats}
