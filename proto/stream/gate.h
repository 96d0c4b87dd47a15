/* gate.h - who may watch: libzmq asks here (ZAP, RFC 27) before it says anything to a peer. */
#ifndef PROTO_STREAM_GATE_H
#define PROTO_STREAM_GATE_H

#include "proto/stream/keys.h"

/* The socket on which a context's questions arrive; NULL, with the sentence kept. Before any other socket is bound. */
void *gate_open(void *context);

/* Answers every question that is there: yes to peers that prove one of these keys, no to all others. */
void gate_answer(void *gate, const struct key_list *allowed);

#endif
