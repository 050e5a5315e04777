// What a customer does with the unmodified JavaScript SDK, against a running server.
//
//     node scenario.mjs SERVER_URL TOKEN
//
// Prints one line for each step, `ok …` or `FAILED …`, and stops at the first failure, because each
// step builds on those before it.

import assert from "node:assert/strict";
import { randomInt, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { once } from "node:events";
import { Webhook } from "standardwebhooks";
import { Svix } from "svix";

const PATIENCE_MS = 30_000;
const PAYLOADS = [
  { order: 1, total: 12.5, lines: [], note: null },
  { order: 2, customer: "Zoë Łukasz 株式会社", nested: { empty: {} } },
  { order: 3, big: Number.MAX_SAFE_INTEGER, text: 'quotes " and \\ and \n' },
];

/** Takes deliveries on a free port below the ephemeral range. */
class Receiver {
  #deliveries = [];
  #waiting = [];
  #server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const delivery = { headers: request.headers, body: Buffer.concat(chunks).toString() };
    const waiting = this.#waiting.shift();
    if (waiting) waiting(delivery);
    else this.#deliveries.push(delivery);
    response.end();
  });

  static async start() {
    const receiver = new Receiver();
    for (;;) {
      const port = randomInt(10_000, 32_000);
      try {
        receiver.#server.listen(port, "127.0.0.1");
        await once(receiver.#server, "listening");
        receiver.url = `http://127.0.0.1:${port}/webhooks`;
        return receiver;
      } catch (error) {
        if (error.code !== "EADDRINUSE") throw error;
      }
    }
  }

  get empty() {
    return this.#deliveries.length === 0;
  }

  next() {
    if (!this.empty) return Promise.resolve(this.#deliveries.shift());
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("no delivery came")), PATIENCE_MS);
      this.#waiting.push((delivery) => {
        clearTimeout(late);
        resolve(delivery);
      });
    });
  }

  stop() {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/** Asks the API until the answer holds: what is delivered is listed a moment later. */
async function eventually(ask, holds) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (holds(answer)) return answer;
    assert(Date.now() < deadline, `still ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The status of an error that the call is refused with. */
async function statusOf(call) {
  try {
    await call();
  } catch (error) {
    return error.code;
  }
  return null;
}

const ok = (step) => console.log(`ok      ${step}`);
const ids = (list) => list.map(({ id }) => id).sort();

async function scenario(svix, receiver) {
  const run = randomUUID();

  const app = await svix.application.create({ name: "Shop", uid: `shop-${run}` });
  assert.match(app.id, /^app_/);
  assert.equal(app.name, "Shop");
  assert.deepEqual(await svix.application.get(app.id), app);
  assert.deepEqual(await svix.application.get(app.uid), app);
  ok("application: create, get by id and by uid");

  // The name of PUT is `update` in SDK 1 and `upsert` in SDK 2.
  const replace = svix.application.upsert ? "upsert" : "update";
  const same = { name: "Shop", uid: app.uid };
  assert.equal((await svix.application.getOrCreate(same)).id, app.id);
  assert.equal(await statusOf(() => svix.application.create(same)), 409);
  assert(ids((await svix.application.list()).data).includes(app.id));
  const replaced = await svix.application[replace](app.id, { name: "Store", uid: app.uid });
  assert.equal(replaced.name, "Store");
  ok("application: get or create, conflict, list, replace");

  const eventType = `order.created.${run}`;
  await svix.eventType.create({ name: eventType, description: "An order" });
  assert.equal((await svix.eventType.get(eventType)).description, "An order");
  ok("event type: create, get");

  const endpoint = await svix.endpoint.create(app.id, { url: receiver.url, uid: "orders" });
  assert.match(endpoint.id, /^ep_/);
  assert.equal(endpoint.url, receiver.url);
  assert.equal((await svix.endpoint.get(app.id, "orders")).id, endpoint.id);
  assert.deepEqual(ids((await svix.endpoint.list(app.id)).data), [endpoint.id]);
  const webhook = new Webhook((await svix.endpoint.getSecret(app.id, endpoint.id)).key);
  ok("endpoint: create, get, list, secret");

  const sent = new Map();
  for (const [number, payload] of PAYLOADS.entries()) {
    const message = { eventType, payload, eventId: `${run}-${number}` };
    sent.set((await svix.message.create(app.id, message)).id, payload);
  }
  assert.equal(sent.size, PAYLOADS.length);
  const again = { eventType, payload: PAYLOADS[0], eventId: `${run}-0` };
  assert.equal(await statusOf(() => svix.message.create(app.id, again)), 409);
  ok("message: create, and an event id only once");

  const received = new Map();
  let last;
  for (const _ of sent) {
    last = await receiver.next();
    received.set(last.headers["webhook-id"], webhook.verify(last.body, last.headers));
  }
  assert.deepEqual(received, sent);
  ok("deliveries: verified, with their ids and bodies");

  assert.throws(() => webhook.verify(`${last.body} `, last.headers));
  ok("deliveries: a changed body is not verified");

  assert.deepEqual(ids((await svix.message.list(app.id)).data), [...sent.keys()].sort());
  const [some, payload] = sent.entries().next().value;
  const message = await svix.message.get(app.id, some, { withContent: true });
  assert.deepEqual([message.id, message.eventType, message.payload], [some, eventType, payload]);
  ok("message: list, get");

  const byEndpoint = await eventually(
    async () => (await svix.messageAttempt.listByEndpoint(app.id, endpoint.id)).data,
    (attempts) => attempts.length === sent.size,
  );
  assert.deepEqual(new Set(byEndpoint.map(({ msgId }) => msgId)), new Set(sent.keys()));
  for (const attempt of byEndpoint) {
    assert.match(attempt.id, /^atmpt_/);
    assert.equal(attempt.endpointId, endpoint.id);
    assert.deepEqual([attempt.status, attempt.responseStatusCode], [0, 200]);
    assert.equal(attempt.url, receiver.url);
  }
  ok("attempts: by endpoint");

  const [attempt, ...others] = (await svix.messageAttempt.listByMsg(app.id, some)).data;
  assert.equal(others.length, 0);
  assert.equal((await svix.messageAttempt.get(app.id, some, attempt.id)).id, attempt.id);
  const reached = await svix.messageAttempt.listAttemptedDestinations(app.id, some);
  assert.deepEqual(reached.data.map(({ id, status }) => [id, status]), [[endpoint.id, 0]]);
  ok("attempts: by message, one, destinations");

  await svix.messageAttempt.resend(app.id, some, endpoint.id);
  const repeated = await receiver.next();
  assert.equal(repeated.headers["webhook-id"], some);
  assert.deepEqual(webhook.verify(repeated.body, repeated.headers), payload);
  const byMessage = await eventually(
    async () => (await svix.messageAttempt.listByMsg(app.id, some)).data,
    (attempts) => attempts.length === 2,
  );
  assert.deepEqual(byMessage.map(({ triggerType }) => triggerType).sort(), [0, 1]);
  ok("attempts: resend");

  const finished = async (task, count) => {
    assert.match(task.id, /^qtask_/);
    const done = await eventually(
      () => svix.backgroundTask.get(task.id),
      ({ status }) => status === "finished",
    );
    assert.deepEqual([done.task, done.data.messagesSent], [task.task, count]);
  };
  const since = new Date(Date.now() - 3_600_000);
  await finished(await svix.endpoint.recover(app.id, endpoint.id, { since }), 0);
  const chosen = { since, status: 0, eventTypes: [eventType] };
  await finished(await svix.endpoint.bulkReplay(app.id, endpoint.id, chosen), sent.size);
  received.clear();
  for (const _ of sent) {
    const { headers, body } = await receiver.next();
    received.set(headers["webhook-id"], webhook.verify(body, headers));
  }
  assert.deepEqual(received, sent);
  ok("replays: recover, bulk replay, background task");

  const late = await svix.endpoint.create(app.id, { url: receiver.url, uid: "late" });
  const missed = await svix.endpoint.replayMissing(app.id, late.id, { since });
  await finished(missed, sent.size);
  const arrived = new Set();
  for (const _ of sent) arrived.add((await receiver.next()).headers["webhook-id"]);
  assert.deepEqual(arrived, new Set(sent.keys()));
  assert(ids((await svix.backgroundTask.list()).data).includes(missed.id));
  await svix.endpoint.delete(app.id, late.id);
  ok("replays: what a new endpoint missed, list of background tasks");

  await svix.endpoint.delete(app.id, endpoint.id);
  assert.equal(await statusOf(() => svix.endpoint.get(app.id, endpoint.id)), 404);
  await svix.application.delete(app.id);
  assert.equal(await statusOf(() => svix.application.get(app.id)), 404);
  await svix.eventType.delete(eventType);
  assert(receiver.empty, "more deliveries than messages");
  ok("delete, and what is gone is gone");
}

const [serverUrl, token] = process.argv.slice(2);
const receiver = await Receiver.start();
try {
  await scenario(new Svix(token, { serverUrl }), receiver);
} catch (error) {
  const line = /scenario\.mjs:(\d+)/.exec(error.stack)?.[1] ?? "?";
  const detail = error.body ? JSON.stringify(error.body) : "";
  const [message] = String(error.message).split("\n");
  console.log(`FAILED  line ${line}: ${error.name}: ${message} ${detail}`);
  process.exitCode = 1;
} finally {
  receiver.stop();
}
