"""Log probabilities of generated tokens by transformers: of the greedy goldens with the tokens next to them, and of candidates of ours.

The log-softmax is taken in float64 of float32 logits. Candidates are drawn by our engine (`candidates.ts`, run by hand before this): what
is golden about them is how probable transformers finds them. Next: `make.py` (the command), README.md (the file formats).
"""

import json
from pathlib import Path

import torch

import reference
from families import FAMILIES

# More than tests ask for, so that a token that changed places with a near one is still there.
NUM_TOP = 8
# Sums of log probabilities must be further apart than float noise, or which candidate is best would hang on rounding.
SMALLEST_GAP = 1e-2


def logprobs_after(model, ids: list[int], tokens: list[int]) -> torch.Tensor:
    """Float64 log-softmax of the rows that `tokens` were drawn from. Shapes: [len(tokens), V]."""
    logits = torch.from_numpy(reference.logits_of(model, ids + tokens))
    return logits[len(ids) - 1:-1].double().log_softmax(-1)


def rounded(values: torch.Tensor) -> list[float]:
    return [round(value, 6) for value in values.tolist()]


def generated_goldens(models: Path, goldens: Path) -> dict:
    """The best tokens of every greedy step of every fixture."""
    entries = []
    for family in FAMILIES:
        model = reference.load(models / family.name)
        for index, prompt in enumerate(json.loads((goldens / f'{family.name}.json').read_text())['prompts']):
            top = logprobs_after(model, prompt['ids'], prompt['greedy']).topk(NUM_TOP)
            assert top.indices[:, 0].tolist() == prompt['greedy'], f'{family.name}: the golden continuation is not greedy'
            entries.append({
                'model': family.name, 'prompt': index, 'tokens': top.indices.tolist(),
                'logprobs': [rounded(row) for row in top.values],
            })
    return {'entries': entries}


def rescored(models: Path, recorded: dict) -> dict:
    """The same cases with `logprobs`, one per token of each candidate. Throws: AssertionError when two sums are too close."""
    loaded = {name: reference.load(models / name) for name in {case['model'] for case in recorded['cases']}}
    for case in recorded['cases']:
        case['logprobs'] = []
        for prompt, candidates in zip(case['prompts'], case['candidates'], strict=True):
            scores = []
            for tokens in candidates:
                rows = logprobs_after(loaded[case['model']], prompt, tokens)
                scores.append(rounded(rows[torch.arange(len(tokens)), torch.tensor(tokens)]))
            sums = sorted(sum(each) for each in scores)
            gap = min(b - a for a, b in zip(sums, sums[1:], strict=False))
            assert gap > SMALLEST_GAP, f'{case["model"]}, seed {case["seed"]}: two candidates are {gap:.1e} apart, take another seed'
            case['logprobs'].append(scores)
    return recorded
