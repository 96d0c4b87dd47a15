/* mix.h - few-shot tasks of several data sections, each task of one of them. */
#ifndef CORE_PLAN_MIX_H
#define CORE_PLAN_MIX_H

#include "core/math/rng.h"
#include "core/plan/setup.h"

/* Fills stage->mixed, and stage->data with the first of them, from the keys data and data_weights.
 * The stage's traits are known. ERR_CONFIG, ERR_MEMORY. */
int mix_form(const struct setup *s, struct stage *stage);

/* Draws a section, with chances as the weights say; if there is one, draws nothing. */
uint32_t mix_draw(const struct stage *stage, struct rng *r);

/* Whether section `data` is one of them. */
bool mix_has(const struct stage *stage, uint32_t data);

#endif
