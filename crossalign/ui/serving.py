"""Starts the dashboard's server."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import suppress
from pathlib import Path

from crossalign.schema import UserError

APP = Path(__file__).parents[2] / "app.py"


def serve(options: Namespace) -> int:
    """Serves the dashboard on this machine until it is stopped.

    Raises:
        UserError: the checkout's `app.py` is not beside the package.
    """
    if not APP.is_file():
        raise UserError(f"There is no {APP}: the dashboard is started from a checkout of the project.")
    from click.exceptions import Abort
    from streamlit.web import cli

    os.environ["CROSSALIGN_CACHE"] = str(options.cache.absolute())
    os.chdir(APP.parent)  # where Streamlit looks for its settings
    with suppress(Abort):  # Ctrl-C is how it ends
        cli.main(["run", str(APP), "--server.port", str(options.port)], standalone_mode=False)
    return 0
