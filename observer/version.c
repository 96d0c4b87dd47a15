/* version.c - the release, and the revision it was built from. */
#include "build_revision.h"
#include "observer/arguments.h"

const char observer_version[] = "0.1.0-" REVISION;
