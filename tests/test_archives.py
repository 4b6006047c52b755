"""Fetching: every place an archive may come from, every way a place may fail, against a server of our own."""

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest.mock
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from conftest import small_study
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cnntention import cli, files
from cnntention.config import Archive
from cnntention.data import archives
from cnntention.errors import UserError

GOOD = bytes(range(256)) * 2000
SHA = hashlib.sha256(GOOD).hexdigest()


OK, MOVED = b"HTTP/1.0 200 OK\r\n", b"HTTP/1.0 302 Found\r\nLocation: "
MALFORMED = "the URL or the answer is malformed: "
ODD = {  # what is sent first, what is sent for ever, and the pause between
    "silent": (b"", b"", 0.05),
    "drip": (OK + b"\r\n", b"x", 0.05),
    "slow-head": (b"HTTP/1.0 200", b" ", 0.05),
    "stalls": (OK + b"Content-Length: 900000\r\n\r\n" + bytes(200_000), b"", 0.05),
    "endless": (OK + b"\r\n", bytes(65536), 0),
    "claims": (OK + b"Content-Length: 10000000000000\r\n\r\n", b"x", 0.05),
    "circle": (MOVED + b"/circle\r\n\r\n", bytes(65536), 0),
    "nowhere": (MOVED + b"http://[::1\r\n\r\n", b"x", 0),
    "to-a-file": (MOVED + b"file:///etc/passwd\r\n\r\n", b"x", 0),
    "other-port": (MOVED + b"http://user:secret@127.0.0.1:99999/x?token=secret\r\n\r\n", b"x", 0),
    "lengths": (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", b"x", 0.05),
    "headers": (OK, b"A: b\r\n", 0),
    "no-http": (b"SSH-2.0-x\r\n", b"x", 0.05),
    "chunks": (OK.replace(b"1.0", b"1.1") + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"x", 0.05),
}


class Server(BaseHTTPRequestHandler):
    """/good works, /busy once it was asked three times; /missing, /wrong, /short (breaks off) and all of ODD never."""

    asked: list[str]

    def do_GET(self):
        place = self.path.split("/")[1]
        self.server.asked.append(place)
        if place in ODD:
            with contextlib.suppress(OSError):
                self.odd(*ODD[place])
            self.close_connection = True
            return
        status = {"missing": 404, "busy": 200 if self.server.asked.count("busy") > 2 else 503}.get(place, 200)
        body = b"<html>please log in</html>" if place == "wrong" else GOOD
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body[: len(body) // 2] if place == "short" else body)

    def odd(self, head: bytes, piece: bytes, pause: float) -> None:
        """Send the head, then pieces until the client has gone."""
        self.wfile.write(head)
        while True:
            self.wfile.write(piece)
            if pause:
                time.sleep(pause)
            if not piece and select.select([self.connection], [], [], 0)[0]:
                return

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


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("silent", "no answer in time|too slow: 0 bytes in 1 s"),
        ("drip", "too slow: 0 bytes in 1 s"),
        ("slow-head", "too slow: 0 bytes in 1 s"),
        ("stalls", "no answer in time|too slow: "),
        ("endless", "it sends more than 3,000,000 bytes"),
        ("claims", "it sends more than 3,000,000 bytes"),
        ("circle", f"{MALFORMED}TooManyRedirects"),
        ("nowhere", MALFORMED),
        ("to-a-file", f"{MALFORMED}InvalidSchema"),
        ("other-port", MALFORMED),
        ("lengths", f"{MALFORMED}InvalidHeader"),
        ("headers", "cannot connect"),
        ("no-http", "cannot connect"),
        ("chunks", "the connection broke off"),
    ],
)
def test_odd_servers(fetch, server, monkeypatch, place, reason):
    monkeypatch.setattr(archives, "STALL", 0.6)
    monkeypatch.setattr(archives, "SLOWEST", 1_000_000)
    monkeypatch.setattr(archives, "LARGEST", 3_000_000)
    url = server.url.replace("//", "//user:secret@")
    message = failure(fetch, f"{url}/{place}/a.gz?token=secret")
    assert re.search(f"{server.url}/{place}/a.gz: ({reason})", message), message
    assert "\n" not in message
    assert "secret" not in message


def test_bad_content_length_is_ignored(fetch, server, monkeypatch):
    for length in (b"abc", b"-5", b"1e3", b"\xb2"):
        monkeypatch.setitem(ODD, "odd", (OK + b"Content-Length: " + length + b"\r\n\r\n" + GOOD, b"", 0))
        monkeypatch.setattr(Server, "odd", lambda self, head, *_: self.wfile.write(head))
        assert fetch(f"{server.url}/odd/{length.hex()}.gz").read_bytes() == GOOD


def test_total_time(fetch, server, monkeypatch):
    monkeypatch.setattr(archives, "TOTAL", 0.5)
    assert "too slow: " in failure(fetch, f"{server.url}/endless/a.gz")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://user:secret@host:80/a/b.gz?token=secret#secret", "https://host:80/a/b.gz"),
        ("https://secret@host/b.gz", "https://host/b.gz"),
        ("https://user:sec/ret@host/b.gz", "https://host/b.gz"),
        ("https://user:sec?ret@host/b.gz", "https://host/b.gz"),
        ("https://user:sec@ret@host/b.gz", "https://host/b.gz"),
        ("http://[::1]:80/@a/b.gz", "http://[::1]:80/@a/b.gz"),
        ("http://host?token=secret", "http://host"),
        ("mirror/a?b@c.gz", "mirror/a?b@c.gz"),
        ("file:///a@b/c.gz", "file:///a@b/c.gz"),
    ],
)
def test_urls_are_told_without_secrets(url, told):
    assert archives.bare(url) == told
    dump = {"urls": {"source": {"archive": {"urls": [url], "sha256": SHA}}}, "published": [{"source": url}]}
    assert archives.public(dump) == dump | {"urls": {"source": {"archive": {"urls": [told], "sha256": SHA}}}}


@pytest.mark.parametrize("url", ["http://[::1", "http://user:secret@[x/a", "a\0b"])
def test_malformed_url(url):
    with pytest.raises(ValidationError) as caught:
        Archive(urls=url, sha256=SHA)
    assert "secret" not in caught.value.errors()[0]["msg"]


@settings(deadline=None)
@given(st.text("ah.:/@[]%?#\\ \t\x00ä*0-~_", max_size=12), st.sampled_from(["", "http://", "https://", "file://"]))
def test_any_url_gives_one_sentence(text, scheme):
    with (
        tempfile.TemporaryDirectory() as folder,
        unittest.mock.patch.object(archives, "PAUSES", ()),
        unittest.mock.patch.object(socket, "getaddrinfo", side_effect=OSError(111, "Connection refused")),
        pytest.raises((UserError, ValidationError)),
    ):
        archives.fetch(Archive(urls=scheme + text, sha256=SHA), Path(folder, "x", "a"), "mine")


def test_next_mirror_is_tried(fetch, server):
    assert fetch(f"{server.url}/wrong/a.gz", f"{server.url}/good/a.gz").read_bytes() == GOOD
    assert server.asked == ["wrong", "good"]


def test_every_place_is_named(fetch, server):
    server.server_close()  # a port that nobody listens on
    message = failure(fetch, f"{server.url}/a.gz", "nowhere/a.gz", "ftp://example.org/a.gz", "http://:80/a.gz")
    assert "cannot connect (Connection refused)" in message
    assert "nowhere/a.gz: cannot be read (No such file or directory)" in message
    assert "ftp:// is not known; use http, https, file" in message
    assert "http://:80/a.gz: the URL or the answer is malformed: InvalidURL" in message


def test_local_files(fetch, tmp_path):
    (tmp_path / "a b.gz").write_bytes(GOOD)
    assert fetch("a b.gz").read_bytes() == GOOD
    assert fetch((tmp_path / "a b.gz").as_uri()).read_bytes() == GOOD
    assert "got" in failure(fetch, "a b.gz", sha256="0" * 64)


@pytest.mark.parametrize("place", ["/dev/zero", "pipe", "file:///dev/zero", "~nobody-of-that-name/a"])
def test_odd_local_files(fetch, tmp_path, place):
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in (message := failure(fetch, place)) or "cannot be" in message


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


# --- full and read-only disks -------------------------------------------------------------------------------


def limit_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_disk_that_is_too_small(server, tmp_path, environment):
    """The system call fails as it does on a full disk: half of the bytes, then an error."""
    config = {"urls": f"{server.url.replace('//', '//user:secret@')}/good/a.gz", "sha256": SHA}
    study = small_study()
    study["datasets"]["mine"] = {"source": {"format": "npz", "archive": config}, "validation_images": 1}
    (tmp_path / "study.json").write_text(json.dumps(study))
    path = f"data/raw/mine/{SHA[:8]}-a.gz"
    command = [
        sys.executable,
        "-m",
        "cnntention",
        "fetch",
        "--config",
        "study.json",
        "--dataset",
        "mine",
        "--out",
        path,
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, preexec_fn=limit_files, check=False
    )
    assert done.returncode == 1
    *before, last = done.stderr.splitlines()
    assert before == [f"downloading {server.url}/good/a.gz"]
    assert last.startswith(f"cnntention fetch: {path}: cannot be written (File too large); ")
    assert not [each for each in (tmp_path / "data").rglob("*") if each.is_file()]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_disk_that_refuses(tmp_path, monkeypatch, number):
    files.write_text(tmp_path / "a.txt", "old")

    def refuse(path):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(files, "sync", refuse)
    with pytest.raises(UserError) as caught:
        files.write_text(tmp_path / "a.txt", "new")
    assert str(caught.value).startswith(f"{tmp_path}/a.txt: cannot be written ({os.strerror(number)}); ")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("name", ["a" * 300, "file/a", "folder"])
def test_path_that_cannot_be(tmp_path, name):
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        files.write_text(tmp_path / name, "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_command_ends_in_one_sentence(monkeypatch, capsys):
    assert cli.main(["schema", "--out", "/dev/null/x"]) == 1
    refused = OSError(errno.EROFS, "Read-only file system", "a.lock")  # of a file that files.atomic does not write
    monkeypatch.setattr(files, "write_json", unittest.mock.Mock(side_effect=refused))
    assert cli.main(["schema", "--out", "x"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("cnntention schema: /dev/null/x: cannot be written (")
    assert second.startswith("cnntention schema: a.lock: Read-only file system; ")


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
