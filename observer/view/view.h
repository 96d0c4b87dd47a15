/* view.h - who shows or keeps what is seen: the terminal, lines, files, event files, a picture, HTTP.
 *
 * One struct and one open function per view, whatever it is opened with; a call that a view does not use is NULL. */
#ifndef OBSERVER_VIEW_VIEW_H
#define OBSERVER_VIEW_VIEW_H

#include "observer/source/source.h"

enum { VIEWS_MAX = 8, VIEW_ITEMS = 2 };

struct runs {               /* all that is observed */
    struct source *sources; /* owned by main */
    int n;
    bool stopped; /* by a signal: nothing is waited for any more */
};

enum { KEY = NAME + 12 };

/* The identity of a run as views write it: its id, and -2, -3 ... behind it if an earlier one has the same (a copy of a
 * run directory). "" while nothing is known of a live run. */
void run_key(const struct runs *runs, const struct run *r, char *text, size_t n);

/* What people read: the name, with the key behind it if another run has that name. */
void run_label(const struct runs *runs, const struct run *r, char *text, size_t n);

struct view;

struct view_ops {
    const char *name;
    int (*event)(struct view *v, const struct source *s, const struct event *e);
    int (*wait)(struct view *v,
                zmq_pollitem_t *items); /* what its input arrives at; VIEW_ITEMS at most */
    int (*tick)(struct view *v,
                double now);      /* several times a second; 1: the user wants to leave */
    int (*close)(struct view *v); /* ERR_IO: it was not all written */
};

struct view {
    const struct view_ops *ops;
    void *state;             /* owned */
    const struct runs *runs; /* borrowed */
    bool gone;               /* nobody reads what it writes any more: the program ends, quietly */
    bool stays; /* there is something to look at after the end: the program waits for the user */
};

/* Each sets ops and state; runs is set already. ERR_CANTCREAT, ERR_IO name the path. */
int view_lines(struct view *v,
               double every);      /* standard output; a line of progress each so many seconds */
int view_terminal(struct view *v); /* the screen, until q */
int view_jsonl(struct view *v, const char *path);
int view_csv(struct view *v, const char *path);
int view_tensorboard(struct view *v, const char *directory);
int view_png(struct view *v, const char *path); /* written anew while it moves, and at the end */

struct http_options {
    const char *address; /* ADDR:PORT */
    const char *token;   /* NULL: drawn where one is needed */
};
int view_http(struct view *v, const struct http_options *o); /* says its URL on standard error */

/* Whether nobody can read what is written to fd: a pipe without readers, a terminal that was closed. */
bool reader_is_gone(int fd);

/* Seconds as 1:02:03, "?" where not a number. */
void text_duration(char *text, size_t n, double seconds);

/* What is shown of a share done: 0 to 1. */
double stage_done(const struct run *r);

#endif
