"""Time prefill and decode of a local checkpoint with transformers and torch; print one line of JSON after each batch.

A decode step is one forward pass with the cache, the greedy choice of the next tokens included: what a server's step is.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, DynamicCache, StaticCache

WARM_UP_STEPS = 3


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("folder", type=Path)
    p.add_argument("--dtype", choices=["float32", "float16", "bfloat16"], default="float32")
    p.add_argument("--prompt", type=int, default=128)
    p.add_argument("--steps", type=int, default=16)
    p.add_argument("--batches", type=lambda t: [int(n) for n in t.split(",")], default=[1, 8, 32])
    p.add_argument("--threads", type=int, help="on a CPU; all cores without it")
    p.add_argument("--compile", action="store_true", help="torch.compile the forward pass, with a cache of fixed size")
    o = p.parse_args()

    if o.threads is not None:
        torch.set_num_threads(o.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(o.folder, dtype=getattr(torch, o.dtype), local_files_only=True).eval().to(device)
    # Shapes that never change are what CUDA graphs need; on a CPU there are none.
    mode = "reduce-overhead" if device == "cuda" else "default"
    forward = torch.compile(model, mode=mode, dynamic=False) if o.compile else model

    def new_cache() -> DynamicCache | StaticCache:
        if o.compile:
            return StaticCache(config=model.config, max_cache_len=o.prompt + o.steps + WARM_UP_STEPS + 1)
        return DynamicCache()

    def now() -> float:
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def prefill(batch: int) -> tuple[float, torch.Tensor, DynamicCache | StaticCache]:
        ids = torch.randint(10, 210, (batch, o.prompt), device=device)
        cache = new_cache()
        start = now()
        out = forward(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        chosen = out.logits[:, -1].argmax(-1, keepdim=True).clone()
        chosen.cpu()
        return now() - start, chosen, cache

    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, threads: {torch.get_num_threads()}"
    peer = f"transformers {transformers.__version__}, torch {torch.__version__}{', compiled' if o.compile else ''}"
    with torch.inference_mode():
        for _ in range(WARM_UP_STEPS):
            prefill(1)
        prefill_seconds = statistics.median(prefill(1)[0] for _ in range(3))
        decode = []
        for batch in o.batches:
            _, chosen, cache = prefill(batch)
            times = []
            for _ in range(o.steps + WARM_UP_STEPS):
                torch.compiler.cudagraph_mark_step_begin()
                start = now()
                out = forward(input_ids=chosen, past_key_values=cache, use_cache=True)
                # A graph's outputs are overwritten by its next run.
                chosen = out.logits[:, -1].argmax(-1, keepdim=True).clone()
                chosen.cpu()
                times.append(now() - start)
            decode.append({"batch": batch, "tokensPerSecond": batch / statistics.median(times[WARM_UP_STEPS:])})
            # After every batch, so that what took too long does not cost what did not.
            print(json.dumps({
                "peer": peer, "device": name, "dtype": o.dtype,
                "prefillTokensPerSecond": o.prompt / prefill_seconds, "decode": decode,
            }), flush=True)


if __name__ == "__main__":
    main()
