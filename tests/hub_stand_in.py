"""A stand-in for the Hub on this machine: the part of its HTTP interface that publishing and fetching a model need."""

import base64
import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_made_up"
OWNER, GROUP = "anna", "workshop"


@contextlib.contextmanager
def hub_stand_in():
    """Serves until the block ends.

    `url` is its address, `models` maps names to whether private, files and commits, `role` is what the token may do;
    `asked` are the paths that were read.
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url, server.models = f"http://127.0.0.1:{server.server_port}", {}
    server.role, server.asked = "write", []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.removeprefix("/api/models/")
        self.server.asked.append(self.path)
        if self.body() is None:
            return
        if self.path == "/api/whoami-v2":
            token = {"displayName": "made up", "role": self.server.role}
            auth = {"type": "access_token", "accessToken": token}
            self.answer({"type": "user", "name": OWNER, "orgs": [{"type": "org", "name": GROUP}], "auth": auth})
        elif name in self.server.models:
            model = self.server.models[name]
            files = [{"rfilename": file} for file in model["files"]]
            sha = (model["commits"] or [None])[-1]
            self.answer({"id": name, "private": model["private"], "sha": sha, "siblings": files})
        elif "/resolve/" in self.path:
            self.send_file(*self.path.strip("/").split("/resolve/"))
        else:
            self.answer({"error": "Repository not found"}, 404)

    def do_HEAD(self):
        self.send_file(*self.path.strip("/").split("/resolve/"))

    def send_file(self, name, place):
        """A file of a model, as the Hub sends it to huggingface_hub."""
        model = self.server.models[name]
        content = model["files"].get(place.partition("/")[2])  # of any revision
        if content is None:
            return self.answer({"error": "Entry not found"}, 404)
        self.send_response(200)
        facts = {"X-Repo-Commit": model["commits"][-1], "ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
        for key, value in (facts | {"Content-Length": str(len(content))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)
        return None

    def do_POST(self):
        body = self.body()
        if body is None:
            return
        if self.path == "/api/repos/create":
            self.create(json.loads(body))
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif self.path.endswith("/preupload/main"):
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self.answer({"files": files})
        elif self.path.endswith("/commit/main"):
            self.commit([json.loads(line) for line in body.splitlines()])
        else:
            self.answer({"error": f"The stand-in does not know {self.path}"}, 404)

    def create(self, wanted):
        owner = wanted["organization"] or OWNER
        name = f"{owner}/{wanted['name']}"
        if owner not in (OWNER, GROUP):
            return self.answer({"error": "You don't have the rights to create a model under this namespace"}, 403)
        status = 409 if name in self.server.models else 200
        model = {"private": wanted.get("visibility") == "private", "files": {}, "commits": []}
        self.server.models.setdefault(name, model)
        return self.answer({"url": f"{self.server.url}/{name}", "name": name}, status)

    def commit(self, lines):
        name = self.path.removeprefix("/api/models/").removesuffix("/commit/main")
        model = self.server.models[name]
        for line in lines[1:]:
            assert line["key"] == "file"
            model["files"][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        model["commits"].append(f"{len(model['commits']) + 1:040x}")
        self.answer(
            {"commitUrl": f"{self.server.url}/{name}/commit/{model['commits'][-1]}", "commitOid": model["commits"][-1]}
        )

    def body(self):
        """The request's body; None after a refusal, where the token is wrong."""
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return content
        self.answer({"error": "Invalid username or password."}, 401)
        return None

    def answer(self, content, status=200):
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments):
        """Says nothing."""
