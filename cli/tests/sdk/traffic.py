"""What a customer sends, receives, and looks up afterwards."""

import datetime

from customer import (
    Customer,
    assert_pages,
    eventually,
    ids,
    ok,
    options,
    status_of,
)
from standardwebhooks import WebhookVerificationError
from svix import models
from svix.api import MessageGetOptions

PAYLOADS = [
    {"order": 1, "total": 12.5, "lines": [], "note": None},
    {"order": 2, "customer": "Zoë Łukasz 株式会社", "nested": {"empty": {}}},
    {"order": 3, "big": 9007199254740991, "text": 'quotes " and \\ and \n'},
]
HOUR = datetime.timedelta(hours=1)


class Traffic(Customer):
    def messages(self):
        api, app = self.svix.message, self.app.id
        self.sent = {}
        for number, payload in enumerate(PAYLOADS):
            extra = {"tags": ["first"], "channels": ["web"]} if number == 0 else {}
            message = models.MessageIn(
                event_type=self.event_type, payload=payload, event_id=f"{self.run}-{number}", **extra
            )
            self.sent[api.create(app, message).id] = payload
        assert len(self.sent) == len(PAYLOADS) and all(id.startswith("msg_") for id in self.sent)
        again = models.MessageIn(event_type=self.event_type, payload={}, event_id=f"{self.run}-0")
        assert status_of(lambda: api.create(app, again)) == 409
        ok("message: create, and an event id only once")

        self.first = first = next(iter(self.sent))
        message = api.get(app, first, MessageGetOptions(with_content=True))
        assert (message.id, message.payload) == (first, self.sent[first])
        assert (message.tags, message.channels, message.event_id) == (["first"], ["web"], f"{self.run}-0")
        assert api.get(app, f"{self.run}-0", MessageGetOptions(with_content=False)).payload == {}

        def listed(**given):
            return api.list(app, options("MessageListOptions", **given))

        assert_pages(listed, list(reversed(self.sent)))
        for given, expected in [
            ({"tag": "first"}, [first]),
            ({"channel": "web"}, [first]),
            ({"channel": "none"}, []),
            ({"event_types": ["none", self.event_type]}, list(reversed(self.sent))),
            ({"event_types": ["none"]}, []),
            ({"after": message.timestamp - HOUR, "before": message.timestamp + HOUR}, list(reversed(self.sent))),
            ({"before": message.timestamp - HOUR}, []),
        ]:
            assert ids(listed(**given)) == expected, given
        assert listed(with_content=True, tag="first").data[0].payload == self.sent[first]
        assert listed(with_content=False, tag="first").data[0].payload == {}
        ok("message: get, list both ways, with each filter")

        if self.offers("POST", "/app/{app}/msg/precheck/active"):
            check = models.MessagePrecheckIn(event_type=self.event_type)
            assert api.precheck(app, check).active
            ok("message: precheck")

    def receive(self, count):
        """The next deliveries, verified."""
        received = {}
        for _ in range(count):
            headers, body = self.receiver.next()
            for webhook in self.webhooks:
                received[headers["webhook-id"]] = webhook.verify(body, headers)
        return received, headers, body

    def deliveries(self):
        received, headers, body = self.receive(len(self.sent))
        assert received == self.sent, f"{received} instead of {self.sent}"
        sent = {name.lower(): value for name, value in headers.items()}
        assert (sent["x-c"], sent["authorization"]) == ("c", "secret")
        ok("deliveries: verified with the new secret and the old, with ids, bodies and headers")
        try:
            self.webhooks[0].verify(body + b" ", headers)
            raise AssertionError("a changed body was verified")
        except WebhookVerificationError:
            ok("deliveries: a changed body is not verified")

    def attempts(self):
        api, app, endpoint, first = self.svix.message_attempt, self.app.id, self.endpoint.id, self.first

        def listed(**given):
            return api.list_by_endpoint(app, endpoint, options("MessageAttemptListByEndpointOptions", **given))

        found = eventually(lambda: listed().data, lambda found: len(found) == len(self.sent))
        assert {attempt.msg_id for attempt in found} == set(self.sent)
        for attempt in found:
            assert attempt.id.startswith("atmpt_") and attempt.endpoint_id == endpoint
            assert (attempt.status, attempt.response_status_code) == (0, 200)
            assert (attempt.status_text, attempt.url) == ("success", self.receiver.url)
        assert_pages(listed, [attempt.id for attempt in found])
        now, some = found[0].timestamp, [attempt.id for attempt in found if attempt.msg_id == first]
        everything = [attempt.id for attempt in found]
        for given, expected in [
            ({"status": models.MessageStatus.SUCCESS, "expanded_statuses": True}, everything),
            ({"status": models.MessageStatus.FAIL}, []),
            ({"status_code_class": models.StatusCodeClass.CODE2XX}, everything),
            ({"status_code_class": models.StatusCodeClass.CODE5XX}, []),
            ({"event_types": [self.event_type]}, everything),
            ({"event_types": ["none"]}, []),
            ({"channel": "web"}, some),
            ({"tag": "first"}, some),
            ({"before": now + HOUR, "after": now - HOUR}, everything),
            ({"after": now + HOUR}, []),
        ]:
            assert ids(listed(**given)) == expected, given
        with_message = listed(tag="first", with_msg=True, with_content=False).data[0]
        assert (with_message.msg.id, with_message.msg.event_type) == (first, self.event_type)
        assert listed(tag="first").data[0].msg is None
        ok("attempts: by endpoint, both ways, with each filter")

        def of_message(**given):
            return api.list_by_msg(app, first, options("MessageAttemptListByMsgOptions", **given))

        (attempt,) = of_message(endpoint_id=endpoint, tag="first", channel="web").data
        assert of_message(status=models.MessageStatus.FAIL).data == []
        assert api.get(app, first, attempt.id).id == attempt.id
        (destination,) = api.list_attempted_destinations(app, first).data
        assert (destination.id, destination.status, destination.status_text) == (endpoint, 0, "success")

        def tried(**given):
            name = "MessageAttemptListAttemptedMessagesOptions"
            return api.list_attempted_messages(app, endpoint, options(name, **given))

        assert set(ids(tried())) == set(self.sent)
        assert_pages(tried, ids(tried()))
        (message,) = tried(tag="first", status=models.MessageStatus.SUCCESS, with_content=True).data
        assert (message.id, message.status, message.payload) == (first, 0, self.sent[first])
        assert tried(status=models.MessageStatus.FAIL).data == []
        ok("attempts: by message, one, destinations, messages")

        api.resend(app, first, endpoint)
        assert self.receive(1)[0] == {first: self.sent[first]}
        found = eventually(lambda: of_message().data, lambda found: len(found) == 2)
        assert [attempt.trigger_type for attempt in found] == [1, 0]
        assert ids(tried(tag="first")) == [first]
        ok("attempts: resend")

    def refusals(self):
        endpoint, app = self.svix.endpoint, self.app.id
        endpoint.patch(app, "refusing", models.EndpointPatch(disabled=False, channels=["refused"]))
        message = models.MessageIn(event_type=self.event_type, payload={}, channels=["refused"])
        sent = self.svix.message.create(app, message).id
        assert self.receive(1)[0] == {sent: {}}
        (attempt,) = eventually(
            lambda: self.svix.message_attempt.list_by_endpoint(
                app,
                "refusing",
                options(
                    "MessageAttemptListByEndpointOptions",
                    status=models.MessageStatus.FAIL,
                    status_code_class=models.StatusCodeClass.CODE5XX,
                ),
            ).data,
            lambda found: len(found) == 1,
        )
        assert (attempt.msg_id, attempt.response_status_code, attempt.status) == (sent, 500, 2)
        (message,) = self.svix.message_attempt.list_attempted_messages(app, "refusing").data
        assert (message.status, message.status_text) == (1, "pending") and message.next_attempt
        endpoint.delete(app, "refusing")
        self.sent[sent] = {}
        ok("attempts: refused, and waiting for the next one")

    def statistics(self):
        api, app, endpoint = self.svix.endpoint, self.app.id, self.endpoint.id
        ends = len(self.sent) + 1
        stats = eventually(lambda: api.get_stats(app, endpoint), lambda stats: stats.success == ends)
        assert (stats.pending, stats.sending, stats.fail, stats.canceled) == (0, 0, 0, 0)
        now = datetime.datetime.now(datetime.timezone.utc)
        long_ago = options("EndpointGetStatsOptions", since=now - 48 * HOUR, until=now - 24 * HOUR)
        assert api.get_stats(app, endpoint, long_ago).success == 0
        if hasattr(api, "get_attempt_stats"):
            stats = api.get_attempt_stats(app, endpoint)
            assert (stats.success, stats.fail, stats.canceled) == (ends, 0, 0)
        ok("endpoint: statistics")

    def examples(self):
        example = models.EventExampleIn(event_type=self.event_type, example_index=1)
        sent = self.svix.endpoint.send_example(self.app.id, self.endpoint.id, example)
        assert sent.event_type == self.event_type
        assert self.receive(1)[0] == {sent.id: {"order": 2}}
        # A replay sends only what is known to have ended.
        api = self.svix.message_attempt
        eventually(lambda: api.list_by_msg(self.app.id, sent.id).data, lambda found: len(found) == 1)
        self.sent[sent.id] = {"order": 2}
        ok("endpoint: send an example")

    def finished(self, task, sent):
        assert task.id.startswith("qtask_"), task
        done = eventually(
            lambda: self.svix.background_task.get(task.id), lambda task: task.status == "finished"
        )
        assert (done.task, done.data["messagesSent"]) == (task.task, sent), done

    def replays(self):
        api, app, endpoint = self.svix.endpoint, self.app.id, self.endpoint.id
        since = datetime.datetime.now(datetime.timezone.utc) - HOUR
        self.finished(api.recover(app, endpoint, models.RecoverIn(since=since)), 0)
        chosen = models.BulkReplayIn(since=since, status=0, event_types=[self.event_type])
        self.finished(api.bulk_replay(app, endpoint, chosen), len(self.sent))
        assert self.receive(len(self.sent))[0] == self.sent
        ok("replays: recover, bulk replay, background task")

        late = api.create(app, models.EndpointIn(url=self.receiver.url, uid="late", secret=self.secret))
        task = api.replay_missing(app, late.id, models.ReplayIn(since=since))
        # An example is meant for one endpoint alone.
        missed = len(self.sent) - 1
        self.finished(task, missed)
        assert {self.receiver.next()[0]["webhook-id"] for _ in range(missed)} < set(self.sent)
        found = self.svix.background_task.list(
            options("BackgroundTaskListOptions", limit=1, task=task.task, status="finished")
        )
        assert ids(found) == [task.id]
        api.delete(app, late.id)
        ok("replays: what a new endpoint missed, list of background tasks")

    def contents(self):
        api, app, first = self.svix.message_attempt, self.app.id, self.first
        attempt = api.list_by_msg(app, first).data[0]
        api.expunge_content(app, first, attempt.id)
        self.svix.message.expunge_content(app, first)
        shown = self.svix.message.get(app, first, MessageGetOptions(with_content=True))
        assert shown.payload != PAYLOADS[0], shown
        assert api.get(app, first, attempt.id).response == ""
        if hasattr(models, "BulkExpungeContentsIn"):
            named = models.BulkExpungeContentsIn(ids=[first, "nothing"])
            results = self.svix.message.bulk_expunge_content(app, named).results
            assert results == {first: "expunged", "nothing": "not-found"}, results
        ok("contents: expunge an attempt's, a message's, several messages'")
