/* verb_keygen.c - `metaloop keygen`: a pair of keys for the metrics stream. */
#include <stdio.h>

#include "launch/verbs.h"
#include "proto/stream/keys.h"

static int keygen(const struct options *o)
{
    const char *name = o->places[0];
    int code = keys_generate(name);

    if (code >= 0)
        printf("secret key '%s.secret' (keep it)  public key '%s.public' (give it to the other "
               "side)\n",
               name, name);
    return code;
}

const struct verb verb_keygen = {
    .name = "keygen",
    .places = "NAME",
    .min_places = 1,
    .max_places = 1,
    .options = "",
    .summary = "make a pair of keys for watching a run from another machine",
    .text = "Writes NAME.secret (mode 0600) and NAME.public, and never overwrites a file. A\n"
            "coordinator takes its secret key from metrics.server_key, and the public keys of\n"
            "those who may watch from metrics.allowed (docs/stream.md).",
    .run = keygen,
};
