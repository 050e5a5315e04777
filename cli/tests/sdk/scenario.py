"""What a customer does with the unmodified Python SDK, against a running server.

    scenario.py SERVER_URL TOKEN OPERATIONS

OPERATIONS is the list of what the server offers. Prints one line for each step, `ok …` or `FAILED …`, and
stops at the first failure, because each step builds on those before it.
"""

import sys

from configuration import Configuration
from customer import ok, status_of
from svix.exceptions import HttpError
from traffic import Traffic


class Scenario(Configuration, Traffic):
    def play(self):
        self.svix.health.get()
        ok("health")
        self.applications()
        self.event_types()
        self.endpoints()
        self.messages()
        self.deliveries()
        self.attempts()
        self.refusals()
        self.statistics()
        self.examples()
        self.replays()
        self.contents()
        self.operational_webhooks()
        self.access()
        self.deletions()

    def deletions(self):
        app, endpoint = self.app.id, self.endpoint.id
        self.svix.endpoint.delete(app, endpoint)
        assert status_of(lambda: self.svix.endpoint.get(app, endpoint)) == 404
        self.svix.application.delete(app)
        assert status_of(lambda: self.svix.application.get(app)) == 404
        self.svix.event_type.delete(self.event_type)
        assert self.receiver.deliveries.empty(), "more deliveries than messages"
        ok("delete, and what is gone is gone")


def main():
    server_url, token, operations = sys.argv[1:]
    lines = [line.split() for line in open(operations) if line.strip()]
    offered = {tuple(line[:2]) for line in lines if not line[0].startswith(("#", "-"))}
    try:
        Scenario(server_url, token, offered).play()
    except Exception as error:
        line = error.__traceback__
        while line.tb_next and not line.tb_next.tb_frame.f_code.co_filename.endswith("queue.py"):
            line = line.tb_next
        detail = error.to_dict() if isinstance(error, HttpError) else error
        print(f"FAILED  line {line.tb_lineno}: {type(error).__name__}: {detail}", flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
