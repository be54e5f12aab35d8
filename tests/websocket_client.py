"""Joins a room over WebSocket, talks and resumes, with the library `websockets`.

usage: websocket_client.py HOST:PORT
"""

import json
import sys

from websockets.sync.client import connect

URL = f"ws://{sys.argv[1]}/ws"
TIMEOUT = 15


class Client:
    """A member of the room."""

    def __init__(self, hello):
        self.socket = connect(URL, open_timeout=TIMEOUT, compression=None)
        self.frames = []
        self.send({"hello": hello})
        self.welcome = self.receive("welcome")

    def send(self, request):
        self.socket.send(json.dumps(request, ensure_ascii=False))

    def receive(self, kind, data=None):
        """Returns the next frame of a kind with these data, and skips those before it."""
        while True:
            while not self.frames:
                self.frames = self.socket.recv(timeout=TIMEOUT).splitlines()
            frame = json.loads(self.frames.pop(0))
            if frame["kind"] == kind and data in (None, frame["data"]):
                return frame


alice = Client({"name": "alice"})
bob = Client({"name": "bob", "keep": True})
assert bob.welcome["name"] == "bob", bob.welcome

bob.send({"data": "grüße, 早上好", "id": "1"})
frame = alice.receive("chat", "grüße, 早上好")
assert frame["data_source"] == "bob", frame
assert bob.receive("chat")["id"] == "1"

# One message with two lines, one message in three fragments, and a ping in between.
alice.socket.send("one\ntwo")
alice.socket.send(iter(["th", "r", "ee"]))
assert alice.socket.ping(b"still here?").wait(TIMEOUT)
for text in ["one", "two", "three"]:
    frame = bob.receive("chat", text)

# The connection is lost without a close frame.
bob.socket.socket.close()
for number in range(100):
    alice.send({"data": f"missed {number}", "id": str(number)})
    alice.receive("chat", f"missed {number}")
welcome = bob.welcome
bob = Client(
    {"name": "bob", "token": welcome["token"], "epoch": welcome["epoch"], "after": frame["seq"]}
)
assert bob.welcome["name"] == "bob" and bob.welcome["resumed"], bob.welcome
for number in range(100):
    frame = bob.receive("chat")
    assert frame["data"] == f"missed {number}", frame

bob.send({"data": "/quit"})
bob.receive("bye")
try:
    bob.socket.recv(timeout=TIMEOUT)
    sys.exit("a message after bye")
except Exception as error:
    assert bob.socket.close_code == 1000, (error, bob.socket.close_code)
alice.receive("leave")
alice.socket.close()
assert alice.socket.close_code == 1000, alice.socket.close_code
