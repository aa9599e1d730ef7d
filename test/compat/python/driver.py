"""Commands for one Python client: one JSON document a line on stdin, one answer a line on stdout.

client_test.go states the fields. A client module provides produce, consume, group and admin, perhaps transact.
"""

import base64
import json
import sys
import threading
import time
import traceback

LIMIT_S = 60


class Unsupported(Exception):
    """The client has no such call."""


def unb64(s):
    return None if s is None else base64.b64decode(s)


def b64(b):
    return None if b is None else base64.b64encode(bytes(b)).decode()


_out = threading.Lock()


def send(doc):
    with _out:
        sys.__stdout__.write(json.dumps(doc) + "\n")
        sys.__stdout__.flush()


def record(topic, partition, offset, timestamp, key, value, headers):
    return {
        "topic": topic,
        "p": partition,
        "o": offset,
        "t": timestamp,
        "k": b64(key),
        "v": b64(value),
        "h": [{"n": n, "v": b64(v)} for n, v in headers or []],
    }


class Gathering:
    """What the members of one group share."""

    def __init__(self, job):
        self.job = job
        self.held = [set() for _ in range(job["members"])]
        self.records = [[] for _ in range(job["members"])]
        self.seen = set()
        self.told = False
        self.failure = None
        self.lock = threading.Lock()

    def assign(self, member, partitions):
        with self.lock:
            self.held[member] |= set(partitions)
            if self.told or not all(self.held):
                return
            self.told = True
            send({"event": "assigned", "assignment": [sorted(h) for h in self.held]})

    def revoke(self, member, partitions):
        with self.lock:
            self.held[member] -= set(partitions)

    def add(self, member, rec):
        with self.lock:
            self.records[member].append(rec)
            self.seen.add((rec["p"], rec["o"]))

    def finished(self):
        with self.lock:
            return self.failure is not None or (self.told and len(self.seen) >= self.job["count"])

    def run(self, member):
        """Runs member(gathering, index, deadline) in one thread each and returns the records of each."""

        def body(i):
            try:
                member(self, i, time.monotonic() + LIMIT_S)
            except BaseException as e:  # the thread's end must reach the suite
                traceback.print_exc()
                self.failure = self.failure or e

        threads = [threading.Thread(target=body, args=(i,)) for i in range(self.job["members"])]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if self.failure:
            raise self.failure
        return self.records

    def late(self):
        return TimeoutError(f"{len(self.seen)} of {self.job['count']} records, held {self.held}")


def main(client):
    sys.stdout = sys.stderr
    for line in sys.stdin:
        job = json.loads(line)
        for r in job.get("records") or []:
            r["k"], r["v"] = unb64(r["k"]), unb64(r["v"])
            r["h"] = [(h["n"], unb64(h["v"])) for h in r["h"] or []]
        try:
            if job["op"] == "produce":
                reply = {"offsets": client.produce(job)}
            elif job["op"] == "consume":
                reply = {"records": client.consume(job)}
            elif job["op"] == "group":
                reply = {"members": client.group(job)}
            elif job["op"] == "transact":
                client.transact(job)
                reply = {}
            else:
                reply = {"admin": client.admin(job)}
            reply["ok"] = True
        except BaseException as e:
            traceback.print_exc()
            reply = {"ok": False, "error": f"{type(e).__name__}: {e}"}
        send(reply)
