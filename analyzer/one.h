// SPDX-License-Identifier: Apache-2.0
#pragma once

// postern-analyzer --one FILE...: the same engine on messages in files, offline.
//
//     --from A --rcpt B (repeated) --client-ip IP --helo H     the envelope
//     --settings FILE | --state FOLDER | --config node.conf    the configuration; without: defaults
//     --dns HOST:PORT                                          for checks that ask the DNS
//     --host NAME                                              in Authentication-Results
//     --json                                                   one object a line for each FILE
//
// A file without any CRLF is read as if its lines ended so; a first line of a mailbox ("From ") is
// skipped. `-` is standard input. Returns 0; 1 when a file cannot be read; 2 when misused.
int one_main(int argc, char **argv);
