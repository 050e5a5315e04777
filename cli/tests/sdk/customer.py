"""What the parts of the scenario share: the SDK with its names, the receiver, and how to ask."""

import time
import uuid

import svix.api
from receiver import PATIENCE, Receiver
from svix import models
from svix.api import Svix, SvixOptions
from svix.exceptions import HttpError

# What has another name in SDK 2.
IS_2 = hasattr(models, "EndpointUpsertIn")
UPSERT = "upsert" if IS_2 else "update"
SET_HEADERS = "set_headers" if IS_2 else "update_headers"
EndpointUpsertIn = models.EndpointUpsertIn if IS_2 else models.EndpointUpdate
EventTypeUpsertIn = models.EventTypeUpsertIn if IS_2 else models.EventTypeUpdate
OperationalUpsertIn = (
    models.OperationalWebhookEndpointUpsertIn if IS_2 else models.OperationalWebhookEndpointUpdate
)
TYPES = "event_types" if IS_2 else "filter_types"


def operational_endpoints(client):
    return client.operational_webhook.endpoint if IS_2 else client.operational_webhook_endpoint


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


def ids(listed):
    return [found.id for found in listed.data]


def options(name, **given):
    return getattr(svix.api, name)(**given)


def assert_pages(ask, expected):
    """Goes through a list of at least three in pages of two, forward and back. `ask` takes the options of
    a page, `expected` is what the list begins with."""
    first = ask(limit=2)
    assert (ids(first), first.done) == (expected[:2], len(expected) == 2), (ids(first), expected)
    second = ask(limit=2, iterator=first.iterator)
    assert ids(second)[0] == expected[2], (ids(second), expected)
    assert ids(ask(limit=2, iterator=second.prev_iterator)) == expected[:2]


class Customer:
    def __init__(self, server_url, token, offered):
        self.svix = Svix(token, SvixOptions(server_url=server_url))
        self.server_url = server_url
        self.offered = offered
        self.receiver = Receiver()
        self.run = uuid.uuid4().hex
        self.event_type = f"order.created.{self.run}"

    def offers(self, method, path):
        return (method, f"/api/v1{path}") in self.offered
