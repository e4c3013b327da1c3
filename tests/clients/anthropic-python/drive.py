"""Drives the adapter with Anthropic's SDK for Python and prints what the SDK's own objects say: one JSON line a story.

The same stories as ../anthropic-sdk/drive.mjs, in the same form.
"""

import json
import os

import anthropic

OPTIONS = {
    "base_url": os.environ["ADAPTER_URL"],
    "api_key": os.environ["ADAPTER_TOKEN"],
    # An answer that does not fit the SDK's own types is an error.
    "_strict_response_validation": True,
}
client = anthropic.Anthropic(max_retries=0, **OPTIONS)


def ask(story, **more):
    return {
        "model": "claude-sonnet-5",
        "max_tokens": 1024,
        "messages": [{"role": "user", "content": story}],
        **more,
    }


TOOLS = [
    {
        "name": name,
        "description": name,
        "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    }
    for name in ("read", "list")
]


def said(message):
    """What counts in a message. A signature is opaque: that there is one is all that can be said."""
    content = [block.model_dump(exclude_unset=True, exclude_none=True) for block in message.content]
    for block in content:
        if "signature" in block:
            block["signature"] = len(block["signature"]) > 0
    usage = message.usage
    return {
        "role": message.role,
        "model": message.model,
        "content": content,
        "stop_reason": message.stop_reason,
        "usage": [usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens],
    }


def streamed(story, **more):
    pieces = {"text": "", "thinking": ""}
    with client.messages.stream(**ask(story, **more)) as stream:
        for event in stream:
            if event.type in pieces:
                pieces[event.type] += getattr(event, event.type)
        message = stream.get_final_message()
    return message, {**said(message), "pieces": pieces}


def failed(work):
    try:
        work()
    except anthropic.AnthropicError as error:
        inner = (getattr(error, "body", None) or {}).get("error", {})
        response = getattr(error, "response", None)
        return {
            "error": type(error).__name__,
            "api_error": isinstance(error, anthropic.APIError),
            "status": getattr(error, "status_code", 200),
            "type": inner.get("type"),
            "message": inner.get("message"),
            "retry_after": response.headers.get("retry-after") if response is not None else None,
            "request_id": bool(getattr(error, "request_id", None)),
        }
    return {"error": None}


def thinking():
    wish = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}
    message, told = streamed("thinking", **wish)
    history = [
        {"role": "user", "content": "thinking"},
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": "text"},
    ]
    _, then = streamed("text", **wish, messages=history)
    return {**told, "then": then["content"]}


def whole():
    message = client.messages.create(**ask("whole"))
    return {**said(message), "request_id": bool(message._request_id)}


def count():
    asked = ask("some words to count")
    counted = client.messages.count_tokens(model=asked["model"], messages=asked["messages"])
    return {"counted": counted.input_tokens > 0}


STORIES = {
    "text": lambda: streamed("text")[1],
    "parallel": lambda: streamed("parallel", tools=TOOLS)[1],
    "thinking": thinking,
    "whole": whole,
    "count": count,
    "models": lambda: {
        "ids": [model.id for model in client.models.list()],
        "one": client.models.retrieve("big").id,
    },
    # The SDK tries again by itself, when the gateway wants it to.
    "again": lambda: said(anthropic.Anthropic(max_retries=1, **OPTIONS).messages.create(**ask("again"))),
}
for status in ("400", "401", "403", "404", "413", "429", "500", "503", "overflow", "broken-off", "error-within"):
    STORIES[status] = lambda status=status: failed(lambda: streamed(status))
    STORIES[f"{status}, whole"] = lambda status=status: failed(lambda: client.messages.create(**ask(status)))
STORIES["wrong token"] = lambda: failed(
    lambda: anthropic.Anthropic(max_retries=0, **{**OPTIONS, "api_key": "x"}).messages.create(**ask("text"))
)

def left():
    """Leaving in the middle of an answer that never ends."""
    with client.messages.stream(**ask("endless")) as stream:
        next(iter(stream.text_stream))
    return {}


STORIES["left"] = left

for name, story in STORIES.items():
    print(json.dumps([name, story()]), flush=True)
