"""One face for clients of different authors, so that one set of tests drives them all."""

import asyncio
import logging
import queue
import threading
from concurrent.futures import Future

import pysignalr.client
from pysignalr.protocol.json import JSONProtocol
from pysignalr.protocol.messagepack import MessagepackProtocol
from signalrcore.hub_connection_builder import HubConnectionBuilder
from signalrcore.subject import Subject
from signalrcore.types import HttpTransportType, HubProtocolEncoding

# How long anything may take before a test fails.
TIME_LIMIT_S = 15

# Both clients log what the tests provoke.
logging.getLogger("pysignalr").setLevel(logging.CRITICAL)
logging.getLogger("SignalRCoreClient").setLevel(logging.CRITICAL)


class HubFailure(Exception):
    """The server answered a call with this error."""


def settle(future, error, result):
    if error:
        future.set_exception(HubFailure(error))
    else:
        future.set_result(result)


class Pysignalr:
    """pysignalr, with its event loop on a thread of its own."""

    def __init__(self, url, protocol="json", token=None):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.opened = threading.Event()
        self._do(self._make(url, protocol, token))

    async def _make(self, url, protocol, token):
        self.hub = pysignalr.client.SignalRClient(
            url,
            protocol=JSONProtocol() if protocol == "json" else MessagepackProtocol(),
            headers={"Authorization": f"Bearer {token}"} if token else None,
        )
        self.hub.on_open(self._on_open)
        self.hub.on_error(self._on_error)

    async def _on_open(self):
        self.opened.set()

    async def _on_error(self, message):
        """An error reaches the call's own callback as well."""

    def _do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(TIME_LIMIT_S)

    def start(self):
        self.running = asyncio.run_coroutine_threadsafe(self.hub.run(), self.loop)
        if not self.opened.wait(TIME_LIMIT_S):
            raise TimeoutError("pysignalr did not connect")

    def stop(self):
        if self.loop.is_closed():
            return
        if hasattr(self, "running"):
            self._do(self._end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(TIME_LIMIT_S)
        self.loop.close()

    async def _end(self):
        self.running.cancel()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    def received(self, method):
        calls = queue.Queue()

        async def take(arguments):
            calls.put(arguments)

        self.hub.on(method, take)
        return calls

    def answer(self, method, function):
        async def respond(arguments):
            return function(*arguments)

        self.hub.on(method, respond)

    def invoke(self, method, *arguments):
        future = Future()

        async def completed(message):
            settle(future, message.error, message.result)

        self._do(self.hub.send(method, list(arguments), completed))
        return future.result(TIME_LIMIT_S)

    def send(self, method, *arguments):
        self._do(self.hub.send(method, list(arguments)))

    def stream(self, method, *arguments):
        items, future = [], Future()

        async def on_item(item):
            items.append(item)

        async def on_end(message):
            settle(future, message.error, items)

        self._do(self.hub.stream(method, list(arguments), on_item, on_end, on_end))
        return future.result(TIME_LIMIT_S)

    def upload(self, method, items):
        async def run():
            async with self.hub.client_stream(method) as stream:
                for item in items:
                    await stream.send(item)

        self._do(run())


class Signalrcore:
    """signalrcore, which brings its own threads."""

    TRANSPORTS = {
        "WebSockets": HttpTransportType.web_sockets,
        "ServerSentEvents": HttpTransportType.server_sent_events,
        "LongPolling": HttpTransportType.long_polling,
    }

    def __init__(self, url, protocol="json", transport="WebSockets", token=None):
        options = {"transport": self.TRANSPORTS[transport]}
        if token:
            options["access_token_factory"] = lambda: token
        encoding = HubProtocolEncoding.text if protocol == "json" else HubProtocolEncoding.binary
        self.hub = HubConnectionBuilder().with_url(url, options=options).with_hub_protocol(encoding).build()
        self.opened = threading.Event()
        self.failures = {}
        self.hub.on_open(self.opened.set)
        self.hub.on_error(self._on_error)

    def _on_error(self, message):
        """Errors of all calls come here, and to no callback of the call."""
        if future := self.failures.pop(message.invocation_id, None):
            settle(future, message.error, None)

    def start(self):
        self.hub.start()
        if not self.opened.wait(TIME_LIMIT_S):
            raise TimeoutError("signalrcore did not connect")

    def stop(self):
        self.hub.stop()

    def received(self, method):
        calls = queue.Queue()
        self.hub.on(method, calls.put)
        return calls

    def invoke(self, method, *arguments):
        future, call = Future(), f"call-{len(self.failures)}-{method}-{id(arguments)}"
        self.failures[call] = future
        self.hub.invoke(method, list(arguments), lambda message: settle(future, None, message.result), call)
        return future.result(TIME_LIMIT_S)

    def send(self, method, *arguments):
        self.hub.send(method, list(arguments))

    def stream(self, method, *arguments):
        """The items of a stream.

        The client takes items from the moment of the call, and loses those that come
        before it is told what to do with them. Messages are handled one after the other,
        so a stream that is begun while one is handled is told in time.
        """
        items, future = [], Future()

        def begin(_):
            stream = self.hub.stream(method, list(arguments))
            self.failures[stream.invocation_id] = future
            stream.subscribe({
                "next": items.append,
                "complete": lambda message: settle(future, message.error, items),
                "error": lambda error: future.set_exception(HubFailure(str(error))),
            })

        self.hub.on("Message", begin)
        self.hub.invoke("InvokeWithString", ["begin"])
        try:
            return future.result(TIME_LIMIT_S)
        finally:
            self.hub.unsubscribe("Message", begin)

    def upload(self, method, items):
        subject = Subject()
        self.hub.send(method, subject)
        for item in items:
            subject.next(item)
        subject.complete()
