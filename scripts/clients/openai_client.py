"""Drives a running server with the official Python client, by hand.

    python -m venv /tmp/clients && /tmp/clients/bin/pip install -r scripts/clients/requirements.txt
    bun run serve -- --model test/fixtures/models/tiny-llama --port 8000
    /tmp/clients/bin/python scripts/clients/openai_client.py http://127.0.0.1:8000/v1

Prints one line per check and ends with 1 when one failed. Answers are not judged: any model will do.
"""

import asyncio
import sys

import openai
from openai import AsyncOpenAI, OpenAI

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000/v1"
CLIENT = OpenAI(base_url=URL, api_key="none", max_retries=0)
MODEL = CLIENT.models.list().data[0].id
MESSAGES = [{"role": "user", "content": "Hello"}]
GREEDY = {"model": MODEL, "temperature": 0}
ENDLESS = {"ignore_eos": True}


def models():
    listed = CLIENT.models.list().data
    assert CLIENT.models.retrieve(MODEL).id == MODEL
    return f"{[model.id for model in listed]}"


def whole_chat():
    answer = CLIENT.chat.completions.create(
        **GREEDY, messages=MESSAGES, max_completion_tokens=8, extra_body=ENDLESS
    )
    choice = answer.choices[0]
    assert choice.finish_reason == "length" and choice.message.role == "assistant"
    assert answer.usage.completion_tokens == 8
    return f"{choice.message.content!r}, {answer.usage.total_tokens} tokens"


def streamed_chat():
    ask = {**GREEDY, "messages": MESSAGES, "max_tokens": 8, "extra_body": ENDLESS}
    whole = CLIENT.chat.completions.create(**ask).choices[0].message.content
    text, usage = "", None
    for chunk in CLIENT.chat.completions.create(
        **ask, stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
    assert text == whole and usage.completion_tokens == 8
    return "the pieces join to the whole answer"


def chat_stream_helper():
    # The helper takes an answer that was cut for a failure, so that this one must end by itself.
    ask = {**GREEDY, "messages": MESSAGES, "max_tokens": 8}
    text = CLIENT.chat.completions.create(**ask).choices[0].message.content
    with CLIENT.chat.completions.stream(**ask, stop=text[-1]) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert final.choices[0].finish_reason == "stop"
    assert final.choices[0].message.content == text[: text.index(text[-1])]
    return f"{sorted(kinds)}"


def chat_logprobs():
    answer = CLIENT.chat.completions.create(
        **GREEDY,
        messages=MESSAGES,
        max_tokens=3,
        logprobs=True,
        top_logprobs=2,
        extra_body=ENDLESS,
    )
    content = answer.choices[0].logprobs.content
    assert len(content) == 3 and all(len(one.top_logprobs) == 2 for one in content)
    return f"{content[0].token!r} at {content[0].logprob:.3f}"


def completions():
    answer = CLIENT.completions.create(
        model=MODEL, prompt="a", max_tokens=4, n=2, seed=1, logprobs=1
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    pieces = CLIENT.completions.create(
        **GREEDY, prompt="a", max_tokens=4, stream=True, extra_body=ENDLESS
    )
    text = "".join(piece.choices[0].text for piece in pieces if piece.choices)
    whole = CLIENT.completions.create(
        **GREEDY, prompt="a", max_tokens=4, extra_body=ENDLESS
    )
    assert text == whole.choices[0].text
    return f"{text!r}"


def responses():
    first = CLIENT.responses.create(
        **GREEDY, input="Hello", max_output_tokens=4, extra_body=ENDLESS
    )
    assert first.status == "incomplete"
    assert CLIENT.responses.retrieve(first.id).output_text == first.output_text
    following = CLIENT.responses.create(
        **GREEDY, input="Go on", previous_response_id=first.id, max_output_tokens=4
    )
    assert following.previous_response_id == first.id
    with CLIENT.responses.stream(
        **GREEDY, input="Hello", max_output_tokens=4
    ) as stream:
        kinds = [event.type for event in stream]
    assert kinds[0] == "response.created"
    assert kinds[-1] in ("response.incomplete", "response.completed")
    CLIENT.responses.delete(first.id)
    return f"{len(kinds)} events, {first.output_text!r}"


def refusals():
    def refused(kind, **fields):
        ask = {"model": MODEL, "messages": MESSAGES, **fields}
        try:
            CLIENT.chat.completions.create(**ask)
        except kind as error:
            return error
        raise AssertionError(f"{fields} was not refused as {kind.__name__}")

    wrong = refused(openai.BadRequestError, temperature=9)
    assert (wrong.param, wrong.type) == ("temperature", "BadRequestError")
    assert refused(openai.NotFoundError, model="no-such-model").param == "model"
    return str(wrong.body["message"])


def leaving():
    stream = CLIENT.chat.completions.create(
        **GREEDY, messages=MESSAGES, max_tokens=64, stream=True, extra_body=ENDLESS
    )
    next(iter(stream))
    stream.close()
    assert whole_chat()
    return "the next request is answered"


def many_at_once():
    async def run():
        client = AsyncOpenAI(base_url=URL, api_key="none", max_retries=0)
        ask = {**GREEDY, "max_tokens": 4, "extra_body": ENDLESS}
        answers = await asyncio.gather(
            *(
                client.completions.create(**ask, prompt=f"prompt {i}")
                for i in range(16)
            )
        )
        return sum(answer.usage.completion_tokens for answer in answers)

    assert asyncio.run(run()) == 64
    return "16 requests, 64 tokens"


CHECKS = [
    models,
    whole_chat,
    streamed_chat,
    chat_stream_helper,
    chat_logprobs,
    completions,
    responses,
    refusals,
    leaving,
    many_at_once,
]


def main():
    print(f"openai {openai.__version__}, {URL}, model {MODEL}")
    num_failed = 0
    for check in CHECKS:
        try:
            print(f"ok    {check.__name__}: {check()}")
        except Exception as error:  # noqa: BLE001 - every failure is reported
            num_failed += 1
            print(f"FAIL  {check.__name__}: {type(error).__name__}: {error}")
    print(f"{len(CHECKS) - num_failed} of {len(CHECKS)} checks passed")
    return 1 if num_failed else 0


if __name__ == "__main__":
    sys.exit(main())
