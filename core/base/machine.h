/* machine.h - facts about this machine, for reports, manifests and the division of its cores. */
#ifndef CORE_BASE_MACHINE_H
#define CORE_BASE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

/* Puts the host's name into name (n bytes). */
void machine_host(char *name, size_t n);

/* Puts the processor's name into name (n bytes): "AMD EPYC 9654"; "unknown" if the system does not
 * say. */
void machine_cpu(char *name, size_t n);

/* Compute ranks on this host that share its cores, as the MPI launcher tells; at least 1. */
int machine_ranks_beside(void);

int machine_cores(void); /* that this process may use, at least 1 */

/* What the program was compiled for, as far as it changes bits: instruction sets, compiler,
 * flags. */
const char *machine_build(void);

double machine_resident_mib(void); /* memory of this process now; 0 if the system does not say */
double machine_peak_mib(void);     /* largest resident memory of this process so far */

/* Whether this process may have so many bytes more of address space (ulimit -v, batch systems'
 * limits). */
bool machine_has_room(size_t bytes);

#endif
