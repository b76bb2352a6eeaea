"""A file on loopback that answers range requests, or fails at them."""

import re
from typing import Any


class RangedFile:
    """A route of LocalServer. `cut`: after how many bytes of an answer to hang up, for as many answers as `cuts`.
    `last`: from where on there is no part to be had."""

    def __init__(self, data: bytes, etag: str = '"1"', cut: int = 0, cuts: int = 0) -> None:
        self.data, self.etag, self.cut, self.cuts = data, etag, cut, cuts
        self.asked: list[int] = []  # where each part begins
        self.last = len(data)

    def __call__(self, handler: Any) -> None:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers["Range"])
        first, last = int(found[1]), min(int(found[2]), len(self.data) - 1)
        self.asked.append(first)
        if first >= self.last:
            handler.send_response(416 if first >= len(self.data) else 404)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        part = self.data[first:last + 1]
        handler.send_response(206)
        headers = {"Content-Length": len(part), "Content-Range": f"bytes {first}-{last}/{len(self.data)}",
                   "Content-Type": "application/octet-stream", "ETag": self.etag}
        for name, value in headers.items():
            if value:
                handler.send_header(name, str(value))
        handler.end_headers()
        if self.cuts > 0:
            self.cuts -= 1
            part = part[:self.cut]
        handler.wfile.write(part)
