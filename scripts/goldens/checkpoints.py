"""Writes one tiny random checkpoint in Hugging Face's format with its goldens, and proves that the goldens are sharp.

Every parameter is random, norms and biases too. The checks: config.json in both dialects loads to equal logits, the logits have a
useful spread, attention is neither uniform nor one-hot, and each mutation of `families.py` moves the logits by more than SHARP.
"""

import copy
import json
import math
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

import reference
from families import END_OF_TEXT, IM_END, BEGIN, Family
from tokenizer_fixture import write_tokenizer

PROMPT_LENGTHS = (1, 17, 45)
GREEDY_STEPS = 24
# No greedy step is closer than this, so that a float16 cache (checked) and other orders of summation choose the same ids.
MIN_MARGIN = 0.03
# No router's choice is closer than this, in logits: for the same reasons.
MIN_ROUTER_GAP = 0.004
# A mutation must move some logit by this much.
SHARP = 0.05


def randomise(model, generator: torch.Generator) -> None:
    """Mutates: every parameter. Matrices keep their input's scale (times 1.5), norms stay near one, biases are large."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim == 1:
            parameter.data = 0.3 * noise if name.endswith('.bias') else 1 + 0.2 * noise
        elif 'embed_tokens' in name and not model.config.tie_word_embeddings:
            parameter.data = noise
        else:
            parameter.data = noise * 1.5 / math.sqrt(parameter.shape[-1])


def to_version_4(config: dict, rope_type_key: str) -> dict:
    """The same config as transformers 4 wrote it."""
    old = {key: value for key, value in config.items() if key not in ('rope_parameters', 'dtype', 'layer_types')}
    rope = dict(config['rope_parameters'])
    old['rope_theta'] = rope.pop('rope_theta')
    kind = rope.pop('rope_type')
    old['rope_scaling'] = None if kind == 'default' else {rope_type_key: kind, **rope}
    old['torch_dtype'] = config['dtype']
    old['transformers_version'] = '4.46.0'
    if old['model_type'] == 'qwen3_moe':
        old['num_experts'] = old.pop('num_local_experts')
    if old.get('head_dim') == old['hidden_size'] // old['num_attention_heads']:
        del old['head_dim']
    return dict(sorted(old.items()))


def read_config(config: dict):
    """A config object from a dialect's plain JSON, read as transformers reads a file."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / 'config.json').write_text(json.dumps(config))
        return AutoConfig.from_pretrained(folder)


def model_from(config, state: dict):
    model = AutoModelForCausalLM.from_config(config, attn_implementation='sdpa', dtype=torch.float32)
    model.load_state_dict(state)
    return model.eval()


def mutated(config: dict, state: dict, mutation) -> torch.nn.Module:
    config, state = copy.deepcopy(config), dict(state)
    for key, value in mutation.config.items():
        holder, *rest = key.split('.')
        if rest:
            config[holder][rest[0]] = value
        else:
            config[holder] = value
    for part, value in mutation.tensors.items():
        names = [name for name in state if name.endswith(part)]
        assert names, f'no tensor ends with {part}'
        state |= {name: torch.full_like(state[name], value) for name in names}
    return model_from(read_config(config), state)


def search_prompts(model, vocab: int, generator: torch.Generator) -> list[dict]:
    """Random prompts whose greedy continuation has no close call."""
    prompts = []
    for length in PROMPT_LENGTHS:
        for _ in range(vocab):
            ids = torch.randint(vocab, (length,), generator=generator).tolist()
            if reference.router_gap(model, ids) < MIN_ROUTER_GAP:
                continue
            found = reference.greedy(model, ids, GREEDY_STEPS, minimum=MIN_MARGIN)
            if found and reference.router_gap(model, ids + found[0]) >= MIN_ROUTER_GAP:
                prompts.append({'ids': ids, 'greedy': found[0], 'margins': found[1]})
                break
        else:
            raise AssertionError(f'no prompt of length {length} has margins over {MIN_MARGIN}')
    return prompts


def check_spread(folder: Path, logits: np.ndarray, ids: list[int]) -> str:
    """Throws: AssertionError when the logits are flat or wild, or attention looks at everything or at one token only."""
    assert 0.8 < logits.std() < 4, f'logits have a standard deviation of {logits.std():.2f}'
    with torch.no_grad():
        layers = reference.load(folder, 'eager')(torch.tensor([ids]), output_attentions=True, use_cache=False).attentions
    peak = float(np.mean([layer[0, :, 8:].amax(-1).mean() for layer in layers]))
    assert 0.15 < peak < 0.9, f'the mean largest attention weight is {peak:.2f}'
    return f'logits std {logits.std():.2f}, mean attention peak {peak:.2f}'


def make_checkpoint(family: Family, models_folder: Path, goldens_folder: Path) -> None:
    """Mutates: replaces models_folder/<name> and the family's goldens. Throws: AssertionError when a check fails."""
    folder = models_folder / family.name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    generator = torch.Generator().manual_seed(family.seed)
    token_ids = dict(bos_token_id=BEGIN if family.begin_token else None, eos_token_id=IM_END)
    config = getattr(transformers, family.config_class)(**family.config, **token_ids)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    randomise(model, generator)
    model.tie_weights()
    model.to(getattr(torch, family.dtype))
    model.generation_config = transformers.GenerationConfig(
        bos_token_id=token_ids['bos_token_id'], eos_token_id=[IM_END, END_OF_TEXT], pad_token_id=END_OF_TEXT,
        **family.generation,
    )
    model.save_pretrained(folder, **({'max_shard_size': family.max_shard_size} if family.max_shard_size else {}))
    for file in folder.iterdir():
        file.chmod(0o644)
    write_tokenizer(folder, family.begin_token)

    version_5 = json.loads((folder / 'config.json').read_text())
    version_4 = to_version_4(version_5, family.rope_type_key)
    dialects = (version_5, version_4) if family.dialect == 5 else (version_4, version_5)
    for path, dialect in zip(('config.json', 'config-other-dialect.json'), dialects, strict=True):
        (folder / path).write_text(json.dumps(dialect, indent=2) + '\n')

    model = reference.load(folder)
    state = model.state_dict()
    prompts = search_prompts(model, config.vocab_size, generator)
    longest = prompts[-1]['ids']
    logits = reference.logits_of(model, longest)
    for dialect in dialects:
        other = reference.logits_of(model_from(read_config(dialect), state), longest)
        reference.assert_close(logits, other, 0, f'{family.name}: the dialects of config.json')
    spread = check_spread(folder, logits, longest)
    difference = reference.check_attention(folder, model, [prompt['ids'] for prompt in prompts])
    half_difference, half_same = reference.half_cache_difference(model, prompts)
    assert half_same, f'{family.name}: a float16 cache changes a greedy choice'
    smallest = (math.inf, '')
    for mutation in family.mutations:
        change = float(np.abs(logits - reference.logits_of(mutated(version_5, state, mutation), longest)).max())
        assert change > SHARP, f'{family.name}: "{mutation.name}" changes the logits by {change:.4f} only'
        smallest = min(smallest, (change, mutation.name))
    firsts = [0] * len(prompts)
    reference.write_golden(goldens_folder, family.name, model, family.dtype, difference, prompts, firsts, ignore_eos=True)
    margin = min(min(prompt['margins']) for prompt in prompts)
    print(f'{family.name}: {spread}, eager-sdpa {difference:.1e}, f16 cache {half_difference:.1e}, '
          f'margins >= {margin}, {len(family.mutations)} mutations caught, least visible "{smallest[1]}" {smallest[0]:.3f}')
