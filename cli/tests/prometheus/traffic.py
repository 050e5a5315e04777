"""Applications with endpoints of every kind, and messages for them until told to stop."""

import http.client
import json
import threading
import time
import urllib.parse
import uuid

from processes import TOKEN, free_port

# What each endpoint is like: the receiver's path, what the endpoint has besides, and messages per second for it.
ENDPOINTS = {
    "orders": ("/ok", {}, 60),
    "invoices": ("/slow/150", {}, 15),
    "search-index": ("/random/5", {}, 20),
    "ledger": ("/ok", {"sluicegate": {"ordering": {"by": "endpoint"}}}, 5),
    "crm": ("/ok", {"throttleRate": 5}, 8),
    "billing": ("/retry-after/2", {}, 3),
    "old-shop": ("/hang", {}, 1),
    "retired": ("/gone", {}, 1),
    "picky": ("/status/400", {"sluicegate": {"outcomes": [{"status": "400", "then": "give_up"}]}}, 0.2),
    # Nobody listens there.
    "warehouse": (None, {}, 20),
}
PAYLOAD = {"lines": [{"article": number, "count": 1, "name": "a thing that somebody orders"} for number in range(8)]}


class Api:
    """The gateway's API on one connection."""

    def __init__(self, url):
        self._connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=30)

    def ask(self, method, path, body=None, token=TOKEN, **headers):
        """Status and what was answered."""
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"} | headers
        try:
            self._connection.request(method, f"/api/v1/{path}", body if isinstance(body, str) else json.dumps(body), headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        return answer.status, json.loads(text) if text else None

    def create(self, path, body):
        status, answer = self.ask("POST", path, body)
        assert status in (200, 201), (status, answer)
        return answer["id"]


class Traffic:
    """`share`: how much of it, compared with what stands above."""

    def __init__(self, gateway, receivers, share=1.0):
        self._gateway, self._share, self._stop, self._threads = gateway, share, threading.Event(), []
        self.answers, self.endpoints = {}, {}
        api = Api(gateway)
        self.application = api.create("app", {"name": "Shop", "uid": "shop"})
        dead = f"http://127.0.0.1:{free_port()}/"
        for name, (path, settings, _) in ENDPOINTS.items():
            endpoint = {"uid": name, "description": name, "url": f"{receivers}{path}?{name}" if path else dead}
            self.endpoints[name] = api.create("app/shop/endpoint", endpoint | settings | {"channels": [name]})

    def __enter__(self):
        for name, (_, _, rate) in ENDPOINTS.items():
            self._threads.append(threading.Thread(target=self._publish, args=(name, rate * self._share), daemon=True))
        self._threads.append(threading.Thread(target=self._mistakes, daemon=True))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _publish(self, channel, rate):
        """Evenly, one after the other; what is late is left out."""
        api = Api(self._gateway)
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + 1 / rate, time.monotonic() - 1)
            self._count(api, {"eventType": "order.created", "payload": PAYLOAD, "channels": [channel]})

    def _mistakes(self):
        """What producers do wrong, each a few times a minute."""
        api, repeated = Api(self._gateway), {"idempotency-key": str(uuid.uuid4())}
        message = {"eventType": "order.created", "payload": PAYLOAD}
        while not self._stop.wait(0.5):
            self._count(api, {"eventType": "not a type", "payload": {}})
            self._count(api, "{")
            self._count(api, message, token="nobody-knows-this-token")
            self._count(api, message, **repeated)

    def _count(self, api, message, **how):
        try:
            status, _ = api.ask("POST", "app/shop/msg", message, **how)
        except (OSError, http.client.HTTPException):
            status = 0
        self.answers[status] = self.answers.get(status, 0) + 1
