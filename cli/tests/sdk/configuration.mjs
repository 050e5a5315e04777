// What a customer sets up: applications, event types, endpoints.

import assert from "node:assert/strict";
import { Webhook } from "standardwebhooks";
import { Svix } from "svix";
import { Customer, assertPages, eventually, fields, ids, ok, statusOf } from "./customer.mjs";

export class Configuration extends Customer {
  async applications() {
    const api = this.svix.application;
    const uid = `shop-${this.run}`;
    const app = await api.create({ name: "Shop", uid, metadata: { plan: "pro" } });
    assert.match(app.id, /^app_/);
    assert.deepEqual([app.name, app.uid], ["Shop", uid]);
    assert.deepEqual(await api.get(app.id), app);
    assert.deepEqual(await api.get(uid), app);
    assert.deepEqual(await api.getOrCreate({ name: "Other", uid }), app);
    assert.equal(await statusOf(() => api.create({ name: "Shop", uid })), 409);
    ok("application: create, get by id and by uid, get or create, conflict");

    const patched = await api.patch(uid, { throttleRate: 50 });
    assert.deepEqual(fields(patched, ["name", "metadata", "throttleRate"]), {
      name: "Shop",
      metadata: { plan: "pro" },
      throttleRate: 50,
    });
    assert.equal((await api.patch(uid, { throttleRate: null })).throttleRate ?? null, null);
    const replaced = await api[this.upsert](uid, { name: "Store", uid });
    assert.deepEqual([replaced.id, replaced.name, replaced.metadata], [app.id, "Store", {}]);
    const other = await api[this.upsert](`other-${this.run}`, { name: "Other" });
    assert.deepEqual([other.name, other.uid], ["Other", `other-${this.run}`]);
    ok("application: patch what is given and what is null, replace, create by uid");

    const third = await api.create({ name: "Third" });
    await assertPages((page) => api.list({ order: "descending", ...page }), [third.id, other.id, app.id]);
    for (const { id } of [other, third]) await api.delete(id);
    assert.equal(await statusOf(() => api.get(third.id)), 404);
    this.app = replaced.id;
    ok("application: list both ways, delete");
  }

  async eventTypes() {
    const api = this.svix.eventType;
    const name = this.eventType;
    const schemas = { 1: { type: "object", examples: [{ order: 1 }, { order: 2 }] } };
    const created = await api.create({ name, description: "An order", schemas, groupName: "order" });
    assert.deepEqual([created.name, created.schemas, created.archived], [name, schemas, false]);
    assert.deepEqual(await api.get(name), created);
    assert.equal(await statusOf(() => api.create({ name, description: "" })), 409);
    const patched = await api.patch(name, { groupName: null, deprecated: true });
    assert.deepEqual([patched.description, patched.deprecated], ["An order", true]);
    assert.equal(patched.groupName ?? null, null);
    const replaced = await api[this.upsert](name, { description: "New", schemas });
    assert.deepEqual([replaced.description, replaced.deprecated], ["New", false]);
    ok("event type: create, get, conflict, patch, replace");

    const listed = async (given) => {
      const found = new Map();
      let page = await api.list({ limit: 100, ...given });
      for (;;) {
        for (const eventType of page.data) found.set(eventType.name, eventType);
        if (page.done) return found;
        page = await api.list({ limit: 100, iterator: page.iterator, ...given });
      }
    };
    assert.deepEqual((await listed({ withContent: true })).get(name).schemas, schemas);
    assert.equal((await listed({ withContent: false })).get(name).schemas ?? null, null);
    await api.delete(name);
    assert((await api.get(name)).archived);
    assert(!(await listed()).has(name));
    assert((await listed({ includeArchived: true })).has(name));
    assert.equal((await api.patch(name, { archived: false })).archived, false);
    assert((await listed()).has(name));
    const expunged = `${name}.gone`;
    await api[this.upsert](expunged, { description: "A mistake" });
    await api.delete(expunged, { expunge: true });
    assert.equal(await statusOf(() => api.get(expunged)), 404);
    ok("event type: list, archive, unarchive, expunge");

    const environment = await this.svix.environment.export();
    const exported = environment.eventTypes.filter((eventType) => eventType.name === name);
    assert.deepEqual(exported.map((eventType) => eventType.schemas), [schemas]);
    const moved = { name, description: "Moved", schemas };
    await this.svix.environment.import({ eventTypes: [moved] });
    assert.equal((await api.get(name)).description, "Moved");
    ok("environment: export, import");

    if (this.offers("POST", "/event-type/import/openapi")) {
      const imported = `${name}.imported`;
      const requestBody = { content: { "application/json": { schema: { type: "object" } } } };
      const webhooks = { [imported]: { post: { requestBody, responses: {}, description: "imported" } } };
      const spec = { openapi: "3.1.0", info: { title: "t", version: "1" }, webhooks };
      const answer = await api.importOpenapi({ spec });
      assert(answer.data.modified.includes(imported));
      assert.equal((await api.get(imported)).name, imported);
      await api.delete(imported, { expunge: true });
      ok("event type: import of OpenAPI");
    }
  }

  async endpoints() {
    const api = this.svix.endpoint;
    const { app, receiver, types } = this;
    const endpoint = await api.create(app, { url: receiver.url, uid: "orders", headers: { "X-A": "a" } });
    assert.match(endpoint.id, /^ep_/);
    assert.equal(endpoint.url, receiver.url);
    assert.deepEqual(await api.get(app, "orders"), endpoint);
    const refusing = await api[this.upsert](app, "refusing", { url: receiver.refusing });
    assert.deepEqual([refusing.uid, refusing.url], ["refusing", receiver.refusing]);
    ok("endpoint: create, get, create by uid");

    const chosen = { [types]: [this.eventType], channels: ["web"], description: "d", throttleRate: 99 };
    const names = Object.keys(chosen);
    assert.deepEqual(fields(await api.patch(app, "refusing", chosen), names), chosen);
    let changed = await api.patch(app, "refusing", { throttleRate: null, channels: null });
    assert.deepEqual([changed.throttleRate ?? null, changed.channels ?? null], [null, null]);
    assert.deepEqual([changed.description, changed[types]], ["d", [this.eventType]]);
    const whole = { url: receiver.refusing, uid: "refusing", disabled: true };
    changed = await api[this.upsert](app, "refusing", whole);
    assert.deepEqual([changed.id, changed.disabled, changed.description], [refusing.id, true, ""]);
    const third = await api.create(app, { url: receiver.url, disabled: true });
    await assertPages((page) => api.list(app, page), [endpoint.id, refusing.id, third.id]);
    await api.delete(app, third.id);
    ok("endpoint: patch what is given and what is null, replace, list both ways, delete");

    const headers = async () => {
      const found = await api.getHeaders(app, endpoint.id);
      return [found.headers, found.sensitive];
    };
    assert.deepEqual(await headers(), [{ "X-A": "a" }, []]);
    await api[this.setHeaders](app, endpoint.id, { headers: { "X-B": "b", Authorization: "secret" } });
    assert.deepEqual(await headers(), [{ "X-B": "b" }, ["Authorization"]]);
    await api.patchHeaders(app, endpoint.id, { headers: { "X-C": "c" }, deleteHeaders: ["X-B"] });
    assert.deepEqual(await headers(), [{ "X-C": "c" }, ["Authorization"]]);
    ok("endpoint: headers");

    const old = (await api.getSecret(app, endpoint.id)).key;
    await api.rotateSecret(app, endpoint.id, {});
    this.secret = (await api.getSecret(app, endpoint.id)).key;
    assert.notEqual(this.secret, old);
    this.webhooks = [new Webhook(this.secret), new Webhook(old)];
    this.endpoint = endpoint.id;
    ok("endpoint: secret, rotate");
  }

  async operationalWebhooks() {
    const api = this.operationalEndpoint;
    const { types } = this;
    const uid = `operator-${this.run}`;
    const whole = { url: this.receiver.url, uid, disabled: true };
    const created = await api.create({ ...whole, [types]: ["endpoint.disabled"] });
    assert.match(created.id, /^ep_/);
    assert.deepEqual(created[types], ["endpoint.disabled"]);
    assert.deepEqual(await api.get(uid), created);
    assert.deepEqual(ids(await api.list({ order: "descending", limit: 1 })), [created.id]);
    const changed = await api[this.upsert](uid, { ...whole, description: "d" });
    assert.deepEqual([changed.id, changed.description], [created.id, "d"]);
    assert.equal(changed[types] ?? null, null);
    await api[this.setHeaders](uid, { headers: { "X-A": "a" } });
    assert.deepEqual((await api.getHeaders(uid)).headers, { "X-A": "a" });
    const secret = (await api.getSecret(uid)).key;
    await api.rotateSecret(uid, {});
    assert.notEqual((await api.getSecret(uid)).key, secret);
    await api.delete(uid);
    assert.equal(await statusOf(() => api.get(uid)), 404);
    ok("operational webhooks: create, get, list, replace, headers, secret, delete");
  }

  async access() {
    const api = this.svix.authentication;
    const { app } = this;
    const tenant = async () => {
      const access = await api.appPortalAccess(app, {});
      assert.match(access.url, /^http/);
      const tenant = new Svix(access.token, { serverUrl: this.serverUrl });
      assert.equal((await tenant.application.get(app)).id, app);
      return tenant;
    };
    const [first, second] = [await tenant(), await tenant()];
    await first.authentication.logout();
    assert.equal(await statusOf(() => first.application.get(app)), 401);
    assert.equal((await second.application.get(app)).id, app);
    await api.expireAll(app, { expiry: 0 });
    await eventually(
      () => statusOf(() => second.application.get(app)),
      (status) => status === 401,
    );
    if ("dashboardAccess" in api) assert.match((await api.dashboardAccess(app)).url, /^http/);
    ok("access: a tenant's token, logout, expire all");
  }
}
