"""Greedy evaluation of an exported folder on held-out prompts, per skill."""

import argparse
import json
import random
import re
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from conversations import SKILLS, Example, testing
from render import assistant_text, render
from words import CUT

REPO = Path(__file__).resolve().parents[2]


def calls(text: str):
    """Parsed tool calls of an answer; None if one is not valid JSON."""
    try:
        return [json.loads(body) for body in re.findall(r"<tool_call>\n(.*?)\n</tool_call>", text, re.S)]
    except json.JSONDecodeError:
        return None


def prompt(example: Example) -> str:
    """The rendered conversation up to the graded turn."""
    return render(example.messages[:-1], example.tools, True).replace(CUT, "")


def expected(example: Example) -> str:
    """The graded turn."""
    return assistant_text(example.messages[-1]).replace(CUT, "")


def right(example: Example, got: str) -> bool:
    """Whether the answer carries the right content, whatever the words around it."""
    want = expected(example)
    if example.skill == "tool call":
        return bool(calls(got)) and calls(got) == calls(want)
    if example.skill == "json":
        try:
            return json.loads(got) == json.loads(want)
        except json.JSONDecodeError:
            return False
    return example.key in got and "<tool_call>" not in got


@torch.no_grad()
def generate(model, tok, prompts: list[str], limit: int = 320) -> list[str]:
    """Greedy answers, left-padded in one batch."""
    batch = tok(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
    out = model.generate(input_ids=batch.input_ids, attention_mask=batch.attention_mask, do_sample=False, max_new_tokens=limit)
    texts = tok.batch_decode(out[:, batch.input_ids.shape[1]:], skip_special_tokens=False)
    return [re.split(r"<\|im_end\|>|<\|endoftext\|>", t)[0] for t in texts]


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--model", type=Path, default=REPO / "models" / "demo")
    p.add_argument("-n", type=int, default=200, help="prompts per skill")
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--batch", type=int, default=50)
    p.add_argument("--skills", nargs="*", help="only these")
    p.add_argument("--json", action="store_true", help="print JSON instead of the table")
    p.add_argument("--show", type=int, default=0, help="print that many failures per skill to stderr")
    p.add_argument("--threads", type=int, default=2)
    o = p.parse_args()

    torch.set_num_threads(o.threads)
    tok = AutoTokenizer.from_pretrained(o.model, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(o.model, dtype=torch.float32).eval()
    rows = []
    for skill in o.skills or SKILLS:
        rng = random.Random(f"{o.seed}:{skill}")
        examples = [testing(rng, skill) for _ in range(o.n)]
        # The template in the folder is what servers apply; it must equal the one training used.
        probe = examples[0]
        assert tok.apply_chat_template(probe.messages[:-1], tools=probe.tools, tokenize=False, add_generation_prompt=True) .replace(CUT, "") == prompt(probe)
        examples.sort(key=lambda e: len(render(e.messages, e.tools)))
        good = exact = 0
        failures = []
        for at in range(0, o.n, o.batch):
            part = examples[at:at + o.batch]
            want = [expected(e) for e in part]
            limit = max(len(tok.encode(w)) for w in want) + 12
            for e, w, got in zip(part, want, generate(model, tok, [prompt(e) for e in part], limit)):
                good += right(e, got)
                exact += got == w
                if not right(e, got):
                    failures.append((e.messages[-2]["content"], w, got))
        rows.append({"skill": skill, "n": o.n, "right": good / o.n, "exact": exact / o.n})
        for ask, want, got in failures[:o.show]:
            print(f"[{skill}] {ask!r}\n   want {want!r}\n   got  {got!r}", file=sys.stderr)
        print(f"{skill}: {good / o.n:.3f}", file=sys.stderr, flush=True)
    if o.json:
        print(json.dumps(rows, indent=2))
        return
    print("| Skill | Prompts | Right | Word for word |\n|---|---:|---:|---:|")
    for r in rows:
        print(f"| {r['skill']} | {r['n']} | {100 * r['right']:.1f} % | {100 * r['exact']:.1f} % |")
    mean = sum(r["right"] for r in rows) / len(rows)
    print(f"| **mean** | {sum(r['n'] for r in rows)} | {100 * mean:.1f} % | {100 * sum(r['exact'] for r in rows) / len(rows):.1f} % |")


if __name__ == "__main__":
    main()
