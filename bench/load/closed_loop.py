"""Clients that each ask, read their stream to the end and ask again: what `tessera serve` gives them."""
import asyncio
import json
import statistics

import streams
from words import words

# In tokens; prompts about, for a vocabulary that has most common words.
SHARED, OWN, ANSWER = 300, (20, 200), 100


def body(prompt, tokens, **more):
    return {"prompt": prompt, "max_tokens": tokens, "ignore_eos": True, "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True}, **more}


async def ask(port, prompt, tokens=ANSWER, response=None, **more):
    response = await streams.request(port, "POST", "/v1/completions", body(prompt, tokens, **more), response=response)
    if response.status != 200 or not response.done or not response.times:
        said = response.body or b" ".join(response.events)
        raise RuntimeError(f"a request got status {response.status}: {said[:200].decode(errors='replace')}")
    return response


def usage_of(response):
    usage = next((json.loads(event).get("usage") for event in reversed(response.events) if b'"usage":{' in event), None)
    if not usage:
        raise RuntimeError("a stream ended without its usage")
    return usage


def first_token(response):
    return response.times[0] - response.started


def milliseconds(gaps, percent):
    return 1000 * streams.percentile(gaps, percent)


def prompt_of(client, number):
    count = OWN[0] + (client * 37 + number * 101) % (OWN[1] - OWN[0] + 1)
    return f"{words(SHARED, 'shared')}\n\n{words(count, 'own', client, number)}\n\n"


async def closed_loop(port, clients, requests):
    async def client(index):
        return [await ask(port, prompt_of(index, number)) for number in range(requests)]

    await ask(port, words(50, "warm-up"), 8)
    responses = sum(await asyncio.gather(*map(client, range(clients))), [])
    usages = [usage_of(response) for response in responses]
    if any(usage["completion_tokens"] != ANSWER for usage in usages):
        raise RuntimeError(f"an answer does not have {ANSWER} tokens")
    seconds = max(r.ended for r in responses) - min(r.started for r in responses)
    first = [first_token(response) for response in responses]
    gaps = sum(map(streams.gaps, responses), [])
    return {"output": sum(usage["completion_tokens"] for usage in usages) / seconds,
            "total": sum(usage["prompt_tokens"] + usage["completion_tokens"] for usage in usages) / seconds,
            "ttft": statistics.mean(first), "ttft_p99": streams.percentile(first, 99),
            "gap_p50": milliseconds(gaps, 50), "gap_p99": milliseconds(gaps, 99)}
