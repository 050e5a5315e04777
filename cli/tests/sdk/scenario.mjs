// What a customer does with the unmodified JavaScript SDK, against a running server.
//
//     node scenario.mjs SERVER_URL TOKEN OPERATIONS
//
// OPERATIONS is the list of what the server offers. Prints one line for each step, `ok …` or `FAILED …`,
// and stops at the first failure, because each step builds on those before it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { ok, statusOf } from "./customer.mjs";
import { Receiver } from "./receiver.mjs";
import { Traffic } from "./traffic.mjs";

class Scenario extends Traffic {
  async play() {
    await this.svix.health.get();
    ok("health");
    await this.applications();
    await this.eventTypes();
    await this.endpoints();
    await this.messages();
    await this.deliveries();
    await this.attempts();
    await this.refusals();
    await this.statistics();
    await this.examples();
    await this.replays();
    await this.contents();
    await this.operationalWebhooks();
    await this.access();
    await this.deletions();
  }

  async deletions() {
    const { app, endpoint, svix } = this;
    await svix.endpoint.delete(app, endpoint);
    assert.equal(await statusOf(() => svix.endpoint.get(app, endpoint)), 404);
    await svix.application.delete(app);
    assert.equal(await statusOf(() => svix.application.get(app)), 404);
    await svix.eventType.delete(this.eventType);
    assert(this.receiver.empty, "more deliveries than messages");
    ok("delete, and what is gone is gone");
  }
}

const [serverUrl, token, operations] = process.argv.slice(2);
const lines = readFileSync(operations, "utf8").split("\n").map((line) => line.split(/\s+/));
const offered = new Set(lines.filter(([method]) => /^[A-Z]/.test(method)).map(([method, path]) => `${method} ${path}`));
const receiver = await Receiver.start();
try {
  await new Scenario(serverUrl, token, offered, receiver).play();
} catch (error) {
  const line = /(\w+\.mjs:\d+)/.exec(error.stack)?.[1] ?? "?";
  const detail = error.body ? JSON.stringify(error.body) : "";
  const message = String(error.message).split("\n").slice(0, 12).join(" ");
  console.log(`FAILED  ${line}: ${error.name}: ${message} ${detail}`);
  process.exitCode = 1;
} finally {
  receiver.stop();
}
