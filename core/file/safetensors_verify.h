/* safetensors_verify.h - compares a file with the digests that it carries. */
#ifndef CORE_FILE_SAFETENSORS_VERIFY_H
#define CORE_FILE_SAFETENSORS_VERIFY_H

#include "core/file/safetensors.h"

/* s is read and its header parsed; its data begin at byte n_header. Sets s->digest and the
 * tensors'. ERR_DATA names the tensor or the header that is damaged; a file that carries no digest
 * passes. */
int safetensors_verify(struct safetensors *s, const char *path, size_t n_header);

#endif
