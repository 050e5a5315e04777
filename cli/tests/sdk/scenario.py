"""What a customer does with the unmodified Python SDK, against a running server.

    scenario.py SERVER_URL TOKEN

Prints one line for each step, `ok …` or `FAILED …`, and stops at the first failure, because each step
builds on those before it.
"""

import datetime
import http.server
import json
import queue
import random
import sys
import threading
import time
import uuid

from standardwebhooks import Webhook, WebhookVerificationError
from svix.api import (
    ApplicationIn,
    BulkReplayIn,
    EndpointIn,
    EventTypeIn,
    MessageGetOptions,
    MessageIn,
    RecoverIn,
    ReplayIn,
    Svix,
    SvixOptions,
)
from svix.exceptions import HttpError

PATIENCE = 30
PAYLOADS = [
    {"order": 1, "total": 12.5, "lines": [], "note": None},
    {"order": 2, "customer": "Zoë Łukasz 株式会社", "nested": {"empty": {}}},
    {"order": 3, "big": 9007199254740991, "text": 'quotes " and \\ and \n'},
]


class Receiver:
    """Takes deliveries on a free port below the ephemeral range."""

    def __init__(self):
        self.deliveries = queue.Queue()
        deliveries = self.deliveries

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                deliveries.put((dict(self.headers), body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        for _ in range(1000):
            try:
                address = ("127.0.0.1", random.randrange(10_000, 32_000))
                self.server = http.server.ThreadingHTTPServer(address, Handler)
                break
            except OSError:
                continue
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{address[1]}/webhooks"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self):
        return self.deliveries.get(timeout=PATIENCE)


def eventually(ask, holds):
    """Asks the API until the answer holds: what is delivered is listed a moment later."""
    deadline = time.monotonic() + PATIENCE
    while not holds(answer := ask()):
        assert time.monotonic() < deadline, f"still {answer!r}"
        time.sleep(0.05)
    return answer


def status_of(call):
    try:
        call()
    except HttpError as error:
        return error.status_code
    return None


def ok(step):
    print(f"ok      {step}", flush=True)


def scenario(svix, receiver):
    run = uuid.uuid4().hex

    # The name of PUT is `update` in SDK 1 and `upsert` in SDK 2.
    replace = getattr(svix.application, "upsert", None) or svix.application.update

    app = svix.application.create(ApplicationIn(name="Shop", uid=f"shop-{run}"))
    assert app.id.startswith("app_") and app.name == "Shop"
    assert svix.application.get(app.id) == app == svix.application.get(app.uid)
    ok("application: create, get by id and by uid")

    assert svix.application.get_or_create(ApplicationIn(name="Shop", uid=app.uid)).id == app.id
    assert status_of(lambda: svix.application.create(ApplicationIn(name="Shop", uid=app.uid))) == 409
    assert any(found.id == app.id for found in svix.application.list().data)
    assert replace(app.id, ApplicationIn(name="Store", uid=app.uid)).name == "Store"
    ok("application: get or create, conflict, list, replace")

    event_type = f"order.created.{run}"
    svix.event_type.create(EventTypeIn(name=event_type, description="An order"))
    assert svix.event_type.get(event_type).description == "An order"
    ok("event type: create, get")

    endpoint = svix.endpoint.create(app.id, EndpointIn(url=receiver.url, uid="orders"))
    assert endpoint.id.startswith("ep_") and endpoint.url == receiver.url
    assert svix.endpoint.get(app.id, "orders").id == endpoint.id
    assert [found.id for found in svix.endpoint.list(app.id).data] == [endpoint.id]
    webhook = Webhook(svix.endpoint.get_secret(app.id, endpoint.id).key)
    ok("endpoint: create, get, list, secret")

    sent = {}
    for number, payload in enumerate(PAYLOADS):
        message = MessageIn(event_type=event_type, payload=payload, event_id=f"{run}-{number}")
        sent[svix.message.create(app.id, message).id] = payload
    assert len(sent) == len(PAYLOADS) and all(id.startswith("msg_") for id in sent)
    again = MessageIn(event_type=event_type, payload=PAYLOADS[0], event_id=f"{run}-0")
    assert status_of(lambda: svix.message.create(app.id, again)) == 409
    ok("message: create, and an event id only once")

    received = {}
    for _ in sent:
        headers, body = receiver.next()
        received[headers["webhook-id"]] = webhook.verify(body, headers)
    assert received == sent, f"{received} instead of {sent}"
    ok("deliveries: verified, with their ids and bodies")

    try:
        webhook.verify(body + b" ", headers)
        raise AssertionError("a changed body was verified")
    except WebhookVerificationError:
        ok("deliveries: a changed body is not verified")

    assert {message.id for message in svix.message.list(app.id).data} == set(sent)
    some = next(iter(sent))
    message = svix.message.get(app.id, some, MessageGetOptions(with_content=True))
    assert (message.id, message.event_type, message.payload) == (some, event_type, sent[some])
    ok("message: list, get")

    attempts = eventually(
        lambda: svix.message_attempt.list_by_endpoint(app.id, endpoint.id).data,
        lambda attempts: len(attempts) == len(sent),
    )
    assert {attempt.msg_id for attempt in attempts} == set(sent)
    for attempt in attempts:
        assert attempt.id.startswith("atmpt_") and attempt.endpoint_id == endpoint.id
        assert (attempt.status, attempt.response_status_code) == (0, 200)
        assert attempt.url == receiver.url
    ok("attempts: by endpoint")

    (attempt,) = svix.message_attempt.list_by_msg(app.id, some).data
    assert svix.message_attempt.get(app.id, some, attempt.id).id == attempt.id
    (destination,) = svix.message_attempt.list_attempted_destinations(app.id, some).data
    assert (destination.id, destination.status) == (endpoint.id, 0)
    ok("attempts: by message, one, destinations")

    svix.message_attempt.resend(app.id, some, endpoint.id)
    headers, body = receiver.next()
    assert (headers["webhook-id"], webhook.verify(body, headers)) == (some, sent[some])
    attempts = eventually(
        lambda: svix.message_attempt.list_by_msg(app.id, some).data,
        lambda attempts: len(attempts) == 2,
    )
    assert sorted(attempt.trigger_type for attempt in attempts) == [0, 1]
    ok("attempts: resend")

    def finished(task, sent):
        assert task.id.startswith("qtask_"), task
        done = eventually(
            lambda: svix.background_task.get(task.id), lambda task: task.status == "finished"
        )
        assert (done.task, done.data["messagesSent"]) == (task.task, sent), done

    since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    finished(svix.endpoint.recover(app.id, endpoint.id, RecoverIn(since=since)), 0)
    chosen = BulkReplayIn(since=since, status=0, event_types=[event_type])
    finished(svix.endpoint.bulk_replay(app.id, endpoint.id, chosen), len(sent))
    received = {}
    for _ in sent:
        headers, body = receiver.next()
        received[headers["webhook-id"]] = webhook.verify(body, headers)
    assert received == sent
    ok("replays: recover, bulk replay, background task")

    late = svix.endpoint.create(app.id, EndpointIn(url=receiver.url, uid="late"))
    task = svix.endpoint.replay_missing(app.id, late.id, ReplayIn(since=since))
    finished(task, len(sent))
    assert {receiver.next()[0]["webhook-id"] for _ in sent} == set(sent)
    assert task.id in [listed.id for listed in svix.background_task.list().data]
    svix.endpoint.delete(app.id, late.id)
    ok("replays: what a new endpoint missed, list of background tasks")

    svix.endpoint.delete(app.id, endpoint.id)
    assert status_of(lambda: svix.endpoint.get(app.id, endpoint.id)) == 404
    svix.application.delete(app.id)
    assert status_of(lambda: svix.application.get(app.id)) == 404
    svix.event_type.delete(event_type)
    assert receiver.deliveries.empty(), "more deliveries than messages"
    ok("delete, and what is gone is gone")


def main():
    server_url, token = sys.argv[1:]
    try:
        scenario(Svix(token, SvixOptions(server_url=server_url)), Receiver())
    except Exception as error:
        line = error.__traceback__
        while line.tb_next:
            line = line.tb_next
        detail = error.to_dict() if isinstance(error, HttpError) else error
        print(f"FAILED  line {line.tb_lineno}: {type(error).__name__}: {detail}", flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
