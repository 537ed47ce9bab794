"""A model hub on this machine, with the addresses that `huggingface_hub` asks for: files, repositories and commits."""

import base64
import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

COMMIT = "0" * 40


class FakeHub:
    """Serves and stores models.

    Attributes:
        models: id -> path -> content.
        created: what was asked for when a model was created.
        asked: the requests, "METHOD path".
    """

    def __init__(self):
        self.models, self.created, self.asked = {}, [], []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                self.answer()

            def do_GET(self):
                self.answer()

            def do_POST(self):
                self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def answer(self, body=b""):
                hub.asked.append(f"{self.command} {self.path}")
                status, content, headers = hub.reply(self.path, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def reply(self, path, body):
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "validate-yaml"]:
            return _json({"errors": [], "warnings": []})
        if parts[:3] == ["api", "repos", "create"]:
            self.created.append(json.loads(body))
            name = "/".join(filter(None, (self.created[-1].get("organization"), self.created[-1]["name"])))
            self.models.setdefault(name, {})
            return _json({"url": f"{self.url}/{name}"})
        if parts[:2] == ["api", "models"] and parts[4:5] == ["preupload"]:
            files = [{**file, "uploadMode": "regular", "shouldIgnore": False} for file in json.loads(body)["files"]]
            return _json({"files": files})
        if parts[:2] == ["api", "models"] and parts[4:5] == ["commit"]:
            files = [line["value"] for line in map(json.loads, body.splitlines()) if line["key"] == "file"]
            name = "/".join(parts[2:4])
            self.models[name].update({file["path"]: base64.b64decode(file["content"]) for file in files})
            return _json({"commitUrl": f"{self.url}/{name}/commit/{COMMIT}", "commitOid": COMMIT})
        if parts[:2] == ["api", "models"] and "/".join(parts[2:4]) in self.models:
            return _json({"id": "/".join(parts[2:4]), "sha": COMMIT, "siblings": []})
        return self.file("/".join(parts[:2]), "/".join(parts[4:]))

    def file(self, name, path):
        if name not in self.models:
            return 401, b"{}", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
        content = self.models[name].get(path)
        if content is None:
            return 404, b"{}", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
        if content == "gated":
            return 403, b"{}", {"X-Error-Code": "GatedRepo", "X-Repo-Commit": COMMIT}
        return 200, content, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT}


def _json(content):
    return 200, json.dumps(content).encode(), {"Content-Type": "application/json"}
