"""Servers of our own, on free loopback ports: PostgreSQL, and optuna's proxy."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

BIN = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def proxy(database):
    """Within the block a proxy of an sqlite file; yields its address."""
    port = free_port()
    code = (
        "import sys; from optuna.storages import RDBStorage, run_grpc_proxy_server as serve; "
        "serve(RDBStorage(sys.argv[1]), host='127.0.0.1', port=int(sys.argv[2]))"
    )
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, f"sqlite:///{database}", str(port)], stderr=subprocess.DEVNULL
    )
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


class Postgres:
    """Within the block a server, with a folder for itself; it can be stopped at once and started again.

    pytest's own folders are closed to other users each time that pytest begins somewhere, and the server is one.

    Args:
        password: asked of whoever connects; None: of nobody.
    """

    def __init__(self, password=None):
        self.password = password
        self.folder = folder = Path(tempfile.mkdtemp(prefix="pa_difc-pg-"))
        self.as_user = []
        if os.geteuid() == 0:  # the server refuses to run as root
            shutil.chown(folder, "postgres")
            self.as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self.port = free_port()
        how = ["-A", "trust"]
        if password is not None:
            file = Path(f"{folder}.first")
            file.write_text(password)
            file.chmod(0o644)
            how = ["-A", "scram-sha-256", "--pwfile", str(file)]
        init = [*self.as_user, str(BIN / "initdb"), "-D", str(folder), *how, "-U", "tester", "--no-sync"]
        subprocess.run(init, check=True, capture_output=True, cwd="/")
        if password is not None:
            file.unlink()

    def __enter__(self):
        return self.start()

    def __exit__(self, *error):
        if self.server.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        options = ["-h", "127.0.0.1", "-p", str(self.port), "-k", str(self.folder), "-c", "fsync=off"]
        command = [*self.as_user, str(BIN / "postgres"), "-D", str(self.folder), *options]
        self.server = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ready = [str(BIN / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.time() + 60
        while subprocess.run(ready, capture_output=True).returncode:
            assert time.time() < deadline and self.server.poll() is None
            time.sleep(0.1)
        return self

    def stop(self, how=signal.SIGINT):
        """SIGINT: a fast shutdown, clients are sent away; SIGQUIT: an immediate one, as in a crash."""
        self.server.send_signal(how)
        self.server.wait(30)

    def url(self, user="tester"):
        return f"postgresql+psycopg2://{user}@127.0.0.1:{self.port}/postgres"
