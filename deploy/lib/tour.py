# SPDX-License-Identifier: Apache-2.0
"""The quickstart's first mails: sends a clean one, a spam and a virus test file, shows what became of each.

Exits 0 when the clean mail arrived and the two others did not.
"""

import argparse
import json
import os
import smtplib
import subprocess
import sys
import time
import uuid
from email.message import EmailMessage

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
EICAR = r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


def mail(subject, text):
    message = EmailMessage()
    message["From"] = "Anna <anna@client.example>"
    message["To"] = "Bert <bert@example.org>"
    message["Subject"] = subject
    message["Message-ID"] = f"<{uuid.uuid4()}@client.example>"
    message["Date"] = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime())
    message.set_content(text)
    return message


def samples():
    virus = mail("A virus test file", "See the attachment.")
    virus.add_attachment(EICAR.encode(), maintype="application", subtype="octet-stream", filename="eicar.com")
    return [("a clean mail", mail("Lunch on Friday?", "Shall we meet at noon?"), {"delivered"}),
            ("a spam (GTUBE)", mail("Cheap offer", GTUBE), {"rejected", "quarantined"}),
            ("a virus test file (EICAR)", virus, {"rejected", "quarantined"})]


def send(port, message):
    """The gateway's reply to the message as text."""
    try:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example", timeout=60) as client:
            client.send_message(message)
        return "250 accepted"
    except smtplib.SMTPResponseException as error:
        return f"{error.smtp_code} {error.smtp_error.decode('utf-8', 'replace')}"
    except smtplib.SMTPException as error:
        return str(error)


def fate(postern, message, seconds=30):
    """What the master's record says became of a mail; waits until it is an end."""
    command = [postern, "messages", "--rejected", "--json", "--message-id", message["Message-ID"]]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        rows = json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else []
        told = {one["disposition"] for row in rows for one in row["recipients"]}
        if told and not told & {"", "deferred", "pending"}:
            return told.pop()
        time.sleep(0.1)
    return "unknown"


def in_inbox(folder, message):
    wanted = message["Message-ID"].encode()
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            if not name.startswith(".") and wanted in file.read():
                return True
    return False


def show_all(options):
    good = True
    print(f"\n{'mail':28}{'answer to the client':48}what became of it")
    for name, message, wanted in samples():
        answer = send(options.port, message)
        became = fate(options.postern, message)
        right = became in wanted
        if options.own_inbox == "yes":
            right = right and in_inbox(options.inbox, message) == (became == "delivered")
        good = good and right
        print(f"{name:28}{answer[:46]:48}{became}{'' if right else '   <- not as it should be'}")
    return 0 if good else 1


def accepts(port):
    """Exit code 0 when a recipient is taken: the gateway is up and configured."""
    try:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example", timeout=3) as client:
            client.ehlo()
            client.mail("anna@client.example")
            return 0 if client.rcpt("bert@example.org")[0] == 250 else 1
    except (OSError, smtplib.SMTPException):
        return 1


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["accepts", "send"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--postern", help="the command line program")
    parser.add_argument("--inbox", help="folder of the receiving server")
    parser.add_argument("--own-inbox", default="yes")
    options = parser.parse_args()
    sys.exit(accepts(options.port) if options.action == "accepts" else show_all(options))


if __name__ == "__main__":
    main()
