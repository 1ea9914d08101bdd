"""Requests as applications make them, drawn at random, and what a complete answer to each must be."""
import dataclasses
import json
import random

from words import words

TOOLS = [{"type": "function", "function": {
    "name": name, "description": f"Looks up the {name.split('_')[1]}",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
    for name in ("get_weather", "get_time")]
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["name", "age"],
          "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"},
                         "tags": {"type": "array", "items": {"enum": ["red", "green"]}, "maxItems": 3}}}
PREFIXES = [f"{words(count, 'prefix', count)}\n\n" for count in (40, 120, 250)]
REASONS = {"stop", "length", "tool_calls"}


class Wrong(Exception):
    """An answer is not what the request asked for, in one line."""


def require(condition, what):
    if not condition:
        raise Wrong(what)


@dataclasses.dataclass
class Asked:
    path: str
    body: dict

    @property
    def is_chat(self):
        return self.path.endswith("chat/completions")


@dataclasses.dataclass
class Choice:
    text: str = ""
    reason: str = ""
    tokens: list = dataclasses.field(default_factory=list)  # of the logprobs
    calls: dict = dataclasses.field(default_factory=dict)   # {index: [name, arguments]}


class Traffic:
    """The same requests for the same seed."""

    def __init__(self, seed):
        self.draw = random.Random(seed)

    def asked(self):
        """Any request. All have a seed, so that any can be asked again."""
        draw = self.draw
        text = words(draw.choice((5, 20, 60, 150, 300)), "own", draw.random())
        prefix = draw.choice(["", *PREFIXES])
        body = {"max_tokens": draw.choice((1, 8, 30, 30, 60, 60, 120, 200)), "seed": draw.randrange(1 << 30),
                "temperature": draw.choice((0, 0.7, 1, 1.5)), "priority": draw.choice((0, 0, 0, -2, -1, 1, 2))}
        for chance, more in ((0.5, {"stream": True}), (0.5, {"ignore_eos": True}), (0.3, {"top_p": 0.9, "top_k": 40}),
                             (0.3, {"cache_salt": draw.choice("ab")}), (0.2, {"n": draw.randint(2, 4)}),
                             (0.2, {"decoder": "lookup"}), (0.1, {"stop": [" the", "\n\n"]}),
                             (0.1, {"min_p": 0.05, "repetition_penalty": 1.1, "presence_penalty": 0.5})):
            if draw.random() < chance:
                body |= more
        if body.get("stream") and draw.random() < 0.5:
            body["stream_options"] = {"include_usage": True}
        if draw.random() < 0.5:
            return self._chat(prefix, text, body)
        if draw.random() < 0.2:
            body["logprobs"] = draw.randint(0, 5)
        return Asked("/v1/completions", body | {"prompt": prefix + text})

    def _chat(self, prefix, text, body):
        body["messages"] = [{"role": "user", "content": text}]
        if prefix:
            body["messages"].insert(0, {"role": "system", "content": prefix})
        kind = self.draw.random()
        if kind < 0.2:
            body.pop("stop", None)
            body |= {"max_tokens": 120, "response_format": {
                "type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": SCHEMA}}}
        elif kind < 0.4:
            body |= {"tools": TOOLS, "tool_choice": self.draw.choice(("auto", "required", "none"))}
        elif kind < 0.6:
            body |= {"logprobs": True, "top_logprobs": self.draw.randint(0, 5)}
        return Asked("/v1/chat/completions", body)


def _add(choice, entry, is_chat):
    """Adds what a choice of a whole answer or of one event holds."""
    part = entry.get("message", entry.get("delta")) if is_chat else entry
    choice.text += (part.get("content") if is_chat else part["text"]) or ""
    for index, call in enumerate(part.get("tool_calls") or ()):
        known = choice.calls.setdefault(call.get("index", index), ["", ""])
        known[0] += call["function"].get("name") or ""
        known[1] += call["function"].get("arguments") or ""
    if logprobs := entry.get("logprobs"):
        choice.tokens += [t["token"] for t in logprobs["content"]] if is_chat else logprobs["tokens"]
    if entry["finish_reason"]:
        require(not choice.reason, "an answer ends twice")
        choice.reason = entry["finish_reason"]


def choices_of(asked, response):
    """[Choice] of a complete answer to `asked`. Wrong if it is not that."""
    require(response.status == 200, f"status {response.status}: {response.body[:200].decode(errors='replace')}")
    try:
        parts = [json.loads(part) for part in response.events or [response.body]]
        choices, usage = {}, None
        for part in parts:
            require("error" not in part, f"an error in the answer: {part.get('error')}")
            usage = part.get("usage") or usage
            for entry in part["choices"]:
                _add(choices.setdefault(entry["index"], Choice()), entry, asked.is_chat)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Wrong(f"no answer of the API: {type(error).__name__} {error}") from None
    _check(asked, response, choices, usage)
    return [choices[index] for index in sorted(choices)]


def _check(asked, response, choices, usage):
    body = asked.body
    streamed = body.get("stream", False)
    require(bool(response.events) == streamed and response.done == streamed, "streamed where it should not, or cut")
    require(sorted(choices) == list(range(body.get("n", 1))), f"{len(choices)} answers, expected {body.get('n', 1)}")
    if not streamed or "stream_options" in body:
        require(usage and usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"], "no usage")
        require(usage["completion_tokens"] <= body["max_tokens"] * body.get("n", 1), "more tokens than asked for")
    for choice in choices.values():
        require(choice.reason in REASONS, f"an answer ends for '{choice.reason}'")
        if "response_format" in body and choice.reason == "stop":
            _check_schema(choice.text)
        for name, arguments in choice.calls.values():
            known = name in [tool["function"]["name"] for tool in TOOLS]
            require(known or body["tool_choice"] == "auto", f"a call of '{name}'")  # auto: as the model likes
            require(choice.reason == "length" or isinstance(json.loads(arguments), dict), "arguments are no object")


def _check_schema(text):
    try:
        person = json.loads(text)
    except ValueError:
        raise Wrong(f"the answer is no JSON: {text[:80]!r}") from None
    require(isinstance(person, dict) and isinstance(person.get("age"), int) and len(person.get("name", "x" * 99)) <= 12,
            f"the answer is not what the schema says: {text[:80]!r}")
