"""An addon of HexChat that runs the lines of a FIFO as commands."""

import os

import hexchat

__module_name__ = "fifo"
__module_version__ = "1"
__module_description__ = "Runs the lines of a FIFO as commands."

# Opened for writing, too, so that it never ends.
FIFO = os.open(os.path.join(hexchat.get_info("configdir"), "fifo"), os.O_RDWR | os.O_NONBLOCK)


def run_commands(_):
    try:
        lines = os.read(FIFO, 65536).decode().splitlines()
    except BlockingIOError:
        lines = []
    for line in lines:
        window = hexchat.find_context(channel="#smol") or hexchat
        window.command(line[1:] if line.startswith("/") else f"say {line}")
    return True


hexchat.hook_timer(20, run_commands)
