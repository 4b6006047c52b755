"""Fetching: every place an archive may come from, every way a place may fail, against a server of our own."""

import contextlib
import hashlib
import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from cnntention import files
from cnntention.config import Archive
from cnntention.data import archives
from cnntention.errors import UserError

GOOD = bytes(range(256)) * 2000
SHA = hashlib.sha256(GOOD).hexdigest()


class Server(BaseHTTPRequestHandler):
    """/good works, /busy once it was asked three times, /missing, /wrong and /short (breaks off) never do."""

    asked: list[str]

    def do_GET(self):
        place = self.path.split("/")[1]
        self.server.asked.append(place)
        status = {"missing": 404, "busy": 200 if self.server.asked.count("busy") > 2 else 503}.get(place, 200)
        body = b"<html>please log in</html>" if place == "wrong" else GOOD
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body[: len(body) // 2] if place == "short" else body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(archives, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.asked = []
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def fetch(tmp_path, monkeypatch):
    """fetch(*urls) into tmp_path; afterwards there may be a whole file or nothing, but no temporary one."""
    monkeypatch.chdir(tmp_path)

    def run(*urls, sha256=SHA, **options):
        archive = Archive(urls=urls, sha256=sha256)
        target = tmp_path / archives.raw_path("mine", archive)
        try:
            return archives.fetch(archive, target, "mine", **options)
        finally:
            assert not list(tmp_path.rglob(".tmp-*"))
            assert not target.exists() or files.sha256(target) == sha256

    return run


def failure(fetch, *urls, **options) -> str:
    with pytest.raises(UserError) as caught:
        fetch(*urls, **options)
    return str(caught.value)


def test_path_names_source_and_content():
    archive = Archive(urls="https://example.org/some/cifar.tar.gz?x=1", sha256=SHA)
    assert archives.raw_path("cifar10", archive) == f"data/raw/cifar10/{SHA[:8]}-cifar.tar.gz"


def test_downloads_and_then_uses_what_is_there(fetch, server, capsys):
    target = fetch(f"{server.url}/good/a.gz")
    assert target.read_bytes() == GOOD
    assert target.stat().st_mode & 0o044, "others can read it as any other file"
    assert capsys.readouterr().err.splitlines() == [
        f"downloading {server.url}/good/a.gz",
        "downloaded a.gz, 512,000 bytes",
    ]
    fetch(f"{server.url}/good/a.gz")
    assert server.asked == ["good"]


def test_bar_instead_of_lines(fetch, server, capsys):
    fetch(f"{server.url}/good/a.gz", progress=True)
    shown = capsys.readouterr().err
    assert "a.gz: 100%" in shown
    assert "downloading" not in shown


def test_server_that_is_busy_at_first(fetch, server, capsys):
    assert fetch(f"{server.url}/busy/a.gz").read_bytes() == GOOD
    assert server.asked == ["busy"] * 3
    assert "HTTP 503 Service Unavailable; trying again in 0 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "reason", "attempts"),
    [
        ("missing", "HTTP 404 Not Found", 1),
        ("wrong", f"wrong bytes: expected SHA-256 {SHA[:8]}…, got ", 1),
        ("short", "the connection broke off", 4),
    ],
)
def test_server_that_fails(fetch, server, place, reason, attempts):
    message = failure(fetch, f"{server.url}/{place}/a.gz", field="archive")
    assert reason in message
    assert f"put a.gz (SHA-256 {SHA[:8]}…) at " in message
    assert "data/raw/mine/a.gz" in message
    assert "datasets.mine.source.archive.urls" in message
    assert "\n" not in message
    assert server.asked == [place] * attempts


def test_next_mirror_is_tried(fetch, server):
    assert fetch(f"{server.url}/wrong/a.gz", f"{server.url}/good/a.gz").read_bytes() == GOOD
    assert server.asked == ["wrong", "good"]


def test_every_place_is_named(fetch, server):
    server.server_close()  # a port that nobody listens on
    message = failure(fetch, f"{server.url}/a.gz", "nowhere/a.gz", "ftp://example.org/a.gz", "http://")
    assert "cannot connect (Connection refused)" in message
    assert "nowhere/a.gz: cannot be read (No such file or directory)" in message
    assert "ftp:// is not known; use http, https, file" in message
    assert "http://: InvalidURL" in message


def test_local_files(fetch, tmp_path):
    (tmp_path / "a b.gz").write_bytes(GOOD)
    assert fetch("a b.gz").read_bytes() == GOOD
    assert fetch((tmp_path / "a b.gz").as_uri()).read_bytes() == GOOD
    assert "got" in failure(fetch, "a b.gz", sha256="0" * 64)


@pytest.mark.parametrize("place", ["data/raw", "data/raw/mine"])
def test_file_put_by_hand(fetch, tmp_path, place, server, capsys):
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "a.gz").write_bytes(GOOD)
    assert fetch(f"{server.url}/good/a.gz").read_bytes() == GOOD
    assert server.asked == []

    (tmp_path / place / "b.gz").write_bytes(b"not it")
    assert fetch(f"{server.url}/good/b.gz").read_bytes() == GOOD
    assert server.asked == ["good"]
    assert f"{place}/b.gz is not used: wrong bytes: expected SHA-256 {SHA[:8]}…" in capsys.readouterr().err


def test_wrong_file_under_the_right_name_is_replaced(fetch, server, capsys):
    target = fetch(f"{server.url}/good/a.gz")
    target.write_bytes(b"rotten")
    assert fetch(f"{server.url}/good/a.gz").read_bytes() == GOOD
    assert "it is replaced" in capsys.readouterr().err


def test_interrupt_leaves_nothing(fetch, server, monkeypatch, tmp_path):
    def interrupt(url, path, name, bar):
        path.write_bytes(GOOD[:1000])
        raise KeyboardInterrupt

    monkeypatch.setattr(archives, "transfer", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(f"{server.url}/good/a.gz")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_folder_that_cannot_be_written(fetch, server, tmp_path):
    (tmp_path / "data").write_text("a file where a folder must be")
    message = failure(fetch, f"{server.url}/good/a.gz")
    assert "Not a directory" in message or "File exists" in message


# --- files --------------------------------------------------------------------------------------------------


def test_atomic_keeps_the_old_file_on_error(tmp_path):
    path = tmp_path / "folder" / "table.csv"
    files.write_text(path, "old")
    with contextlib.suppress(ZeroDivisionError), files.atomic(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".csv"
        temporary.write_text("half")
        raise ZeroDivisionError
    assert [p.read_text() for p in path.parent.iterdir()] == ["old"]


def test_json(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"b": 1, "a": ["é"]})
    assert path.read_bytes() == '{\n  "b": 1,\n  "a": [\n    "é"\n  ]\n}\n'.encode()
    assert files.read_json(path) == {"b": 1, "a": ["é"]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"loss": float("nan")})
    assert files.read_json(path)["b"] == 1
    path.write_text('{"b": ')
    with pytest.raises(UserError, match=r"a\.json: cannot be read"):
        files.read_json(path)
    with pytest.raises(UserError, match=r"b\.json: is missing"):
        files.read_json(tmp_path / "b.json")


def test_tensors(tmp_path):
    path = tmp_path / "a.safetensors"
    arrays = {"b": np.arange(6.0).reshape(2, 3).T, "a": np.array(3), "c": np.zeros((0, 2), np.uint8)}
    metadata = {key: "é" * i for i, key in enumerate("qwertyuiop")}
    files.write_tensors(path, arrays, metadata)
    for name, array in files.read_tensors(path).items():
        np.testing.assert_array_equal(array, arrays[name], strict=True)
    first = path.read_bytes()
    # The header's order is ours: safetensors' own changes from process to process.
    assert first[8:].startswith(b'{"__metadata__":{"e":')
    files.write_tensors(path, dict(reversed(arrays.items())), dict(reversed(metadata.items())))
    assert path.read_bytes() == first

    path.write_bytes(first[:-1])
    with pytest.raises(UserError, match=r"a\.safetensors: cannot be read"):
        files.read_tensors(path)
    with pytest.raises(UserError, match="is missing"):
        files.read_tensors(tmp_path / "b.safetensors")


def test_metadata_is_read_by_safetensors_itself(tmp_path):
    from safetensors import safe_open

    files.write_tensors(tmp_path / "a.safetensors", {"x": np.ones(3)}, {"b": "1", "a": "2"})
    with safe_open(tmp_path / "a.safetensors", framework="np") as opened:
        assert opened.metadata() == {"a": "2", "b": "1"}


def test_csv(tmp_path):
    pandas = pytest.importorskip("pandas")
    files.write_csv(tmp_path / "a.csv", pandas.read_csv(io.StringIO("n,x\na,1.5\n")))
    assert (tmp_path / "a.csv").read_bytes() == b"n,x\na,1.5\n"


def test_rows_give_the_bytes_of_their_frame(tmp_path):
    import pandas

    odd = [0.1 + 0.2, 1e-5, 1e16, 1e22, -0.0, 2 / 3, float("inf"), 5e-324]
    rows = [{"epoch": i, "lr": value, "text": 'a "b", c'} for i, value in enumerate(odd)]
    rows += [{"epoch": 8, "lr": None, "text": ""}, {"epoch": 9, "lr": float("nan"), "text": "é"}]
    files.write_rows(tmp_path / "rows.csv", rows)
    files.write_csv(tmp_path / "frame.csv", pandas.DataFrame(rows))
    assert (tmp_path / "rows.csv").read_bytes() == (tmp_path / "frame.csv").read_bytes()
