"""The hosts at which `claude auth login` signs in, on loopback: a TLS proxy that answers in their place.

`claude` is sent here by `HTTPS_PROXY`, and believes it by `NODE_EXTRA_CA_CERTS`. The code `right` is accepted, with the
state that stands in the link; any other one is not.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

ACCESS_TOKEN: Final = "sk-ant-oat01-made-up-access"
_HOSTS: Final = ("platform.claude.com", "api.anthropic.com", "claude.ai", "claude.com")
_ACCOUNT: Final = {"uuid": "00000000-0000-4000-8000-000000000001", "email_address": "sam@example.org"}
_ORGANIZATION: Final = {"uuid": "00000000-0000-4000-8000-000000000002", "name": "Example"}


class SignInHosts:
    """Use it as an async context manager.

    Args:
        directory: where the certificate goes.
    """

    def __init__(self, directory: Path) -> None:
        self.codes: list[str] = []
        self._directory = directory
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        _make_certificate(self._directory)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(self._directory / "ca.pem", self._directory / "key.pem")
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if self._server:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    @property
    def environment(self) -> dict[str, str]:
        """What sends `claude` here."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{port}",
            "NO_PROXY": "127.0.0.1",
            "NODE_EXTRA_CA_CERTS": str(self._directory / "ca.pem"),
            # The long form has the state in it, which a page would show with the code.
            "CLAUDE_CODE_FULL_SIGN_IN_LINK": "1",
        }

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await writer.drain()
            await writer.start_tls(self._tls)
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = re.search(r"(?i)content-length: (\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                status, answer = self._answer(head.split(" ")[1], body)
                content = json.dumps(answer).encode()
                kind = f"content-type: application/json\r\ncontent-length: {len(content)}"
                writer.write(f"HTTP/1.1 {status} X\r\n{kind}\r\n\r\n".encode() + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            self._open.discard(writer)
            with suppress(OSError, ssl.SSLError):
                writer.close()

    def _answer(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if path.startswith("/v1/oauth/token"):
            return self._token(json.loads(body))
        if path.startswith("/api/oauth/profile"):
            return 200, {"account": {**_ACCOUNT, "has_claude_max": True}, "organization": _ORGANIZATION}
        if path.startswith("/api/oauth/claude_cli/roles"):
            return 200, {"organization_role": "admin", "organization_name": "Example"}
        return 404, {}

    def _token(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.codes.append(asked.get("code", ""))
        if asked.get("code") != "right":
            return 400, {"error": "invalid_grant"}
        return 200, {
            "token_type": "Bearer",
            "access_token": ACCESS_TOKEN,
            "refresh_token": "sk-ant-ort01-made-up-refresh",
            "expires_in": 28800,
            "scope": "user:inference user:profile",
            "account": _ACCOUNT,
            "organization": _ORGANIZATION,
        }


def code_for(link: str, code: str = "right") -> str:
    """What the page behind `link` would show."""
    return f"{code}#{parse_qs(urlsplit(link).query)['state'][0]}"


def _make_certificate(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sign-in hosts of a test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in _HOSTS]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "ca.pem").write_bytes(made.public_bytes(pem))
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (directory / "key.pem").write_bytes(key.private_bytes(pem, *plain))
