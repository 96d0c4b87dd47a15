/* noise.c - drops the lines and boxes of a fixed list. */
#include "launch/noise.h"

#include <string.h>

enum {
    RULE = 60,      /* dashes, at least, of the line above and below a box */
    BOX_LINES = 24, /* lines after which a box without an end is no longer dropped */
};

/* Beginnings of lines. '[' up to ']' and a blank, which name host and process, may come first. */
static const char *const lines[] = {
    "mpirun: Forwarding signal ",
    "PMIX ERROR: BAD-PARAM in file ",
    "PMIX ERROR: UNREACHABLE in file ",
    NULL,
};

/* First lines of boxes: each repeats that the run ended with a status, which launch/run returns and
 * explains. */
static const char *const boxes[] = {
    "MPI_ABORT was invoked on rank ",
    "Primary job  terminated normally, but ",
    "mpirun detected that one or more processes exited with non-zero status",
    "mpirun has exited due to process rank ",
    NULL,
};

/* "N more processes have sent help message FILE / TOPIC", and the hint that follows: an aggregate
 * of boxes. */
static const char *const topics[] = {"/ mpi-abort", "\"orte_base_help_aggregate\" to 0", NULL};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* True if text begins like one of the list, or is too short to tell. */
static bool may_begin(const char *text, size_t n, const char *const *list)
{
    for (; *list; list++)
        if (memcmp(text, *list, smaller(n, strlen(*list))) == 0)
            return true;
    return false;
}

static bool begins(const char *text, size_t n, const char *const *list)
{
    for (; *list; list++)
        if (n >= strlen(*list) && memcmp(text, *list, strlen(*list)) == 0)
            return true;
    return false;
}

static bool contains(const char *text, size_t n, const char *const *list)
{
    for (; *list; list++)
        if (memmem(text, n, *list, strlen(*list)))
            return true;
    return false;
}

/* Bytes of "[host:pid] " at the beginning; 0: none. */
static size_t prefix(const char *text, size_t n)
{
    const char *end = n && text[0] == '[' ? memchr(text, ']', n) : NULL;

    return end && end + 1 < text + n && end[1] == ' ' ? (size_t)(end + 2 - text) : 0;
}

static bool is_rule(const char *text, size_t n)
{
    size_t dashes = 0;

    while (dashes < n && text[dashes] == '-')
        dashes++;
    return dashes == n && n >= RULE;
}

/* True if the line, as far as it is known, may turn out to be noise. */
static bool may_be_noise(const char *text, size_t n)
{
    size_t dashes = 0;

    if (may_begin(text, n, lines) || text[0] == '[')
        return true;
    while (dashes < n && text[dashes] == '-')
        dashes++;
    return dashes == n;
}

static bool is_noise(const char *text, size_t n)
{
    size_t at = prefix(text, n);

    return begins(text + at, n - at, lines) || (at > 0 && contains(text, n, topics));
}

static void put(struct noise_filter *z, const char *text, size_t n)
{
    if (n == 0)
        return;
    if (z->terminal && z->bar && text[0] != '\r')
        z->write(z->context, "\r\033[K", 4);
    z->bar = false;
    z->write(z->context, text, n);
}

static void pass_held(struct noise_filter *z)
{
    put(z, z->held, z->n);
    z->n = z->line = 0;
}

bool noise_holds(const struct noise_filter *z)
{
    return z->n > 0;
}

void noise_flush(struct noise_filter *z)
{
    z->passing = z->n > z->line;
    pass_held(z);
    z->dropping = 0;
}

/* The line is complete. After a rule, it is the first line of a box. */
static void end_line(struct noise_filter *z)
{
    const char *line = z->held + z->line;
    size_t n = z->n - z->line - 1;

    if (z->dropping > 0) {
        z->dropping = is_rule(line, n) ? 0 : z->dropping - 1;
        z->n = z->line = 0;
    } else if (z->line > 0 && begins(line, n, boxes)) {
        z->dropping = BOX_LINES;
        z->n = z->line = 0;
    } else if (is_noise(line, n)) {
        z->n = z->line;
        pass_held(z);
    } else if (is_rule(line, n)) {
        z->n -= n + 1;
        pass_held(z);
        z->n = z->line = n + 1;
        memset(z->held, '-', n);
        z->held[n] = '\n';
    } else {
        pass_held(z);
    }
}

/* True if more text of the held line is needed to decide. */
static bool must_wait(const struct noise_filter *z)
{
    const char *line = z->held + z->line;
    size_t n = z->n - z->line;

    return z->dropping > 0 || may_be_noise(line, n) || (z->line > 0 && may_begin(line, n, boxes));
}

static void follow_escape(struct noise_filter *z, char c)
{
    static const char clear[] = "\033[K";

    z->escape = c == clear[z->escape] ? z->escape + 1 : c == clear[0];
}

/* Passes on text that is not noise. After the end of a line or of a bar the next line begins. */
static void pass(struct noise_filter *z, const char *text, size_t n)
{
    put(z, text, n);
    if (text[n - 1] == '\n' || z->escape == 3) {
        z->bar = z->escape == 3;
        z->passing = false;
        z->escape = 0;
    }
}

static void hold(struct noise_filter *z, char c)
{
    z->held[z->n++] = c;
    if (c == '\n')
        end_line(z);
    else if (!must_wait(z) || z->n == NOISE_HOLD)
        noise_flush(z);
}

void noise_feed(struct noise_filter *z, const char *text, size_t n)
{
    size_t from = 0;

    for (size_t i = 0; i < n; i++) {
        if (z->n == 0)
            follow_escape(z, text[i]);
        if (!z->passing && (z->n > 0 || z->dropping > 0 || may_be_noise(text + i, 1))) {
            hold(z, text[i]);
            from = i + 1;
        } else if (text[i] == '\n' || z->escape == 3) {
            pass(z, text + from, i + 1 - from);
            from = i + 1;
        } else {
            z->passing = true;
        }
    }
    if (from < n)
        pass(z, text + from, n - from);
}
