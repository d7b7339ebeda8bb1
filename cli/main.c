// SPDX-License-Identifier: Apache-2.0
// postern: the command line. Everything goes through /api/v1 on the master's Unix socket: --socket
// PATH, --run FOLDER/api.sock, $POSTERN_HOME/run/master/api.sock, /run/postern/api.sock, the first
// given; with --local $POSTERN_HOME/run/worker/api.sock.
#include "cli/cli.h"
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#define COMMON "Every command takes --json, --run FOLDER, --socket PATH and --help.\n"
#define LOCAL                                                                                      \
    "With --local this machine's worker is asked for what lies there, also with both masters gone.\n"

static const struct {
    const char *name;
    command_fn *fn;
    const char *about, *help;
} commands[] = {
    {"status", command_status, "processes, spool, queue, lag of the masters",
     "usage: postern status\n" COMMON},
    {"messages", command_messages, "every mail and what became of it",
     "usage: postern messages [--sender A] [--recipient A] [--message-id X] [--node N]\n"
     "                        [--disposition D] [--since T] [--until T] [--limit N] [--rejected]\n"
     "       postern messages ID            one mail's timeline\n"
     "A may be @domain or hold *; T is a date, an RFC 3339 time or seconds ago;\n"
     "D is delivered, quarantined, rejected, bounced, discarded or deferred.\n"
     "Newest first, 100 rows; --limit 0 is all. --rejected shows rejected tries, too, --notices\n"
     "also the notifications that were sent.\n" COMMON},
    {"events", command_events, "what happens, as it happens",
     "usage: postern events [--follow] [--after COMMIT] [--limit N] [--filter NAME=VALUE[,...]]\n"
     "NAME: kind, node, sender, recipient; \"@example.org\" is any address there.\n" COMMON},
    {"config", command_config, "the cluster's configuration",
     "usage: postern config get [DOCUMENT [KEY]]\n"
     "       postern config set DOCUMENT KEY=VALUE...\n"
     "       postern config unset DOCUMENT [KEY...]      without KEY the whole document\n"
     "       postern config export                       all documents as JSON\n"
     "       postern config apply FILE|- [--replace]     documents that FILE names; all others "
     "too\n"
     "       postern config history [--limit N]\n"
     "       postern config diff [FROM [TO]]             between revisions\n"
     "       postern config rollback REVISION            members and revocations stay\n"
     "       postern config conflicts                    what two masters changed unseen\n"
     "       postern config resolve DOCUMENT VERSION     or current: settles it\n"
     "Changes take --comment TEXT.\n" COMMON},
    {"quarantine", command_quarantine, "mail that is held back",
     "usage: postern quarantine list [--sender A] [--recipient A] [--since T] [--until T] [--limit "
     "N]\n"
     "       postern quarantine show ID [--body]\n"
     "       postern quarantine release ID... [--recipient A] [--again]\n"
     "       postern quarantine delete ID... [--recipient A]\n"
     "       postern quarantine allow-sender ID... [--list NAME]\n"
     "       postern quarantine takeover NODE [--to WORKER] [--force]\n"
     "A mail is released once however often it is asked; --again sends it once more.\n"
     "Waits 10 s for the outcome; --no-wait does not.\n" LOCAL COMMON},
    {"queue", command_queue, "mail that waits for its next try",
     "usage: postern queue list [--limit N] [--node N]\n"
     "       postern queue show ID\n"
     "       postern queue retry ID|--all\n"
     "       postern queue hold ID                       until it is retried\n"
     "       postern queue delete ID                     discarded, nobody is told\n" COMMON},
    {"node", command_node, "who belongs to the cluster",
     "usage: postern node list\n"
     "       postern node add NAME KEY [--role worker|master|monitor]\n"
     "       postern node show NAME\n"
     "       postern node drain|undrain NAME             no new mail, and again\n"
     "       postern node rotate-key NAME                a new key for a worker, without an "
     "outage\n"
     "       postern node rename NAME NEW                its record keeps the first name\n"
     "       postern node revoke NAME                    its key can never come back\n"
     "       postern node remove NAME                    the same, and it is forgotten; nobody "
     "waits\n"
     "                                                   for a master that is removed\n" COMMON},
    {"subscriber", command_subscriber, "who may listen to the public stream",
     "usage: postern subscriber create NAME [--key FILE]\n"
     "Makes a key pair (FILE, else NAME.key), enrols it as a monitor, and prints what a "
     "subscriber\n"
     "needs. `postern node remove NAME` ends it.\n" COMMON},
    {"verify", command_verify, "do both masters hold the same?",
     "usage: postern verify                 compares them; exit 0: equal, 1: not, 2: not compared\n"
     "What differs for a moment only, since events are under way, is looked at again for 10 "
     "s.\n" COMMON},
    {"token", command_token, "lets one new node in",
     "usage: postern token create [--role worker|master] [--name N] [--expires 1h]\n"
     "prints the token as its last line; it is good for one node, and for this master's "
     "life.\n" COMMON},
    {"join", command_join, "makes this machine a node of a cluster",
     "usage: postern join -|@FILE|TOKEN [--name N] [--site S] [--smtp HOST:PORT]\n"
     "                    [--https HOST:PORT] [--config FILE] [--state FOLDER] [--run FOLDER]\n"
     "The token comes from `postern token create` on a master; - reads it from standard input.\n"},
    {"keygen", command_keygen, "makes a node's key pair",
     "usage: postern keygen FILE           writes the pair, prints the public key\n"},
    {"analyze", command_analyze, "examines one message, without any server",
     "usage: postern analyze FILE [--from A] [--rcpt B] [--client-ip IP] [--helo H] [--dns "
     "HOST:PORT]\n"
     "                       [--json]\n"},
};

static int help(FILE *out)
{
    fprintf(out, "usage: postern COMMAND ...\n\n");
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        fprintf(out, "    %-12s %s\n", commands[i].name, commands[i].about);
    fprintf(out, "\n`postern help COMMAND` tells more. " COMMON);
    return out == stdout ? 0 : 2;
}

static int run(size_t i, int argc, char **argv)
{
    struct cli cli = {.name = commands[i].name, .help = commands[i].help};
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int code = commands[i].fn(&cli, argc, argv);
    curl_global_cleanup();
    return fflush(stdout) == 0 ? code : 1;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return help(stderr);
    int asks_help = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0;
    const char *name = asks_help ? argv[2] : argv[1];
    if (!name)
        return help(stdout);
    if (strcmp(name, "--version") == 0)
        return puts("postern " POSTERN_VERSION) < 0;
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        if (strcmp(name, commands[i].name) == 0)
            return asks_help ? fputs(commands[i].help, stdout) < 0 : run(i, argc - 2, argv + 2);
    fprintf(stderr, "postern: there is no command %s\n", name);
    return help(stderr);
}
