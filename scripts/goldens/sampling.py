"""Reference vectors for the logits processors, in the engine's order, by transformers' own processor classes in float64.

Order: logit bias, repetition penalty, frequency and presence penalty, temperature, min-p, top-k, top-p. transformers has no
frequency and presence penalty; they follow the formula of OpenAI's reference: logit - count * frequency - (count > 0) * presence,
counted over the output alone. The repetition penalty counts prompt and output.
"""

import numpy as np
import torch
from transformers import (
    MinPLogitsWarper, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper,
)

VOCAB = 40
ORDER = ('logitBias', 'repetitionPenalty', 'frequencyPenalty+presencePenalty', 'temperature', 'minP', 'topK', 'topP')
# No token is nearer than this (relative) to a threshold, so float32 keeps the same set.
CLEARANCE = 1e-3

NEUTRAL = dict(
    logitBias=[], repetitionPenalty=1.0, frequencyPenalty=0.0, presencePenalty=0.0, temperature=1.0, minP=0.0, topK=0, topP=1.0
)

CASES = (
    ('plain', {}),
    ('temperature below one', dict(temperature=0.7)),
    ('temperature above one', dict(temperature=1.8)),
    ('logit bias up, down and a ban', dict(logitBias=[[3, 2.5], [7, -1.25], [11, -100.0]])),
    ('repetition penalty', dict(repetitionPenalty=1.3)),
    ('repetition penalty below one', dict(repetitionPenalty=0.8)),
    ('frequency and presence', dict(frequencyPenalty=0.6, presencePenalty=0.9)),
    ('negative penalties', dict(frequencyPenalty=-0.5, presencePenalty=-1.1)),
    ('top-k', dict(topK=5)),
    ('top-k one', dict(topK=1, temperature=2.0)),
    ('top-k beyond the vocabulary', dict(topK=1000)),
    ('top-p', dict(topP=0.8)),
    ('top-p keeps one', dict(topP=0.01)),
    ('min-p', dict(minP=0.1)),
    ('min-p one', dict(minP=1.0)),
    ('min-p after temperature', dict(temperature=0.5, minP=0.1)),
    ('top-p of what top-k left', dict(topK=8, topP=0.75)),
    ('top-p of what min-p left', dict(minP=0.02, topP=0.95)),
    ('bias changes the sign before the penalty', dict(logitBias=[[0, -6.0], [1, 6.0]], repetitionPenalty=1.5)),
    ('all penalties', dict(repetitionPenalty=1.2, frequencyPenalty=0.4, presencePenalty=0.3, temperature=0.9)),
    ('everything', dict(
        logitBias=[[2, 1.5], [5, -100.0], [30, 0.75]], repetitionPenalty=1.15, frequencyPenalty=0.3, presencePenalty=0.2,
        temperature=0.85, minP=0.02, topK=12, topP=0.9,
    )),
    ('everything, hot', dict(
        logitBias=[[9, -0.5]], repetitionPenalty=0.9, frequencyPenalty=-0.2, presencePenalty=0.5, temperature=1.6, minP=0.05,
        topK=20, topP=0.95,
    )),
)


def check_clearance(name: str, before: torch.Tensor, warper) -> None:
    """Throws: AssertionError when rounding decides: with its threshold moved a little, the warper must keep as many."""
    kept = torch.isfinite(warper(None, before)).sum()
    for factor in (1 - CLEARANCE, 1 + CLEARANCE):
        if isinstance(warper, TopPLogitsWarper):
            near = TopPLogitsWarper(min(warper.top_p * factor, 1.0))
        elif isinstance(warper, MinPLogitsWarper):
            near = MinPLogitsWarper(warper.min_p * factor if warper.min_p * factor <= 1 else 1.0)
        else:
            near = warper
            finite = before[torch.isfinite(before)].sort(descending=True).values
            if warper.top_k < len(finite):
                assert finite[warper.top_k - 1] - finite[warper.top_k] > CLEARANCE, f'{name}: top-k cuts between near equals'
        assert torch.isfinite(near(None, before)).sum() == kept, f'{name}: {type(warper).__name__} is decided by rounding'


class Case:
    """One case on its way through the stages; scores are float64 with shape [1, V]."""

    def __init__(self, name: str, params: dict, logits: np.ndarray, prompt: list[int], output: list[int]):
        self.name, self.params, self.logits, self.prompt, self.output = name, params, logits, prompt, output

    def stage(self, key: str, scores: torch.Tensor, checked: bool) -> torch.Tensor:
        """Scores after a stage of ORDER or a wrong variant. Throws: AssertionError if `checked` and rounding decides."""
        params, output = self.params, self.output
        if key == 'logitBias':
            bias = torch.zeros(VOCAB, dtype=torch.float64)
            for token_id, value in params['logitBias']:
                bias[token_id] = value
            return scores + bias
        if key.startswith('repetition'):
            seen = output if key == 'repetition over output' else [*self.prompt, *output]
            if params['repetitionPenalty'] == 1:
                return scores
            return RepetitionPenaltyLogitsProcessor(params['repetitionPenalty'])(torch.tensor([seen]), scores)
        if key.startswith('frequency'):
            counted = [*self.prompt, *output] if key == 'frequency over all' else output
            counts = torch.from_numpy(np.bincount(counted, minlength=VOCAB).astype(np.float64))
            return scores - counts * params['frequencyPenalty'] - (counts > 0) * params['presencePenalty']
        if key == 'temperature':
            return scores if params[key] == 1 else TemperatureLogitsWarper(params[key])(None, scores)
        warper_class = {'minP': MinPLogitsWarper, 'topK': TopKLogitsWarper, 'topP': TopPLogitsWarper}[key]
        if params[key] == NEUTRAL[key]:
            return scores
        warper = warper_class(params[key])
        if checked:
            check_clearance(self.name, scores, warper)
        return warper(None, scores)

    def run(self, order: tuple[str, ...], checked: bool = False) -> tuple[np.ndarray, int]:
        """Final probabilities, and the best token after the penalties. Shapes: [V]."""
        scores, choice = torch.from_numpy(self.logits)[None].clone(), -1
        for key in order:
            if key == 'temperature':
                best, second = scores[0].topk(2).values
                assert not checked or best - second > CLEARANCE, f'{self.name}: the greedy choice is decided by rounding'
                choice = int(scores.argmax())
            scores = self.stage(key, scores, checked)
        return scores.softmax(-1)[0].numpy(), choice

    def golden(self) -> dict:
        probabilities, choice = self.run(ORDER, checked=True)
        kept = [int(i) for i in np.argsort(-probabilities, kind='stable') if probabilities[i] > 0]
        return {
            'name': self.name, 'params': self.params, 'prompt': self.prompt, 'output': self.output,
            'logits': [float(x) for x in self.logits], 'greedy': choice, 'kept': kept,
            'probabilities': [float(probabilities[i]) for i in kept],
        }


def check_sharp(cases: list[Case]) -> None:
    """Throws: AssertionError when a wrong order or a penalty over the wrong tokens would pass every case."""
    def moved(first: str, second: str) -> tuple[str, ...]:
        rest = [key for key in ORDER if key != first]
        rest.insert(rest.index(second) + 1, first)
        return tuple(rest)

    wrong = [moved(first, second) for first, second in zip(ORDER, ORDER[1:]) if (first, second) != ('minP', 'topK')]
    # min-p and top-k both keep a run of the best tokens, so they commute; min-p and top-p do not.
    wrong.append(moved('minP', 'topP'))
    wrong.append(tuple('repetition over output' if key == 'repetitionPenalty' else key for key in ORDER))
    wrong.append(tuple('frequency over all' if key == 'frequencyPenalty+presencePenalty' else key for key in ORDER))
    for order in wrong:
        changes = [np.abs(case.run(ORDER)[0] - case.run(order)[0]).max() for case in cases]
        assert max(changes) > 0.005, f'no case tells {ORDER} from {order}'


def sampling_goldens() -> dict:
    """All cases. Each has logits of its own (multiples of 1/1024, exact in float32), and repeated tokens in prompt and output."""
    random = np.random.default_rng(7)
    cases = []
    for name, params in CASES:
        logits = np.round(2.5 * 1024 * random.standard_normal(VOCAB)) / 1024
        prompt = [int(i) for i in random.integers(VOCAB, size=9)] + [0, 1]
        output = [int(i) for i in random.integers(VOCAB, size=6)]
        output += [output[0], output[0], int(logits.argmax())]
        cases.append(Case(name, NEUTRAL | params, logits, prompt, output))
    check_sharp(cases)
    return {
        'vocab': VOCAB,
        'order': list(ORDER),
        'note': 'kept: most probable first; probabilities: normalised over kept, float64. greedy: the best token after the penalties. '
                'topK 0, topP 1, minP 0, repetitionPenalty 1 are off.',
        'cases': [case.golden() for case in cases],
    }
