/* print.c - JSON lines, and tables for people. */
#include "launch/print.h"

#include <inttypes.h>
#include <stdio.h>

void print_json(json_t *o)
{
    json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    fflush(stdout);
    json_decref(o);
}

void print_curve(const char *data, const struct evaluation *e)
{
    printf("data '%s': %" PRIu64 " %s%s\n", data, e->episodes, e->few_shot ? "episodes" : "samples",
           e->failed ? ", some were not finite:" : "");
    if (e->failed)
        printf("  %" PRIu64 " set aside\n", e->failed);
    printf("  inner steps   loss              %s\n", e->has_accuracy ? "accuracy" : "");
    for (int k = 0; k <= e->steps; k++) {
        printf("  %11d   %.4f +- %.4f", k, e->loss[k].mean, e->loss[k].ci95);
        if (e->has_accuracy)
            printf("  %6.2f +- %.2f %%", 100 * e->accuracy[k].mean, 100 * e->accuracy[k].ci95);
        putchar('\n');
    }
}
