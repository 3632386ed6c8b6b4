"""How fast the dashboard is on a cache the size of Belebele, and what memory it takes.

    python benchmarks/dashboard.py FOLDER [--languages 122 --instances 900 --layers 32]

FOLDER gets two made-up caches (about 1.6 GB, under a minute): `one` holds one run of that size, `hundred` the same run
and 100 more. Measured are: seconds until a server answers; script time of every page, cold (a new process) and warm, and
after a change of each of its controls; bytes a page sends, and the largest chart among them; memory of a server that
three sessions have led through all pages; and the first page with 100 runs beside 1.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from synthetic import Shape, copies_of, synthetic_run

ROOT = Path(__file__).parents[1]
REPEATS = 5


class Times(NamedTuple):
    """Milliseconds by the clock, and of processor time, which other work on the machine does not lengthen as much."""

    clock: float
    processor: float


def pages() -> list[str]:
    """The page files in the order of `app.py`; the first is the default page."""
    return re.findall(r'st\.Page\(\s*"([\w/]+\.py)"', (ROOT / "app.py").read_text(encoding="utf-8"))


def make_caches(folder: Path, languages: int, n: int, layers: int) -> tuple[Path, Path]:
    """The two caches; what is there already is used."""
    from crossalign.store.runs import read_run
    from crossalign.tasks import TASKS

    one, hundred = folder / "one", folder / "hundred"
    codes = TASKS["belebele"].languages[:languages]
    began = time.perf_counter()
    if not list(one.glob("*/run.json")):
        synthetic_run(one, codes, Shape(n, 4, layers, ("last_token",)))
    if not list(hundred.glob("*/run.json")):
        copies_of(read_run(next(one.glob("*/run.json")).parent), hundred, 100)
    print(f"caches: {time.perf_counter() - began:.0f} s")
    return one, hundred


# --- script time -------------------------------------------------------------------------------------------------

COLD = """
import sys, time
from streamlit.testing.v1 import AppTest
began = time.perf_counter()
app = AppTest.from_file(sys.argv[1], default_timeout=120)
app.run()
first = time.perf_counter() - began
began = time.perf_counter()
app.switch_page(sys.argv[2]).run()
assert not app.exception and not app.error, (app.exception, app.error)
print(first, time.perf_counter() - began, time.process_time())
"""


def cold(cache: Path, page: str) -> tuple[float, ...]:
    """Seconds of the default page in a new process, imports included; of another page right after it; and of processor
    time for both, which other work on the machine does not lengthen as much.
    """
    arguments = [sys.executable, "-c", COLD, str(ROOT / "app.py"), page]
    done = subprocess.run(arguments, env=_environment(cache), capture_output=True, text=True, check=True)
    return tuple(float(value) for value in done.stdout.split()[-3:])


def warm(cache: Path, page: str) -> dict[str, Times]:
    """Median times of a page: run again, and after a change of each control (first and later changes alike)."""
    os.environ["CROSSALIGN_CACHE"] = str(cache)
    app = _opened(page)
    times = {"again": _median([_timed(app.run) for _ in range(REPEATS)])}
    kinds = ("selectbox", "segmented_control", "slider", "toggle", "multiselect")
    for kind, key in [(k, w.key) for k in kinds for w in app.get(k) if w.key and w.key != "run"]:
        with suppress(KeyError, ValueError, TypeError):  # one that another takes away, or that AppTest cannot set
            times[key] = _median(list(_changes(_opened(page), kind, key)))
    return times


def _opened(page: str) -> Any:
    """A page in a fresh session."""
    from streamlit.testing.v1 import AppTest

    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run().switch_page(page).run()


def _median(times: list[Times]) -> Times:
    return Times(*(round(median(column), 1) for column in zip(*times, strict=True)))


def _changes(app: Any, kind: str, key: str) -> Iterator[Times]:
    for number in range(REPEATS):
        widget = getattr(app, kind)(key=key)
        widget.set_value(_another(widget, kind, number))
        yield _timed(app.run)
        assert not app.exception, (key, app.exception)


def _another(widget: Any, kind: str, number: int) -> Any:
    if kind == "slider":
        return widget.min + (number + 1) % (widget.max - widget.min + 1)
    if kind == "toggle":
        return not widget.value
    if kind == "multiselect":
        return widget.options[: 1 + number % 3]
    offered = widget.options
    return offered[(number + 1) % len(offered)]


def _timed(act: Any) -> Times:
    began, before = time.perf_counter(), time.process_time()
    act()
    return Times(1000 * (time.perf_counter() - began), 1000 * (time.process_time() - before))


# --- a real server -----------------------------------------------------------------------------------------------


@contextmanager
def server(cache: Path) -> Iterator[tuple[int, int, float]]:
    """Serves the app; gives port, process id, and seconds until it answered."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "crossalign", "app", "--port", str(port)]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=_environment(cache), stdout=subprocess.DEVNULL)
    try:
        while True:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1):
                break
            time.sleep(0.02)
        yield port, process.pid, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait(timeout=20)


def visit(connection: Any, page: str, query: str = "") -> dict[str, float]:
    """Opens a page in a session as a browser does: seconds, bytes sent, and bytes of its largest chart."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    name = "" if page == pages()[0] else Path(page).stem
    message = BackMsg()
    message.rerun_script.query_string, message.rerun_script.page_name = query, name
    began, sent, chart = time.perf_counter(), 0, 0
    connection.send(message.SerializeToString())
    while True:
        data = connection.recv(timeout=120)
        answer = ForwardMsg()
        answer.ParseFromString(data)
        sent += len(data)
        if answer.WhichOneof("type") == "delta" and answer.delta.new_element.HasField("plotly_chart"):
            chart = max(chart, len(answer.delta.new_element.plotly_chart.spec))
        if answer.WhichOneof("type") == "script_finished":
            return {"seconds": time.perf_counter() - began, "bytes": sent, "chart": chart}


def serve(cache: Path, sessions: int = 3) -> dict[str, Any]:
    """Leads sessions through all pages; start, per page the first visit, and memory in megabytes."""
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    with server(cache) as (port, process, ready):
        idle = _memory(process)
        address = f"ws://127.0.0.1:{port}/_stcore/stream"
        open_sessions = [
            connect(address, max_size=None, subprotocols=[Subprotocol("streamlit")]) for _ in range(sessions)
        ]
        visits = {page: visit(open_sessions[0], page) for page in pages()}
        for session in open_sessions[1:]:
            for page in pages():
                visit(session, page)
        memory = _memory(process)
        for session in open_sessions:
            session.close()
    return {"ready": ready, "idle": idle, "memory": memory, "visits": visits}


def _memory(process: int) -> float:
    """Resident megabytes of a process (Linux)."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def _environment(cache: Path) -> dict[str, str]:
    return os.environ | {"CROSSALIGN_CACHE": str(cache), "PYTHONPATH": str(ROOT)}


def main() -> None:
    """Prints one line per measurement and, last, all of them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--languages", type=int, default=122)
    parser.add_argument("--instances", type=int, default=900)
    parser.add_argument("--layers", type=int, default=32)
    options = parser.parse_args()
    one, hundred = make_caches(options.folder, options.languages, options.instances, options.layers)
    found: dict[str, Any] = {"server": serve(one)}
    print("server:", found["server"])
    found["cold"] = {page: cold(one, page) for page in pages()}
    print("cold, seconds (default page, this page after it):", found["cold"])
    found["warm"] = {}
    for page in pages():
        found["warm"][page] = warm(one, page)
        print("warm, milliseconds (clock, processor):", page, {k: tuple(v) for k, v in found["warm"][page].items()})
    found["first page, seconds, with 1 and 100 runs"] = [
        [round(median(column), 2) for column in zip(*(cold(c, pages()[0]) for _ in range(3)), strict=True)]
        for c in (one, hundred)
    ]
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
