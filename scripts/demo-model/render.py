"""A Python twin of chat_template.jinja.

Training renders hundreds of thousands of conversations, and jinja is several
times slower than string concatenation. `check_twin` asserts the two agree, and
the trainer calls it before the first step, so what the model learns is exactly
what the served template produces.
"""

import json
from pathlib import Path

TEMPLATE = (Path(__file__).parent / "chat_template.jinja").read_text().rstrip("\n")

TOOLS_HEAD = "You can call these tools:\n<tools>\n"
TOOLS_TAIL = (
    "</tools>\nTo call a tool, answer with:\n<tool_call>\n"
    '{"name": <name>, "arguments": <arguments>}\n</tool_call>'
)


def tojson(value) -> str:
    """The separators and escaping of transformers' `tojson` filter."""
    return json.dumps(value, ensure_ascii=False)


def call_text(call: dict) -> str:
    """One tool call as the assistant writes it."""
    call = call.get("function", call)
    args = call["arguments"]
    args = args if isinstance(args, str) else tojson(args)
    return '<tool_call>\n{"name": "%s", "arguments": %s}\n</tool_call>' % (call["name"], args)


def assistant_text(message: dict) -> str:
    """The assistant's turn without its markers."""
    parts = [message["content"]] if message.get("content") else []
    parts += [call_text(c) for c in message.get("tool_calls") or []]
    return "\n".join(parts)


def render(messages: list[dict], tools: list[dict] | None = None, generate: bool = False) -> str:
    """The conversation as one string, as chat_template.jinja renders it."""
    out = []
    first = messages[0]["content"] if messages[0]["role"] == "system" else None
    if tools:
        head = f"{first}\n\n" if first is not None else ""
        body = "".join(tojson(t) + "\n" for t in tools)
        out.append(f"<|im_start|>system\n{head}{TOOLS_HEAD}{body}{TOOLS_TAIL}<|im_end|>\n")
    elif first is not None:
        out.append(f"<|im_start|>system\n{first}<|im_end|>\n")
    for i, message in enumerate(messages):
        role = message["role"]
        if role == "assistant":
            out.append(f"<|im_start|>assistant\n{assistant_text(message)}<|im_end|>\n")
        elif role == "tool":
            if i == 0 or messages[i - 1]["role"] != "tool":
                out.append("<|im_start|>user")
            out.append(f"\n<tool_response>\n{message['content']}\n</tool_response>")
            if i + 1 == len(messages) or messages[i + 1]["role"] != "tool":
                out.append("<|im_end|>\n")
        elif role == "user" or i > 0:
            out.append(f"<|im_start|>{role}\n{message['content']}<|im_end|>\n")
    if generate:
        out.append("<|im_start|>assistant\n")
    return "".join(out)


def check_twin(samples) -> None:
    """Assert that `render` and the jinja template agree on (messages, tools) pairs."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    env.filters["tojson"] = tojson
    template = env.from_string(TEMPLATE)
    for messages, tools in samples:
        for generate in (False, True):
            want = template.render(messages=messages, tools=tools, add_generation_prompt=generate)
            assert render(messages, tools, generate) == want, want
