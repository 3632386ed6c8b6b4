"""Starts the dashboard's server."""

from __future__ import annotations

import os
from argparse import Namespace
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
    from streamlit.runtime.pages_manager import PagesManager
    from streamlit.web import cli

    # Streamlit takes a folder `pages` beside app.py for its older kind of navigation until app.py has run once, and
    # answers a link to a page that comes first with "Page not found".
    PagesManager.uses_pages_directory = False
    os.environ["CROSSALIGN_CACHE"] = str(options.cache.absolute())
    os.chdir(APP.parent)  # where Streamlit looks for its settings
    cli.main(["run", str(APP), "--server.port", str(options.port)], standalone_mode=False)
    return 0
