"""A deadline crosses a network: the shop tells the warehouse how much time is left, and nobody works in vain."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from recoup import Deadline, DeadlineExceeded, current_deadline, deadline

HEADER = "Request-Timeout"  # any name will do, as long as both sides agree on it
GRANTED: list[float] = []


class Warehouse(BaseHTTPRequestHandler):
    """A service that counts its stock, slowly, and stops when its caller has given up."""

    def do_GET(self) -> None:
        """Serve within the time that the caller has left, and 10 seconds at most."""
        try:
            with Deadline.from_header(self.headers.get(HEADER), longest=10):
                self.answer(200, self.count())
        except DeadlineExceeded as error:  # refused before it began, or stopped by check()
            self.answer(504, str(error))

    def count(self) -> str:
        """Count shelf after shelf, as long as anybody waits for the result."""
        ambient = current_deadline()
        assert ambient is not None
        GRANTED.append(ambient.remaining())
        shelves = int(self.path.strip("/"))
        for _ in range(shelves):
            ambient.check()
            time.sleep(0.02)
        return f"{shelves} shelves counted"

    def answer(self, status: int, text: str) -> None:
        """Send a response."""
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the server gives it
        """Be quiet."""


@deadline(0.5, mode="cooperative")
def stock(address: str, shelves: int) -> str:
    """Ask the warehouse; some of the time goes into other things first."""
    time.sleep(0.1)
    ambient = current_deadline()
    assert ambient is not None
    request = Request(f"{address}/{shelves}", headers={HEADER: ambient.to_header()})  # noqa: S310 - http, to ourselves
    with urlopen(request, timeout=5) as response:  # noqa: S310 - as above
        return str(response.read().decode())


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Warehouse)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        print(stock(address, 3))
        began = time.monotonic()
        try:
            stock(address, 1000)
        except HTTPError as error:
            print(f"after {time.monotonic() - began:.2f} s the warehouse answers: {error.read().decode()}")
        assert time.monotonic() - began < 5, "1000 shelves would have taken 20 seconds"
    finally:
        server.shutdown()
        server.server_close()
    assert all(granted <= 0.4 for granted in GRANTED), "the shop had used up 0.1 s before it asked"


if __name__ == "__main__":
    main()
