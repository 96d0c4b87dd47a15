/* habitat.c - which habitat it is. */
#include "core/base/habitat.h"

const struct habitat *habitat;
