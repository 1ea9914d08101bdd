"""litellm, which many frameworks go through."""
import litellm
import pytest

from conftest import KEY, MODEL, WEATHER

QUESTION = [{"role": "user", "content": "Hi"}]  # "Hello! How can I help you today?" or the like


@pytest.fixture
def where(server):
    return {"model": "openai/" + MODEL, "api_base": server.url + "/v1", "api_key": KEY, "max_retries": 0}


def test_chat(where):
    answer = litellm.completion(messages=QUESTION, max_tokens=30, temperature=0, **where)
    assert "Hello" in answer.choices[0].message.content
    assert answer.usage.completion_tokens > 0


def test_stream(where):
    chunks = list(litellm.completion(messages=QUESTION, max_tokens=30, temperature=0, stream=True, **where))
    assert "Hello" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_text_completion(where):
    where["model"] = "text-completion-openai/" + MODEL
    assert litellm.text_completion(prompt="Once upon a", max_tokens=4, **where).choices[0].text


def test_embedding(where):
    answer = litellm.embedding(input=["one", "two"], **where)
    assert len(answer.data) == 2 and len(answer.data[0]["embedding"]) == 576


def test_tools(where):
    named = {"type": "function", "function": {"name": "get_weather"}}
    answer = litellm.completion(messages=[{"role": "user", "content": "What is the weather in Paris?"}], tools=[WEATHER],
                                max_tokens=60, temperature=0, tool_choice=named, **where)
    assert answer.choices[0].message.tool_calls[0].function.name == "get_weather"


def test_errors(where):
    with pytest.raises(litellm.exceptions.BadRequestError):
        litellm.completion(messages=QUESTION, temperature=-1, **where)
    where["api_key"] = "wrong"
    with pytest.raises(litellm.exceptions.AuthenticationError):
        litellm.completion(messages=QUESTION, **where)
