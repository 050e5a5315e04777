"""A receiver of webhooks for the scenario."""

import http.server
import queue
import random
import threading

PATIENCE = 30


class Receiver:
    """Takes deliveries on a free port below the ephemeral range; refuses those to `refusing`."""

    def __init__(self):
        self.deliveries = queue.Queue()
        deliveries = self.deliveries

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/refusing":
                    self.send_response(500)
                else:
                    deliveries.put((dict(self.headers), body))
                    self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        for _ in range(1000):
            try:
                address = ("127.0.0.1", random.randrange(10_000, 32_000))
                self.server = http.server.ThreadingHTTPServer(address, Handler)
                break
            except OSError:
                continue
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{address[1]}/webhooks"
        self.refusing = f"http://127.0.0.1:{address[1]}/refusing"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self):
        return self.deliveries.get(timeout=PATIENCE)
