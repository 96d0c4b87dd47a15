/* view.h - what shows or keeps what is seen: the terminal, lines, files, event files, a picture,
 * HTTP.
 *
 * A view is a const struct view_ops and a function that opens it. It reads the models of all runs;
 * it changes nothing in them. */
#ifndef OBSERVER_VIEW_VIEW_H
#define OBSERVER_VIEW_VIEW_H

#include "observer/source/source.h"

enum { VIEWS_MAX = 8, VIEW_ITEMS = 2 };

struct runs {               /* all runs that are observed */
    struct source *sources; /* borrowed: main owns them */
    int n;
    bool stopped; /* by a signal: nothing is waited for any more */
};

enum { KEY = NAME + 12 };

/* The identity of a run as views write it: its id, with -2, -3 ... behind it if an earlier run has
 * the same id (a copy of a run directory). "" while nothing is known of a live run. At most n - 1
 * bytes; KEY is enough. */
void run_key(const struct runs *runs, const struct run *r, char *text, size_t n);

/* The name of a run for people: its name, with its key behind it if another run has that name. At
 * most n - 1 bytes. */
void run_label(const struct runs *runs, const struct run *r, char *text, size_t n);

struct view;

/* What a view does. Only one thread calls it. No call waits for a person or a network, except that
 * lines waits for standard output in close, and if a MiB has not been taken yet. */
struct view_ops {
    const char *name;

    /* Takes an event of a source, whose model has it already. e is borrowed during the call. NULL:
     * the view reads models only. Negative: it cannot go on (ERR_IO, ERR_MEMORY); the program
     * ends. */
    int (*event)(struct view *v, const struct source *s, const struct event *e);

    /* Fills items with what its input arrives at, ready for zmq_poll, and returns how many:
     * VIEW_ITEMS at most. NULL: it has no input. */
    int (*wait)(struct view *v, zmq_pollitem_t *items);

    /* Shows what is new; is called several times a second, and when input has arrived. now:
     * clock_seconds. 1: the user wants to leave; else 0, or negative: it cannot go on. NULL:
     * nothing to do. */
    int (*tick)(struct view *v, double now);

    /* Writes what is left, closes, and frees v->state. ERR_IO: not everything could be written. */
    int (*close)(struct view *v);
};

struct view {
    const struct view_ops *ops; /* borrowed; NULL: not open */
    void *state;                /* owned by ops */
    const struct runs *runs;    /* borrowed */
    bool gone;  /* the view sets it: nobody reads what it writes; the program ends, quietly */
    bool stays; /* the view sets it: worth looking at after the end; the program waits */
};

/* Each of these opens a view: v->runs is set before, ops and state are set by it. Paths and texts
 * are borrowed during the call. ERR_CANTCREAT and ERR_IO name the path; ERR_MEMORY. On an error the
 * view is not open, or can be closed. */

/* Lines on standard output, one of progress every so many seconds. */
int view_lines(struct view *v, double every);

/* The screen, until the user presses q. */
int view_terminal(struct view *v);

/* Every event as a JSON object a line. */
int view_jsonl(struct view *v, const char *path);

/* Every number as a line of comma-separated values. */
int view_csv(struct view *v, const char *path);

/* Event files of TensorBoard, a folder for each run. */
int view_tensorboard(struct view *v, const char *directory);

/* A picture of the curves, written again while they move, and at the end. */
int view_png(struct view *v, const char *path);

enum on_what { ON_END, ON_FAULT, ON_ALARM };

struct on_command { /* what to do when something happens to a run */
    enum on_what what;
    const char *command;
};

/* "end", "fault" or "alarm". ERR_USAGE. */
int on_what_find(const char *name, enum on_what *what);

/* Runs the command of each event that it is for, by the shell, one at a time, with METALOOP_EVENT,
 * METALOOP_RUN, METALOOP_ROUND and METALOOP_TEXT in its environment. What was over before the view
 * was opened is not told, but for the end. given (n): borrowed until the view is closed. */
int view_commands(struct view *v, const struct on_command *given, int n);

struct http_options {
    const char *address; /* ADDR:PORT */
    const char *token;   /* NULL: one is drawn if it is needed */
};

/* A web page and /metrics; says its URL on standard error. ERR_USAGE names the address. */
int view_http(struct view *v, const struct http_options *o);

/* True if nobody can read what is written to fd: a pipe without readers, a terminal that was
 * closed. */
bool reader_is_gone(int fd);

/* Seconds as 1:02:03, at most n - 1 bytes; "?" if they are not a number. */
void text_duration(char *text, size_t n, double seconds);

/* The share of the present stage that is done: 0 to 1. */
double stage_done(const struct run *r);

#endif
