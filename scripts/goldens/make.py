"""Makes the fixtures and goldens of test/fixtures, or the goldens of one local checkpoint. See README.md."""

import argparse
import json
from pathlib import Path

import torch
import transformers

import reference
from beams import MODEL as BEAM_MODEL
from beams import beam_goldens
from cache_formats import cache_format_goldens
from checkpoints import make_checkpoint
from families import FAMILIES
from rescore import generated_goldens, rescored
from sampling import sampling_goldens
from tokenizer_fixture import tokenizer_goldens

FIXTURES = Path(__file__).resolve().parents[2] / 'test' / 'fixtures'
PARTS = (*(family.name for family in FAMILIES), 'sampling', 'tokenizer', 'beams', 'generated', 'best-of', 'cache-formats')
# A checkpoint's golden keeps every position of a prompt while its logits stay under this many floats, else the last ones.
MAX_LOGITS = 16384
LAST_POSITIONS = 8


def make_fixtures(fixtures: Path, parts: list[str]) -> None:
    models, goldens = fixtures / 'models', fixtures / 'goldens'
    goldens.mkdir(parents=True, exist_ok=True)
    for family in FAMILIES:
        if family.name in parts:
            make_checkpoint(family, models, goldens)
    if 'sampling' in parts:
        reference.write_json(goldens / 'sampling.json', sampling_goldens())
    if 'tokenizer' in parts:
        value = tokenizer_goldens(models, ('tiny-qwen2', 'tiny-llama'))
        lines = [json.dumps(part, ensure_ascii=False).replace('{"text"', '\n{"text"') for part in value['sets']]
        (goldens / 'tokenizer.json').write_text('{"sets": [\n' + ',\n'.join(lines) + '\n]}\n')
    if 'beams' in parts:
        prompts = json.loads((goldens / f'{BEAM_MODEL}.json').read_text())['prompts']
        value = beam_goldens(models, [prompt['ids'] for prompt in prompts[:2]])
        lines = ',\n'.join(json.dumps(case) for case in value['cases'])
        (goldens / 'beams.json').write_text(f'{{"model": "{value["model"]}", "cases": [\n{lines}\n]}}\n')
    if 'generated' in parts:
        reference.write_json(goldens / 'generated.json', generated_goldens(models, goldens))
    if 'best-of' in parts:
        recorded = json.loads((FIXTURES / 'goldens' / 'best-of.json').read_text())
        reference.write_json(goldens / 'best-of.json', rescored(models, recorded))
    if 'cache-formats' in parts:
        reference.write_json(goldens / 'cache-formats.json', cache_format_goldens(FIXTURES / 'goldens'))


def make_golden(folder: Path, name: str, prompts: list, out: Path, steps: int) -> None:
    """Goldens of a real checkpoint: prompts through its own chat template and tokenizer, greedy until an end-of-sequence id."""
    model = reference.load(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ends = model.generation_config.eos_token_id or model.config.eos_token_id
    stop = frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends])
    entries, firsts = [], []
    for prompt in prompts:
        if isinstance(prompt, str):
            prompt = {'messages': [{'role': 'user', 'content': prompt}]}
        if 'messages' in prompt:
            text = tokenizer.apply_chat_template(
                prompt['messages'], tools=prompt.get('tools'), tokenize=False, add_generation_prompt=True
            )
            ids = tokenizer(text, add_special_tokens=False)['input_ids']
        else:
            text = prompt['text']
            ids = tokenizer(text)['input_ids']
        chosen, margins = reference.greedy(model, ids, steps, stop)
        entries.append({
            **{key: prompt[key] for key in ('messages', 'tools') if key in prompt}, 'text': text, 'ids': ids, 'greedy': chosen,
            'greedyText': tokenizer.decode(chosen, skip_special_tokens=True), 'stopped': chosen[-1] in stop, 'margins': margins,
        })
        whole = len(ids) * model.config.vocab_size <= MAX_LOGITS
        firsts.append(0 if whole else max(0, len(ids) - LAST_POSITIONS))
    difference = reference.check_attention(folder, model, [entry['ids'] for entry in entries])
    reference.write_golden(out, name, model, reference.stored_dtype(folder), difference, entries, firsts, ignore_eos=False)
    print(f'{name}: {len(entries)} prompts, eager-sdpa {difference:.1e}, '
          f'smallest margin {min(min(entry["margins"]) for entry in entries)}')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--only', nargs='+', choices=PARTS, default=list(PARTS), help='make these parts only')
    parser.add_argument('--fixtures', type=Path, default=FIXTURES, help='where models/ and goldens/ lie')
    parser.add_argument('--model', type=Path, help='a local checkpoint to make goldens for, in place of the fixtures')
    parser.add_argument('--name', help='with --model: name of the golden')
    parser.add_argument('--prompts', type=Path, help='with --model: JSON list, each a string, {messages, tools?} or {text}')
    parser.add_argument('--steps', type=int, default=32, help='with --model: greedy tokens at most')
    options = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    if options.model is None:
        make_fixtures(options.fixtures, options.only)
        return
    if options.name is None or options.prompts is None:
        parser.error('--model needs --name and --prompts')
    prompts = json.loads(options.prompts.read_text())
    make_golden(options.model, options.name, prompts, options.fixtures / 'goldens', options.steps)


if __name__ == '__main__':
    main()
