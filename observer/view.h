/* view.h - who shows or keeps what is seen: the terminal, lines, files, event files, a picture, HTTP.
 *
 * One struct and one open function per view, whatever it is opened with; a call that a view has no use for is NULL. */
#ifndef OBSERVER_VIEW_H
#define OBSERVER_VIEW_H

#include "observer/source.h"

enum { VIEWS_MAX = 8, VIEW_ITEMS = 2 };

struct runs {               /* all that is observed */
    struct source *sources; /* owned by main */
    int n;
};

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

/* Seconds as 1:02:03, "?" where not a number. */
void text_duration(char *text, size_t n, double seconds);

/* What is shown of a share done: 0 to 1. */
double stage_done(const struct run *r);

#endif
