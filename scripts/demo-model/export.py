"""Write a checkpoint as a Hugging Face folder, checked against transformers."""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from model import Llama, Shape
from train import default_out

REPO = Path(__file__).resolve().parents[2]


def config(s: Shape) -> dict:
    """config.json of LlamaForCausalLM."""
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": s.vocab, "hidden_size": s.hidden,
        "num_hidden_layers": s.layers, "num_attention_heads": s.heads, "num_key_value_heads": s.kv_heads, "head_dim": s.head_dim,
        "intermediate_size": s.mlp, "max_position_embeddings": s.max_length, "rope_theta": s.theta, "rope_scaling": None,
        "rms_norm_eps": s.eps, "hidden_act": "silu", "attention_bias": False, "mlp_bias": False, "attention_dropout": 0.0,
        "initializer_range": 0.02, "tie_word_embeddings": True, "use_cache": True, "pretraining_tp": 1, "torch_dtype": "bfloat16",
        "bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0,
    }


GENERATION = {"do_sample": False, "eos_token_id": [2, 0], "pad_token_id": 0, "max_new_tokens": 256}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--run", type=Path, default=default_out(), help="training folder (its --out)")
    p.add_argument("--weights", choices=["model", "ema"], default="model", help="ema: a running mean, better before the decay is over")
    p.add_argument("--to", type=Path, default=REPO / "models" / "demo")
    o = p.parse_args()

    state = torch.load(o.run / "last.pt", weights_only=True)
    shape = Shape()
    weights = {k: v.to(torch.bfloat16).contiguous() for k, v in state[o.weights].items()}
    o.to.mkdir(parents=True, exist_ok=True)
    temporary = o.to / "model.safetensors.tmp"
    save_file({f"model.{k}": v for k, v in weights.items()}, temporary, metadata={"format": "pt"})
    temporary.chmod(0o644)  # save_file makes it private
    temporary.replace(o.to / "model.safetensors")
    (o.to / "config.json").write_text(json.dumps(config(shape), indent=2) + "\n")
    (o.to / "generation_config.json").write_text(json.dumps(GENERATION, indent=2) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(o.run / name, o.to / name)

    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(o.to, dtype=torch.float32).eval()
    ours = Llama(shape).eval()
    ours.load_state_dict({k: v.float() for k, v in weights.items()})
    tokens = torch.randint(0, shape.vocab, (2, 200), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        gap = (theirs(tokens).logits - ours(tokens)).abs().max().item()
    assert gap < 1e-3, f"logits differ from transformers by {gap}"
    size = (o.to / "model.safetensors").stat().st_size
    print(f"step {state['step']} ({o.weights}) -> {o.to}: {size} bytes, logits within {gap:.1e} of transformers")


if __name__ == "__main__":
    main()
