"""Starts the dashboard's server, and ends it."""

from __future__ import annotations

import errno
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NoReturn

from crossalign.schema import UserError
from crossalign.store.runs import list_runs

APP = Path(__file__).parents[2] / "app.py"

POLITE = 10
"""Niceness of what is computed while the dashboard is looked at."""


def serve(options: Namespace) -> int:
    """Serves the dashboard on this machine until it is stopped.

    With `demo`, the default runs are computed meanwhile; where the cache has nothing to show, the first of them before.

    Raises:
        UserError: the checkout's `app.py` is not beside the package, the port is taken, or the first run fails.
    """
    if not APP.is_file():
        raise UserError(f"There is no {APP}: the dashboard is started from a checkout of the project.")
    _refuse_taken(options.port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # what is begun is ended too
    with _computing_demo(options.cache) if options.demo else nullcontext():
        _run_server(options)
    return 0


def leave(status: int) -> NoReturn:
    """Ends the process of a command."""
    # The system takes everything back at once; a last search for garbage among all that was imported takes a second.
    gc.freeze()
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        # A page that is still being computed, for nobody any more, would be waited for.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _refuse_taken(port: int) -> None:
    """Before anything is computed: what cannot be served need not be waited for."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = "is in use: stop what listens there" if error.errno == errno.EADDRINUSE else "may not be used"
            raise UserError(f"Port {port} {reason}, or name another one with --port.") from None


@contextmanager
def _computing_demo(cache: Path) -> Iterator[None]:
    """Another process computes the default runs until the block ends: this one must not load what computes."""
    command = [sys.executable, "-m", "crossalign", "demo", "--cache", str(cache)]
    if not any(run.complete for run in list_runs(cache)[0]) and subprocess.call([*command, "--first"]):  # noqa: S603
        raise UserError("The first of the default runs could not be computed: see above.")
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 (no shell, nothing from outside)
    with suppress(OSError):  # pages come first
        os.setpriority(os.PRIO_PROCESS, child.pid, POLITE)
    try:
        yield
    finally:
        child.terminate()
        child.wait()


def _run_server(options: Namespace) -> None:
    from click.exceptions import Abort
    from streamlit.web import cli

    os.environ["CROSSALIGN_CACHE"] = str(options.cache.absolute())
    os.chdir(APP.parent)  # where Streamlit looks for its settings
    with suppress(Abort):  # Ctrl-C is how it ends
        cli.main(["run", str(APP), "--server.port", str(options.port)], standalone_mode=False)
