"""The described API is the real one: Schemathesis makes requests of the description, those
that fit it and those that do not, for each role, and holds every answer to it.

SIGNALBOX_API_SEED=2 makes other requests, SIGNALBOX_API_EXAMPLES=500 more of them."""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

from openapi_spec_validator import OpenAPIV31SpecValidator

HERE = pathlib.Path(__file__).parent
SECRET = "a secret of these tests, long enough for HS256"
# The same requests each time, unless one asks for others.
SEED = os.environ.get("SIGNALBOX_API_SEED", "1")
# Of each operation and phase; 20 take about ten seconds a role.
EXAMPLES = os.environ.get("SIGNALBOX_API_EXAMPLES", "20")
START_TIME_MAX_S = 30


def token(role, **claims):
    def encode(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    claims = {"sub": f"{role}-1", "roles": [role], "exp": int(time.time()) + 36000, **claims}
    header = {"alg": "HS256", "typ": "JWT"}
    content = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
    signature = hmac.new(SECRET.encode(), content.encode(), hashlib.sha256).digest()
    return f"{content}.{encode(signature)}"


class Server:
    """The program on a database of its own."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SIGNALBOX_")}
        command = [os.environ["SIGNALBOX_BIN"], "serve", "--listen", "127.0.0.1:0"]
        command += ["--database-url", f"sqlite://{self.folder.name}/jobs.db", "--jwt-secret", SECRET]
        self.log = open(f"{self.folder.name}/log", "w+")
        self.program = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.log, env=environment, text=True
        )
        self.url = self.program.stdout.readline().split(" ready on ")[-1].strip()
        assert self.url.startswith("http://"), "the program did not start"
        return self

    def __exit__(self, *_):
        self.program.terminate()
        self.program.wait(START_TIME_MAX_S)
        self.program.stdout.close()
        self.log.close()
        self.folder.cleanup()

    def get(self, path):
        with urllib.request.urlopen(self.url + path, timeout=START_TIME_MAX_S) as answer:
            return answer.read()

    def contractor(self):
        draft = {"name": "Ada", "region": "north", "timezone": "Europe/Berlin"}
        headers = {"authorization": f"Bearer {token('admin')}", "content-type": "application/json"}
        request = urllib.request.Request(
            f"{self.url}/api/contractors", json.dumps(draft).encode(), headers
        )
        with urllib.request.urlopen(request, timeout=START_TIME_MAX_S) as answer:
            return json.load(answer)["id"]

    def try_out(self, caller):
        """What Schemathesis says about the server, called with this token or with none."""
        command = [sys.executable, "-m", "schemathesis.cli"]
        command += ["--config-file", str(HERE / "schemathesis.toml")]
        command += ["run", f"{self.url}/openapi.json", "--seed", SEED, "--max-examples", EXAMPLES]
        # What fits its schema may be refused by rules that a schema does not have:
        # api_rules.py says by which.
        command += ["--checks", "all", "--exclude-checks", "positive_data_acceptance"]
        command += ["--max-failures", "20", "--suppress-health-check", "too_slow"]
        if caller:
            command += ["--header", f"Authorization: Bearer {caller}"]
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "api_rules", "PYTHONPATH": str(HERE)}
        return subprocess.run(
            command, cwd=self.folder.name, env=environment, text=True, capture_output=True
        )


class TheApiIsAsDescribed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(Server())

    def test_the_description_is_valid(self):
        document = json.loads(self.server.get("/openapi.json"))
        self.assertEqual([str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()], [])

    def test_an_admin_gets_what_is_described(self):
        self.holds_for(token("admin"))

    def test_a_dispatcher_gets_what_is_described(self):
        self.holds_for(token("dispatcher", regions=["north"]))

    def test_a_contractor_gets_what_is_described(self):
        self.holds_for(token("contractor", contractorId=self.server.contractor()))

    def test_nobody_gets_what_is_described(self):
        self.holds_for(None)

    def holds_for(self, caller):
        outcome = self.server.try_out(caller)
        self.assertEqual(outcome.returncode, 0, outcome.stdout[-20000:] + outcome.stderr[-2000:])
        self.assertIsNone(self.server.program.poll(), "the program lives")


if __name__ == "__main__":
    unittest.main()
