/* print.c - JSON lines, and tables for people. */
#include "launch/print.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "core/base/plural.h"

void print_json(json_t *o)
{
    json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    fflush(stdout);
    json_decref(o);
}

/* "+- 0.0123", or "+- -" in the same place if one episode has no interval. */
static void print_interval(double ci95, int digits, const char *unit)
{
    if (isfinite(ci95))
        printf(" +- %.*f%s", digits, ci95, unit);
    else
        printf(" +- -%s", unit);
}

/* The line below the last step's. */
static void print_inductive(const struct evaluation *e)
{
    printf("    inductive   %.4f", e->inductive_loss.mean);
    print_interval(e->inductive_loss.ci95, 4, "");
    if (e->has_accuracy) {
        printf("  %6.2f", 100 * e->inductive_accuracy.mean);
        print_interval(100 * e->inductive_accuracy.ci95, 2, " %");
    }
    putchar('\n');
}

void print_curve(const char *data, const struct evaluation *e)
{
    char fits[160];

    printf("data '%s': %" PRIu64 " %s%s%s%s\n", data, e->episodes, e->kind->unit,
           plural((double)e->episodes), e->transductive ? ", transductive" : "",
           e->failed ? ", some failed:" : "");
    if (e->failed)
        printf("  %" PRIu64 " set aside\n", e->failed);
    printf("  inner steps   loss              %s\n", e->has_accuracy ? "accuracy" : "");
    for (int k = 0; k <= e->steps; k++) {
        printf("  %11d   %.4f", k, e->loss[k].mean);
        print_interval(e->loss[k].ci95, 4, "");
        if (e->has_accuracy) {
            printf("  %6.2f", 100 * e->accuracy[k].mean);
            print_interval(100 * e->accuracy[k].ci95, 2, " %");
        }
        putchar('\n');
    }
    if (e->has_inductive)
        print_inductive(e);
    evaluation_fits_text(e, fits, sizeof fits);
    if (*fits)
        printf("%s\n", fits);
}
