/* wire_internal.h - shared by the files that turn structs into bytes. */
#ifndef PROTO_WIRE_INTERNAL_H
#define PROTO_WIRE_INTERNAL_H

#include <protobuf-c/protobuf-c.h>

#include "proto/wire.h"

/* Packs any message into *out, whose bytes it replaces. ERR_MEMORY. */
int wire_pack(const ProtobufCMessage *m, struct buffer *out);

/* Unpacks a message of this type; the caller frees it. NULL if the bytes are no such message, or
 * would take too much memory. */
void *wire_unpack(const ProtobufCMessageDescriptor *what, const void *bytes, size_t n);
/* Says that a message of this name makes no sense: ERR_DATA. */
int wire_refuse(const char *what);

/* Copies a text, at most n - 1 bytes of it and NUL. */
void wire_copy(char *to, size_t n, const char *from);

#endif
