// What a customer sends, receives, and looks up afterwards.

import assert from "node:assert/strict";
import { Configuration } from "./configuration.mjs";
import { HOUR_MS, assertPages, eventually, fields, ids, ok, statusOf } from "./customer.mjs";

const PAYLOADS = [
  { order: 1, total: 12.5, lines: [], note: null },
  { order: 2, customer: "Zoë Łukasz 株式会社", nested: { empty: {} } },
  { order: 3, big: Number.MAX_SAFE_INTEGER, text: 'quotes " and \\ and \n' },
];
const [SUCCESS, PENDING, FAIL] = [0, 1, 2];
const hours = (time, count) => new Date(time.getTime() + count * HOUR_MS);

export class Traffic extends Configuration {
  async messages() {
    const api = this.svix.message;
    const { app, eventType } = this;
    this.sent = new Map();
    for (const [number, payload] of PAYLOADS.entries()) {
      const extra = number === 0 ? { tags: ["first"], channels: ["web"] } : {};
      const message = { eventType, payload, eventId: `${this.run}-${number}`, ...extra };
      this.sent.set((await api.create(app, message)).id, payload);
    }
    assert.equal(this.sent.size, PAYLOADS.length);
    const again = { eventType, payload: {}, eventId: `${this.run}-0` };
    assert.equal(await statusOf(() => api.create(app, again)), 409);
    ok("message: create, and an event id only once");

    [this.first] = this.sent.keys();
    const message = await api.get(app, this.first, { withContent: true });
    const { id, payload, tags, channels } = message;
    assert.deepEqual([id, payload], [this.first, PAYLOADS[0]]);
    assert.deepEqual([tags, channels, message.eventId], [["first"], ["web"], `${this.run}-0`]);
    assert.deepEqual((await api.get(app, `${this.run}-0`, { withContent: false })).payload, {});
    const listed = (given) => api.list(app, given);
    const all = [...this.sent.keys()].reverse();
    await assertPages(listed, all);
    for (const [given, expected] of [
      [{ tag: "first" }, [id]],
      [{ channel: "web" }, [id]],
      [{ channel: "none" }, []],
      [{ eventTypes: ["none", eventType] }, all],
      [{ eventTypes: ["none"] }, []],
      [{ after: hours(message.timestamp, -1), before: hours(message.timestamp, 1) }, all],
      [{ before: hours(message.timestamp, -1) }, []],
    ]) {
      assert.deepEqual(ids(await listed(given)), expected, JSON.stringify(given));
    }
    assert.deepEqual((await listed({ tag: "first", withContent: true })).data[0].payload, payload);
    assert.deepEqual((await listed({ tag: "first", withContent: false })).data[0].payload, {});
    ok("message: get, list both ways, with each filter");

    if (this.offers("POST", "/app/{app}/msg/precheck/active")) {
      assert((await api.precheck(app, { eventType })).active);
      ok("message: precheck");
    }
  }

  /** The next deliveries, verified. */
  async receive(count) {
    const received = new Map();
    let last;
    for (let number = 0; number < count; number++) {
      last = await this.receiver.next();
      for (const webhook of this.webhooks) {
        received.set(last.headers["webhook-id"], webhook.verify(last.body, last.headers));
      }
    }
    return { received, last };
  }

  async deliveries() {
    const { received, last } = await this.receive(this.sent.size);
    assert.deepEqual(received, this.sent);
    const { "x-c": added, authorization } = last.headers;
    assert.deepEqual([added, authorization], ["c", "secret"]);
    ok("deliveries: verified with the new secret and the old, with ids, bodies and headers");
    assert.throws(() => this.webhooks[0].verify(`${last.body} `, last.headers));
    ok("deliveries: a changed body is not verified");
  }

  async attempts() {
    const api = this.svix.messageAttempt;
    const { app, endpoint, first, eventType } = this;
    const listed = (given) => api.listByEndpoint(app, endpoint, given);
    const found = await eventually(async () => (await listed()).data, ({ length }) => length === this.sent.size);
    assert.deepEqual(new Set(found.map(({ msgId }) => msgId)), new Set(this.sent.keys()));
    const names = ["endpointId", "status", "statusText", "responseStatusCode", "url"];
    for (const attempt of found) {
      assert.match(attempt.id, /^atmpt_/);
      assert.deepEqual(Object.values(fields(attempt, names)), [endpoint, 0, "success", 200, this.receiver.url]);
    }
    const all = found.map(({ id }) => id);
    await assertPages(listed, all);
    const some = found.filter(({ msgId }) => msgId === first).map(({ id }) => id);
    const now = found[0].timestamp;
    for (const [given, expected] of [
      [{ status: SUCCESS, expandedStatuses: true }, all],
      [{ status: FAIL }, []],
      [{ statusCodeClass: 200 }, all],
      [{ statusCodeClass: 500 }, []],
      [{ eventTypes: [eventType] }, all],
      [{ eventTypes: ["none"] }, []],
      [{ channel: "web" }, some],
      [{ tag: "first" }, some],
      [{ before: hours(now, 1), after: hours(now, -1) }, all],
      [{ after: hours(now, 1) }, []],
    ]) {
      assert.deepEqual(ids(await listed(given)), expected, JSON.stringify(given));
    }
    const [withMessage] = (await listed({ tag: "first", withMsg: true, withContent: false })).data;
    assert.deepEqual([withMessage.msg.id, withMessage.msg.eventType], [first, eventType]);
    assert.equal((await listed({ tag: "first" })).data[0].msg ?? null, null);
    ok("attempts: by endpoint, both ways, with each filter");

    const ofMessage = async (given) => (await api.listByMsg(app, first, given)).data;
    const [attempt, ...others] = await ofMessage({ endpointId: endpoint, tag: "first", channel: "web" });
    assert.equal(others.length, 0);
    assert.deepEqual(await ofMessage({ status: FAIL }), []);
    assert.equal((await api.get(app, first, attempt.id)).id, attempt.id);
    const reached = (await api.listAttemptedDestinations(app, first)).data;
    assert.deepEqual(reached.map(({ id, status, statusText }) => [id, status, statusText]), [
      [endpoint, 0, "success"],
    ]);
    const tried = (given) => api.listAttemptedMessages(app, endpoint, given);
    const messages = ids(await tried());
    assert.deepEqual(new Set(messages), new Set(this.sent.keys()));
    await assertPages(tried, messages);
    const [message] = (await tried({ tag: "first", status: SUCCESS, withContent: true })).data;
    assert.deepEqual([message.id, message.status, message.payload], [first, 0, PAYLOADS[0]]);
    assert.deepEqual(ids(await tried({ status: FAIL })), []);
    ok("attempts: by message, one, destinations, messages");

    await api.resend(app, first, endpoint);
    assert.deepEqual((await this.receive(1)).received, new Map([[first, PAYLOADS[0]]]));
    const twice = await eventually(ofMessage, ({ length }) => length === 2);
    assert.deepEqual(twice.map(({ triggerType }) => triggerType), [1, 0]);
    assert.deepEqual(ids(await tried({ tag: "first" })), [first]);
    ok("attempts: resend");
  }

  async refusals() {
    const { app, eventType } = this;
    const api = this.svix.messageAttempt;
    await this.svix.endpoint.patch(app, "refusing", { disabled: false, channels: ["refused"] });
    const message = { eventType, payload: {}, channels: ["refused"] };
    const { id } = await this.svix.message.create(app, message);
    assert.deepEqual((await this.receive(1)).received, new Map([[id, {}]]));
    const refused = () => api.listByEndpoint(app, "refusing", { status: FAIL, statusCodeClass: 500 });
    const [attempt] = (await eventually(refused, ({ data }) => data.length === 1)).data;
    assert.deepEqual([attempt.msgId, attempt.responseStatusCode, attempt.status], [id, 500, FAIL]);
    const [waiting] = (await api.listAttemptedMessages(app, "refusing")).data;
    assert.deepEqual([waiting.status, waiting.statusText], [PENDING, "pending"]);
    assert(waiting.nextAttempt instanceof Date);
    await this.svix.endpoint.delete(app, "refusing");
    this.sent.set(id, {});
    ok("attempts: refused, and waiting for the next one");
  }

  async statistics() {
    const api = this.svix.endpoint;
    const { app, endpoint } = this;
    const ends = this.sent.size + 1;
    const counted = (given) => api.getStats(app, endpoint, given);
    const stats = await eventually(counted, ({ success }) => success === ends);
    const { pending, sending, fail, canceled } = stats;
    assert.deepEqual([pending, sending, fail, canceled], [0, 0, 0, 0]);
    const now = new Date();
    assert.equal((await counted({ since: hours(now, -48), until: hours(now, -24) })).success, 0);
    ok("endpoint: statistics");
  }

  async examples() {
    const { app, endpoint, eventType } = this;
    const sent = await this.svix.endpoint.sendExample(app, endpoint, { eventType, exampleIndex: 1 });
    assert.equal(sent.eventType, eventType);
    assert.deepEqual((await this.receive(1)).received, new Map([[sent.id, { order: 2 }]]));
    // A replay sends only what is known to have ended.
    const attempts = () => this.svix.messageAttempt.listByMsg(app, sent.id);
    await eventually(attempts, ({ data }) => data.length === 1);
    this.sent.set(sent.id, { order: 2 });
    ok("endpoint: send an example");
  }

  async finished(task, count) {
    assert.match(task.id, /^qtask_/);
    const done = await eventually(
      () => this.svix.backgroundTask.get(task.id),
      ({ status }) => status === "finished",
    );
    assert.deepEqual([done.task, done.data.messagesSent], [task.task, count]);
  }

  async replays() {
    const api = this.svix.endpoint;
    const { app, endpoint, eventType, receiver } = this;
    const since = hours(new Date(), -1);
    await this.finished(await api.recover(app, endpoint, { since }), 0);
    const chosen = { since, status: SUCCESS, eventTypes: [eventType] };
    await this.finished(await api.bulkReplay(app, endpoint, chosen), this.sent.size);
    assert.deepEqual((await this.receive(this.sent.size)).received, this.sent);
    ok("replays: recover, bulk replay, background task");

    const late = await api.create(app, { url: receiver.url, uid: "late", secret: this.secret });
    const task = await api.replayMissing(app, late.id, { since });
    // An example is meant for one endpoint alone.
    const missed = this.sent.size - 1;
    await this.finished(task, missed);
    const arrived = new Set();
    for (let number = 0; number < missed; number++) {
      arrived.add((await receiver.next()).headers["webhook-id"]);
    }
    assert.equal(arrived.size, missed);
    const filter = { limit: 1, task: task.task, status: "finished" };
    assert.deepEqual(ids(await this.svix.backgroundTask.list(filter)), [task.id]);
    await api.delete(app, late.id);
    ok("replays: what a new endpoint missed, list of background tasks");
  }

  async contents() {
    const api = this.svix.messageAttempt;
    const { app, first } = this;
    const [attempt] = (await api.listByMsg(app, first)).data;
    await api.expungeContent(app, first, attempt.id);
    await this.svix.message.expungeContent(app, first);
    const shown = await this.svix.message.get(app, first, { withContent: true });
    assert.notDeepEqual(shown.payload, PAYLOADS[0]);
    assert.equal((await api.get(app, first, attempt.id)).response, "");
    if ("bulkExpungeContent" in this.svix.message) {
      const { results } = await this.svix.message.bulkExpungeContent(app, { ids: [first, "nothing"] });
      assert.deepEqual(results, { [first]: "expunged", nothing: "not-found" });
    }
    ok("contents: expunge an attempt's, a message's, several messages'");
  }
}
