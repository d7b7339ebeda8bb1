# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy that does to connections what networks do: the faults of tests between nodes.

The side that connects is the client, so "up" is from the client to the server.
"""

import socket
import struct
import threading
import time

UP, DOWN = "up", "down"


class Connection:
    """One connection and its continuation to the server, a thread for each direction."""

    def __init__(self, proxy, client, server):
        self.proxy, self.ends = proxy, {UP: (client, server), DOWN: (server, client)}
        self.over, self.left = threading.Event(), threading.Event()
        for direction in (UP, DOWN):
            threading.Thread(target=self.carry, args=(direction,), daemon=True).start()

    def carry(self, direction):
        source, target = self.ends[direction]
        try:
            while not self.over.is_set():
                self.proxy.wait_open(direction, self.over)
                data = source.recv(65536)
                self.proxy.wait_open(direction, self.over)  # it may have closed meanwhile
                if not data or self.over.is_set():
                    break
                self.proxy.pass_on(target, data)
        except OSError:
            pass
        self.end()

    def abandon(self):
        """Ends towards the client only."""
        self.left.set()
        self.over.set()
        self.close(self.ends[UP][0], False)

    def end(self, abruptly=False):
        self.over.set()
        for end in self.ends[UP][:1] if self.left.is_set() else self.ends[UP]:
            self.close(end, abruptly)

    @staticmethod
    def close(end, abruptly):
        if abruptly:  # RST in place of FIN
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RD)  # wakes the thread that reads it, which keeps it open; tells nobody
            except OSError:
                pass
        else:
            try:
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
            except OSError:
                pass
        end.close()


class Proxy:
    def __init__(self, target):
        """`target`: (host, port), to be reached by `port` here."""
        self.lock = threading.Lock()
        self.connections, self.held = [], []
        self.refusing = False
        self.closed = {UP: False, DOWN: False}
        self.delay = 0.0        # seconds before what comes is passed on
        self.slice = 0          # bytes in one send, 0: as they come
        self.rate = 0           # bytes per second, 0: any
        self.stopping = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(target,), daemon=True).start()

    def accept(self, target):
        while not self.stopping.is_set():
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(target, timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections = [one for one in self.connections if not one.over.is_set()]
                self.connections.append(Connection(self, client, server))

    def wait_open(self, direction, over):
        while self.closed[direction] and not over.is_set() and not self.stopping.is_set():
            time.sleep(0.01)

    def pass_on(self, target, data):
        if self.delay:
            time.sleep(self.delay)
        if not self.slice:
            target.sendall(data)
        for at in range(0, len(data) if self.slice else 0, self.slice or 1):
            target.sendall(data[at:at + self.slice])
        if self.rate:
            time.sleep(len(data) / self.rate)

    def all(self):
        with self.lock:
            return [one for one in self.connections if not one.over.is_set()]

    # --- faults ----------------------------------------------------------------------------
    def cut(self):
        """Every connection ends, none comes up."""
        self.refusing = True
        self.reset()

    def black_hole(self, *directions):
        """Nothing arrives any more that way (both, when none is named), and nobody hears of it."""
        for direction in directions or (UP, DOWN):
            self.closed[direction] = True

    def reset(self):
        """Every connection ends with RST; new ones may come up."""
        for one in self.all():
            one.end(abruptly=True)

    def half_open(self):
        """The clients' ends are gone, the servers hear nothing of it; new connections may come up."""
        for one in self.all():
            one.abandon()
            self.held.append(one.ends[DOWN][0])  # open until the end

    def set(self, **values):
        """delay, slice, rate: see __init__."""
        for name, value in values.items():
            setattr(self, name, value)

    def mend(self):
        """As new. What was held back goes on its way, as after retransmissions."""
        self.closed = {UP: False, DOWN: False}
        self.refusing = False
        self.delay = self.slice = self.rate = 0

    def stop(self):
        self.stopping.set()
        for one in self.all():
            one.end()
        for end in (self.listener, *self.held):
            end.close()


class Way:
    """All that two machines say to each other: a proxy for each door, one fault for all of them."""

    def __init__(self, targets):
        self.doors = {name: Proxy(target) for name, target in targets.items()}
        self.ports = {name: proxy.port for name, proxy in self.doors.items()}

    def each(self, verb, *arguments, **values):
        for proxy in self.doors.values():
            getattr(proxy, verb)(*arguments, **values)

    def cut(self):
        self.each("cut")

    def black_hole(self, *directions):
        self.each("black_hole", *directions)

    def reset(self):
        self.each("reset")

    def half_open(self):
        self.each("half_open")

    def set(self, **values):
        self.each("set", **values)

    def mend(self):
        self.each("mend")

    def stop(self):
        self.each("stop")
