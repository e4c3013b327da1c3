#!/usr/bin/env python3
"""A gateway with two scripted models: `steady` mends every task of history.py, `shaky` one of three. models.py PORT_FILE."""

import http.server
import json
import re
import sys


def answer(body: dict) -> tuple[str, list]:
    """What the model says next, and the tools that it calls."""
    asked = json.dumps(body["messages"])
    number = re.search(r"shift_(\d+)", asked)
    worked = any(message["role"] == "assistant" for message in body["messages"])
    folder = re.search(r"(?:CWD|orking directory): (\S+?)(?:\\n|\")", asked)
    if worked or not number or not folder or not body.get("tools"):
        return "It is done.", []
    task = int(number[1])
    able = body["model"] == "steady" or task % 3 == 0
    sign = "+" if able else "*"
    text = f"def shift_{task}(x):\n    return x {sign} {task}\n"
    command = f"cat > shop/shift_{task}.py <<'END'\n{text}END"
    call = {"command": command, "description": "Mend the function"}
    return "", [("Bash", call)]


class Gateway(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        models = [{"id": name, "object": "model"} for name in ("steady", "shaky")]
        self.reply("application/json", json.dumps({"object": "list", "data": models}).encode())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said, calls = answer(body)
        message = {"role": "assistant", "content": said}
        if calls:
            message["tool_calls"] = [
                {"index": at, "id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
                for at, (name, given) in enumerate(calls)
            ]
        finish = "tool_calls" if calls else "stop"
        usage = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}
        whole = {"id": "x", "model": body["model"], "created": 0}
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": finish}
            done = {**whole, "object": "chat.completion", "choices": [choice], "usage": usage}
            return self.reply("application/json", json.dumps(done).encode())
        part = {**whole, "object": "chat.completion.chunk"}
        chunks = [
            {**part, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
            {**part, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}], "usage": usage},
        ]
        lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        self.reply("text/event-stream", lines.encode())


def main() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(str(server.server_port))
    server.serve_forever()


if __name__ == "__main__":
    main()
