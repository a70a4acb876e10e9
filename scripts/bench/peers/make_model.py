"""Write a random checkpoint of a real shape into a folder: safetensors, and the same weights as GGUF.

For benchmarks only: its text means nothing. The tokenizer is that of --tokenizer, with a made-up text for every token that it lacks, so that
a server can start with it and every token that is sampled shows in a stream.
"""

import argparse
import json
import shutil
import struct
from pathlib import Path

import torch
from safetensors.torch import save_file

REPO = Path(__file__).resolve().parents[3]
SHAPES = {
    "smollm-135m": dict(vocab=49152, hidden=576, mlp=1536, layers=30, heads=9, kv_heads=3, head_dim=64, context=8192, theta=100000.0),
    "llama-1b": dict(vocab=128256, hidden=2048, mlp=8192, layers=16, heads=32, kv_heads=8, head_dim=64, context=131072, theta=500000.0),
    "demo-16k": dict(vocab=768, hidden=256, mlp=512, layers=5, heads=4, kv_heads=2, head_dim=64, context=16384, theta=10000.0),
    "demo-8k": dict(vocab=768, hidden=256, mlp=512, layers=5, heads=4, kv_heads=2, head_dim=64, context=8192, theta=10000.0),
}
DTYPES = {"float32": (torch.float32, 0, 0), "float16": (torch.float16, 1, 1), "bfloat16": (torch.bfloat16, 30, 32)}
EPS = 1e-5


def config(s: dict, dtype: str) -> dict:
    """config.json of LlamaForCausalLM."""
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": s["vocab"], "hidden_size": s["hidden"],
        "intermediate_size": s["mlp"], "num_hidden_layers": s["layers"], "num_attention_heads": s["heads"],
        "num_key_value_heads": s["kv_heads"], "head_dim": s["head_dim"], "max_position_embeddings": s["context"],
        "rope_theta": s["theta"], "rope_scaling": None, "rms_norm_eps": EPS, "hidden_act": "silu", "attention_bias": False,
        "mlp_bias": False, "tie_word_embeddings": True, "torch_dtype": dtype, "bos_token_id": None, "eos_token_id": 2,
    }


def weights(s: dict, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Random tensors by their Hugging Face names, scaled so that activations stay near one."""
    generator = torch.Generator().manual_seed(0)

    def matrix(rows: int, columns: int) -> torch.Tensor:
        return (torch.randn(rows, columns, generator=generator) / columns**0.5).to(dtype)

    hidden, q, kv = s["hidden"], s["heads"] * s["head_dim"], s["kv_heads"] * s["head_dim"]
    made = {"model.embed_tokens.weight": matrix(s["vocab"], hidden), "model.norm.weight": torch.ones(hidden, dtype=dtype)}
    for i in range(s["layers"]):
        p = f"model.layers.{i}."
        for name, rows, columns in [
            ("self_attn.q_proj", q, hidden), ("self_attn.k_proj", kv, hidden), ("self_attn.v_proj", kv, hidden),
            ("self_attn.o_proj", hidden, q), ("mlp.gate_proj", s["mlp"], hidden), ("mlp.up_proj", s["mlp"], hidden),
            ("mlp.down_proj", hidden, s["mlp"]),
        ]:
            made[f"{p}{name}.weight"] = matrix(rows, columns)
        made[f"{p}input_layernorm.weight"] = torch.ones(hidden, dtype=dtype)
        made[f"{p}post_attention_layernorm.weight"] = torch.ones(hidden, dtype=dtype)
    return made


GGUF_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}


def gguf_name(name: str) -> str:
    parts = name.removesuffix(".weight").split(".")
    if parts[1] == "layers":
        return f"blk.{parts[2]}.{GGUF_NAMES['.'.join(parts[3:])]}.weight"
    return {"embed_tokens": "token_embd.weight", "norm": "output_norm.weight"}[parts[1]]


def interleaved(w: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of q and k in the order of pairs (2i, 2i + 1), which is how this format keeps them."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def field(key: str, value: object) -> bytes:
    """One key with its value; the type follows from the value's."""
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    if isinstance(value, float):
        return text(key) + struct.pack("<If", 6, value)
    if isinstance(value, int):
        return text(key) + struct.pack("<II", 4, value)
    items = list(value)
    if isinstance(items[0], str):
        return text(key) + struct.pack("<IIQ", 9, 8, len(items)) + b"".join(map(text, items))
    return text(key) + struct.pack("<IIQ", 9, 5, len(items)) + struct.pack(f"<{len(items)}i", *items)


def token_texts(count: int) -> list[str]:
    """One unlike text per token; the first 256 stand for the bytes, as byte-level BPE writes them."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (b for b in range(256) if b not in kept)
    of_byte = {b: chr(b) for b in kept} | {b: chr(256 + i) for i, b in enumerate(others)}
    return [of_byte[i] if i < 256 else f"t{i}" for i in range(count)]


def write_gguf(path: Path, s: dict, tensors: dict[str, torch.Tensor], code: int, file_type: int) -> None:
    fields = {
        "general.architecture": "llama", "general.name": "random", "general.file_type": file_type, "llama.vocab_size": s["vocab"],
        "llama.context_length": s["context"], "llama.embedding_length": s["hidden"], "llama.block_count": s["layers"],
        "llama.feed_forward_length": s["mlp"], "llama.rope.dimension_count": s["head_dim"], "llama.attention.head_count": s["heads"],
        "llama.attention.head_count_kv": s["kv_heads"], "llama.attention.layer_norm_rms_epsilon": EPS,
        "llama.rope.freq_base": s["theta"], "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": token_texts(s["vocab"]), "tokenizer.ggml.token_type": [1] * s["vocab"],
        "tokenizer.ggml.merges": ["t h"], "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2,
    }
    infos, blobs, offset = [], [], 0
    for name, w in tensors.items():
        if "q_proj" in name:
            w = interleaved(w, s["heads"])
        if "k_proj" in name:
            w = interleaved(w, s["kv_heads"])
        kind = code if w.dim() == 2 else 0
        w = w.contiguous() if w.dim() == 2 else w.float()
        data = w.view(torch.uint8).numpy().tobytes() if w.element_size() != 4 else w.numpy().tobytes()
        dims = list(reversed(w.shape))
        infos.append(text(gguf_name(name)) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset))
        data += bytes(-len(data) % 32)
        blobs.append(data)
        offset += len(data)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields))
    head += b"".join(field(k, v) for k, v in fields.items()) + b"".join(infos)
    with path.open("wb") as f:
        f.write(head + bytes(-len(head) % 32))
        f.writelines(blobs)


def copy_tokenizer(source: Path, folder: Path, vocab: int) -> None:
    """Copy a BPE tokenizer and give every id below `vocab` a text."""
    shutil.copyfile(source / "tokenizer_config.json", folder / "tokenizer_config.json")
    tokenizer = json.loads((source / "tokenizer.json").read_text())
    known = tokenizer["model"]["vocab"]
    taken = set(known.values()) | {token["id"] for token in tokenizer.get("added_tokens", [])}
    known.update({f"t{i}": i for i in range(vocab) if i not in taken})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("folder", type=Path)
    p.add_argument("--shape", choices=SHAPES, default="smollm-135m")
    p.add_argument("--dtype", choices=DTYPES, default="float32")
    p.add_argument("--tokenizer", type=Path, default=REPO / "models" / "demo")
    o = p.parse_args()

    shape = SHAPES[o.shape]
    dtype, code, file_type = DTYPES[o.dtype]
    tensors = weights(shape, dtype)
    o.folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, o.folder / "model.safetensors", metadata={"format": "pt"})
    (o.folder / "config.json").write_text(json.dumps(config(shape, o.dtype), indent=2) + "\n")
    copy_tokenizer(o.tokenizer, o.folder, shape["vocab"])
    write_gguf(o.folder / "model.gguf", shape, tensors, code, file_type)


if __name__ == "__main__":
    main()
