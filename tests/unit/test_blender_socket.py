"""Our MCP server's side of the socket, against something that is no Blender, or another one."""

import socket
import threading

import pytest

from backend.mcp.blender_socket import TOKEN_FILE, Blender, BlenderError


@pytest.fixture
def answering():
    """answering(bytes) -> a port where every question gets them."""
    open_ones = []

    def listen(answer):
        server = socket.create_server(("127.0.0.1", 0))
        open_ones.append(server)

        def run():
            while True:
                try:
                    with server.accept()[0] as connection:
                        connection.recv(1 << 16)
                        connection.sendall(answer)
                except OSError:
                    return

        threading.Thread(target=run, daemon=True).start()
        return server.getsockname()[1]

    yield listen
    for server in open_ones:
        server.close()


@pytest.mark.parametrize(
    "answer",
    [
        b'{"a":' * 200_000 + b"}", b'{"status": "success"}', b'{"status": "success", "result": [1]}',
        b'{"status": "success", "result": "x"}', b'{"status": "success", "result": {"other": 1}}', b"hello", b"",
        b'{"status": "success", "result": {"job": "\xff"}}',
    ],
    ids=["deep", "nothing", "list", "text", "other", "words", "silent", "bytes"],
)  # fmt: skip
def test_an_answer_that_is_none_has_its_sentence(answering, answer):
    with pytest.raises(BlenderError) as caught:
        Blender(answering(answer), "").ask("avatar_make", timeout=5.0, needs=("job",))
    assert str(caught.value).endswith(".")


def test_half_a_surrogate_pair_can_be_told_on(answering):
    port = answering(b'{"status": "success", "result": {"name": "a\\ud800b", "\\udfff": 1}}')
    assert Blender(port, "").ask("avatar_status") == {"name": "a?b", "?": 1}
    with pytest.raises(BlenderError) as caught:
        Blender(answering(b'{"status": "error", "message": "No bone \\ud800."}'), "").ask("avatar_status")
    assert str(caught.value) == "No bone ?."


def test_a_token_file_of_another_kind_is_named(monkeypatch, tmp_path):
    (tmp_path / "token").write_bytes(b"\x89PNG\xff")
    monkeypatch.setenv(TOKEN_FILE, str(tmp_path / "token"))
    with pytest.raises(BlenderError) as caught:
        Blender(1).ask("avatar_status")
    assert "token" in str(caught.value)
