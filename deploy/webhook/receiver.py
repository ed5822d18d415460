#!/usr/bin/env python3
"""Verifies what gatewatch's webhook sink sends and prints one line for each alert or blind spot.

WEBHOOK_SECRET is the sink's secret; the argument is the port on the loopback address. For a look, not for production.
"""
import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

KEY = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
seen = set()


def genuine(headers, body):
    try:
        age = abs(time.time() - int(headers["webhook-timestamp"]))
    except (KeyError, TypeError, ValueError):
        return False
    signed = f'{headers["webhook-id"]}.{headers["webhook-timestamp"]}.'.encode() + body
    want = "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    given = (headers["webhook-signature"] or "").split()
    return age < 300 and any(hmac.compare_digest(want, g) for g in given)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = 204 if genuine(self.headers, body) else 401
        if status == 204 and self.headers["webhook-id"] not in seen:
            seen.add(self.headers["webhook-id"])
            event = json.loads(body)
            if "class_uid" in event:  # format: ocsf
                print(event["type_name"], event.get("message"), flush=True)
            else:
                data = event["data"]
                print(event["type"], data.get("summary") or data.get("detail"), flush=True)
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
