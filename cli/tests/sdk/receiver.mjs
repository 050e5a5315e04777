// A receiver of webhooks for the scenario.

import { randomInt } from "node:crypto";
import { createServer } from "node:http";
import { once } from "node:events";

export const PATIENCE_MS = 30_000;

/** Takes deliveries on a free port below the ephemeral range; refuses those to `refusing`. */
export class Receiver {
  #deliveries = [];
  #waiting = [];
  #server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.url === "/refusing") {
      response.statusCode = 500;
    } else {
      const delivery = { headers: request.headers, body: Buffer.concat(chunks).toString() };
      const waiting = this.#waiting.shift();
      if (waiting) waiting(delivery);
      else this.#deliveries.push(delivery);
    }
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
        receiver.refusing = `http://127.0.0.1:${port}/refusing`;
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
