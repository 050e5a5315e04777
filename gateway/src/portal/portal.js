"use strict";

// All text goes into the page as text, never as HTML: what endpoints answered is anybody's.

const KEPT = "sluicegate-portal";
const RESULTS = { 0: ["succeeded", "good"], 1: ["waiting", ""], 2: ["failed", "bad"], 3: ["sending", ""], 4: ["cancelled", ""] };
const element = (id) => document.getElementById(id);

function say(text) {
  element("message").textContent = text;
  element("message").hidden = text === "";
}

function row(cells) {
  const tr = document.createElement("tr");
  for (const cell of cells) {
    const td = document.createElement("td");
    if (cell instanceof Node) td.append(cell);
    else if (Array.isArray(cell)) [td.textContent, td.className] = cell;
    else td.textContent = cell ?? "";
    tr.append(td);
  }
  return tr;
}

async function ask(path, options) {
  const response = await fetch("api/v1" + path, { cache: "no-store", credentials: "omit", ...options });
  if (response.status === 401) {
    sessionStorage.removeItem(KEPT);
    throw new Error("This link has been used or has expired. Please ask for a new one.");
  }
  if (!response.ok) throw new Error("The server answered " + response.status + ". Please try again later.");
  return response.status === 204 ? null : response.json();
}

// The code in the address is good once: it leaves the address, and a token takes its place.
async function enter() {
  const code = location.hash.slice(1);
  if (code) {
    history.replaceState(null, "", location.pathname);
    const session = await ask("/auth/one-time-token", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ oneTimeToken: code }),
    });
    sessionStorage.setItem(KEPT, JSON.stringify({ token: session.token, app: session.appId }));
  }
  const kept = sessionStorage.getItem(KEPT);
  if (!kept) throw new Error("Please open this page by the link that you were given.");
  return JSON.parse(kept);
}

function reader({ token, app }) {
  const headers = { authorization: "Bearer " + token };
  return {
    list: (path, query) => ask("/app/" + app + path + "?" + new URLSearchParams(query), { headers }),
    leave: () => ask("/auth/logout", { method: "POST", headers }),
  };
}

async function showAttempts(api, endpoint, iterator) {
  const query = { limit: 50, with_content: false, ...(iterator && { iterator }) };
  const page = await api.list("/attempt/endpoint/" + endpoint.id, query);
  if (!iterator) element("attempts").replaceChildren();
  element("endpoint").textContent = endpoint.url;
  element("history").hidden = false;
  for (const attempt of page.data) {
    element("attempts").append(row([
      new Date(attempt.timestamp).toLocaleString(),
      attempt.msgId,
      RESULTS[attempt.status] ?? [String(attempt.status), ""],
      attempt.responseStatusCode || "none",
      attempt.responseDurationMs + " ms",
    ]));
  }
  if (!iterator && page.data.length === 0) element("attempts").append(row(["None yet"]));
  element("more").hidden = page.done;
  element("more").onclick = () => guard(() => showAttempts(api, endpoint, page.iterator));
}

async function showEndpoints(api) {
  for (let query = { limit: 250 }, page; ; query = { limit: 250, iterator: page.iterator }) {
    page = await api.list("/endpoint", query);
    for (const endpoint of page.data) {
      const open = document.createElement("button");
      open.type = "button";
      open.textContent = endpoint.url;
      open.onclick = () => guard(() => showAttempts(api, endpoint));
      element("endpoints").append(row([
        open,
        endpoint.description,
        endpoint.disabled ? ["disabled", "bad"] : ["enabled", "good"],
        endpoint.filterTypes ? endpoint.filterTypes.join(", ") : "all",
      ]));
    }
    if (page.done) break;
  }
  if (!element("endpoints").hasChildNodes()) element("endpoints").append(row(["None yet"]));
}

async function guard(work) {
  try {
    say("");
    await work();
  } catch (error) {
    say(error.message);
  }
}

guard(async () => {
  say("Loading…");
  const api = reader(await enter());
  await showEndpoints(api);
  element("content").hidden = false;
  element("logout").hidden = false;
  element("logout").onclick = () => guard(async () => {
    await api.leave();
    sessionStorage.removeItem(KEPT);
    element("content").hidden = true;
    element("logout").hidden = true;
    say("You are logged out.");
  });
  say("");
});
