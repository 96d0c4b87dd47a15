/* version.c - the release, and the revision it was built from. */
#include "build_revision.h"
#include "launch/verbs.h"

const char version[] = "0.1.0-" REVISION;
