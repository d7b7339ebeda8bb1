# SPDX-License-Identifier: Apache-2.0
"""A next hop within the test: it offers what the test says, and remembers every command and mail."""

import socketserver
import ssl
import subprocess
import threading


def make_certificate(folder, name="localhost"):
    """A certificate that signs itself: (certificate, key)."""
    certificate, key = folder / "hop.crt", folder / "hop.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                    "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    return certificate, key


class Session(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        self.hop = self.server.hop
        self.tls = False
        self.hop.connections += 1
        self.hop.sessions.append([])
        self.say("220-hop.example\r\n220 ready")
        try:
            while self.command(self.rfile.readline()):
                pass
        except OSError:
            pass

    def command(self, line):
        if not line:
            return False
        words = line.strip().decode("utf-8", "replace")
        self.hop.sessions[-1].append(words)
        verb = words.split(" ")[0].upper()
        if verb in self.hop.answers:
            self.say(self.hop.answers[verb])
        elif verb == "EHLO":
            offers = [*self.hop.offers, *(["STARTTLS"] if self.hop.context and not self.tls else [])]
            lines = ["hop.example", *offers]
            for offer in lines[:-1]:
                self.say(f"250-{offer}")
            self.say(f"250 {lines[-1]}")
        elif verb == "STARTTLS":
            self.start_tls()
        elif verb == "DATA":
            self.take()
        elif verb == "QUIT":
            self.say("221 2.0.0 bye")
            return False
        else:
            self.say("250 2.0.0 ok")
        return True

    def start_tls(self):
        self.say("220 2.0.0 go ahead")
        self.connection = self.hop.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)
        self.tls = True

    def take(self):
        self.say("354 go ahead")
        content = b""
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return
            content += line[1:] if line.startswith(b".") else line
        self.hop.mails.append((content, self.tls))
        self.say("250 2.0.0 taken")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class Hop:
    """Runs while its `with` lasts. `offers`: EHLO keywords; `answers`: verb -> fixed reply."""

    def __init__(self, host="127.0.0.1", port=0, offers=("PIPELINING", "8BITMIME", "SMTPUTF8"), answers=None,
                 certificate=None):
        self.offers, self.answers = offers, answers or {}
        self.mails, self.sessions, self.connections = [], [], 0     # mails: (bytes, over TLS)
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        self.server = Server((host, port), Session)
        self.server.hop = self
        self.port = self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def having(self, ident):
        return [content for content, _ in self.mails if ident.encode() in content]

    def said(self, verb):
        """Every command of that verb, in order."""
        return [line for session in self.sessions for line in session if line.upper().startswith(verb)]
