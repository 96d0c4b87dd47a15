/* audit_odds.h - how soon a rank that computes wrongly now and then is named, if tasks are audited
 * (core/plan/audit.h). */
#ifndef LAUNCH_AUDIT_ODDS_H
#define LAUNCH_AUDIT_ODDS_H

#include <jansson.h>

#include "core/plan/setup.h"

struct audit_rate {
    double share; /* cluster.audit */
    double error; /* probability that the rank errs in a task */
    double tasks; /* of a round */
    double n_workers;
};

/* Probability that the rank is named within so many rounds, at least. */
double audit_odds(const struct audit_rate *r, double rounds);

/* Rounds within which it is named with that probability, 0 < p < 1; not whole. */
double audit_rounds(const struct audit_rate *r, double p);

/* Prints the odds of every stage; nothing if nothing is audited. */
void audit_print(const struct setup *s);

/* The same as an object: docs/json.md. */
json_t *audit_json(const struct setup *s);

#endif
