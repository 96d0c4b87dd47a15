/* command.c - a command of the user's for the end of a run, a fault or an alarm: mail or a chat in
 * one line. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "observer/view/view.h"

enum {
    WAITING_MAX = 64, /* events whose command has not been started */
    LAST_SECONDS = 60 /* that commands have after the end */
};

struct due { /* one call of the command */
    enum on_what what;
    uint64_t round;
    char run[NAME + KEY], text[2 * SENTENCE];
};

struct heard { /* of a run */
    uint64_t notes, generation;
    bool ended;
};

struct commands {
    const struct on_command *given; /* borrowed */
    int n_given;
    double opened;       /* seconds since 1970: what is older was over before */
    struct heard *heard; /* owned, one per run */
    struct due waiting[WAITING_MAX];
    int n_waiting;
    uint64_t dropped; /* too many waited */
    int next;         /* of the given commands, for waiting[0] */
    pid_t child;      /* the command that runs; 0: none */
};

static const char *const what_names[] = {"end", "fault", "alarm"};

static void add(const struct view *v, const struct run *r, enum on_what what, const char *text)
{
    struct commands *c = v->state;
    struct due *d = &c->waiting[c->n_waiting];

    if (c->n_waiting == WAITING_MAX) {
        c->dropped++;
        return;
    }
    *d = (struct due){.what = what, .round = r->stage < 0 ? 0 : r->stages[r->stage].round};
    run_label(v->runs, r, d->run, sizeof d->run);
    snprintf(d->text, sizeof d->text, "%s", text);
    c->n_waiting++;
}

/* A note that is older than this program is not news. */
static void hear_notes(const struct view *v, const struct run *r, struct heard *h)
{
    const struct commands *c = v->state;
    uint64_t oldest = r->n_notes > NOTES_MAX ? r->n_notes - NOTES_MAX : 0;

    for (uint64_t i = h->notes > oldest ? h->notes : oldest; i < r->n_notes; i++) {
        const struct note *n = &r->notes[i % NOTES_MAX];

        if (n->level != NOTE_LOG && (n->time == 0 || n->time >= c->opened))
            add(v, r, n->level == NOTE_FAULT ? ON_FAULT : ON_ALARM, n->text);
    }
    h->notes = r->n_notes;
}

static void hear_end(const struct view *v, const struct run *r, struct heard *h)
{
    char text[2 * SENTENCE];

    if (h->ended || r->state != RUN_ENDED)
        return;
    h->ended = true;
    snprintf(text, sizeof text, "%s%s%s", r->end, *r->digest ? "  digest " : "", r->digest);
    add(v, r, ON_END, text);
}

/* After a restart of the run its notes are told again: they are no news either. */
static void hear(const struct view *v)
{
    struct commands *c = v->state;

    for (int i = 0; i < v->runs->n; i++) {
        const struct run *r = &v->runs->sources[i].run;
        struct heard *h = &c->heard[i];

        if (h->generation != r->generation)
            *h = (struct heard){.generation = r->generation, .notes = r->n_notes};
        hear_notes(v, r, h);
        hear_end(v, r, h);
    }
}

static void take_environment(const struct due *d)
{
    char round[24];

    snprintf(round, sizeof round, "%" PRIu64, d->round);
    setenv("METALOOP_EVENT", what_names[d->what], 1);
    setenv("METALOOP_RUN", d->run, 1);
    setenv("METALOOP_ROUND", round, 1);
    setenv("METALOOP_TEXT", d->text, 1);
}

/* Its output goes where errors go: standard output may be a list that somebody reads. */
static void start(struct commands *c, const char *command, const struct due *d)
{
    char *const arguments[] = {"sh", "-c", (char *)(uintptr_t)command, NULL};
    extern char **environ;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int code;

    take_environment(d);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    sigaddset(&none, SIGPIPE); /* which this program ignores */
    posix_spawnattr_setsigdefault(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    code = posix_spawn(&c->child, "/bin/sh", &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (code != 0) {
        c->child = 0;
        fprintf(stderr, "metaloop-observe: cannot start '%s': %s\n", command, strerror(code));
    }
}

static void tell_status(int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
        fprintf(stderr, "metaloop-observe: the command of --on ended with %d\n",
                WEXITSTATUS(status));
    else if (WIFSIGNALED(status))
        fprintf(stderr, "metaloop-observe: the command of --on was ended by signal %d\n",
                WTERMSIG(status));
}

/* True while a command runs. */
static bool is_busy(struct commands *c)
{
    int status;

    if (c->child == 0)
        return false;
    if (waitpid(c->child, &status, WNOHANG) == 0)
        return true;
    tell_status(status);
    c->child = 0;
    return false;
}

/* One command at a time, in the order of the events, and of the options for one event. */
static void advance(struct commands *c)
{
    while (c->n_waiting > 0 && !is_busy(c)) {
        const struct due *d = &c->waiting[0];

        while (c->next < c->n_given && c->given[c->next].what != d->what)
            c->next++;
        if (c->next < c->n_given) {
            start(c, c->given[c->next++].command, d);
            continue;
        }
        c->next = 0;
        c->n_waiting--;
        memmove(c->waiting, c->waiting + 1, (size_t)c->n_waiting * sizeof *c->waiting);
    }
}

static int commands_tick(struct view *v, double now)
{
    (void)now;
    hear(v);
    advance(v->state);
    return 0;
}

/* The last commands may take a while; then they go on alone. */
static int commands_close(struct view *v)
{
    struct commands *c = v->state;
    double limit = clock_seconds() + LAST_SECONDS;

    hear(v);
    while (clock_seconds() < limit && (c->n_waiting > 0 || is_busy(c))) {
        advance(c);
        poll(NULL, 0, 20);
    }
    if (c->n_waiting > 0 || c->dropped > 0)
        fprintf(stderr, "metaloop-observe: %" PRIu64 " events without a command: too many waited\n",
                c->dropped + (uint64_t)c->n_waiting);
    free(c->heard);
    free(c);
    return 0;
}

static const struct view_ops commands = {
    .name = "commands", .tick = commands_tick, .close = commands_close};

int view_commands(struct view *v, const struct on_command *given, int n)
{
    struct commands *c = calloc(1, sizeof *c);

    if (c)
        c->heard = calloc((size_t)v->runs->n, sizeof *c->heard);
    if (!c || !c->heard) {
        free(c);
        return err(ERR_MEMORY, "no memory for commands");
    }
    c->given = given;
    c->n_given = n;
    c->opened = clock_since_1970();
    v->ops = &commands;
    v->state = c;
    return 0;
}

int on_what_find(const char *name, enum on_what *what)
{
    for (int i = 0; i < (int)(sizeof what_names / sizeof *what_names); i++)
        if (strcmp(name, what_names[i]) == 0) {
            *what = (enum on_what)i;
            return 0;
        }
    return err(ERR_USAGE, "--on '%s': end, fault or alarm", name);
}
