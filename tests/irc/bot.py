"""An IRC client with the library `irc`, driven over its standard input.

usage: bot.py HOST PORT NAME PASSWORD

Input: `/me TEXT`, `/msg NAME TEXT`, `/nick NAME`, `/quit TEXT`, or a text for the channel. Output: a line
for each thing that it is told.
"""

import sys
import threading

import irc.bot

CHANNEL = "#smol"


class Bot(irc.bot.SingleServerIRCBot):
    def __init__(self, host, port, name, password):
        super().__init__([(host, int(port), password)], name, name)

    def on_welcome(self, connection, event):
        connection.cap("REQ", "server-time")

    def on_cap(self, connection, event):
        connection.join(CHANNEL)

    def show(self, event, text):
        time = next((tag["value"] for tag in event.tags if tag["key"] == "time"), "")
        print(time.replace("T", " "), text, flush=True)

    def on_pubmsg(self, connection, event):
        self.show(event, f"<{event.source.nick}> {event.arguments[0]}")

    on_privmsg = on_pubmsg

    def on_action(self, connection, event):
        self.show(event, f"* {event.source.nick} {event.arguments[0]}")

    def on_nick(self, connection, event):
        self.show(event, f"{event.source.nick} is now known as {event.target}")

    def on_join(self, connection, event):
        self.show(event, f"{event.source.nick} has joined")

    def on_quit(self, connection, event):
        self.show(event, f"{event.source.nick} has quit")

    def on_disconnect(self, connection, event):
        sys.exit()


def read_commands(connection):
    """Sends what the commands of standard input say."""
    for line in sys.stdin:
        command, _, text = line.rstrip("\n").partition(" ")
        if command == "/me":
            connection.action(CHANNEL, text)
        elif command == "/msg":
            connection.privmsg(*text.split(" ", 1))
        elif command == "/nick":
            connection.nick(text)
        elif command == "/quit":
            connection.quit(text)
        else:
            connection.privmsg(CHANNEL, line.rstrip("\n"))


bot = Bot(*sys.argv[1:])
threading.Thread(target=read_commands, args=[bot.connection], daemon=True).start()
bot.start()
