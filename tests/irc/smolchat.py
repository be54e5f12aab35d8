"""A controller for irctest (https://github.com/progval/irctest) that runs smolchatd.

    PYTHONPATH=tests/irc pytest --controller=smolchat ...

SMOLCHATD is the path of the server, SMOLCHAT_CHANNEL the name of its channel (#chan).
"""

import atexit
import os

from irctest.basecontrollers import BaseServerController, DirectoryBasedController
from irctest.runner import NotImplementedByController

SERVERS = []


@atexit.register
def end_servers():
    """Ends the servers of tests that failed before they ended theirs."""
    for server in SERVERS:
        if server.poll() is None:
            server.kill()


class SmolchatController(BaseServerController, DirectoryBasedController):
    software_name = "smolchat"
    supported_sasl_mechanisms = set()
    supports_sts = False

    def run(self, hostname, port, *, password, ssl, run_services, faketime, **websocket):
        if password or ssl or run_services or any(websocket.values()):
            raise NotImplementedByController("an option of the server")
        self.port = port
        self.hostname = hostname
        self.create_config()
        command = [os.environ["SMOLCHATD"], "--irc", f"{hostname}:{port}"]
        command += ["--listen", f"unix:{self.directory / 'socket'}"]
        command += ["--irc-channel", os.environ.get("SMOLCHAT_CHANNEL", "#chan")]
        command += ["--irc-name", "My.Little.Server", "--rate", "0", "--connect-rate", "0"]
        self.proc = self.execute(command)
        SERVERS.append(self.proc)


def get_irctest_controller_class():
    return SmolchatController
