"""The same answers from two programs, token by token: greedy and sampled, several at once."""
import asyncio
import codecs

import servers  # bench/load/
import streams

ANSWER = 48   # tokens at most
AT_ONCE = 8   # so that batches of many shapes are seen; answers may not depend on them
WAYS = {"greedy": {"temperature": 0}, "sampled": {"temperature": 0.8, "top_k": 0, "top_p": 0.95, "min_p": 0.05}}


async def ask(port, prompt, way, seed):
    body = {"prompt": prompt, "max_tokens": ANSWER, "logprobs": 0, "seed": seed, **WAYS[way]}
    response = await streams.request(port, "POST", "/v1/completions", body)
    if response.status != 200:
        raise RuntimeError(f"a request got status {response.status}: {response.body[:200].decode(errors='replace')}")
    choice = response.json()["choices"][0]
    return {"prompt": prompt, "way": way, "tokens": choice["logprobs"]["tokens"], "text": choice["text"],
            "ended by": choice["finish_reason"]}


async def ask_all(port, prompts):
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(prompt, way, seed):
        async with turn:
            return await ask(port, prompt, way, seed)

    return await asyncio.gather(*(one(prompt, way, seed) for seed, prompt in enumerate(prompts) for way in WAYS))


def answers(program, model, threads, prompts, log):
    """Two for each prompt, in an order that is always the same."""
    server = servers.tessera(program, model, log, "--threads", str(threads))
    try:
        return asyncio.run(ask_all(server.port, prompts))
    finally:
        server.kill()


codecs.register_error("each byte", lambda error: ("\ufffd" * (error.end - error.start), error.end))


def as_before(token):
    """A token as builds spelled it that showed a part of a character as U+FFFD, not as "bytes:\\xe6"."""
    if not token.startswith("bytes:"):
        return token
    return token[len("bytes:"):].encode().decode("unicode_escape").encode("latin-1").decode(errors="each byte")


def same_token(old, new):
    return old == new or old == as_before(new)


def differences(old, new):
    """One line for each answer that is not the same."""
    found = []
    for a, b in zip(old, new, strict=True):
        if {**a, "tokens": 0} == {**b, "tokens": 0} and len(a["tokens"]) == len(b["tokens"]) and all(
                map(same_token, a["tokens"], b["tokens"])):
            continue
        same = next((i for i, (x, y) in enumerate(zip(a["tokens"], b["tokens"])) if not same_token(x, y)),
                    min(len(a["tokens"]), len(b["tokens"])))
        found.append(f"{a['way']}, {a['prompt'][:40]!r}: apart after {same} tokens, "
                     f"{a['tokens'][same:same + 4]} and {b['tokens'][same:same + 4]}")
    return found
