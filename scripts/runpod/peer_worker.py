"""RunPod's own worker with a handler that does what its job says. Started by record.ts."""

import asyncio
import os

import runpod


async def handler(job):
    told = job["input"]
    for value in told.get("yields", []):
        yield value
    if "fail" in told:
        raise ValueError(told["fail"])
    if told.get("hold"):
        await asyncio.sleep(3600)


runpod.serverless.start(
    {
        "handler": handler,
        "return_aggregate_stream": True,
        "concurrency_modifier": lambda _: int(os.environ["PEER_CONCURRENCY"]),
    }
)
