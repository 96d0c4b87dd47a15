/* wire_internal.h - between the files that turn meaning into bytes. */
#ifndef PROTO_WIRE_INTERNAL_H
#define PROTO_WIRE_INTERNAL_H

#include <protobuf-c/protobuf-c.h>

#include "proto/wire.h"

int wire_pack(const ProtobufCMessage *m, struct buffer *out); /* ERR_MEMORY */

/* NULL for what is no such message, and for what would take too much memory. */
void *wire_unpack(const ProtobufCMessageDescriptor *what, const void *bytes, size_t n);
int wire_refuse(const char *what); /* ERR_DATA */

/* At most n - 1 bytes of a text, and NUL. */
void wire_copy(char *to, size_t n, const char *from);

#endif
