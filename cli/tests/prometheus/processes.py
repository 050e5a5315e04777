"""The processes of the test: Redis, Sluicegate's, receivers and Prometheus, in a directory of their own."""

import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

TOKEN = "prometheus-tests-0123456789"
SECRETS_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
# How long anything may take before the test gives up.
PATIENCE = 60


def free_port():
    """Below the range from which the system takes the ports of outgoing connections."""
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as candidate:
            if candidate.connect_ex(("127.0.0.1", port)):
                return port


def wait_until(what, condition, patience=PATIENCE):
    """The first answer of the condition that is not empty."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if answer := condition():
            return answer
        time.sleep(0.2)
    raise AssertionError(f"waited {patience} s in vain for {what}")


def fetch(url, timeout=10):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def answers(url):
    try:
        return bool(fetch(url, timeout=2))
    except (OSError, urllib.error.URLError):
        return False


class Site:
    """Starts processes and ends all of them at its own end, with their logs where something went wrong."""

    def __init__(self, sluicegate, loadtests):
        self.sluicegate, self.loadtests = sluicegate, loadtests
        self._directory = tempfile.TemporaryDirectory(prefix="sluicegate-prometheus-")
        self.directory = pathlib.Path(self._directory.name)
        self.started = {}

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for process in self.started.values():
            process.kill()
        for name, process in self.started.items():
            process.wait()
            if kind is not None:
                lines = self.log(name).splitlines()
                print(f"-- {name}", *lines[-10:], sep="\n", flush=True)
        self._directory.cleanup()

    def log(self, name):
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def start(self, name, *command, ready=None, **environment):
        with open(self.directory / f"{name}.log", "ab") as log:
            self.started[name] = process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=os.environ | environment,
            )

        def is_ready():
            assert process.poll() is None, f"{name} has ended:\n{self.log(name)}"
            return answers(ready)

        if ready:
            wait_until(f"{name} to be ready", is_ready)

    def kill(self, name):
        """As a crash would."""
        process = self.started.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def redis(self):
        """Starts one with a replica, for the durability `replicated`."""
        self.redis_port = free_port()
        self._redis("redis", self.redis_port, "--min-replicas-to-write", "1", "--repl-diskless-sync-delay", "0")
        self.replica()
        wait_until("Redis and its replica", lambda: "state=online" in self.ask_redis("INFO", "replication"))

    def replica(self):
        self._redis("replica", free_port(), "--replicaof", f"127.0.0.1 {self.redis_port}")

    def _redis(self, name, port, *settings):
        directory = self.directory / f"{name}-data"
        directory.mkdir(exist_ok=True)
        self.start(
            name,
            *("redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", directory),
            *("--save", "", "--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "1gb"),
            *("--maxmemory-policy", "noeviction", "--stream-node-max-bytes", "512"),
            *settings,
        )

    def ask_redis(self, *words):
        """The reply to a command; nothing if there is none."""
        command = ["redis-cli", "-p", str(self.redis_port), *words]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    def redis_memory(self):
        """Bytes that it uses now."""
        return int(re.search(r"used_memory:(\d+)", self.ask_redis("INFO", "memory"))[1])

    def reserve(self, *names):
        """Addresses for the metrics of processes, which Prometheus must know before they start."""
        self.admin = {name: f"127.0.0.1:{free_port()}" for name in names}

    def role(self, name, *command, **settings):
        """Starts a process of Sluicegate with this subcommand, and answers its API's URL."""
        listen, admin = f"127.0.0.1:{free_port()}", self.admin[name]
        environment = {
            "store": f"redis://127.0.0.1:{self.redis_port}",
            "secrets__keys": SECRETS_KEY,
            "allow_cidr": "127.0.0.0/8",
            "admin_listen": admin,
            **({} if "dispatcher" in command else {"listen": listen, "api_token": TOKEN}),
            **settings,
        }
        environment = {f"SLUICEGATE_{key.upper()}": value for key, value in environment.items()}
        self.start(name, self.sluicegate, *command, ready=f"http://{admin}/readyz", **environment)
        return f"http://{listen}"

    def metrics(self, name):
        return fetch(f"http://{self.admin[name]}/metrics")

    def receivers(self):
        """Starts what answers as the paths of its URL say, and answers the URL."""
        address = f"127.0.0.1:{free_port()}"
        self.start("receivers", self.loadtests, "sink", "--listen", address, ready=f"http://{address}/_sink/summary")
        return f"http://{address}"

    def prometheus(self, configuration):
        port = free_port()
        data = self.directory / "prometheus"
        self.start(
            "prometheus",
            "prometheus",
            f"--config.file={configuration}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{port}",
            ready=f"http://127.0.0.1:{port}/-/ready",
        )
        return f"http://127.0.0.1:{port}"
