"""Talks in a room over TLS, with the module `ssl` and the checks of a certificate that Python 3.13 makes.

usage: tls_client.py PORT CERTIFICATE
"""

import json
import socket
import ssl
import sys

context = ssl.create_default_context(cafile=sys.argv[2])
context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
plain = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=15)
client = context.wrap_socket(plain, server_hostname="localhost")
assert client.version() == "TLSv1.3", client.version()
lines = client.makefile(encoding="utf-8")


def send(request):
    client.sendall(json.dumps(request).encode() + b"\n")


def receive(text):
    """Skips the frames before one with a text."""
    for line in lines:
        if json.loads(line)["data"].startswith(text):
            return
    raise EOFError(text)


send({"hello": {"name": "alice"}})
receive("welcome, alice")
send({"data": "hello from alice"})
receive("hello from alice")
receive("hello from bob")
# Several records in each direction.
for number in range(20):
    send({"data": f"{number} ".ljust(4000, "x")})
for number in range(20):
    receive(f"{number} x")
send({"data": "/quit"})
receive("goodbye")
# The end of the data is that of TLS; without close_notify this is an error.
assert lines.read() == ""
client.unwrap()
