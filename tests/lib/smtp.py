# SPDX-License-Identifier: Apache-2.0
"""SMTP clients: one that speaks line by line, one that sends many mails and records every answer."""

import asyncio
import socket
from dataclasses import dataclass, field

from tests.lib.messages import Mail


class Dialogue:
    """A session by hand: says bytes, reads replies. Used where the exact words are the test."""

    def __init__(self, port, host="127.0.0.1", timeout=15.0, banner=True, source=None):
        self.socket = socket.create_connection((host, port), timeout=timeout, source_address=source and (source, 0))
        self.file = self.socket.makefile("rb")
        self.banner = self.reply() if banner else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def reply(self):
        """One whole reply as (code, text), (0, '') when the connection is closed."""
        lines = []
        while True:
            try:
                line = self.file.readline(8192)
            except (ConnectionError, ValueError):
                return 0, ""
            if not line.endswith(b"\n"):
                return 0, ""
            lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
            if lines[-1][3:4] != "-":
                return int(lines[-1][:3]), "\n".join(lines)

    def command(self, line):
        """Says a command, returns the reply's code."""
        self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return self.reply()[0]

    def start_mail(self, sender="sender@client.example", recipient="user@example.org"):
        assert self.command("EHLO client.example") == 250
        assert self.command(f"MAIL FROM:<{sender}>") == 250
        assert self.command(f"RCPT TO:<{recipient}>") == 250

    def message(self, data):
        """DATA with the bytes as they are (dots and end included by the caller)."""
        assert self.command("DATA") == 354
        self.send(data)
        return self.reply()


def send_mail(port, mail, timeout=40.0):
    """One mail on its own connection: the final reply as (code, text)."""
    with Dialogue(port, timeout=timeout) as session:
        session.command("EHLO client.example")
        code = session.command(b"MAIL FROM:<" + mail.sender + b">")
        if code != 250:
            return code, "MAIL"
        for recipient in mail.recipients:
            code = session.command(b"RCPT TO:<" + recipient + b">")
            if code != 250:
                return code, "RCPT"
        answer = session.message(dotted(mail.content()) + b".\r\n")
        session.send(b"QUIT\r\n")
        return answer


def dotted(content):
    """Doubles the dots at the begin of lines (RFC 5321, section 4.5.2)."""
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]


@dataclass
class Record:
    """All that clients were told, by mail id."""

    tried: dict = field(default_factory=dict)      # every mail that was begun
    acked: dict = field(default_factory=dict)      # 250 after the final dot
    refused: dict = field(default_factory=dict)    # (code, text) after the final dot or before
    unanswered: set = field(default_factory=set)   # the connection went away first


class RecordingClient:
    """Sends distinct mails over several connections until `count` of them are answered 250.

    A mail that is refused for now or left unanswered is given up, and another one with a new id
    takes its place: so each id is sent once, and whatever arrives twice was doubled by the gateway.
    """

    def __init__(self, port, connections=10, prefix="m", size=2048, kinds=None, per_connection=50,
                 reply_seconds=60.0):
        self.port = port
        self.connections = connections
        self.prefix = prefix
        self.size = size
        self.kinds = kinds or (lambda number: "clean")
        self.per_connection = per_connection
        self.reply_seconds = reply_seconds
        self.record = Record()
        self.number = 0
        self.settled = 0
        self.on_ack = None  # called with the number of mails settled so far

    def send(self, count, seconds=300.0):
        """Blocks until `count` mails are settled (250, or a final refusal of a mail made for it)."""
        asyncio.run(asyncio.wait_for(self.send_async(count), seconds))
        return self.record

    async def send_async(self, count):
        self.wanted = count
        await asyncio.gather(*(self.keep_sending() for _ in range(self.connections)))

    def claim(self):
        """The next mail, or None when as many are on their way as are still wanted."""
        if self.settled >= self.wanted:
            return None
        self.number += 1
        ident = f"{self.prefix}{self.number:06d}"
        mail = Mail(ident, kind=self.kinds(self.number), size=self.size)
        self.record.tried[ident] = mail
        return mail

    def settle(self, mail, code, text):
        if code == 250:
            self.record.acked[mail.ident] = mail
        else:
            self.record.refused[mail.ident] = (code, text)
        if code == 250 or (code >= 500 and mail.kind != "clean"):
            self.settled += 1
            if self.on_ack:
                self.on_ack(self.settled)

    async def keep_sending(self):
        while self.settled < self.wanted:
            try:
                await self.session()
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
                await asyncio.sleep(0.05)

    async def connect(self):
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def session(self):
        reader, writer = await self.connect()
        try:
            if (await self.reply(reader))[0] != 220:
                await asyncio.sleep(0.05)
                return
            writer.write(b"EHLO client.example\r\n")
            await self.reply(reader)
            for _ in range(self.per_connection):
                mail = self.claim()
                if not mail:
                    break
                code = await self.send_one(mail, reader, writer)
                if code in (0, 421):
                    return
                if 400 <= code < 500:
                    await asyncio.sleep(0.05)
            writer.write(b"QUIT\r\n")
        finally:
            writer.close()

    async def send_one(self, mail, reader, writer):
        """One transaction; the code that ended it, 0 when the connection broke."""
        paths = b"".join(b"RCPT TO:<" + recipient + b">\r\n" for recipient in mail.recipients)
        writer.write(b"MAIL FROM:<" + mail.sender + b">\r\n" + paths + b"DATA\r\n")
        try:
            replies = [await self.reply(reader) for _ in range(2 + len(mail.recipients))]
            if replies[-1][0] != 354:
                worst = max(replies, key=lambda reply: reply[0])
                self.settle(mail, *worst)
                writer.write(b"RSET\r\n")
                await self.reply(reader)
                return worst[0]
            writer.write(dotted(mail.content()) + b".\r\n")
            code, text = await self.reply(reader)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            self.record.unanswered.add(mail.ident)
            return 0
        self.settle(mail, code, text)
        return code

    async def reply(self, reader):
        lines = []
        while True:
            line = await asyncio.wait_for(reader.readuntil(b"\n"), self.reply_seconds)
            lines.append(line.decode("utf-8", "replace").rstrip())
            if lines[-1][3:4] != "-":
                return int(lines[-1][:3]), "\n".join(lines)
