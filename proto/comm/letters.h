/* letters.h - messages as a transport keeps them: a header and a body in one block of memory, in
 * queues, and used again when they have been read. No locks: the holder of the guarding lock owns
 * a queue. */
#ifndef PROTO_COMM_LETTERS_H
#define PROTO_COMM_LETTERS_H

#include "proto/comm/comm.h"

struct letter {
    struct letter *next;
    int peer;       /* the other rank: who sent it, or who gets it */
    size_t room;    /* bytes allocated */
    uint8_t *bytes; /* owned: the header, then the body */
};

struct letter_queue {
    struct letter *first, **last; /* owned; last: where the next letter is hung in */
};

/* Bytes of a whole message with h->size bytes of body. */
static inline size_t letter_size(const struct header *h)
{
    return sizeof *h + h->size;
}

/* An empty queue. */
void letter_queue_init(struct letter_queue *q);

/* Frees all letters. */
void letter_queue_release(struct letter_queue *q);

/* Appends l, which the queue owns from then on. */
void letter_queue_put(struct letter_queue *q, struct letter *l);

/* Takes out the letter at *place, which is &q->first or the `next` of a letter in q. The caller
 * owns it. */
struct letter *letter_queue_take(struct letter_queue *q, struct letter **place);

/* Takes out the first letter that is whole and does not stand behind one of the same peer that is
 * not: the caller owns it. NULL: there is none. */
struct letter *letter_queue_take_whole(struct letter_queue *q, bool (*is_whole)(struct letter *l));

/* A letter with `room` bytes, owned by the caller: the spare that fits best, or a smaller spare
 * made larger, or a new one. A large spare is not lent to a small message. NULL with ERR_MEMORY in
 * err_text(). `each` is the size of a letter's struct, which begins with a struct letter, the same
 * for all letters of a queue; what it adds is zero in a new letter. */
struct letter *letter_get(struct letter_queue *spares, size_t each, size_t room);

/* Frees a letter that is in no queue. */
void letter_free(struct letter *l);

/* Copies a header and the parts of its body, h->size bytes together, into a letter with room for
 * them. */
void letter_fill(struct letter *l, const struct header *h, const struct part *parts, int n);

/* The message in a letter. m->body points into the letter. */
void letter_read(const struct letter *l, struct message *m);

#endif
