// What the parts of the scenario share: the SDK with its names, the receiver, and how to ask.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { Svix } from "svix";
import { PATIENCE_MS } from "./receiver.mjs";

export const HOUR_MS = 3_600_000;

/** Asks the API until the answer holds: what is delivered is listed a moment later. */
export async function eventually(ask, holds) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (holds(answer)) return answer;
    assert(Date.now() < deadline, `still ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The status of an error that the call is refused with. */
export async function statusOf(call) {
  try {
    await call();
  } catch (error) {
    return error.code;
  }
  return null;
}

export const ok = (step) => console.log(`ok      ${step}`);
export const ids = (list) => list.data.map(({ id }) => id);
export const fields = (object, names) => Object.fromEntries(names.map((name) => [name, object[name]]));

/**
 * Goes through a list of at least three in pages of two, forward and back. `ask` takes the options of a
 * page, `expected` is what the list begins with.
 */
export async function assertPages(ask, expected) {
  const first = await ask({ limit: 2 });
  assert.deepEqual(ids(first), expected.slice(0, 2));
  assert.equal(first.done, false);
  const second = await ask({ limit: 2, iterator: first.iterator });
  assert.equal(ids(second)[0], expected[2]);
  const back = await ask({ limit: 2, iterator: second.prevIterator });
  assert.deepEqual(ids(back), expected.slice(0, 2));
}

/** A customer with the SDK. What has another name in SDK 2 stands here under one. */
export class Customer {
  constructor(serverUrl, token, offered, receiver) {
    this.serverUrl = serverUrl;
    this.svix = new Svix(token, { serverUrl });
    this.offered = offered;
    this.receiver = receiver;
    this.run = randomUUID();
    this.eventType = `order.created.${this.run}`;
    const is2 = "upsert" in this.svix.application;
    this.upsert = is2 ? "upsert" : "update";
    this.setHeaders = is2 ? "setHeaders" : "updateHeaders";
    this.types = is2 ? "eventTypes" : "filterTypes";
    this.operationalEndpoint = this.svix.operationalWebhook?.endpoint ?? this.svix.operationalWebhookEndpoint;
  }

  offers(method, path) {
    return this.offered.has(`${method} /api/v1${path}`);
  }
}
