"""Golden beam searches of a fixture, by transformers' own generation on the CPU in float32.

Every combination of early stopping and length penalty, with tokens that do end hypotheses: random models hardly ever sample their own
end-of-sequence ids, so that ids which the search meets are named as such. Both attention implementations must find the same.
Next: `make.py` (the command), README.md (the file format).
"""

from collections import Counter
from pathlib import Path

import torch
from transformers import GenerationConfig

import reference

MODEL = 'tiny-llama'
MAX_TOKENS = 10
# Scores of neighbours in a result must be further apart than float noise, or their order would hang on rounding.
SMALLEST_GAP = 1e-4


@torch.no_grad()
def search(model, ids: list[int], ends: list[int], options: dict) -> list[dict]:
    """Hypotheses, best first."""
    model.generation_config = GenerationConfig(eos_token_id=ends or None, pad_token_id=0)
    result = model.generate(
        torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.int64), do_sample=False,
        num_beams=options['numBeams'], num_return_sequences=options['numBeams'], max_new_tokens=options['maxTokens'],
        min_new_tokens=options['minTokens'] or None, length_penalty=float(options['lengthPenalty']),
        early_stopping=options['earlyStopping'], return_dict_in_generate=True, output_scores=True,
    )
    found = []
    for sequence, score in zip(result.sequences.tolist(), result.sequences_scores.tolist(), strict=True):
        tokens = sequence[len(ids):]
        end = next((i for i, token in enumerate(tokens) if token in ends), len(tokens) - 1)
        found.append({'tokens': tokens[:end + 1], 'score': round(score, 6)})
    return found


def met_ids(model, ids: list[int], count: int) -> list[int]:
    """Ids that a search without ends meets most often after its first tokens."""
    options = {'numBeams': 5, 'maxTokens': MAX_TOKENS, 'minTokens': 0, 'lengthPenalty': 1, 'earlyStopping': False}
    tokens = Counter(token for each in search(model, ids, [], options) for token in each['tokens'][2:])
    return [token for token, _ in tokens.most_common(count)]


def beam_goldens(models: Path, prompts: list[list[int]]) -> dict:
    model, eager = (reference.load(models / MODEL, attention) for attention in ('sdpa', 'eager'))
    cases = []
    for ids in prompts:
        for ends in ([], met_ids(model, ids, 1), met_ids(model, ids, 3)):
            for stopping in (False, True, 'never'):
                for penalty in (1, 0, 2, -1):
                    for beams, minimum in ((2, 0), (4, 0), (3, 4)):
                        options = {
                            'numBeams': beams, 'lengthPenalty': penalty, 'earlyStopping': stopping,
                            'minTokens': minimum if ends else 0, 'maxTokens': MAX_TOKENS,
                        }
                        found = search(model, ids, ends, options)
                        assert [each['tokens'] for each in found] == [each['tokens'] for each in search(eager, ids, ends, options)]
                        scores = [each['score'] for each in found]
                        if min(a - b for a, b in zip(scores, scores[1:], strict=False)) < SMALLEST_GAP:
                            continue
                        cases.append({'ids': ids, 'ends': ends, **options, 'hypotheses': found})
    lengths = Counter(len(each['tokens']) for case in cases for each in case['hypotheses'])
    assert len(lengths) > 4, 'the searches hardly ever end early'
    for name in ('earlyStopping', 'lengthPenalty'):
        assert differs(cases, name), f'{name} changes nothing'
    return {'model': MODEL, 'cases': cases}


def differs(cases: list[dict], name: str) -> bool:
    """Whether two cases that are equal but for one option have different results."""
    results = {}
    for case in cases:
        rest = str([(key, value) for key, value in case.items() if key not in (name, 'hypotheses')])
        results.setdefault(rest, set()).add(str([each['tokens'] for each in case['hypotheses']]))
    return any(len(found) > 1 for found in results.values())
