"""A coordinator's stream under a test's control: events, heartbeats, snapshots, gaps, restarts (docs/stream.md)."""
import random
import threading
import time

import zmq

import stream


class Publisher:
    """One thread owns the sockets; the test hands it work through a lock."""

    def __init__(self, port, run_id="run-1", prepare=None):
        self.pb, self.lock = stream.schema(), threading.Lock()
        self.run_id, self.incarnation, self.seq = run_id, random.getrandbits(60) + 1, 0
        self.history, self.asked, self.mute, self.running = [], 0, False, True
        self.context = stream.new_context()
        self.pub, self.router = self.context.socket(zmq.PUB), self.context.socket(zmq.ROUTER)
        for socket, at in ((self.pub, port), (self.router, port + 1)):
            socket.setsockopt(zmq.LINGER, 0)
            if prepare:
                prepare(socket)
            socket.bind(f"tcp://127.0.0.1:{at}")
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def event(self, kind, seq, **values):
        e = self.pb.Event(version=1, run_id=self.run_id, incarnation=self.incarnation, seq=seq, time=time.time())
        part = getattr(e, kind)
        part.SetInParent()
        for key, value in values.items():
            if isinstance(value, list):
                each = getattr(part, key)
                for one in value:
                    each.add(**one) if isinstance(one, dict) else each.append(one)
            else:
                setattr(part, key, value)
        return [kind.encode(), self.pb.Events(events=[e]).SerializeToString()]

    def tell(self, kind, lose=False, **values):
        """Publishes; lose: only the history has it."""
        with self.lock:
            self.seq += 1
            pair = self.event(kind, self.seq, **values)
            self.history.append(pair)
            if not lose:
                self.pub.send_multipart(pair)

    def round(self, n, **how):
        self.tell("round", stage="meta", stage_index=0, round=n, loss=1 / n, accuracy=0.5, tasks=4, seconds=0.1, **how)

    def begin(self):
        self.tell("run", name="played", configuration="run { }\n", ranks=3)
        self.tell("stage", stage="meta", stage_index=0, rounds=100, method="maml")

    def serve(self):
        beat = 0
        while self.running:
            with self.lock:
                if time.monotonic() - beat > 0.3 and not self.mute:
                    beat = time.monotonic()
                    self.pub.send_multipart(self.event("heartbeat", self.seq))
                while self.router.poll(0) and not self.mute:
                    self.answer(self.router.recv_multipart())
            time.sleep(0.01)

    def answer(self, request):
        if request[1:] != [b"snapshot"]:
            return
        self.asked += 1
        pairs = self.history + [self.event("complete", self.seq, events=len(self.history))]
        for at in range(0, len(pairs), 7):  # in parts
            self.router.send_multipart([request[0], b"".join(frame for _, frame in pairs[at:at + 7])])

    def close(self):
        self.running = False
        self.thread.join()
        self.context.destroy(linger=0)
