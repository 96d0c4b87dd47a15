/* gate.h - who may watch: libzmq asks here (ZAP, RFC 27) before it says anything to a peer. */
#ifndef PROTO_STREAM_GATE_H
#define PROTO_STREAM_GATE_H

#include "proto/stream/keys.h"

/* Opens the socket on which a context asks; the caller closes it. Call it before any other socket
 * is bound. NULL, with the sentence kept, on an error. */
void *gate_open(void *context);

/* Answers every question that has arrived: yes to peers that prove one of these keys, no to all
 * others. Never waits. */
void gate_answer(void *gate, const struct key_list *allowed);

#endif
