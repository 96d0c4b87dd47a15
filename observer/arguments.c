/* arguments.c - one table of options reads, checks and prints. */
#include "observer/arguments.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/nearest.h"

#define DEFAULT_ENDPOINT "tcp://127.0.0.1:5555"

enum option_kind { FLAG, WORD, SECONDS, LIST, COMMAND };

static const struct observe_option {
    const char *name, *value;
    enum option_kind kind;
    size_t at, count; /* in struct arguments; count: of a list */
    const char *help;
} options[] = {
    {"--replay", "RUN_DIR", LIST, offsetof(struct arguments, replays),
     offsetof(struct arguments, n_replays),
     "show a run directory instead of a live run; may be repeated"},
    {"--http", "ADDR:PORT", WORD, offsetof(struct arguments, http), 0,
     "serve a page for browsers, /metrics for Prometheus, and /api"},
    {"--token", "TOKEN", WORD, offsetof(struct arguments, token), 0,
     "token that browsers must have; default: none on loopback, a random one elsewhere"},
    {"--tensorboard", "DIR", WORD, offsetof(struct arguments, tensorboard), 0,
     "write event files for TensorBoard"},
    {"--jsonl", "FILE", WORD, offsetof(struct arguments, jsonl), 0,
     "write events, one JSON object per line"},
    {"--csv", "FILE", WORD, offsetof(struct arguments, csv), 0, "write numbers, one per row"},
    {"--png", "FILE", WORD, offsetof(struct arguments, png), 0, "draw the curves as a picture"},
    {"--lines", NULL, FLAG, offsetof(struct arguments, lines), 0,
     "print plain lines, also on a terminal"},
    {"--every", "SECONDS", SECONDS, offsetof(struct arguments, every), 0,
     "seconds between lines of progress (10)"},
    {"--linger", "SECONDS", SECONDS, offsetof(struct arguments, linger), 0,
     "seconds to wait for the restart of a run that failed or was stopped (60)"},
    {"--on", "end|fault|alarm COMMAND", COMMAND, 0, 0,
     "run a command when that happens (docs/observe.md); may be repeated"},
    {"--key", "FILE", WORD, offsetof(struct arguments, key), 0,
     "CURVE: file with the observer's secret key, mode 0600"},
    {"--server-key", "FILE", WORD, offsetof(struct arguments, server_key), 0,
     "CURVE: file with the coordinator's public key"},
};

enum { OPTIONS = sizeof options / sizeof *options };

static int print_help(void)
{
    puts("usage: metaloop-observe [OPTION]... [ENDPOINT]...\n\n"
         "Shows a run of metaloop while it trains, or afterwards: on the screen until q is\n"
         "pressed, as lines if standard output is not a terminal, or as the options say.\n"
         "ENDPOINT is the configuration's metrics.endpoint (" DEFAULT_ENDPOINT ");\n"
         "several endpoints are all shown.\n");
    for (const struct observe_option *o = options; o < options + OPTIONS; o++) {
        char name[48];

        snprintf(name, sizeof name, "%s %s", o->name, o->value ? o->value : "");
        printf("  %-28s  %s\n", name, o->help);
    }
    puts("  --help, --version             this text; the version\n\n"
         "Exit codes: 0 done; 1 failed; 64 wrong use; 65 lines or messages were refused; 66 no "
         "input; 73, 74 cannot\n"
         "write; 78 a key file that cannot be used.");
    return 1;
}

static int unknown(const char *word)
{
    const char *names[OPTIONS + 3], *near;

    for (int i = 0; i < OPTIONS; i++)
        names[i] = options[i].name;
    names[OPTIONS] = "--help";
    names[OPTIONS + 1] = "--version";
    names[OPTIONS + 2] = NULL;
    near = nearest_word(word, names);
    return err(ERR_USAGE, "unknown option '%s'%s%s%s", word, near ? ", did you mean '" : "",
               near ? near : "", near ? "'?" : "; try --help");
}

static int seconds_read(const struct observe_option *o, const char *text, double *value)
{
    char *end;

    *value = strtod(text, &end);
    if (end == text || *end || !(*value >= 0 && *value <= 1e6))
        return err(ERR_USAGE, "%s '%s' is not a number of seconds", o->name, text);
    return 0;
}

static int list_add(const char **items, int *n, const char *word)
{
    if (*n == ENDPOINTS_MAX)
        return err(ERR_USAGE, "more than %d runs: '%s'", ENDPOINTS_MAX, word);
    items[(*n)++] = word;
    return 0;
}

/* Two words: what it is for, and the command. */
static int command_add(struct arguments *a, const char *what, const char *command)
{
    struct on_command *c = &a->commands[a->n_commands];

    if (!what || !command || !*command)
        return err(ERR_USAGE, "--on needs two values: end, fault or alarm, and a command");
    if (a->n_commands == COMMANDS_MAX)
        return err(ERR_USAGE, "more than %d commands: '%s'", COMMANDS_MAX, command);
    TRY(on_what_find(what, &c->what));
    c->command = command;
    a->n_commands++;
    return 0;
}

static int option_set(struct arguments *a, const struct observe_option *o, const char *text)
{
    void *at = (char *)a + o->at;

    if (o->kind == FLAG && text)
        return err(ERR_USAGE, "%s takes no value", o->name);
    if (o->kind != FLAG && (!text || !*text))
        return err(ERR_USAGE, "%s needs a value: %s", o->name, o->value);
    if (o->kind == LIST)
        return list_add(at, (int *)((char *)a + o->count), text);
    if (o->kind == SECONDS)
        return seconds_read(o, text, at);
    if (o->kind == WORD)
        *(const char **)at = text;
    else
        *(bool *)at = true;
    return 0;
}

/* argv[*i], and its value if that is the next word. */
static int option_read(struct arguments *a, int argc, char **argv, int *i)
{
    const char *word = argv[*i], *value = strchr(word, '=');
    size_t n = value ? (size_t)(value - word) : strlen(word);

    for (const struct observe_option *o = options; o < options + OPTIONS; o++) {
        if (strncmp(o->name, word, n) != 0 || o->name[n])
            continue;
        if (o->kind == COMMAND) {
            const char *what = value ? value + 1 : ++*i < argc ? argv[*i] : NULL;

            return command_add(a, what, ++*i < argc ? argv[*i] : NULL);
        }
        if (value)
            return option_set(a, o, value + 1);
        if (o->kind == FLAG)
            return option_set(a, o, NULL);
        ++*i;
        return option_set(a, o, *i < argc ? argv[*i] : NULL);
    }
    return unknown(word);
}

static int check(const struct arguments *a)
{
    if (!a->key != !a->server_key)
        return err(ERR_USAGE, "--key and --server-key belong together");
    if (a->key && a->n_replays && !a->n_endpoints)
        return err(ERR_USAGE, "--key is for a live run, not for --replay");
    if (a->token && !a->http)
        return err(ERR_USAGE, "--token is for --http");
    return 0;
}

int arguments_read(struct arguments *a, int argc, char **argv)
{
    *a = (struct arguments){.every = 10, .linger = 60};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return print_help();
        if (strcmp(argv[i], "--version") == 0) {
            printf("metaloop-observe %s\n", observer_version);
            return 1;
        }
        if (argv[i][0] == '-')
            TRY(option_read(a, argc, argv, &i));
        else
            TRY(list_add(a->endpoints, &a->n_endpoints, argv[i]));
    }
    if (!a->n_endpoints && !a->n_replays)
        a->endpoints[a->n_endpoints++] = DEFAULT_ENDPOINT;
    return check(a);
}
