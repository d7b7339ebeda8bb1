#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The receiving SMTP server of quickstart and tests: every mail it takes becomes one file.

A file holds `X-Envelope-From:`, one `X-Envelope-To:` for each recipient (CRLF lines), then the
bytes as received with the doubled dots undone. It is written under a name that begins with a
dot and renamed before the 250 leaves, so whoever sees a file sees it whole.

Rules let a test choose how it behaves, by the recipient's local part (first match counts):
    --rule 'defer-*=451 4.3.0 Try again later'   answers RCPT with that reply
    --rule 'late-*=dot 554 5.7.1 No thanks'      takes RCPT, answers the final dot with that reply
    --rule 'hang-*=hang'                         never answers the final dot
    --rule 'close-*=close'                       closes the connection at the final dot, keeps nothing
    --rule 'lose-*=keep-close'                   keeps the mail, but closes instead of answering
"""

import argparse
import asyncio
import fnmatch
import os
import re
import signal
import sys
import time

SIZE_MOST = 100 * 1024 * 1024
LINE_MOST = 4096
RECIPIENTS_MOST = 10000
PATH = re.compile(rb"(?:FROM|TO):\s*<([^>]*)>\s*(.*)$", re.IGNORECASE)
DOT_ACTIONS = ("hang", "close", "keep-close")


class Folder:
    """Where the mails go. With `sync` file and directory are on the disk before the 250."""

    def __init__(self, path, sync):
        self.path = path
        self.sync = sync
        self.count = 0
        os.makedirs(path, exist_ok=True)
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def keep(self, sender, recipients, message):
        self.count += 1
        name = f"{time.time_ns():020d}-{self.count:07d}.eml"
        head = [b"X-Envelope-From: " + sender]
        head += [b"X-Envelope-To: " + recipient for recipient in recipients]
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        file = os.open("." + name, flags, 0o640, dir_fd=self.fd)
        try:
            write_whole(file, b"\r\n".join(head) + b"\r\n" + message)
            if self.sync:
                os.fdatasync(file)
        finally:
            os.close(file)
        os.rename("." + name, name, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        if self.sync:
            os.fsync(self.fd)


def write_whole(file, data):
    while data:
        data = data[os.write(file, data):]


class Rules:
    """What to do for whom: a list of (pattern of the local part, action)."""

    def __init__(self, texts):
        self.rules = []
        for text in texts:
            pattern, equals, action = text.partition("=")
            known = action in DOT_ACTIONS or re.match(r"(dot )?[45]\d\d ", action)
            if not equals or not known:
                sys.exit(f"inbox: --rule {text!r}: want PATTERN=REPLY, "
                         f"PATTERN='dot REPLY' or PATTERN={'|'.join(DOT_ACTIONS)}")
            self.rules.append((pattern, action))

    def action(self, recipient):
        local = recipient.rpartition(b"@")[0].decode("utf-8", "replace")
        for pattern, action in self.rules:
            if fnmatch.fnmatchcase(local, pattern):
                return action
        return None


class Session(asyncio.Protocol):
    """One connection. Input is consumed line by line, or up to the final dot after DATA."""

    def __init__(self, options, folder, rules, sessions):
        self.options = options
        self.folder = folder
        self.rules = rules
        self.sessions = sessions
        self.buffer = bytearray()
        self.replies = []
        self.in_data = False
        self.waiting = False  # an answer is delayed: nothing more is read from the buffer
        self.searched = 0
        self.forget_mail()

    def forget_mail(self):
        self.sender = None
        self.recipients = []
        self.dot_action = None

    # --- transport -------------------------------------------------------------------------
    def connection_made(self, transport):
        self.transport = transport
        self.sessions.add(self)
        self.say("220 inbox.example ESMTP")
        self.flush()

    def connection_lost(self, error):
        self.sessions.discard(self)

    def data_received(self, data):
        self.buffer += data
        self.work()

    def say(self, reply):
        self.replies.append(reply.encode() + b"\r\n")

    def flush(self):
        if self.replies and not self.transport.is_closing():
            self.transport.write(b"".join(self.replies))
        self.replies.clear()

    def work(self):
        while not self.waiting and not self.transport.is_closing():
            if not (self.take_message() if self.in_data else self.take_line()):
                break
        self.flush()

    # --- commands --------------------------------------------------------------------------
    def take_line(self):
        end = self.buffer.find(b"\r\n")
        if end < 0 and len(self.buffer) <= LINE_MOST:
            return False
        if end < 0 or end > LINE_MOST:
            self.say("500 5.5.2 Line too long")
            self.finish()
            return False
        line = bytes(self.buffer[:end])
        del self.buffer[:end + 2]
        verb, _, rest = line.partition(b" ")
        handler = self.VERBS.get(verb.upper())
        if handler:
            handler(self, rest)
        else:
            self.say("500 5.5.1 Command unrecognized")
        return True

    def ehlo(self, rest):
        self.forget_mail()
        offers = ["inbox.example", "PIPELINING", f"SIZE {SIZE_MOST}", "8BITMIME", "SMTPUTF8"]
        for offer in offers:
            self.say(f"250-{offer}")
        self.say("250 ENHANCEDSTATUSCODES")

    def helo(self, rest):
        self.forget_mail()
        self.say("250 inbox.example")

    def mail(self, rest):
        match = PATH.match(rest)
        if self.sender is not None or not match:
            self.say("503 5.5.1 Bad sequence" if match else "501 5.5.4 Bad MAIL syntax")
            return
        self.sender = match[1]
        self.say("250 2.1.0 Ok")

    def rcpt(self, rest):
        match = PATH.match(rest)
        if self.sender is None or not match:
            self.say("501 5.5.4 Bad RCPT syntax" if self.sender is not None else "503 5.5.1 Need MAIL")
            return
        if len(self.recipients) >= RECIPIENTS_MOST:
            self.say("452 4.5.3 Too many recipients")
            return
        action = self.rules.action(match[1])
        if action and action[0] in "45":
            self.say(action)
            return
        self.dot_action = self.dot_action or action
        self.recipients.append(match[1])
        self.say("250 2.1.5 Ok")

    def data(self, rest):
        if not self.recipients:
            self.say("503 5.5.1 Need RCPT" if self.sender is None else "554 5.5.1 No valid recipients")
            return
        self.say("354 End data with <CR><LF>.<CR><LF>")
        self.in_data = True
        # The line end of the DATA command counts as the one before a lone first dot.
        self.buffer[:0] = b"\r\n"
        self.searched = 0

    def rset(self, rest):
        self.forget_mail()
        self.say("250 2.0.0 Ok")

    def noop(self, rest):
        self.say("250 2.0.0 Ok")

    def quit(self, rest):
        self.say("221 2.0.0 Bye")
        self.finish()

    VERBS = {b"EHLO": ehlo, b"HELO": helo, b"MAIL": mail, b"RCPT": rcpt, b"DATA": data,
             b"RSET": rset, b"NOOP": noop, b"VRFY": noop, b"QUIT": quit}

    # --- the message -----------------------------------------------------------------------
    def take_message(self):
        end = self.buffer.find(b"\r\n.\r\n", self.searched)
        if end < 0:
            self.searched = max(0, len(self.buffer) - 4)
            if len(self.buffer) > SIZE_MOST:
                self.say("552 5.3.4 Message too big")
                self.finish()
            return False
        message = bytes(self.buffer[:end + 2]).replace(b"\r\n.", b"\r\n")[2:]
        del self.buffer[:end + 5]
        self.in_data = False
        self.end_of_message(message)
        return True

    def end_of_message(self, message):
        action = self.dot_action
        if action == "hang":
            self.waiting = True
        elif action == "close":
            self.transport.abort()
        elif action and action.startswith("dot "):
            self.answer(action[4:])
        elif self.options.delay > 0:
            self.waiting = True
            asyncio.get_running_loop().call_later(self.options.delay, self.keep_late, message)
        else:
            self.keep(message)

    def keep_late(self, message):
        self.waiting = False
        if not self.transport.is_closing():
            self.keep(message)
            self.work()

    def keep(self, message):
        try:
            self.folder.keep(self.sender, self.recipients, message)
        except OSError as error:
            self.answer(f"452 4.3.1 {error.strerror}")
            return
        if self.dot_action == "keep-close":
            self.transport.abort()
            return
        self.answer(f"250 2.0.0 Ok: kept as {self.folder.count}")

    def answer(self, reply):
        self.say(reply)
        self.forget_mail()

    def finish(self):
        self.flush()
        self.transport.close()


def options_of(arguments):
    parser = argparse.ArgumentParser(description="A receiving SMTP server: one file for each mail.")
    parser.add_argument("--listen", required=True, metavar="HOST:PORT")
    parser.add_argument("--folder", required=True, help="where the mails go")
    parser.add_argument("--rule", action="append", default=[], metavar="PATTERN=ACTION")
    parser.add_argument("--delay", type=float, default=0, metavar="SECONDS",
                        help="wait before the answer to the final dot")
    parser.add_argument("--no-sync", action="store_true", help="leave the disk to the kernel")
    parser.add_argument("--lock", metavar="FILE", help="hold a lock on FILE while running")
    return parser.parse_args(arguments)


def hold_lock(path):
    """Takes an open file description lock that lives as long as this process."""
    import fcntl
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"inbox: {path} is locked: another one is running")
    return file


async def serve(options):
    host, _, port = options.listen.rpartition(":")
    folder = Folder(options.folder, not options.no_sync)
    rules = Rules(options.rule)
    sessions = set()
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_server(lambda: Session(options, folder, rules, sessions),
                                      host.strip("[]"), int(port), backlog=1024)
    print(f"inbox: ready on {options.listen}", flush=True)
    await stopped.wait()
    server.close()
    for session in list(sessions):
        session.transport.abort()


def main():
    options = options_of(sys.argv[1:])
    lock = hold_lock(options.lock) if options.lock else None
    try:
        asyncio.run(serve(options))
    except OSError as error:
        sys.exit(f"inbox: {options.listen}: {error.strerror or error}")
    finally:
        if lock is not None:
            os.close(lock)


if __name__ == "__main__":
    main()
