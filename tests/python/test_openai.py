"""The official openai client, unchanged, through every endpoint."""
import json
import urllib.request

import openai
import pytest

from conftest import KEY, MODEL, WEATHER, Server

QUESTION = [{"role": "user", "content": "Hi"}]  # "Hello! How can I help you today?" or the like


def ask(client, **options):
    return client.chat.completions.create(model=MODEL, messages=QUESTION, **{"max_tokens": 30, "temperature": 0, **options})


def test_models(client):
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("another")


@pytest.mark.parametrize("base", ["", "/", "/v1/", "//v1", "/v1/v1"])
def test_base_urls_of_any_form(server, base):
    client = openai.OpenAI(base_url=server.url + base, api_key=KEY, max_retries=0, timeout=300)
    assert [model.id for model in client.models.list()] == [MODEL]
    assert ask(client, max_tokens=1).usage.completion_tokens == 1


def test_paths_of_other_servers_are_named(server):
    client = openai.OpenAI(base_url=server.url + "/api/chat", api_key=KEY, max_retries=0)
    with pytest.raises(openai.NotFoundError, match="POST /v1/chat/completions"):
        client.post("", body={}, cast_to=object)


def test_chat(client):
    answer = ask(client)
    assert "Hello" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_shared_beginning_is_cached(client):
    def say(text):
        rules = {"role": "system", "content": "Answer politely. " * 20}
        return client.chat.completions.create(model=MODEL, messages=[rules, {"role": "user", "content": text}],
                                              max_tokens=5, temperature=0)
    cold, warm = say("Hi"), say("Good morning")
    assert cold.usage.prompt_tokens_details.cached_tokens == 0
    assert warm.usage.prompt_tokens_details.cached_tokens >= 64
    assert say("Hi").choices[0].message.content == cold.choices[0].message.content


def test_chat_stream(client):
    whole = ask(client).choices[0].message.content
    chunks = list(ask(client, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_seed_and_n(client):
    def sample(**options):
        return [c.message.content for c in ask(client, temperature=2, **options).choices]
    assert sample(seed=3) == sample(seed=3)
    several = sample(seed=3, n=3)
    assert len(set(several)) > 1 and several[0] == sample(seed=3)[0]
    assert len(set(map(tuple, (sample() for _ in range(4))))) > 1  # without a seed, not always the same
    assert len(set(map(tuple, (sample(seed=-1) for _ in range(4))))) > 1


def test_fields_of_other_servers(client):
    whole = ask(client).choices[0].message.content
    assert ask(client, extra_body={"n_predict": 2}, max_tokens=openai.NOT_GIVEN).usage.completion_tokens == 2
    longer = ask(client, max_tokens=40, extra_body={"min_tokens": 35})
    assert longer.usage.completion_tokens >= 35 and longer.choices[0].message.content.startswith(whole)
    neutral = {"typical_p": 1, "mirostat": 0, "dry_multiplier": 0, "xtc_probability": 0, "repeat_penalty": 1.0}
    assert ask(client, extra_body=neutral).choices[0].message.content == whole
    for field, value in {"typical_p": 0.5, "mirostat": 2, "options": {"num_predict": 3}, "temprature": 1}.items():
        with pytest.raises(openai.BadRequestError) as refused:
            ask(client, extra_body={field: value})
        assert refused.value.param == field
    beginning = " ".join(whole.split()[:3])
    begun = QUESTION + [{"role": "assistant", "content": beginning}]
    rest = client.chat.completions.create(
        model=MODEL, messages=begun, max_tokens=30, temperature=0,
        extra_body={"continue_final_message": True, "add_generation_prompt": False}).choices[0].message.content
    assert beginning + rest == whole


def test_logprobs(client):
    answer = ask(client, logprobs=True, top_logprobs=3)
    content = answer.choices[0].logprobs.content
    assert "".join(entry.token for entry in content) == answer.choices[0].message.content
    for entry in content:
        assert entry.logprob <= 0 and len(entry.top_logprobs) == 3
        assert entry.top_logprobs[0].logprob == pytest.approx(entry.logprob)  # greedy takes the likeliest
        assert bytes(entry.bytes).decode() == entry.token
    chunks = ask(client, logprobs=True, stream=True)
    streamed = [e.token for c in chunks if c.choices[0].logprobs for e in c.choices[0].logprobs.content]
    assert streamed == [entry.token for entry in content]


def test_structured_output(client):
    schema = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer"}},
              "required": ["name", "age"], "additionalProperties": False}
    answer = ask(client, max_tokens=200, response_format={
        "type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": schema}})
    person = json.loads(answer.choices[0].message.content)
    assert list(person) == ["name", "age"] and isinstance(person["age"], int)
    anything = ask(client, max_tokens=300, temperature=1, seed=1, response_format={"type": "json_object"}).choices[0]
    if anything.finish_reason == "stop":
        assert isinstance(json.loads(anything.message.content), dict)
    colour = ask(client, response_format={"type": "json_object"},
                 extra_body={"json_schema": None, "user": "me"}, max_tokens=5).choices[0]
    assert colour.message.content.startswith("{")
    for extra in ({"response_format": {"type": "json_object", "schema": {"enum": ["red", "blue"]}}},
                  {"json_schema": {"enum": ["red", "blue"]}}):
        assert json.loads(ask(client, extra_body=extra).choices[0].message.content) in ("red", "blue")
    word = ask(client, extra_body={"grammar": 'root ::= "yes" | "no"'}).choices[0].message.content
    assert word in ("yes", "no")
    with pytest.raises(openai.BadRequestError, match="nonsense"):
        ask(client, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}})


def test_stop_bias_and_penalties(client, server):
    whole = ask(client).choices[0].message.content
    stop = whole.split()[2]
    assert ask(client, stop=[stop]).choices[0].message.content == whole[:whole.index(stop)]
    request = urllib.request.Request(server.url + "/tokenize", json.dumps({"prompt": "Hello"}).encode(),
                                     {"Authorization": "Bearer " + KEY})
    first = json.load(urllib.request.urlopen(request))["tokens"][0]
    assert not ask(client, logit_bias={str(first): -100}).choices[0].message.content.startswith("Hello")
    answer = ask(client, presence_penalty=1.5, frequency_penalty=0.5, top_p=0.9,
                 extra_body={"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1, "priority": 1, "cache_salt": "me"})
    assert answer.choices[0].message.content
    assert ask(client, max_tokens=2).choices[0].finish_reason == "length"
    assert ask(client, max_tokens=openai.NOT_GIVEN, max_completion_tokens=2).usage.completion_tokens == 2


def test_tools(client):
    question = [{"role": "user", "content": "What is the weather in Paris?"}]
    def call(**options):
        return client.chat.completions.create(model=MODEL, messages=question, tools=[WEATHER], max_tokens=60,
                                              temperature=0, **options)
    named = {"type": "function", "function": {"name": "get_weather"}}
    answer = call(tool_choice=named)
    calls = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert calls[0].function.name == "get_weather" and calls[0].id and calls[0].type == "function"
    assert list(json.loads(calls[0].function.arguments)) == ["city"]

    deltas = [c.choices[0].delta for c in call(tool_choice=named, stream=True)]
    streamed = [piece for delta in deltas for piece in delta.tool_calls or []]
    assert "".join(piece.function.arguments or "" for piece in streamed) == calls[0].function.arguments
    assert streamed[0].index == 0 and streamed[0].function.name == "get_weather"

    question += [answer.choices[0].message, {"role": "tool", "tool_call_id": calls[0].id, "content": "sunny"}]
    assert call(tool_choice="none").choices[0].message.content


def test_a_tool_or_a_form(client):
    form = {"type": "json_schema", "json_schema": {"name": "word", "schema": {"enum": ["yes", "no"]}}}
    for seed in range(4):
        answer = ask(client, tools=[WEATHER], response_format=form, temperature=1.5, seed=seed, max_tokens=200).choices[0]
        if answer.finish_reason == "stop":
            assert json.loads(answer.message.content) in ("yes", "no") and not answer.message.tool_calls
        else:
            assert not answer.message.content and answer.message.tool_calls[0].function.name == "get_weather"
    called = ask(client, tools=[WEATHER], response_format=form, tool_choice="required", max_tokens=200).choices[0]
    assert called.message.tool_calls[0].function.name == "get_weather"


def test_a_call_that_is_cut(client):
    for most in range(1, 16):
        answer = ask(client, tools=[WEATHER], tool_choice="required", max_tokens=most).choices[0]
        assert not answer.message.content
        if answer.finish_reason == "length":
            chunks = ask(client, tools=[WEATHER], tool_choice="required", max_tokens=most, stream=True)
            assert not any(chunk.choices[0].delta.content for chunk in chunks)


def test_required_tools(client):
    sell = {"type": "function", "function": {"name": "sell", "parameters": {
        "type": "object", "properties": {"amount": {"type": "integer", "minimum": 1, "maximum": 9},
                                         "unit": {"enum": ["kg", "piece"]}}, "required": ["amount", "unit"]}}}
    def call(**options):
        return ask(client, tools=[WEATHER, sell], tool_choice="required", max_tokens=300, temperature=1.5, **options)
    for seed in range(4):
        answer = call(seed=seed, parallel_tool_calls=False).choices[0]
        if answer.finish_reason == "length":  # a very long city
            continue
        (made,) = answer.message.tool_calls
        arguments = json.loads(made.function.arguments)
        if made.function.name == "sell":
            assert 1 <= arguments["amount"] <= 9 and arguments["unit"] in ("kg", "piece")
        else:
            assert made.function.name == "get_weather" and isinstance(arguments["city"], str)
    with pytest.raises(openai.BadRequestError, match="dynamicRef"):
        ask(client, tool_choice="required", tools=[{"type": "function", "function": {
            "name": "f", "parameters": {"type": "object", "$dynamicRef": "#a"}}}])


def test_completions(client):
    answer = client.completions.create(model=MODEL, prompt=["Once upon a time", "The sun"], max_tokens=5, temperature=0,
                                       n=1, echo=True)
    assert answer.choices[0].text.startswith("Once upon a time") and answer.choices[1].text.startswith("The sun")
    probable = client.completions.create(model=MODEL, prompt="Once upon a", max_tokens=3, temperature=0, logprobs=2)
    logprobs = probable.choices[0].logprobs
    assert "".join(logprobs.tokens) == probable.choices[0].text
    assert len(logprobs.top_logprobs[0]) == 2 and logprobs.text_offset[0] == 0
    chunks = client.completions.create(model=MODEL, prompt="Once upon a", max_tokens=3, temperature=0, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == probable.choices[0].text


def test_likelihoods_of_a_given_text(client):
    def complete(prompt, **options):
        return client.completions.create(model=MODEL, prompt=prompt, temperature=0, logprobs=1, **options).choices[0]
    answer = complete("Once upon a time", max_tokens=6)
    scored = complete("Once upon a time" + answer.text, max_tokens=1, echo=True)
    token_logprobs, top = scored.logprobs.token_logprobs, scored.logprobs.top_logprobs
    assert token_logprobs[0] is None and top[0] is None and scored.logprobs.text_offset[:2] == [0, 4]
    assert scored.text.startswith("".join(scored.logprobs.tokens[:-1]))
    assert token_logprobs[-7:-1] == answer.logprobs.token_logprobs  # the same text, read instead of written
    assert [max(t.values()) for t in top[-7:-1]] == token_logprobs[-7:-1]  # greedy: the likeliest ones
    likely, unlikely = (sum(complete(f"The capital of France is {city}", max_tokens=0, echo=True)
                            .logprobs.token_logprobs[5:]) for city in ("Paris", "cheese"))
    assert likely > unlikely


def test_embeddings(client):
    texts = ["a cat sat on the mat", "the cat sits on a mat", "quarterly revenue of the company"]
    def embed(**options):
        data = client.embeddings.create(model=MODEL, input=texts, **options).data
        return [entry.embedding for entry in data]
    def similarity(a, b):
        return sum(x * y for x, y in zip(a, b))
    vectors = embed()  # the client asks for base64
    assert all(similarity(v, v) == pytest.approx(1, abs=1e-4) for v in vectors)
    assert similarity(vectors[0], vectors[1]) > similarity(vectors[0], vectors[2])
    assert embed(encoding_format="float")[1] == pytest.approx(vectors[1], abs=1e-6)
    assert embed(extra_body={"pooling": "last"})[0] != vectors[0]


def test_errors(client, server):
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="another", messages=QUESTION)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        ask(client, temperature="hot")
    assert wrong.value.param == "temperature"
    with pytest.raises(openai.BadRequestError) as long:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "word " * 20000}])
    assert long.value.code == "context_length_exceeded" and "8192" in long.value.message
    with pytest.raises(openai.BadRequestError) as suffix:
        client.completions.create(model=MODEL, prompt="a", suffix="b")
    assert suffix.value.param == "suffix"
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=server.url + "/v1", api_key="wrong", max_retries=0).models.list()


def test_a_stream_that_is_closed_ends(client):
    stream = ask(client, stream=True, max_tokens=4000, extra_body={"ignore_eos": True})
    next(iter(stream))
    stream.close()
    assert ask(client).choices[0].message.content


def test_overload_and_shutdown(tmp_path):
    server = Server(tmp_path, "--max-seqs", "1", "--max-queue", "0", "--grace", "0")
    client = openai.OpenAI(base_url=server.url + "/v1", api_key=KEY, max_retries=0)
    stream = iter(ask(client, stream=True, max_tokens=4000, extra_body={"ignore_eos": True}))
    next(stream)
    with pytest.raises(openai.RateLimitError) as busy:
        ask(client)
    assert int(busy.value.response.headers["retry-after"]) >= 1
    assert server.stop() == 0
    with pytest.raises(openai.APIError):
        list(stream)
