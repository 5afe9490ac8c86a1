"""A PostgreSQL server for tests of studies."""

import pytest
from servers import BIN, Postgres


@pytest.fixture
def postgres():
    """A server's address."""
    if BIN is None:
        pytest.skip("no PostgreSQL server installed (Debian: apt-get install postgresql)")
    with Postgres() as server:
        yield server.url()
