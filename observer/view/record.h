/* record.h - the framing of TensorBoard's event files: a length, its checksum, the bytes, their
 * checksum. */
#ifndef OBSERVER_VIEW_RECORD_H
#define OBSERVER_VIEW_RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* CRC-32C (Castagnoli) of n bytes. */
uint32_t record_crc(const void *bytes, size_t n);

/* Writes one record of n bytes. Errors stay in the stream's error flag. */
void record_write(FILE *f, const void *bytes, size_t n);

#endif
