"""Passwords of addresses go to the server and nowhere else."""

import pickle

import pytest
from processes import apart
from servers import BIN, Postgres
from test_search import flags

from pa_difc.tuning.address import Address
from pa_difc.util.process import without_password


@pytest.mark.parametrize(
    ("given", "url", "password"),
    [
        ("postgresql+psycopg2://u:p4ss@h/db", "postgresql+psycopg2://u@h/db", "p4ss"),
        ("postgres://u:p4ss@h:5432/db", "postgresql+psycopg2://u@h:5432/db", "p4ss"),
        ("postgresql+psycopg2://h/db?user=u&password=p4ss&a=b", "postgresql+psycopg2://h/db?user=u&a=b", "p4ss"),
        ("postgresql://h/db?PassWord=p4ss", "postgresql+psycopg2://h/db", "p4ss"),
        ("mysql+pymysql://u:p%40ss@h/db", "mysql+pymysql://u@h/db", "p@ss"),
        ("mysql+pymysql://u:p4 s:s@x@h/db", "mysql+pymysql://u@h/db", "p4 s:s@x"),
        ("sqlite:////tmp/a b.db", "sqlite:////tmp/a b.db", None),
        ("grpc://h:13000", "grpc://h:13000", None),
        ("journal:/x/y@z.log", "journal:/x/y@z.log", None),
    ],
)  # fmt: skip
def test_an_address_and_its_password(given, url, password):
    found = Address.of(given)
    assert (found.url, found.password) == (url, password)
    assert password is None or password not in repr(found) + str(found)
    assert pickle.loads(pickle.dumps(found)) == found
    if password:
        assert found.clean(f"no '{password}' here") == "no '…' here"
        quoted = given.split("@h")[0].rpartition(":")[2] if "@h" in given else password
        assert password not in without_password(given) and quoted not in without_password(given)


@pytest.mark.parametrize("how", ["user", "query"])
def test_a_password_is_in_no_file_and_on_no_screen(data_root, tmp_path, how):
    if BIN is None:
        pytest.skip("no PostgreSQL server installed (Debian: apt-get install postgresql)")
    secret = "tr0ub4dor"
    with Postgres(password=secret) as server:
        url = server.url(f"tester:{secret}") if how == "user" else server.url() + f"?password={secret}"
        more = ["--storage", url, "--features", "frozen", "--confirm-seeds", "0"]
        code, out, err = apart("search", *flags(data_root, tmp_path / "out", *more, trials=1))
        assert code == 0, err
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(files) > 5 and not any(secret.encode() in path.read_bytes() for path in files)
    assert secret not in out + err
    code, out, err = apart("search", *flags(data_root, tmp_path / "out", *more, trials=1))  # the server is gone
    assert code == 2 and "can't be opened" in err and secret not in out + err
