"""What the server refuses: other sites, other users, too much, and too slowly."""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import time
import zlib
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from page_server import NET, TOKEN, Client, Servers

if TYPE_CHECKING:
    pass

OWN = {"Authorization": f"Bearer {TOKEN}"}


def _cookie(client: Client) -> dict[str, str]:
    return {"Cookie": f"realesrgan-vk-{client.port}={TOKEN}"}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("attacker.example", 421),
        ("attacker.example:{port}", 421),
        ("127.0.0.1.attacker.example:{port}", 421),
        ("localhost.:{port}", 421),
        ("192.168.1.2:{port}", 421),
        ("127.0.0.1:{port}@attacker.example", 400),
        ("", 400),
        ("127.0.0.1:{port}", 200),
        ("LOCALHOST:{port}", 200),
        ("[::1]:{port}", 200),
        ("localhost:9000", 200),  # another port leads here, as from a container
    ],
)
def test_a_name_made_to_lead_here_is_refused(client: Client, host: str, status: int) -> None:
    """DNS rebinding: the page of a foreign name whose address becomes this machine's."""
    headers = OWN | {"Host": host.format(port=client.port)}
    assert client.ask("GET", "/api/jobs", headers=headers).status == status
    assert client.ask("GET", "/healthz", headers=headers).status == status


def test_other_hosts_are_those_that_were_named(servers: Servers) -> None:
    with servers.run(hosts=("upscale.example",), any_address=True) as running:
        for host, status in (("upscale.example", 200), ("192.168.1.2", 200), ("x.example", 421)):
            headers = OWN | {"Host": host}
            assert running.client.ask("GET", "/api/jobs", headers=headers).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://attacker.example"}, 403),
        ({}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 202),
        ({"Origin": "http://127.0.0.1:{port}"}, 202),
    ],
)
def test_another_site_cannot_use_the_cookie(
    client: Client, png: bytes, headers: dict[str, str], status: int
) -> None:
    named = {name: value.format(port=client.port) for name, value in headers.items()}
    sent = _cookie(client) | named
    answer = client.ask("POST", f"/api/jobs?model={NET}", png, sent)
    assert answer.status == status
    assert not any(name.startswith("access-control") for name in answer.headers)
    if status != 202:
        assert client.get("/api/jobs").data["jobs"] == []
        if named:  # with the token, too
            assert client.ask("POST", "/api/jobs", png, OWN | named).status == 403
            assert client.ask("DELETE", "/api/jobs/0", None, OWN | named).status == 403
            assert client.ask("OPTIONS", "/api/jobs", None, OWN | named).status in (403, 405)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_cannot_show_results(client: Client, png: bytes, site: str) -> None:
    """Another port of this machine is the same site, for which browsers send the cookie."""
    job = client.upscale(f"model={NET}", png)
    headers = _cookie(client) | {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    assert client.ask("GET", job["links"]["result"], headers=headers).status == 403
    opened = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    assert client.ask("GET", "/", headers=opened).status == 401  # a link may lead to the page
    assert client.ask("GET", f"/?token={TOKEN}", headers=opened).status == 303


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/jobs"),
        ("POST", "/api/jobs"),
        ("GET", "/api/events"),
        ("GET", "/api/models"),
        ("GET", "/api/plan?of_width=1&of_height=1"),
        ("GET", "/api/results.zip"),
        ("DELETE", f"/api/jobs/{'0' * 32}"),
        ("GET", "/api/no-such"),
    ],
)
def test_nothing_is_told_without_the_token(client: Client, method: str, path: str) -> None:
    own = {"Sec-Fetch-Site": "same-origin"}
    wrong = [{}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {TOKEN}"}]
    wrong += [{"Cookie": f"realesrgan-vk-{client.port}=x"}, {"Cookie": f"realesrgan-vk-1={TOKEN}"}]
    for headers in wrong:
        answer = client.ask(method, path, headers=own | headers)
        assert answer.status == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"


def test_the_address_with_the_token_sets_a_cookie_that_only_the_page_has(client: Client) -> None:
    entered = client.ask("GET", f"/?token={TOKEN}", headers={})
    assert (entered.status, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"]
    assert cookie.startswith(f"realesrgan-vk-{client.port}={TOKEN};")
    assert "httponly" in cookie.lower()
    assert "samesite=strict" in cookie.lower()
    for path in ("/", "/?token=wrong"):
        assert client.ask("GET", path, headers={}).status == 401
        assert client.ask("GET", path, headers=_cookie(client)).status == 200


def test_a_password_is_tried_once_at_a_time(servers: Servers) -> None:
    with servers.run(password="correct horse", login_seconds=0.3) as running:
        own = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}

        def tried(secret: str) -> int:
            body = f"secret={quote(secret)}".encode()
            return running.client.ask("POST", "/login", body, own).status

        started = time.monotonic()
        assert tried("wrong") == 401
        assert time.monotonic() - started > 0.3
        assert tried("correct horse") == 303
        assert tried(TOKEN) == 303
        with contextlib.closing(
            socket.create_connection(("127.0.0.1", running.client.port))
        ) as one:
            one.sendall(
                b"POST /login HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n"
                b"Content-Length: 8\r\n\r\nsecret=x"
            )
            time.sleep(0.1)
            assert tried("correct horse") == 429
        assert running.client.ask("POST", "/login", b"x" * 5000, own).status == 413
        foreign = own | {"Sec-Fetch-Site": "cross-site"}
        assert running.client.ask("POST", "/login", b"secret=x", foreign).status == 403


TRAVERSALS = ["../../../../etc/passwd", "/etc/passwd", "..\\..\\x", "%2e%2e/x", ".", "a\0b", "CON"]


@pytest.mark.parametrize("given", TRAVERSALS)
def test_no_parameter_names_a_file(
    client: Client, png: bytes, given: str, servers: Servers
) -> None:
    text = quote(given, safe="")
    for name in ("model", "device", "format", "tile", "precision", "alpha", "subsampling"):
        assert client.post(f"/api/jobs?{name}={text}", png).status == 422, name
    for path in (f"/static/{text}", f"/static/{given.replace(chr(0), '')}", f"/api/jobs/{text}"):
        with contextlib.suppress(http.client.InvalidURL):  # the client's own refusal
            assert client.get(quote(path, safe="/%")).status in (404, 400), path
    assert client.get(f"/api/results.zip?id={text}").status == 404
    job = client.upscale(f"model={NET}&name={text}", png)
    assert job["status"] == "done"
    assert "/" not in job["name"] + job["result_name"]
    assert "\\" not in job["name"] + job["result_name"]
    names = {path.name for path in (servers.folder / job["id"]).iterdir()}
    assert names <= {"original", "result", "job.json"}


def test_a_model_is_never_a_path(client: Client, png: bytes, servers: Servers) -> None:
    """A network's file that exists is refused, too."""
    path = servers.folder.parent / "installed" / f"{NET}.param"
    assert path.exists()
    for given in (path, path.parent):
        assert client.post(f"/api/jobs?model={quote(str(given), safe='')}", png).status == 422


@pytest.mark.parametrize(
    "name",
    [
        'a"; filename="evil.exe',
        "a\r\nSet-Cookie: x=1",
        "a\u202egnp.exe",
        "\u7167\u7247.png",
        "a" * 1000 + ".png",
        "\ud800",
    ],
)
def test_a_file_name_cannot_add_headers(client: Client, png: bytes, name: str) -> None:
    text = quote(name.encode("utf-8", "surrogatepass"))
    job = client.upscale(f"model={NET}&name={text}", png)
    assert job["status"] == "done"
    for link in ("result", "original"):
        answer = client.get(job["links"][link])
        assert answer.status == 200
        assert "set-cookie" not in answer.headers
        disposition = answer.headers["content-disposition"]
        assert disposition.startswith("attachment; filename")
        assert disposition.count(";") == 1
        assert "\u202e" not in disposition


def test_a_long_body_is_refused_at_its_start(client: Client) -> None:
    """Ten gigabytes that are only claimed."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", client.port))) as one:
        one.settimeout(5)
        one.sendall(_head("POST /api/jobs", "Content-Length: 10737418240"))
        assert one.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_long_body_without_a_length_is_cut(servers: Servers) -> None:
    with servers.run(max_upload=100_000) as running:
        with contextlib.closing(
            socket.create_connection(("127.0.0.1", running.client.port))
        ) as one:
            one.settimeout(5)
            one.sendall(_head("POST /api/jobs", "Transfer-Encoding: chunked"))
            part = b"%x\r\n%b\r\n" % (50_000, bytes(50_000))
            with contextlib.suppress(ConnectionError):
                for _ in range(3):
                    one.sendall(part)
            assert one.recv(4096).startswith(b"HTTP/1.1 413 ")
        assert _folders(servers) == []
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        body = head + bytes(200_000)
        assert running.client.ask("POST", "/api/jobs", body, OWN | form).status == 413


def test_a_decompression_bomb_is_refused_before_it_is_decoded(client: Client) -> None:
    """A PNG file of 60 kB that claims 3.6 gigapixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    packed = zlib.compress(bytes(60_000_000), 9)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed)
    bomb += chunk(b"IEND", b"")
    started = time.monotonic()
    for path in ("/api/jobs", "/api/plan", "/api/preview"):
        answer = client.post(path, bomb)
        assert answer.status == 422
        assert "60000 x 60000" in answer.data["detail"]
    assert time.monotonic() - started < 5


def test_a_result_can_be_too_large(servers: Servers, png: bytes) -> None:
    with servers.run(max_result_pixels=10_000) as running:
        answer = running.client.post(f"/api/jobs?model={NET}&scale=3", png)
        assert answer.status == 422
        assert "144 x 96" in answer.data["detail"]
        assert running.client.post(f"/api/jobs?model={NET}&scale=256", png).status == 422


def test_a_slow_head_loses_its_connection(servers: Servers) -> None:
    """Slow loris: one byte now and then, for ever."""
    with servers.run(header_seconds=0.5) as running:
        assert _lives(running.client.port, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ") < 3
        whole = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        assert _lives(running.client.port, whole + b"GET /he") < 3
        assert _lives(running.client.port, b"") < 3


def test_a_slow_body_loses_its_place(servers: Servers) -> None:
    with servers.run(chunk_seconds=0.5) as running:
        port = running.client.port
        started = time.monotonic()
        with contextlib.closing(socket.create_connection(("127.0.0.1", port))) as one:
            one.settimeout(5)
            one.sendall(_head("POST /api/jobs", "Content-Length: 1000"))
            assert one.recv(4096).startswith(b"HTTP/1.1 408 ")
        with contextlib.closing(socket.create_connection(("127.0.0.1", port))) as one:
            one.settimeout(5)
            one.sendall(_head("POST /api/jobs", "Content-Length: 100000"))
            with contextlib.suppress(ConnectionError):
                for _ in range(20):  # each in time, but all too slow
                    one.sendall(b"x")
                    time.sleep(0.1)
            assert one.recv(4096).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - started < 10
        assert _folders(servers) == []
        assert running.client.get("/api/devices").data["queue"]["waiting"] == 0


def test_an_upload_that_is_cut_leaves_nothing(client: Client, png: bytes, servers: Servers) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + png
    for kind, body in (("image/png", png), ("multipart/form-data; boundary=x", form)):
        one = socket.create_connection(("127.0.0.1", client.port))
        length = f"Content-Length: {len(body)}\r\nContent-Type: {kind}"
        one.sendall(_head(f"POST /api/jobs?model={NET}", length) + body[:-10])
        until = time.monotonic() + 5
        while not _folders(servers) and time.monotonic() < until:
            time.sleep(0.01)
        assert _folders(servers)
        one.close()
        while _folders(servers) and time.monotonic() < until:
            time.sleep(0.01)
        assert _folders(servers) == []
    assert client.get("/api/devices").data["queue"]["waiting"] == 0
    assert client.get("/api/jobs").data["jobs"] == []


def test_a_head_is_not_kept_for_ever(client: Client) -> None:
    with contextlib.closing(socket.create_connection(("127.0.0.1", client.port))) as one:
        one.settimeout(5)
        with contextlib.suppress(ConnectionError):
            one.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000)
        with contextlib.suppress(ConnectionError):
            assert one.recv(100)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431", b"")


def test_streams_are_counted(servers: Servers) -> None:
    with servers.run(streams=1) as running:
        port = running.client.port
        one = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        one.request("GET", "/api/events", headers=OWN)
        first = one.getresponse()
        assert first.status == 200
        second = running.client.get("/api/events")
        assert (second.status, second.headers["retry-after"]) == (503, "5")
        first.close()
        one.close()


def test_every_answer_has_the_headers_that_protect_it(client: Client, png: bytes) -> None:
    for answer in (
        client.ask("GET", "/", headers={}),
        client.ask("GET", "/", headers=_cookie(client)),
        client.get("/api/jobs"),
        client.get("/no-such"),
        client.ask("PUT", "/api/jobs"),
        client.post(f"/api/jobs?model={NET}", png),
        client.ask("GET", "/api/jobs", headers=OWN | {"Host": "x.example"}),
    ):
        headers = answer.headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"
        assert "server" not in headers
    assert client.ask("PUT", "/api/jobs").status == 405
    assert client.get("/no-such").headers["content-type"] == "application/problem+json"


def test_fields_of_a_form_are_small_and_few(client: Client) -> None:

    form = OWN | {"Content-Type": "multipart/form-data; boundary=x"}
    field = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n'
    assert client.ask("POST", "/api/jobs", field + b"x" * 10_000, form).status == 400
    many = (field + b"x\r\n") * 100
    assert client.ask("POST", "/api/jobs", many + b"--x--\r\n", form).status == 400
    assert client.ask("POST", "/api/jobs", b"nonsense", form).status in (400, 422)
    no_file = field + b"net\r\n--x--\r\n"
    assert client.ask("POST", "/api/jobs", no_file, form).status == 422


def _head(request: str, *lines: str) -> bytes:
    named = [f"{request} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {TOKEN}", *lines]
    return ("\r\n".join(named) + "\r\n\r\n").encode()


def _lives(port: int, start: bytes) -> float:
    """Seconds until the server closes a connection on which a byte comes now and then."""
    started = time.monotonic()
    with contextlib.closing(socket.create_connection(("127.0.0.1", port))) as one:
        one.sendall(start)
        one.settimeout(0.1)
        while time.monotonic() - started < 5:
            with contextlib.suppress(TimeoutError, socket.timeout):
                if not one.recv(4096):
                    return time.monotonic() - started
            try:
                if start:
                    one.sendall(b"x")
            except ConnectionError:
                return time.monotonic() - started
    raise AssertionError("the connection is still open")


def _folders(servers: Servers) -> list[str]:
    return [path.name for path in servers.folder.iterdir() if path.is_dir()]
