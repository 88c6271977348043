"""Stands between an exporter and Lamplight, and loses an answer when told to."""

import socket
import struct
import threading

HTTP2_HEADERS = 1  # the frame in which an answer begins; what comes before belongs to the connection


class Relay:
    """Passes bytes on. `lose_next_answer` cuts the connection when the next answer comes, after it was given."""

    def __init__(self, target, is_http2):
        self.target, self.is_http2 = target, is_http2
        self.answers = 0  # parts of answers that came, the lost ones included
        self.lost = 0
        self._before_cutting = None
        self._open = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_next_answer(self, before_cutting=lambda: None):
        self._before_cutting = before_cutting

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            end.close()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                host, port = self.target.split(":")
                far = socket.create_connection((host, int(port)))
            except OSError:
                near.close()  # nobody there now, as the exporter would find without us
                continue
            self._open += [near, far]
            threading.Thread(target=self._pass, args=(near, far), daemon=True).start()
            threading.Thread(target=self._answer, args=(far, near), daemon=True).start()

    def _pass(self, source, to):
        try:
            while chunk := source.recv(65536):
                to.sendall(chunk)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other direction says why

    def _answer(self, far, near):
        frames = Frames()
        try:
            while chunk := far.recv(65536):
                begins = HTTP2_HEADERS in frames.types(chunk) if self.is_http2 else True
                self.answers += begins
                if begins and self._before_cutting is not None:
                    act, self._before_cutting = self._before_cutting, None
                    act()
                    self.lost += 1
                    # Reset, not closed: as a process that died leaves its connections.
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                near.sendall(chunk)
        except OSError:
            pass  # the exporter hung up
        # `close` alone would not end a thread that reads from it.
        for end in (far, near):
            try:
                end.shutdown(socket.SHUT_RD)
            except OSError:
                pass  # gone already
            end.close()


class Frames:
    """Where frames of HTTP/2 begin in what a server sends."""

    def __init__(self):
        self._rest = b""
        self._skip = 0

    def types(self, chunk):
        found = []
        data = self._rest + chunk
        while True:
            passed = min(self._skip, len(data))
            data, self._skip = data[passed:], self._skip - passed
            if self._skip or len(data) < 9:
                break
            found.append(data[3])
            self._skip = 9 + int.from_bytes(data[:3], "big")
        self._rest = data
        return found
