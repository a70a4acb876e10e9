"""The tiny models, as data: one entry per family with its config, its file format and the mistakes that its goldens must catch.

A mutation is a plausible bug (a window off by one, a bias left out). `checkpoints.py` asserts that each one moves the logits
far more than any tolerance, so a reader of these fixtures that makes the mistake cannot pass.
Next: `checkpoints.py` (config -> files), `reference.py` (files -> logits).
"""

from dataclasses import dataclass, field

# Ids of the fixture tokenizer (tokenizer_fixture.py asserts them). The models have more rows than the tokenizer has tokens.
END_OF_TEXT, IM_START, IM_END, BEGIN = 300, 301, 302, 305


@dataclass(frozen=True)
class Mutation:
    """A changed config (`config`: dotted key -> value) or changed tensors (`tensors`: name part -> constant value)."""

    name: str
    config: dict = field(default_factory=dict)
    tensors: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    name: str
    config_class: str
    config: dict
    dtype: str
    seed: int
    # Which dialect config.json has: 5 writes `rope_parameters` and `dtype`, 4 wrote `rope_theta`, `rope_scaling`, `torch_dtype`.
    dialect: int
    mutations: tuple[Mutation, ...]
    # The key of the rope's kind in the version 4 dialect; `type` is the oldest form.
    rope_type_key: str = 'rope_type'
    max_shard_size: str | None = None
    begin_token: bool = False
    generation: dict = field(default_factory=dict)


def biases(*modules: str) -> tuple[Mutation, ...]:
    return tuple(Mutation(f'no {module} bias', tensors={f'{module}.bias': 0.0}) for module in modules)


NORMS = (
    Mutation('first norm is one', tensors={'input_layernorm.weight': 1.0}),
    Mutation('second norm is one', tensors={'post_attention_layernorm.weight': 1.0}),
    Mutation('final norm is one', tensors={'model.norm.weight': 1.0}),
)

FAMILIES = (
    Family(
        name='tiny-llama',
        config_class='LlamaConfig',
        dtype='float32',
        seed=101,
        dialect=5,
        begin_token=True,
        config=dict(
            vocab_size=320, hidden_size=64, intermediate_size=108, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, rms_norm_eps=1e-5, max_position_embeddings=160, tie_word_embeddings=False,
            rope_parameters=dict(
                rope_type='llama3', rope_theta=1000.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
                original_max_position_embeddings=40,
            ),
        ),
        mutations=(
            *NORMS,
            Mutation('no rope scaling', {'rope_parameters.rope_type': 'default'}),
            Mutation('linear instead of llama3', {'rope_parameters.rope_type': 'linear'}),
            Mutation('no smooth branch', {'rope_parameters.low_freq_factor': 3.999}),
            Mutation('original length ignored', {'rope_parameters.original_max_position_embeddings': 160}),
            Mutation('theta is the default', {'rope_parameters.rope_theta': 10000.0}),
        ),
    ),
    Family(
        name='tiny-llama-biased',
        config_class='LlamaConfig',
        dtype='bfloat16',
        seed=102,
        dialect=4,
        rope_type_key='type',
        max_shard_size='150KB',
        config=dict(
            vocab_size=320, hidden_size=96, intermediate_size=172, num_hidden_layers=2, num_attention_heads=6,
            num_key_value_heads=2, rms_norm_eps=0.004, max_position_embeddings=160, tie_word_embeddings=True,
            attention_bias=True, mlp_bias=True,
            rope_parameters=dict(
                rope_type='yarn', rope_theta=1000.0, factor=4.0, beta_fast=2.0, beta_slow=0.25,
                original_max_position_embeddings=40,
            ),
        ),
        mutations=(
            *NORMS,
            *biases('q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'),
            Mutation('no rope scaling', {'rope_parameters.rope_type': 'default'}),
            Mutation('no attention factor', {'rope_parameters.attention_factor': 1.0}),
            Mutation('default betas', {'rope_parameters.beta_fast': 32.0, 'rope_parameters.beta_slow': 1.0}),
            Mutation('bounds not rounded', {'rope_parameters.truncate': False}),
            Mutation('epsilon is the default', {'rms_norm_eps': 1e-6}),
        ),
    ),
    Family(
        name='tiny-mistral',
        config_class='MistralConfig',
        dtype='float16',
        seed=103,
        dialect=4,
        config=dict(
            vocab_size=320, hidden_size=64, intermediate_size=140, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=32, rms_norm_eps=1e-5, max_position_embeddings=160, sliding_window=8,
            tie_word_embeddings=False, rope_parameters=dict(rope_type='default', rope_theta=5000.0),
        ),
        mutations=(
            *NORMS,
            Mutation('no window', {'sliding_window': None}),
            Mutation('window one less', {'sliding_window': 7}),
            Mutation('window one more', {'sliding_window': 9}),
            Mutation('theta is a class default', {'rope_parameters.rope_theta': 10000.0}),
        ),
    ),
    Family(
        name='tiny-qwen2',
        config_class='Qwen2Config',
        dtype='bfloat16',
        seed=104,
        dialect=5,
        rope_type_key='type',
        generation=dict(do_sample=True, temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05),
        config=dict(
            vocab_size=320, hidden_size=64, intermediate_size=172, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=1, rms_norm_eps=1e-6, max_position_embeddings=160, tie_word_embeddings=True,
            use_sliding_window=True, sliding_window=8, max_window_layers=1,
            rope_parameters=dict(rope_type='linear', rope_theta=10000.0, factor=2.5),
        ),
        mutations=(
            *NORMS,
            *biases('q_proj', 'k_proj', 'v_proj'),
            Mutation('no window', {'layer_types': ['full_attention'] * 3}),
            Mutation('window on all layers', {'layer_types': ['sliding_attention'] * 3}),
            Mutation('window on the first layers', {'layer_types': ['sliding_attention', 'sliding_attention', 'full_attention']}),
            Mutation('window one less', {'sliding_window': 7}),
            Mutation('window one more', {'sliding_window': 9}),
            Mutation('no rope scaling', {'rope_parameters.rope_type': 'default'}),
        ),
    ),
    Family(
        name='tiny-qwen3',
        config_class='Qwen3Config',
        dtype='float32',
        seed=105,
        dialect=5,
        config=dict(
            vocab_size=509, hidden_size=64, intermediate_size=100, num_hidden_layers=2, num_attention_heads=3,
            num_key_value_heads=1, head_dim=64, rms_norm_eps=0.002, max_position_embeddings=160, tie_word_embeddings=True,
            rope_parameters=dict(rope_type='default', rope_theta=1000000.0),
        ),
        mutations=(
            *NORMS,
            Mutation('q norm is one', tensors={'q_norm.weight': 1.0}),
            Mutation('k norm is one', tensors={'k_norm.weight': 1.0}),
            Mutation('theta is a class default', {'rope_parameters.rope_theta': 10000.0}),
            Mutation('epsilon is the default', {'rms_norm_eps': 1e-6}),
        ),
    ),
    Family(
        name='tiny-mixtral',
        config_class='MixtralConfig',
        dtype='bfloat16',
        seed=106,
        dialect=4,
        config=dict(
            vocab_size=320, hidden_size=64, intermediate_size=44, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, rms_norm_eps=1e-5, max_position_embeddings=160, sliding_window=None,
            num_local_experts=8, num_experts_per_tok=2, tie_word_embeddings=False,
            rope_parameters=dict(rope_type='default', rope_theta=5000.0),
        ),
        mutations=(
            *NORMS,
            Mutation('one expert per token', {'num_experts_per_tok': 1}),
            Mutation('three experts per token', {'num_experts_per_tok': 3}),
            Mutation('router is flat', tensors={'mlp.gate.weight': 0.0}),
            Mutation('theta is the default', {'rope_parameters.rope_theta': 1000000.0}),
        ),
    ),
    Family(
        name='tiny-qwen2-moe',
        config_class='Qwen2MoeConfig',
        dtype='bfloat16',
        seed=107,
        dialect=5,
        config=dict(
            vocab_size=320, hidden_size=64, intermediate_size=60, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, rms_norm_eps=1e-6, max_position_embeddings=160, tie_word_embeddings=True,
            num_experts=10, num_experts_per_tok=4, moe_intermediate_size=24, shared_expert_intermediate_size=36,
            norm_topk_prob=False, mlp_only_layers=[1], rope_parameters=dict(rope_type='default', rope_theta=10000.0),
        ),
        mutations=(
            *NORMS,
            *biases('q_proj', 'k_proj', 'v_proj'),
            Mutation('three experts per token', {'num_experts_per_tok': 3}),
            Mutation('shares add up to one', {'norm_topk_prob': True}),
            Mutation('shared expert at half its weight', tensors={'shared_expert_gate.weight': 0.0}),
            Mutation('no shared expert', tensors={'shared_expert.down_proj.weight': 0.0}),
        ),
    ),
    Family(
        name='tiny-qwen3-moe',
        config_class='Qwen3MoeConfig',
        dtype='float16',
        seed=108,
        dialect=5,
        config=dict(
            vocab_size=320, hidden_size=64, intermediate_size=60, num_hidden_layers=4, num_attention_heads=4,
            num_key_value_heads=1, head_dim=32, rms_norm_eps=1e-6, max_position_embeddings=160, tie_word_embeddings=False,
            num_experts=20, num_experts_per_tok=3, moe_intermediate_size=20, norm_topk_prob=True, decoder_sparse_step=2,
            rope_parameters=dict(rope_type='default', rope_theta=10000.0),
        ),
        mutations=(
            *NORMS,
            Mutation('q norm is one', tensors={'q_norm.weight': 1.0}),
            Mutation('k norm is one', tensors={'k_norm.weight': 1.0}),
            Mutation('two experts per token', {'num_experts_per_tok': 2}),
            Mutation('shares are not renormalised', {'norm_topk_prob': False}),
        ),
    ),
    Family(
        name='tiny-olmoe',
        config_class='OlmoeConfig',
        dtype='float32',
        seed=109,
        dialect=4,
        config=dict(
            vocab_size=320, hidden_size=64, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, rms_norm_eps=1e-5, max_position_embeddings=160, tie_word_embeddings=False,
            num_experts=12, num_experts_per_tok=5, norm_topk_prob=False,
            rope_parameters=dict(rope_type='default', rope_theta=10000.0),
        ),
        mutations=(
            *NORMS,
            Mutation('q norm is one', tensors={'q_norm.weight': 1.0}),
            Mutation('k norm is one', tensors={'k_norm.weight': 1.0}),
            Mutation('four experts per token', {'num_experts_per_tok': 4}),
            Mutation('shares add up to one', {'norm_topk_prob': True}),
        ),
    ),
)
