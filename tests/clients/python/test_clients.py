"""Python clients of other authors against the test server that SIGNALR_TEST_SERVER names."""

import json
import os
import queue
import re
import subprocess
import threading
import unittest
import urllib.request
from concurrent.futures import Future

from clients import TIME_LIMIT_S, HubFailure, Pysignalr, Signalrcore


class Server:
    """The test server as a child process."""

    def __init__(self):
        self.child = subprocess.Popen(
            # signalrcore notices that it was stopped when the next message comes, if only a ping.
            [os.environ["SIGNALR_TEST_SERVER"], "--listen", "127.0.0.1:0", "--keep-alive-ms", "500"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        line = Future()
        threading.Thread(target=lambda: line.set_result(self.child.stdout.readline()), daemon=True).start()
        try:
            self.url = re.fullmatch(r"signalr_test_server ready on (http://\S+)\n", line.result(TIME_LIMIT_S)).group(1)
        except BaseException:
            self.dispose()
            raise

    def ask(self, method, path, body=None):
        request = urllib.request.Request(self.url + path, method=method, data=body)
        with urllib.request.urlopen(request, timeout=TIME_LIMIT_S) as response:
            return response.read().decode()

    def dispose(self):
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()


def setUpModule():
    global server
    server = Server()
    unittest.addModuleCleanup(server.dispose)


class Calls:
    """What every client must be able to do; a class below says which client."""

    client = None
    settings = {}
    # Whether an object of bytes can be told from a text.
    is_binary = False

    def connect(self, hub="/testhub", before=lambda client: None, **settings):
        client = type(self).client(server.url + hub, **self.settings, **settings)
        self.addCleanup(client.stop)
        before(client)
        client.start()
        return client

    def take(self, calls):
        try:
            return calls.get(timeout=TIME_LIMIT_S)
        except queue.Empty:
            self.fail("no server call arrives")

    def test_invocations_are_answered_with_their_results(self):
        client = self.connect()
        for text in ["", "plain", "你好，世界！", "\"quoted\"\n\u2028", "x" * 20000]:
            self.assertEqual(client.invoke("Echo", text), text)
        self.assertIsNone(client.invoke("NullResult"))

    def test_objects_arrive_in_all_their_parts(self):
        sent = self.connect().invoke("SendComplexObject")
        self.assertEqual(
            {name: sent[name] for name in ("String", "IntArray", "ByteArray", "Guid")},
            {
                "String": "hello world",
                "IntArray": [1, 2, 3],
                "ByteArray": b"\x01\x02\x03" if self.is_binary else "AQID",
                "Guid": "00010203-0405-0607-0706-050403020100",
            },
        )

    def test_errors_arrive_in_the_servers_words(self):
        client = self.connect()
        with self.assertRaises(HubFailure) as thrown:
            client.invoke("ThrowException", "boom")
        self.assertEqual(
            str(thrown.exception),
            "An unexpected error occurred invoking 'ThrowException' on the server. InvalidOperationException: boom",
        )
        with self.assertRaises(HubFailure) as thrown:
            client.invoke("Nope")
        self.assertEqual(
            str(thrown.exception),
            "Failed to invoke 'Nope' due to an error on the server. HubException: Method does not exist.",
        )
        self.assertEqual(client.invoke("Echo", "still here"), "still here")

    def test_uploads_leave_the_connection_well(self):
        client = self.connect()
        client.upload("StreamingConcat", ["a", "b", "c"])
        self.assertEqual(client.invoke("Echo", "still here"), "still here")

    def test_stopping_runs_the_disconnected_hook(self):
        client = self.connect()
        identity = client.invoke("GetCallerConnectionId")
        gone = threading.Event()
        client.stop()
        for _ in range(20 * TIME_LIMIT_S):
            if json.loads(server.ask("GET", f"/hooks/{identity}"))["disconnected"] == 1:
                return
            gone.wait(0.05)
        self.fail("the disconnected hook has not run")


class Features(Calls):
    """What every client must be able to do unless the class below says otherwise."""

    def test_sends_run_in_order(self):
        client = self.connect()
        for number in range(1, 31):
            client.send("Number", number)
        self.assertEqual(client.invoke("Numbers"), list(range(1, 31)))

    def test_server_calls_arrive(self):
        client = self.connect()
        messages = client.received("Message")
        client.send("InvokeWithString", "hello")
        self.assertEqual(self.take(messages), ["hello"])
        numbers = client.received("Number")
        identity = client.invoke("GetCallerConnectionId")
        server.ask("POST", f"/numbers/{identity}?from=1&to=300")
        self.assertEqual([self.take(numbers) for _ in range(300)], [[n] for n in range(1, 301)])

    def test_groups_reach_their_members(self):
        member, other = self.connect(), self.connect()
        sent, unsent = member.received("Send"), other.received("Send")
        group = f"group-{id(member)}"
        member.invoke("JoinGroup", group)
        other.invoke("SendToGroup", group, "hello")
        self.assertEqual(self.take(sent), ["hello"])
        member.invoke("SendToAll", "end")
        self.assertEqual(self.take(unsent), ["end"])

    def test_streams_bring_their_items_and_their_failures(self):
        client = self.connect()
        self.assertEqual(client.stream("Stream"), ["a", "b", "c"])
        self.assertEqual(client.stream("Counter", 50, 1), list(range(50)))
        self.assertEqual(client.stream("EmptyStream"), [])
        with self.assertRaises(HubFailure) as thrown:
            client.stream("StreamFailMidway", 2, "boom")
        self.assertEqual(
            str(thrown.exception),
            "An error occurred on the server while streaming results. InvalidOperationException: boom",
        )

    def test_tokens_name_the_user(self):
        token = server.ask("GET", "/generateJwtToken?user=testuser&seconds=600")
        client = self.connect("/authorizedhub", token=token)
        self.assertEqual(client.invoke("GetUserIdentifier"), "testuser")
        self.assertEqual(client.invoke("AuthorizedOnly"), "ok")


class ClientResults:
    """For the clients that can answer the server."""

    def test_questions_are_answered(self):
        client = self.connect(before=lambda client: client.answer("Answer", lambda value: value * 2))
        self.assertEqual(client.invoke("AskCaller", 21), 42)

    def test_questions_nobody_answers_fail(self):
        with self.assertRaises(HubFailure) as thrown:
            self.connect().invoke("AskCaller", 1)
        self.assertTrue(str(thrown.exception).endswith("HubException: Client didn't provide a result."))


class PysignalrJson(Features, ClientResults, unittest.TestCase):
    client = Pysignalr


class PysignalrMessagePack(Features, ClientResults, unittest.TestCase):
    client = Pysignalr
    settings = {"protocol": "messagepack"}
    is_binary = True


class SignalrcoreJson(Features, unittest.TestCase):
    client = Signalrcore


class SignalrcoreMessagePack(Features, unittest.TestCase):
    client = Signalrcore
    settings = {"protocol": "messagepack"}
    is_binary = True
    # This client leaves the invocation id out of the array that begins an upload.
    test_uploads_leave_the_connection_well = None


class SignalrcoreServerSentEvents(Features, unittest.TestCase):
    client = Signalrcore
    settings = {"transport": "ServerSentEvents"}


class SignalrcoreLongPolling(Calls, unittest.TestCase):
    """This client hands on one message of a poll's answer, and polls without its token."""

    client = Signalrcore
    settings = {"transport": "LongPolling"}


if __name__ == "__main__":
    unittest.main()
