"""Train the demo model; resumes from the newest checkpoint in --out.

Data-parallel over single-threaded processes: on a CPU they meet once a step,
where threads inside one process would meet in every operation.
"""

import argparse
import json
import math
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from tokenizers import Tokenizer

import tokenizer as demo_tokenizer
from batches import Batcher
from conversations import training
from model import Llama, Shape
from muon import Muon
from render import check_twin


def default_out() -> Path:
    """The user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "wgslm-demo-model"


def options() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--out", type=Path, default=default_out(), help="folder of checkpoints and tokenizer")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--steps", type=int, default=2820, help="total steps, decay included")
    p.add_argument("--decay", type=int, default=1220, help="last steps, in which the rate falls to zero")
    p.add_argument("--warmup", type=int, default=100)
    p.add_argument("--lr-matrix", type=float, default=0.02, help="Muon, for projections")
    p.add_argument("--lr-rest", type=float, default=3e-3, help="AdamW, for embeddings and norms")
    p.add_argument("--micros", type=int, default=4, help="micro-batches of 2048 tokens per step")
    p.add_argument("--procs", type=int, default=2, help="processes of one thread each")
    p.add_argument("--save-every", type=int, default=100)
    p.add_argument("--no-compile", action="store_true")
    p.add_argument("--no-bf16", action="store_true")
    return p.parse_args()


def rate(step: int, o: argparse.Namespace) -> float:
    """Warmup-stable-decay multiplier: until the decay it does not depend on --steps, so a run can be extended."""
    return min(1.0, (step + 1) / o.warmup, max(0.0, (o.steps - step) / max(1, o.decay)))


def plan(o: argparse.Namespace, rank: int) -> None:
    """Take over {"steps": n, "decay": n} from --out/plan.json: shortens or extends a run without a restart."""
    numbers, path = torch.tensor([o.steps, o.decay]), o.out / "plan.json"
    if rank == 0 and path.exists():
        read = json.loads(path.read_text())
        numbers = torch.tensor([read["steps"], read["decay"]])
    dist.broadcast(numbers, 0)  # all processes must agree, even while the file is being replaced
    o.steps, o.decay = numbers.tolist()


def save(path: Path, state: dict) -> None:
    """Write a checkpoint so that a reader never sees half of one."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def share(micro: list, rank: int, procs: int) -> list:
    """The micro-batches of one process: the largest go first, each to the least loaded."""
    load, mine = [0] * procs, []
    for pair in sorted(micro, key=lambda m: -m[0].numel()):
        to = load.index(min(load))
        load[to] += pair[0].numel()
        if to == rank:
            mine.append(pair)
    return mine


def all_sum(tensors: list[torch.Tensor]) -> None:
    """Sum tensors over the processes, in place, as one message."""
    flat = torch.cat([t.flatten() for t in tensors])
    dist.all_reduce(flat)
    at = 0
    for t in tensors:
        t.copy_(flat[at:at + t.numel()].view_as(t))
        at += t.numel()


def work(rank: int, o: argparse.Namespace, meet: str) -> None:
    """One training process."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meet, rank=rank, world_size=o.procs)
    torch.manual_seed(o.seed)
    tok = Tokenizer.from_file(str(o.out / "tokenizer.json"))
    shape = Shape()
    model = Llama(shape)
    ema = {k: v.detach().clone() for k, v in model.named_parameters()}
    named = dict(model.named_parameters())
    matrices = [p for k, p in named.items() if p.ndim == 2 and "embed" not in k]
    rest = [p for k, p in named.items() if p.ndim == 1 or "embed" in k]
    optimisers = [Muon(matrices, o.lr_matrix, weight_decay=0.02, rank=rank, procs=o.procs, all_sum=all_sum),
                  torch.optim.AdamW(rest, lr=o.lr_rest, betas=(0.9, 0.95), weight_decay=0.0)]
    base = [[g["lr"] for g in opt.param_groups] for opt in optimisers]
    start, last = 0, o.out / "last.pt"
    if last.exists():
        state = torch.load(last, weights_only=True)
        model.load_state_dict(state["model"])
        ema, start = state["ema"], state["step"]
        for opt, saved in zip(optimisers, state["optimisers"]):
            opt.load_state_dict(saved)
    if rank == 0:
        print(f"{sum(p.numel() for p in named.values())} weights, step {start} of {o.steps}", flush=True)

    def keep(done: int) -> None:
        save(last, {"model": model.state_dict(), "ema": ema, "optimisers": [opt.state_dict() for opt in optimisers], "step": done})

    data = Batcher(tok, o.seed, o.micros)
    forward = model if o.no_compile else torch.compile(model, dynamic=True)
    began, seen, log = time.time(), 0, torch.zeros(2)
    for step in range(start, sys.maxsize):
        if step % 10 == 0:
            plan(o, rank)
        if step >= o.steps:
            break
        for opt, rates in zip(optimisers, base):
            for group, lr in zip(opt.param_groups, rates):
                group["lr"] = lr * rate(step, o)
        micro = data.step(step)
        total = sum(w[:, 1:].sum().item() for _, w in micro)
        seen += sum(tokens.numel() for tokens, _ in micro)
        for p in named.values():
            p.grad = torch.zeros_like(p)
        sums = torch.zeros(2)  # loss and number of assistant tokens
        for tokens, weights in share(micro, rank, o.procs):
            with torch.autocast("cpu", torch.bfloat16, enabled=not o.no_bf16):
                logits = forward(tokens[:, :-1])
            each = F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
            w = weights[:, 1:].flatten()
            ((each * w).sum() / total).backward()
            sums += torch.stack([each.detach()[w == 1].sum(), (w == 1).sum()])
        all_sum([p.grad for p in named.values()] + [sums])
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        for opt in optimisers:
            opt.step()
        beta = min(0.998, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(ema.values()), list(named.values()), 1 - beta)
        log += sums
        if rank != 0:
            continue
        if not math.isfinite(sums[0].item()):
            raise SystemExit(f"loss is not finite at step {step}")
        if (step + 1) % 20 == 0:
            print(f"step {step + 1} loss {log[0] / log[1]:.4f} rate {rate(step, o):.3f} tokens/s {seen / (time.time() - began):.0f}", flush=True)
            log.zero_()
            began, seen = time.time(), 0
        if (step + 1) % o.save_every == 0:
            keep(step + 1)
    if rank == 0:
        keep(step)
    dist.destroy_process_group()


def main() -> None:
    o = options()
    o.out.mkdir(parents=True, exist_ok=True)
    if not (o.out / "tokenizer.json").exists():
        demo_tokenizer.save(demo_tokenizer.train(seed=o.seed), o.out, Shape().max_length)
    rng = random.Random(o.seed)
    check_twin([(e.messages, e.tools) for e in (training(rng) for _ in range(300))])
    # Spinning at a barrier would starve the other process of its core.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(work, (o, f"file://{folder}/meet"), nprocs=o.procs)


if __name__ == "__main__":
    main()
