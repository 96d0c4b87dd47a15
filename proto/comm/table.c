/* table.c - all transports. */
#include <stddef.h>

#include "proto/comm/comm.h"

extern const struct comm_ops comm_local, comm_mpi, comm_sim;

const struct comm_ops *const comm_table[] = {&comm_local, &comm_mpi, &comm_sim, NULL};
